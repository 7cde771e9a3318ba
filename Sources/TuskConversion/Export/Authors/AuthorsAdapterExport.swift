import TuskFormat

/// Adapters in the names of the authors' code, which has one kind for all of a model's.
struct AuthorsAdapterExport {
  /// What `training_config.json` says of them.
  let settings: [String: JSONValue]
  private let request: ExportRequest
  private let linears: AdapterLinears

  private var contents: TaskContents { request.contents }

  /// Names that the release of transformers has which the code runs on (4.6).
  private static let activations: Set<Activation> = [
    .identity, .relu, .gelu, .geluNew, .silu, .tanh, .sigmoid, .quickGelu, .mish,
  ]

  /// nil when the task has none.
  init?(_ request: ExportRequest) throws(ConversionError) {
    let contents = request.contents
    guard let first = contents.adapters.first?.part else { return nil }
    self.request = request
    linears = try AdapterLinears(contents)
    guard !request.name.utf8.contains(UInt8(ascii: ".")) else {
      throw ConversionError(
        .inexpressible, file: contents.file, subject: request.name,
        "the code puts the name into those of modules, which hold no dot; choose another with --name")
    }
    for (site, adapter) in contents.adapters {
      let place = contents.place(of: site)
      // What enters is the sub-layer's output, so skipping the input is the same.
      guard adapter.inputRule == .subLayer, [.subLayer, .input].contains(adapter.skipRule), adapter.addsStream,
        !adapter.normsSkip, adapter.scaling == 1, adapter.scalingVector == nil, adapter.gateWeight == nil
      else {
        throw contents.inexpressible(
          .adapter, at: place,
          "adapters of the authors' code read what the sub-layer gives and are added to it and to the stream, without "
            + "scaling or gate")
      }
      guard Self.activations.contains(adapter.activation), adapter.activation == first.activation,
        adapter.bottleneckWidth == first.bottleneckWidth,
        (adapter.normBeforeWeight == nil) == (first.normBeforeWeight == nil),
        (adapter.normAfterWeight == nil) == (first.normAfterWeight == nil)
      else {
        throw contents.inexpressible(
          .adapter, at: place,
          "it has activation \(adapter.activation.transformersName) and width \(adapter.bottleneckWidth); the authors' code "
            + "has one width, one activation of transformers 4.6 and the same norms for all adapters")
      }
      try contents.requireUsualNorms(adapter, site)
    }
    var settings = try Self.placement(contents)
    settings.merge(Self.linearSettings(linears)) { $1 }
    let factor = request.config.dModel / first.bottleneckWidth
    guard factor > 0, request.config.dModel / factor == first.bottleneckWidth else {
      throw contents.inexpressible(
        .adapter, at: contents.place(of: contents.adapters[0].site),
        "its bottleneck has width \(first.bottleneckWidth); in the authors' code it is the model's, "
          + "\(request.config.dModel), divided by a whole number and rounded down")
    }
    settings["task_reduction_factor"] = .integer(factor)
    settings["non_linearity"] = .string(first.activation.transformersName)
    settings["train_task_adapters"] = .bool(true)
    settings["adapter_config_name"] = .string("adapter")
    settings["add_layer_norm_before_adapter"] = .bool(first.normBeforeWeight != nil)
    settings["add_layer_norm_after_adapter"] = .bool(first.normAfterWeight != nil)
    self.settings = settings
  }

  func add(to state: inout StateDict) {
    for (site, adapter) in contents.adapters {
      let controller = site.t5Prefix + "adapter_controller."
      let prefix = "\(controller)adapters.\(request.name)."
      addLinear(adapter.down, prefix + "down_sampler.", "W_down", to: &state)
      addLinear(adapter.up, prefix + "up_sampler.", "W_up", to: &state)
      for (name, weight, bias) in [
        ("pre_layer_norm.", adapter.normBeforeWeight, adapter.normBeforeBias),
        ("post_layer_norm.", adapter.normAfterWeight, adapter.normAfterBias),
      ] {
        guard let weight, let bias else { continue }
        state.add(controller + name + "weight", [request.config.dModel], contents.values(weight))
        state.add(controller + name + "bias", [request.config.dModel], contents.values(bias))
      }
    }
  }

