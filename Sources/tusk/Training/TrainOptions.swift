import ArgumentParser
import TuskConversion
import TuskTraining

extension TrainingMethod: ExpressibleByArgument {}
extension TrainingDialect: ExpressibleByArgument {}
extension MethodSettings.PromptStart: ExpressibleByArgument {}

/// What is trained: a method and its sizes.
struct MethodOptions: ParsableArguments {
  private static let methods = TrainingMethod.allCases

  @Option(
    help: ArgumentHelp(
      "What to train.",
      discussion: methods.map(\.rawValue).joined(separator: ", ")
        + ". The last two change a float32 backbone: what they write is another backbone."))
  var method: TrainingMethod

  @Option(
    help: """
      Whose form of the method: authors (of Compacter; norms are trained, too) or adapterhub (the adapters library); without it \
      authors for encoder-decoders, adapterhub for encoders.
      """)
  var dialect: TrainingDialect?

  @Option(help: "Terms of a Kronecker sum, n.")
  var phmDim: Int?

  @Option(help: "An adapter is this many times narrower than the model.")
  var reductionFactor: Int?

  @Option(help: "Rank of the factors of Compacter and low-rank, or of a LoRA.")
  var rank: Int?

  @Option(help: "What a LoRA adds is multiplied by alpha / rank.")
  var alpha: Float?

  @Option(help: "Vectors of a prompt.")
  var promptTokens: Int?

  @Option(help: "What a prompt begins with: random or vocabulary.")
  var promptStart: MethodSettings.PromptStart?

  @Option(help: "Numbers of intrinsic-said.")
  var intrinsicDim: Int?

  func validate() throws {
    let options: [(name: String, isGiven: Bool, methods: [TrainingMethod])] = [
      ("--phm-dim", phmDim != nil, [.compacter, .compacterPlusPlus, .phm]),
      ("--reduction-factor", reductionFactor != nil, Self.methods.filter(\.hasAdapters)),
      ("--rank", rank != nil, [.compacter, .compacterPlusPlus, .lowRank, .lora]),
      ("--alpha", alpha != nil, [.lora]),
      ("--prompt-tokens", promptTokens != nil, [.prompt]),
      ("--prompt-start", promptStart != nil, [.prompt]),
      ("--intrinsic-dim", intrinsicDim != nil, [.intrinsicSAID]),
    ]
    for option in options where option.isGiven && !option.methods.contains(method) {
      throw ValidationError(
        "\(option.name) is of no use with --method \(method.rawValue); it goes with "
          + option.methods.map(\.rawValue).joined(separator: ", "))
    }
  }

  /// The settings on a backbone with or without a decoder.
  func settings(hasDecoder: Bool, seed: UInt64?) -> MethodSettings {
    var settings = MethodSettings(method, dialect: dialect ?? (hasDecoder ? .authors : .adapterhub))
    if let phmDim { settings.phmDim = phmDim }
    if let reductionFactor { settings.reductionFactor = reductionFactor }
    if let rank { (settings.factorRank, settings.loraRank) = (rank, rank) }
    if let alpha { settings.loraAlpha = alpha }
    if let promptTokens { settings.promptTokens = promptTokens }
    if let intrinsicDim { settings.intrinsicDim = intrinsicDim }
    if let promptStart { settings.promptStart = promptStart }
    if let seed { settings.seed = seed }
    return settings
  }
}

