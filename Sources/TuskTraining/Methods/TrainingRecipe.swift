/// How a method is trained unless told otherwise.
public struct TrainingRecipe: Equatable, Sendable {
  /// The rate at the end of the warm-up.
  public var learningRate: Double
  /// Examples of one step, all accumulated parts together.
  public var batchSize: Int
  public var epochs: Int
  /// Steps in which the rate grows from 0; it falls linearly to 0 from then until the last step.
  public var warmupSteps: Int
  /// Gradients longer than this are scaled to it.
  public var clipNorm = 1.0
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var epsilon = 1e-8
  /// Apart from the gradient, as AdamW has it.
  public var weightDecay = 0.0
  /// Of the backbone's embeddings, sub-layers, attention and feed-forward, while training.
  public var dropout = 0.1
  public var seed: UInt64 = 42
  public var maxSourceTokens = 128
  /// End-of-sequence included.
  public var maxTargetTokens = 128
  /// Where the numbers come from, for people.
  public var source: String

  /// Data sets of fewer examples than this are small.
  public static let smallSetExamples = 10_000

  /// The recipe of `settings` for a data set of `exampleCount` examples.
  ///
  /// `.authors`: batches of 100, 500 steps of warm-up, 20 epochs of small sets (CoLA, MRPC, STS-B, RTE, BoolQ, CB, COPA, WiC)
  /// and 3 of others; the rate by method.
  /// `.adapterhub`: batches of 32, 10 epochs, no warm-up, rate 1e-4, which the library's documentation gives for all
  /// adapters. For linears that are products of small factors (Compacter, PHM, low-rank) and for prompts it has no numbers of its own;
  /// they take the authors' rate, as nothing would move at 1e-4: a rule begins with a deviation of 1e-4.
  /// - Source: rabeehk/compacter, seq2seq/configs and seq2seq/scripts; docs.adapterhub.ml/training.html; the defaults of
  ///   TrainingArguments in transformers; for LoRA Hu et al. 2022, table 9
  public init(_ settings: MethodSettings, exampleCount: Int) {
    let authorsRate = Self.authorsRate(settings)
    switch settings.dialect {
    case .authors:
      learningRate = authorsRate
      batchSize = 100
      epochs = exampleCount < Self.smallSetExamples ? 20 : 3
      warmupSteps = 500
      source =
        "the Compacter authors' configurations"
        + (settings.method == .lora ? ", with the rate of Hu et al. 2022" : "")
    case .adapterhub:
      let takesAuthorsRate =
        switch settings.method {
        case .compacter, .compacterPlusPlus, .phm, .lowRank, .prompt, .intrinsicSAID: true
        case .adapter, .pfeiffer, .adapterDrop, .bitfit, .lora, .full: false
        }
      learningRate = takesAuthorsRate ? authorsRate : settings.method == .full ? 5e-5 : 1e-4
      batchSize = 32
      epochs = 10
      warmupSteps = 0
      source =
        "docs.adapterhub.ml/training.html" + (takesAuthorsRate ? ", with the Compacter authors' rate" : "")
    }
  }

  /// Steps of all epochs together.
  public func stepCount(exampleCount: Int) -> Int { epochs * ((exampleCount + batchSize - 1) / batchSize) }

  private static func authorsRate(_ settings: MethodSettings) -> Double {
    switch settings.method {
    case .compacter, .compacterPlusPlus, .phm, .lowRank: 3e-3
    case .adapter, .pfeiffer, .adapterDrop, .bitfit, .full: 3e-4
    case .intrinsicSAID: 3e-2
    case .prompt: settings.promptStart == .random ? 3e-2 : 3e-1
    case .lora: 5e-4
    }
  }
}