  /// What linears share is stored once, under a name of its own and under those of all linears.
  private func addLinear(_ index: Int, _ prefix: String, _ direction: String, to state: inout StateDict) {
    let linear = contents.section.linear(at: index)
    func add(_ part: (name: String, shape: [Int], values: [Float]), _ own: String, shared: String?) {
      guard let shared else { return state.add(prefix + own, part.shape, part.values) }
      if !state.contains(shared) { state.add(shared, part.shape, part.values) }
      state.add(prefix + own, sameAs: shared)
    }
    switch linears.form {
    case .dense:
      state.add(prefix + "weight", [linear.outWidth, linear.inWidth], contents.denseWeight(linear))
      state.add(prefix + "bias", [linear.outWidth], contents.bias(linear))
      return
    case .lowRank(1):
      state.add(prefix + "W_left", [linear.inWidth, 1], contents.values(linear.leftFactor!))
      state.add(prefix + "W_right", [1, linear.outWidth], contents.values(linear.rightFactor!))
    case .lowRank, .kronecker:
      for part in contents.rule(linear) { add(part, part.name, shared: linears.sharesRule ? part.name : nil) }
      for part in contents.weights(linear) {
        add(part, "W" + part.name, shared: linears.sharesWeights ? direction + part.name : nil)
      }
    }
    state.add(prefix + "b", [linear.outWidth], contents.bias(linear))
  }

  private static func linearSettings(_ linears: AdapterLinears) -> [String: JSONValue] {
    var (n, rank, hasFactorizedRule) = (1, Int?.none, false)
    switch linears.form {
    case .dense: return [:]
    case .lowRank(1): return ["low_rank_adapters": .bool(true), "low_rank_rank": .integer(1)]
    case .lowRank(let ownRank): rank = ownRank
    case .kronecker(let terms, let ownRank, let isFactorized):
      (n, rank, hasFactorizedRule) = (terms, ownRank, isFactorized)
    }
    var settings: [String: JSONValue] = [
      "hypercomplex_adapters": .bool(true), "hypercomplex_division": .integer(n), "learn_phm": .bool(true),
      "factorized_phm": .bool(rank != nil), "shared_phm_rule": .bool(linears.sharesRule),
      "factorized_phm_rule": .bool(hasFactorizedRule), "shared_W_phm": .bool(linears.sharesWeights),
      "hypercomplex_nonlinearity": .string("glorot-uniform"), "phm_c_init": .string("normal"),
      "phm_init_range": .number(1e-4),
    ]
    if let rank { settings["phm_rank"] = .integer(rank) }
    return settings
  }

  /// Which sub-layers have adapters, in both stacks, and which blocks of each.
  private static func placement(_ contents: TaskContents) throws(ConversionError) -> [String: JSONValue] {
    let config = contents.config
    let subLayers = Set(contents.adapters.map(\.site.subLayer))
    var settings: [String: JSONValue] = [
      "add_adapter_in_self_attention": .bool(subLayers.contains(.selfAttention)),
      "add_adapter_in_feed_forward": .bool(subLayers.contains(.feedForward)),
    ]
    var inDecoder = false
    var layers: [Stack: [JSONValue]] = [:]
    for block in BlockParts(contents.adapters.map { ($0.site, $0.site.subLayer) }, config).blocks
    where !block.parts.isEmpty {
      guard block.parts == subLayers, !subLayers.contains(.crossAttention) else {
        throw contents.inexpressible(
          .adapter,
          at: contents.place(of: AdapterSite(stack: block.stack, subLayer: block.parts.first!, layer: block.layer)),
          "the authors' code puts adapters behind self-attention, feed-forward or both, the same in every block that has "
            + "any, and never behind cross-attention")
      }
      layers[block.stack, default: []].append(.integer(block.layer))
      inDecoder = inDecoder || block.stack == .decoder
    }
    settings["task_adapter_in_decoder"] = .bool(inDecoder)
    for (stack, count, key) in [
      (Stack.encoder, config.layerCount, "task_adapter_layers_encoder"),
      (.decoder, config.decoderLayerCount, "task_adapter_layers_decoder"),
    ] {
      let own = layers[stack] ?? []
      // Of the decoder the switch says that it has none.
      if own.count != count && (stack == .encoder || inDecoder) { settings[key] = .array(own) }
    }
    return settings
  }
}