/// What the examples are, and how many of their tokens are taken.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The data set that the lines are of.", discussion: Preset.all.map(\.name).joined(separator: ", ") + "."))
  var preset: String?

  @Flag(help: "With --preset: repair what the authors did by mistake.")
  var correctPresets = false

  @Option(
    help: ArgumentHelp(
      "Metrics separated by commas that judge an epoch, for data without --preset.",
      discussion: Metric.allCases.map(\.rawValue).joined(separator: ", ")
        + ". Without any: accuracy, of numbers pearson and spearman."))
  var metric: MetricList?

  @Flag(help: "An encoder's head stands on the backbone's pooler: one layer, rather than two behind the first token.")
  var pooler = false

  @Flag(help: "An encoder's answers are numbers, not labels.")
  var regression = false

  @Option(help: "Take no more examples than this from the training data.")
  var limit: Int?

  @Option(help: "Most tokens of a source; what is longer is cut. Without it 128.")
  var maxSourceTokens: Int?

  @Option(help: "Most tokens of an encoder-decoder's target; what is longer is refused. Without it 128.")
  var maxTargetTokens: Int?

  func validate() throws {
    if let preset, Preset(named: preset) == nil {
      throw ValidationError("no such preset: \(preset.printable); see 'tusk train --help'")
    }
    if preset == nil && correctPresets { throw ValidationError("--correct-presets goes with --preset") }
    if preset != nil && metric != nil { throw ValidationError("a preset has its metrics: give --preset or --metric") }
    if preset != nil && regression {
      throw ValidationError("a preset says itself whether answers are numbers: leave --regression out")
    }
    for (name, value, limit) in [
      ("--limit", limit ?? 1, Int.max), ("--max-source-tokens", maxSourceTokens ?? 1, 1_000_000),
      ("--max-target-tokens", maxTargetTokens ?? 1, 1_000_000),
    ] where !(1...limit).contains(value) {
      throw ValidationError("\(name) takes 1 \(limit == Int.max ? "or more" : "to \(limit)")")
    }
  }

  /// Refuses what an encoder-decoder, or an encoder, has no use for.
  func requireFit(hasDecoder: Bool, _ path: String) throws(Failure) {
    func refuse(_ option: String, _ why: String) -> Failure {
      Failure(Failure.usage, "\(option) is of no use with \(path.printable), \(why)")
    }
    if hasDecoder && pooler { throw refuse("--pooler", "an encoder-decoder, which has no head") }
    if hasDecoder && regression {
      throw refuse("--regression", "an encoder-decoder, which writes numbers as text")
    }
    if !hasDecoder && maxTargetTokens != nil {
      throw refuse("--max-target-tokens", "an encoder, whose answers have no tokens")
    }
  }
}

/// How it is trained. What is not given comes from the method's recipe.
struct RecipeOptions: ParsableArguments {
  @Option(help: "Passes over the training data.")
  var epochs: Int?

  @Option(help: "Examples of one step.")
  var batch: Int?

  @Option(help: "Learning rate at the end of the warm-up.")
  var learningRate: Double?

  @Option(help: "Steps in which the rate grows from 0; then it falls to 0.")
  var warmupSteps: Int?

  @Option(help: "AdamW's weight decay.")
  var weightDecay: Double?

  @Option(help: "Gradients longer than this are scaled to it.")
  var clipNorm: Double?

  @Option(help: "Share of the backbone's numbers that are dropped while training.")
  var dropout: Double?

  @Option(help: "Of the first numbers, the order of examples and dropout.")
  var seed: UInt64?

  @Option(help: "End after this many epochs without a better evaluation.")
  var stopAfter: Int?

  func validate() throws {
    func require(_ name: String, _ isFine: Bool, _ what: String) throws {
      if !isFine { throw ValidationError("\(name) takes \(what)") }
    }
    try require("--epochs", (1...100_000).contains(epochs ?? 1), "1 to 100000")
    try require("--batch", (1...65_536).contains(batch ?? 1), "1 to 65536")
    try require("--learning-rate", (learningRate ?? 1).isFinite && (learningRate ?? 1) > 0, "a number above 0")
    try require("--warmup-steps", (0...1_000_000_000).contains(warmupSteps ?? 0), "0 to 1000000000")
    try require("--weight-decay", (0..<1).contains(weightDecay ?? 0), "a number from 0 to below 1")
    try require("--clip-norm", (clipNorm ?? 1) > 0, "a number above 0")
    try require("--dropout", (0..<1).contains(dropout ?? 0), "a number from 0 to below 1")
    try require("--stop-after", (1...100_000).contains(stopAfter ?? 1), "1 to 100000")
  }

  /// The recipe of `method` for a data set of `exampleCount` examples, with what was given in its place.
  func recipe(_ method: MethodSettings, exampleCount: Int) -> TrainingRecipe {
    var recipe = TrainingRecipe(method, exampleCount: exampleCount)
    if let epochs { recipe.epochs = epochs }
    if let batch { recipe.batchSize = batch }
    if let learningRate { recipe.learningRate = learningRate }
    if let weightDecay { recipe.weightDecay = weightDecay }
    if let clipNorm { recipe.clipNorm = clipNorm }
    if let dropout { recipe.dropout = dropout }
    if let seed { recipe.seed = seed }
    // Of a short run the authors' 500 steps would be most of it.
    recipe.warmupSteps = warmupSteps ?? min(recipe.warmupSteps, recipe.stepCount(exampleCount: exampleCount) / 10)
    return recipe
  }
}
