import TuskFormat

/// What is trained, and how it begins. Letters as in the formats: D model width, N terms, R rank, W bottleneck width,
/// P prompt vectors.
public struct MethodSettings: Equatable, Sendable {
  /// What the vectors of a prompt begin as.
  public enum PromptStart: String, CaseIterable, Sendable {
    /// Uniform in -0.5 ..< 0.5.
    case random
    /// The embeddings of the first P ids, which are the most frequent pieces.
    case vocabulary
  }

  public let method: TrainingMethod
  public let dialect: TrainingDialect
  /// N of Compacter and PHM layers.
  public var phmDim: Int
  /// R of the factors of Compacter and low-rank layers.
  public var factorRank = 1
  /// Whether one rule serves all layers, rather than each having its own.
  public var sharesRule: Bool
  /// Whether the rule is a product of a column and a row for each term.
  public var factorizesRule = false
  /// Whether one pair of factors serves all `down`, and one all `up`.
  public var sharesFactors = false
  /// W = D / reductionFactor, rounded down.
  public var reductionFactor: Int
  public var activation: Activation
  /// Blocks with adapters, of each stack; nil for all of them, and of `adapter-drop` for those above the lowest
  /// 5/12, as `droppedLayerCount` says.
  public var adapterLayers: Range<Int>?
  /// Whether the task has norms of its own, which begin as those of the backbone.
  public var trainsNorms: Bool
  /// P.
  public var promptTokens: Int
  public var promptStart = PromptStart.random
  public var loraRank = 8
  /// What LoRA adds is scaled by loraAlpha / loraRank.
  public var loraAlpha: Float
  /// Numbers of Intrinsic-SAID, those that scale tensors included.
  public var intrinsicDim = 20_000
  /// Of the numbers that are drawn.
  public var seed: UInt64 = 42

  /// The defaults of `method`.
  ///
  /// `.authors`: those of the Compacter authors' configurations, gelu_new and norms of the task's own; LoRA with alpha 16.
  /// `.adapterhub`: those of the `adapters` library, where `adapter` is its double_seq_bn, `pfeiffer` its seq_bn; norms stay
  /// the backbone's. What the library does not have is made of its parts: `phm` and `low-rank` as its Compacter.
  /// - Source: rabeehk/compacter, seq2seq/configs; adapters 1.3.0, configuration/adapter_config.py; Hu et al. 2022, table 9
  public init(_ method: TrainingMethod, dialect: TrainingDialect = .authors) {
    self.method = method
    self.dialect = dialect
    let isAuthors = dialect == .authors
    let isDense = method == .adapter || method == .pfeiffer || method == .adapterDrop
    phmDim = isAuthors && method == .phm ? 12 : 4
    sharesRule = method != .phm
    reductionFactor = isAuthors || !isDense ? 32 : 16
    activation = isAuthors ? .geluNew : !isDense ? .gelu : method == .pfeiffer ? .relu : .silu
    trainsNorms = isAuthors && method.hasAdapters
    promptTokens = isAuthors ? 100 : 10
    loraAlpha = isAuthors ? 16 : 8
  }

  /// Blocks that `adapter-drop` leaves without adapters in a stack of `layerCount`: 5 of 12, as the authors, and as
  /// large a part of another depth.
  public static func droppedLayerCount(of layerCount: Int) -> Int { layerCount * 5 / 12 }

  /// Blocks with adapters in a stack of `layerCount`.
  func adapterLayers(of layerCount: Int) -> Range<Int> {
    let chosen = adapterLayers ?? (method == .adapterDrop ? Self.droppedLayerCount(of: layerCount) : 0)..<layerCount
    return chosen.clamped(to: 0..<layerCount)
  }

  /// W for a backbone of width `dModel`.
  public func bottleneckWidth(dModel: Int) -> Int { dModel / reductionFactor }
}

extension TrainingMethod {
  /// Whether the method puts adapters behind sub-layers.
  public var hasAdapters: Bool {
    switch self {
    case .compacter, .compacterPlusPlus, .phm, .adapter, .pfeiffer, .adapterDrop, .lowRank: true
    case .prompt, .bitfit, .intrinsicSAID, .lora, .full: false
    }
  }

