import TuskFormat

/// Bottleneck adapters: one configuration for all of them.
extension LibraryExport {
  mutating func addBottlenecks() throws(ConversionError) {
    let linears = try AdapterLinears(contents)
    let rules = try Rules(contents)
    // The library cannot share whole right operands.
    var sharesWeights = linears.sharesWeights
    if case .kronecker(_, nil, _) = linears.form { sharesWeights = false }
    var config = rules.settings
    config.merge(try placement()) { $1 }
    config.merge(try reduction()) { $1 }
    config.merge(linearSettings(linears, sharesWeights: sharesWeights)) { $1 }
    config.merge(Self.trainingSettings) { $1 }
    add(config)
    for (site, adapter) in contents.adapters {
      let prefix = request.family.prefix(of: site) + "adapters.\(name)."
      let down = "\(prefix)adapter_down.\(rules.hasNormBefore ? 1 : 0)."
      addLinear(adapter.down, down, "W_down", linears, sharesWeights: sharesWeights)
      addLinear(adapter.up, prefix + "adapter_up.", "W_up", linears, sharesWeights: sharesWeights)
      addTensors(of: adapter, prefix, rules)
    }
  }

  /// What only training looks at.
  private static let trainingSettings: [String: JSONValue] = [
    "dropout": .number(0), "stochastic_depth": .number(0), "init_weights": .string("bert"), "init_weights_seed": .null,
    "inv_adapter": .null, "inv_adapter_reduction_factor": .null, "learn_phm": .bool(true),
    "phm_c_init": .string("normal"), "phm_init_range": .number(1e-4),
    "hypercomplex_nonlinearity": .string("glorot-uniform"),
  ]

  private func linearSettings(_ linears: AdapterLinears, sharesWeights: Bool) -> [String: JSONValue] {
    var (n, rank, isSum, isFactorizedRule) = (4, Int?.some(1), true, false)
    switch linears.form {
    case .kronecker(let terms, let ownRank, let hasFactorizedRule):
      (n, rank, isFactorizedRule) = (terms, ownRank, hasFactorizedRule)
    case .lowRank(let ownRank): (n, rank) = (1, ownRank)
    case .dense: isSum = false
    }
    return [
      "phm_layer": .bool(isSum), "phm_dim": .integer(n), "phm_rank": .integer(rank ?? 1),
      "factorized_phm_W": .bool(rank != nil), "shared_W_phm": .bool(sharesWeights),
      "shared_phm_rule": .bool(!isSum || linears.sharesRule), "factorized_phm_rule": .bool(isFactorizedRule),
      "phm_bias": .bool(!isSum || linears.hasBias),
    ]
  }

  private mutating func addLinear(
    _ index: Int, _ prefix: String, _ direction: String, _ linears: AdapterLinears, sharesWeights: Bool
  ) {
    let linear = contents.section.linear(at: index)
    let shared = "shared_parameters.\(name)."
    if linears.form == .dense {
      add(prefix + "weight", [linear.outWidth, linear.inWidth], contents.denseWeight(linear))
      add(prefix + "bias", [linear.outWidth], contents.bias(linear))
      return
    }
    for part in contents.rule(linear) {
      let rule = (linears.sharesRule ? shared : prefix) + part.name
      if !contains(rule) { add(rule, part.shape, part.values) }
    }
    for part in contents.weights(linear) {
      let weight = (sharesWeights ? shared + direction : prefix + "W") + part.name
      if !contains(weight) { add(weight, part.shape, part.values) }
    }
    if linears.hasBias { add(prefix + "b", [linear.outWidth], contents.bias(linear)) }
  }

  /// Norms, scaling and gate. The norm in front is stored under the name of the module that it begins, too.
  private mutating func addTensors(of adapter: TaskAdapter, _ prefix: String, _ rules: Rules) {
    let width = request.config.dModel
    if let weight = adapter.normBeforeWeight, let bias = adapter.normBeforeBias {
      for (part, tensor) in [("weight", weight), ("bias", bias)] {
        add(prefix + "adapter_norm_before." + part, [width], contents.values(tensor))
        add(prefix + "adapter_down.0." + part, sameAs: prefix + "adapter_norm_before." + part)
      }
    }
    if let weight = adapter.normAfterWeight, let bias = adapter.normAfterBias {
      add(prefix + "adapter_norm_after.weight", [width], contents.values(weight))
      add(prefix + "adapter_norm_after.bias", [width], contents.values(bias))
    }
    if let vector = adapter.scalingVector {
      add(prefix + "scaling", [width], contents.values(vector).map { $0 * adapter.scaling })
    } else if rules.scaling == nil {
      add(prefix + "scaling", [1], [adapter.scaling])
    }
    if let weight = adapter.gateWeight, let bias = adapter.gateBias {
      add(prefix + "gate.weight", [1, width], contents.values(weight))
      add(prefix + "gate.bias", [1], contents.values(bias))
    }
  }

  /// Which sub-layers have adapters, and which blocks none.
  private func placement() throws(ConversionError) -> [String: JSONValue] {
    let subLayers = Set(contents.adapters.map(\.site.subLayer))
    var leftOut: [JSONValue] = []
    for block in BlockParts(contents.adapters.map { ($0.site, $0.site.subLayer) }, request.config).blocks {
      let expected = subLayers.filter { block.stack == .decoder || $0 != .crossAttention }
      guard !block.parts.isEmpty || expected.isEmpty else {
        leftOut.append(.integer(block.number))
        continue
      }
      guard let missing = expected.subtracting(block.parts).first else { continue }
      throw contents.inexpressible(
        .adapter, at: contents.place(of: AdapterSite(stack: block.stack, subLayer: missing, layer: block.layer)),
        "there is none, but in other blocks there is, and other sub-layers of this block have one: the format puts "
          + "adapters behind the same sub-layers of every block that has any")
    }
    return [
      "mh_adapter": .bool(subLayers.contains(.selfAttention)),
      "output_adapter": .bool(subLayers.contains(.feedForward)),
      "cross_adapter": .bool(subLayers.contains(.crossAttention)), "leave_out": .array(leftOut),
    ]
  }

