import TuskConversion
import TuskFormat
import TuskTokenizer
import TuskTraining

/// What `tusk train` learns from and judges by, and the head that answers it.
struct TrainingData {
  private let options: Train
  private let preset: Preset?
  private let config: BackboneConfig
  private let tokenizer: Tokenizer
  private let method: MethodSettings
  private let answers: ExampleSet.Answers

  init(
    _ options: Train, _ preset: Preset?, _ config: BackboneConfig, _ tokenizer: Tokenizer, _ method: MethodSettings
  ) throws(Failure) {
    self.options = options
    self.preset = preset
    self.config = config
    self.tokenizer = tokenizer
    self.method = method
    answers = try training { () throws(TrainingError) in
      if let preset { return preset.answers }
      if config.hasDecoder { return .texts }
      return options.regression ? .numbers : .labels(try LabelSet.collect(options.train))
    }
  }

  /// Of an encoder's task.
  var head: HeadTemplate? {
    guard !config.hasDecoder else { return nil }
    let layers: HeadTemplate.Layers = options.pooler ? .onPooler : .two
    if case .labels(let labels) = answers { return HeadTemplate(.classification(labels: labels.names), layers: layers) }
    return HeadTemplate(.regression, layers: layers)
  }

  var metrics: [Metric] {
    if let preset { return preset.metrics }
    return options.metric?.metrics ?? (answers == .numbers ? [.pearson, .spearman] : [.accuracy])
  }

  func read() throws(Failure) -> (training: ExampleSet, validation: ExampleSet?) {
    let recipe = options.recipe.recipe(method, exampleCount: 1)
    return try training { () throws(TrainingError) in
      for metric in metrics { try Evaluation.require(metric, suits: answers) }
      func reader(keepsGolds: Bool) throws(TrainingError) -> ExampleReader {
        try ExampleReader(
          preset: preset, answers: answers, tokenizer: tokenizer, config: config,
          maxSourceTokens: recipe.maxSourceTokens, maxTargetTokens: recipe.maxTargetTokens,
          addsPresetName: !method.method.hasAdapters && method.method != .lora && config.hasDecoder,
          keepsGolds: keepsGolds)
      }
      let set = try reader(keepsGolds: false).read(options.train, limit: options.limit ?? .max)
      let validation = try options.validation.map { path throws(TrainingError) in
        try reader(keepsGolds: true).read(path)
      }
      return (set, validation)
    }
  }
}
