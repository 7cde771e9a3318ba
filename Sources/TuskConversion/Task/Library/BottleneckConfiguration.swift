import TuskFormat

/// The settings of a bottleneck adapter of the `adapters` library.
struct BottleneckConfiguration {
  let rules: AdapterRules
  let subLayers: Set<SubLayer>
  let hasNormBefore: Bool
  let hasNormAfter: Bool
  let hasGate: Bool
  /// Blocks without adapters, counted through encoder and decoder.
  let leftOut: Set<Int>
  /// nil for dense linears.
  let kronecker: Kronecker?
  private let settings: Settings

  struct Kronecker {
    let phmDim: Int
    /// nil where W is not factorized.
    let rank: Int?
    let hasFactorizedRule: Bool
    let sharesRule: Bool
    let sharesWeights: Bool
    let hasBias: Bool
  }

  /// Settings that only training or initialisation looks at.
  private static let trainingKeys: Set<String> = [
    "init_weights", "init_weights_seed", "dropout", "stochastic_depth", "phm_c_init", "phm_init_range", "learn_phm",
    "hypercomplex_nonlinearity", "inv_adapter_reduction_factor",
  ]
  private static let keys: Set<String> = [
    "mh_adapter", "output_adapter", "cross_adapter", "original_ln_before", "original_ln_after", "residual_before_ln",
    "adapter_residual_before_ln", "ln_before", "ln_after", "non_linearity", "reduction_factor", "leave_out", "scaling",
    "phm_layer", "phm_dim", "phm_rank", "factorized_phm_W", "shared_W_phm", "shared_phm_rule", "factorized_phm_rule",
    "phm_bias", "is_parallel", "use_gating", "architecture",
  ]

  /// - Parameter isUnversioned: the file names no version: the library then takes "gelu" for gelu_new.
  init(_ settings: Settings, _ family: ModelFamily, isUnversioned: Bool) throws(ConversionError) {
    try Self.requireSupported(settings)
    self.settings = settings
    hasNormBefore = try settings.bool("ln_before", default: false)
    hasNormAfter = try settings.bool("ln_after", default: false)
    hasGate = try settings.bool("use_gating", default: false)
    var subLayers: Set<SubLayer> = []
    for (key, subLayer) in [("mh_adapter", SubLayer.selfAttention), ("output_adapter", .feedForward)] {
      guard let isThere = try settings.optionalBool(key) else { throw settings.error(key, required: "true or false") }
      if isThere { subLayers.insert(subLayer) }
    }
    if try settings.bool("cross_adapter", default: false) { subLayers.insert(.crossAttention) }
    self.subLayers = subLayers
    rules = try Self.rules(settings, family, isUnversioned: isUnversioned, hasNormAfter: hasNormAfter)
    leftOut = Set(try settings.optionalIntegers("leave_out") ?? [])
    kronecker = try settings.bool("phm_layer", default: false) ? try Self.kronecker(settings) : nil
  }

  private static func requireSupported(_ settings: Settings) throws(ConversionError) {
    let reason = "invertible adapters, which act on the embeddings, are not supported"
    try settings.requireKnown(
      keys.union(trainingKeys), refused: ["inv_adapter": reason, "invertible_adapter": reason])
  }