  /// The factors that give the widths of the bottlenecks: one, or one for each block.
  private func reduction() throws(ConversionError) -> [String: JSONValue] {
    var widths: [Int: Int] = [:]
    for (site, adapter) in contents.adapters {
      let other = widths.updateValue(adapter.bottleneckWidth, forKey: contents.layer(of: site))
      guard other ?? adapter.bottleneckWidth == adapter.bottleneckWidth else {
        throw contents.inexpressible(
          .adapter, at: contents.place(of: site),
          "its bottleneck has width \(adapter.bottleneckWidth), another one of this block \(other!); the format has one "
            + "width for each block")
      }
    }
    let first = widths[widths.keys.min()!]!
    if widths.values.allSatisfy({ $0 == first }) { return ["reduction_factor": factor(first)] }
    return [
      "reduction_factor": .object(
        Dictionary(uniqueKeysWithValues: widths.map { ("\($0.key)", factor($0.value)) })
          .merging(["default": factor(first)]) { $1 })
    ]
  }

  /// A factor that the model's width, divided by it and rounded down, gives `width`. Half a column more keeps away from
  /// where rounding decides.
  private func factor(_ width: Int) -> JSONValue {
    let dModel = request.config.dModel
    return dModel % width == 0 ? .integer(dModel / width) : .number(Double(dModel) / (Double(width) + 0.5))
  }
}

/// What all adapters of a configuration do alike.
private struct Rules: Equatable {
  let hasNormBefore: Bool
  let hasNormAfter: Bool
  /// nil where each has its own.
  var scaling: Float?
  private let activation: Activation
  private let inputRule: InputRule
  private let skipRule: SkipRule
  private let addsStream: Bool
  private let normsSkip: Bool
  private let hasVector: Bool
  private let hasGate: Bool

  private init(_ adapter: TaskAdapter) {
    hasNormBefore = adapter.normBeforeWeight != nil
    hasNormAfter = adapter.normAfterWeight != nil
    activation = adapter.activation
    inputRule = adapter.inputRule
    skipRule = adapter.skipRule
    addsStream = adapter.addsStream
    normsSkip = adapter.normsSkip
    hasVector = adapter.scalingVector != nil
    hasGate = adapter.gateWeight != nil
  }

  /// - Throws: `.inexpressible` naming the first adapter that does otherwise, or what the library does not do.
  init(_ contents: TaskContents) throws(ConversionError) {
    let first = contents.adapters[0].part
    self.init(first)
    for (site, adapter) in contents.adapters {
      guard Rules(adapter) == self else {
        throw contents.inexpressible(
          .adapter, at: contents.place(of: site),
          "its activation, input, skip, norms, scaling or gate are not those of other adapters; the format has one "
            + "configuration for all")
      }
      try contents.requireUsualNorms(adapter, site)
    }
    scaling = contents.adapters.allSatisfy { $0.part.scaling == first.scaling } ? first.scaling : nil
    guard Self.inputs(contents.config.hasDecoder)[inputRule]?[skipRule] != nil, !normsSkip || inputRule != .stream
    else {
      throw contents.inexpressible(
        .adapter, at: contents.place(of: contents.adapters[0].site),
        "its input (rule \(inputRule.rawValue)) and skip (rule \(skipRule.rawValue)) are a pair that the adapters library "
          + "does not have on \(contents.config.hasDecoder ? "a T5" : "an encoder")")
    }
  }

  /// `residual_before_ln` of every pair of input and skip that the library has. Without a norm in front the sum is its own
  /// input, and what enters without the stream is the sub-layer's output.
  private static func inputs(_ isT5: Bool) -> [InputRule: [SkipRule: JSONValue]] {
    var inputs: [InputRule: [SkipRule: JSONValue]] = [
      .stream: [.subLayer: .bool(true)], .subLayer: [.subLayer: .bool(true), .input: .bool(true)],
    ]
    if isT5 {
      inputs[.subLayerPlusStream] = [.subLayer: .bool(true), .input: .bool(false), .subLayerPlusStream: .bool(false)]
    } else {
      inputs[.normOfSubLayerPlusStream] = [
        .subLayer: .bool(true), .input: .bool(false), .subLayerPlusStream: .string("post_add"),
      ]
    }
    return inputs
  }

  var settings: [String: JSONValue] {
    let takesSum = inputRule == .subLayerPlusStream || inputRule == .normOfSubLayerPlusStream
    let isT5 = inputRule == .subLayerPlusStream
    return [
      "non_linearity": .string(activation.transformersName), "original_ln_before": .bool(takesSum),
      "original_ln_after": .bool(addsStream),
      "residual_before_ln": Self.inputs(isT5)[inputRule]![skipRule]!,
      "adapter_residual_before_ln": .bool(normsSkip), "ln_before": .bool(hasNormBefore),
      "ln_after": .bool(hasNormAfter),
      "is_parallel": .bool(inputRule == .stream), "use_gating": .bool(hasGate),
      // The library takes a whole number for no number at all.
      "scaling": hasVector ? .string("channel") : scaling.map { .number(Double($0)) } ?? .string("learned"),
    ]
  }
}
