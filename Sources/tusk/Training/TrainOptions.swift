import ArgumentParser
import TuskConversion
import TuskTraining

extension TrainingMethod: ExpressibleByArgument {}
extension TrainingDialect: ExpressibleByArgument {}
extension MethodSettings.PromptStart: ExpressibleByArgument {}

/// What is trained: a method and its sizes.
struct MethodOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What to train.", discussion: TrainingMethod.allCases.map(\.rawValue).joined(separator: ", ") + "."))
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

  /// The settings on a backbone with or without a decoder.
  func settings(hasDecoder: Bool, seed: UInt64?) -> MethodSettings {
    var settings = MethodSettings(method, dialect: dialect ?? (hasDecoder ? .authors : .adapterhub))
    if let phmDim { settings.phmDim = phmDim }
    if let reductionFactor { settings.reductionFactor = reductionFactor }
    if let rank { (settings.factorRank, settings.loraRank) = (rank, rank) }
    if let alpha { settings.loraAlpha = alpha }
    if let promptTokens { settings.promptTokens = promptTokens }
    if let promptStart { settings.promptStart = promptStart }
    if let seed { settings.seed = seed }
    return settings
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

  @Option(help: "Most tokens of a source; what is longer is cut.")
  var maxSourceTokens: Int?

  @Option(help: "Most tokens of a target; what is longer is refused.")
  var maxTargetTokens: Int?

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
    try require("--max-source-tokens", (1...1_000_000).contains(maxSourceTokens ?? 1), "1 to 1000000")
    try require("--max-target-tokens", (1...1_000_000).contains(maxTargetTokens ?? 1), "1 to 1000000")
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
    if let maxSourceTokens { recipe.maxSourceTokens = maxSourceTokens }
    if let maxTargetTokens { recipe.maxTargetTokens = maxTargetTokens }
    let steps = recipe.epochs * ((exampleCount + recipe.batchSize - 1) / recipe.batchSize)
    // Of a short run the authors' 500 steps would be most of it.
    recipe.warmupSteps = warmupSteps ?? min(recipe.warmupSteps, steps / 10)
    return recipe
  }
}