  /// T5 hands the adapter no norm, so "before the norm" means the sum itself. BERT and its family hand it the norm of
  /// the sub-layer, which stands behind the sum. An adapter beside its sub-layer reads the stream, and only the sub-layer's
  /// output is added to what it gives.
  private static func rules(
    _ settings: Settings, _ family: ModelFamily, isUnversioned: Bool, hasNormAfter: Bool
  ) throws(ConversionError) -> AdapterRules {
    let isParallel = try settings.bool("is_parallel", default: false)
    let takesSum = try settings.bool("original_ln_before", default: false) && !isParallel
    var skipRule = SkipRule.subLayer
    if settings["residual_before_ln"] == .string("post_add"), !isParallel {
      guard family.isEncoderOnly && takesSum else {
        throw ConversionError(
          .unsupported, file: settings.file, subject: "residual_before_ln",
          "found 'post_add', which the library itself cannot run "
            + (family.isEncoderOnly ? "with original_ln_before false" : "on T5"))
      }
      skipRule = .subLayerPlusStream
    } else if !isParallel, try !settings.bool("residual_before_ln", default: true), takesSum {
      skipRule = .input
    }
    let sumRule = family.isEncoderOnly ? InputRule.normOfSubLayerPlusStream : .subLayerPlusStream
    let normsSkip = try settings.bool("adapter_residual_before_ln", default: false)
    return AdapterRules(
      activation: try activation(settings, isUnversioned: isUnversioned),
      inputRule: isParallel ? .stream : takesSum ? sumRule : .subLayer, skipRule: skipRule,
      addsStream: try settings.bool("original_ln_after", default: true),
      normsSkip: normsSkip && hasNormAfter && !isParallel, scaling: try scaling(settings))
  }

  private static func activation(_ settings: Settings, isUnversioned: Bool) throws(ConversionError) -> Activation {
    var name = try settings.optionalText("non_linearity") ?? ""
    if isUnversioned { name = ["gelu": "gelu_new", "gelu_orig": "gelu"][name] ?? name }
    guard let activation = Activation(transformersName: name) else {
      throw settings.error("non_linearity", required: Activation.supportedNames)
    }
    return activation
  }

  private static func scaling(_ settings: Settings) throws(ConversionError) -> AdapterRules.Scaling {
    switch settings["scaling"] {
    case nil: return .constant(1)
    case .string("learned"): return .learned
    case .string("channel"): return .channel
    case .some(let value):
      guard let factor = value.asDouble.map({ Float($0) }), factor.isFinite else {
        throw settings.error("scaling", required: "a number, 'learned' or 'channel'")
      }
      return .constant(factor)
    }
  }

  private static func kronecker(_ settings: Settings) throws(ConversionError) -> Kronecker {
    let isFactorized = try settings.bool("factorized_phm_W", default: true)
    let sharesWeights = try settings.bool("shared_W_phm", default: false)
    if sharesWeights && !isFactorized {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "shared_W_phm",
        "found true with factorized_phm_W false, which the library itself cannot run")
    }
    return Kronecker(
      phmDim: try settings.integer("phm_dim", in: 1...256, default: 4),
      rank: isFactorized ? try settings.integer("phm_rank", in: 1...65_536, default: 1) : nil,
      hasFactorizedRule: try settings.bool("factorized_phm_rule", default: false),
      sharesRule: try settings.bool("shared_phm_rule", default: true), sharesWeights: sharesWeights,
      hasBias: try settings.bool("phm_bias", default: true))
  }

  /// Width of the bottleneck in block `layer`, counted through encoder and decoder.
  func bottleneckWidth(dModel: Int, layer: Int) throws(ConversionError) -> Int {
    var factor = settings["reduction_factor"]
    if case .object(let map) = factor { factor = map["\(layer)"] ?? map["default"] }
    guard let factor = factor?.asDouble, factor > 0 else {
      throw settings.error("reduction_factor", required: "a number above 0, or one for each layer,")
    }
    let width = max((Double(dModel) / factor).rounded(.down), 1)
    guard width <= 1_048_576 else {
      throw settings.error("reduction_factor", required: "a number that gives at most 1048576 columns")
    }
    let phmDim = kronecker?.phmDim ?? 1
    guard Int(width) % phmDim == 0, dModel % phmDim == 0 else {
      throw ConversionError(
        .badSetting, file: settings.file, subject: "phm_dim",
        "found \(phmDim), which does not divide both the model's width \(dModel) and the bottleneck's \(Int(width))")
    }
    return Int(width)
  }
}
