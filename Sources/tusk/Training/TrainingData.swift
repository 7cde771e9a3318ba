import TuskConversion
import TuskFormat
import TuskTokenizer
import TuskTraining

/// What `tusk train` learns from and judges by, and the head that answers it.
struct TrainingData {
  let preset: Preset?
  /// Whether each source begins with the preset's name, as the authors do for methods without adapters.
  let addsPresetName: Bool
  private let options: Train
  private let config: BackboneConfig
  private let tokenizer: Tokenizer
  private let answers: ExampleSet.Answers
  private let maxSourceTokens: Int
  private let maxTargetTokens: Int

  init(
    _ options: Train, _ config: BackboneConfig, _ tokenizer: Tokenizer, _ method: MethodSettings
  ) throws(Failure) {
    self.options = options
    self.config = config
    self.tokenizer = tokenizer
    let preset = options.data.preset.flatMap { Preset(named: $0, isCorrected: options.data.correctPresets) }
    self.preset = preset
    // LoRA is not of the authors, and has no words of its own.
    addsPresetName = preset != nil && config.hasDecoder && !method.method.hasAdapters && method.method != .lora
    let recipe = TrainingRecipe(method, exampleCount: 1)
    maxSourceTokens = options.data.maxSourceTokens ?? recipe.maxSourceTokens
    maxTargetTokens = options.data.maxTargetTokens ?? recipe.maxTargetTokens
    answers = try training { () throws(TrainingError) in
      if let preset { return preset.answers }
      if config.hasDecoder { return .texts }
      guard !options.data.regression else { return .numbers }
      let labels = try LabelSet.collect(options.train)
      guard labels.names.count > 1 else {
        throw TrainingError(
          .empty, file: options.train.printable,
          "found one label, '\(labels.names.joined().printable)', required 2 or more")
      }
      return .labels(labels)
    }
  }

  /// Of an encoder's task.
  var head: HeadTemplate? {
    guard !config.hasDecoder else { return nil }
    let layers: HeadTemplate.Layers = options.data.pooler ? .onPooler : .two
    return HeadTemplate(labels.map { .classification(labels: $0) } ?? .regression, layers: layers)
  }

  /// What an encoder chooses from; nil where it guesses numbers.
  var labels: [String]? {
    if case .labels(let labels) = answers { labels.names } else { nil }
  }

  var metrics: [Metric] { preset?.metrics ?? options.data.metric?.metrics ?? answers.usualMetrics }

  func read() throws(Failure) -> (training: ExampleSet, validation: ExampleSet?) {
    try training { () throws(TrainingError) in
      for metric in metrics { try Evaluation.require(metric, suits: answers) }
      func reader(keepsGolds: Bool) throws(TrainingError) -> ExampleReader {
        try ExampleReader(
          preset: preset, answers: answers, tokenizer: tokenizer, config: config, maxSourceTokens: maxSourceTokens,
          maxTargetTokens: maxTargetTokens, addsPresetName: addsPresetName, keepsGolds: keepsGolds)
      }
      let examples = try reader(keepsGolds: false).read(options.train, limit: options.data.limit ?? .max)
      let validation = try options.validation.map { path throws(TrainingError) in
        try reader(keepsGolds: true).read(path)
      }
      return (examples, validation)
    }
  }

  /// What tells these data from others, for a state file.
  func identity() throws(Failure) -> [String: String] {
    var identity = [
      "training data": try checksum(options.train), "source tokens": "\(maxSourceTokens)",
      "target tokens": "\(maxTargetTokens)", "preset": options.data.preset ?? "none",
      "corrected": "\(options.data.correctPresets)",
    ]
    if let path = options.validation { identity["validation data"] = try checksum(path) }
    return identity
  }

  /// CRC-32 of a file's bytes.
  private func checksum(_ path: String) throws(Failure) -> String {
    String(try reading(path) { () throws(FormatError) in try Mapping(path: path).bytes.checksum }, radix: 16)
  }
}