  /// Whether the layers of the adapters are sums of Kronecker products.
  var isKronecker: Bool { self == .compacter || self == .compacterPlusPlus || self == .phm }

  /// Whether the method changes the numbers of the backbone itself, rather than adding a task to it.
  public var trainsBackbone: Bool { self == .full || self == .intrinsicSAID }
}

extension MethodSettings {
  /// Proves that the settings make sense, and do so on a backbone of `config`.
  /// - Throws: `.unsupported`, naming what was found and what is required.
  public func requireFit(to config: BackboneConfig) throws(TrainingError) {
    if method.hasAdapters { try requireAdapters(on: config) }
    switch method {
    case .prompt:
      try require(promptTokens, in: 1...4096, "prompt tokens")
      if promptStart == .vocabulary { try require(promptTokens, in: 1...config.vocabularySize, "prompt tokens") }
      guard dialect == .authors || !config.hasDecoder else {
        throw TrainingError(
          .unsupported,
          "the adapters library has no prompts for encoder-decoders; train them in the authors' dialect")
      }
    case .lora:
      try require(loraRank, in: 1...min(config.dModel, config.innerWidth), "LoRA's rank")
      guard loraAlpha.isFinite, loraAlpha != 0 else {
        throw TrainingError(.unsupported, "found \(loraAlpha) for LoRA's alpha; a number other than 0 is required")
      }
    case .intrinsicSAID, .full:
      guard config.weightEncoding == .float32 else {
        throw TrainingError(
          .unsupported,
          "\(method.rawValue) trains the backbone's own weights, and these are int8; convert the checkpoint again with "
            + "--weights float32")
      }
      if method == .intrinsicSAID {
        try require(intrinsicDim, in: config.tensorCount + 1...config.parameterCount, "the intrinsic dimension")
      }
    case .bitfit:
      guard !trainsNorms else {
        throw TrainingError(.unsupported, "bitfit trains the biases of norms and leaves their weights to the backbone")
      }
    default: break
    }
  }

  private func requireAdapters(on config: BackboneConfig) throws(TrainingError) {
    try require(reductionFactor, in: 1...config.dModel, "the reduction factor")
    let layerCount = max(config.layerCount, config.decoderLayerCount)
    if let adapterLayers, adapterLayers.isEmpty || adapterLayers.lowerBound < 0 || adapterLayers.upperBound > layerCount
    {
      throw TrainingError(
        .unsupported,
        "found blocks \(adapterLayers.lowerBound) to \(adapterLayers.upperBound - 1) for adapters; at least one of the "
          + "backbone's 0 to \(layerCount - 1) is required")
    }
    let width = bottleneckWidth(dModel: config.dModel)
    var blockWidth = config.dModel
    if method.isKronecker {
      try require(phmDim, in: 1...256, "the number of terms")
      for (what, width) in [("model's width", config.dModel), ("bottleneck's width", width)]
      where width % phmDim != 0 || width == 0 {
        throw TrainingError(
          .unsupported,
          "found \(phmDim) terms, which do not divide the \(what) \(width); a divisor of \(config.dModel) and of "
            + "\(config.dModel) / \(reductionFactor) = \(self.bottleneckWidth(dModel: config.dModel)) is required")
      }
      blockWidth /= phmDim
    }
    if method == .lowRank || (method.isKronecker && method != .phm) {
      try require(factorRank, in: 1...blockWidth, "the factors' rank")
    }
    if sharesFactors, method != .compacter, method != .compacterPlusPlus {
      throw TrainingError(.unsupported, "only Compacter's layers share factors, and not those of \(method.rawValue)")
    }
  }

  private func require(_ value: Int, in range: ClosedRange<Int>, _ what: String) throws(TrainingError) {
    guard range.contains(value) else {
      throw TrainingError(
        .unsupported, "found \(value) for \(what); \(range.lowerBound) to \(range.upperBound) is required")
    }
  }
}
