import Logging
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer
import TuskTraining

/// A model with its tasks that answers a file of examples.
struct EvaluationRun {
  struct Limits {
    let sourceTokens: Int
    /// Nil for what the answers need.
    let newTokens: Int?
    let batch: Int
    let threads: Int
    let budgetBytes: Int?
  }

  private let model: Model
  private let tokenizer: Tokenizer
  private let preset: Preset?
  private let metrics: [Metric]?
  private let limits: Limits

  /// Most new tokens of a label or number, and of a text. With the start token they are the authors' 20 during training and
  /// 128.
  private static let shortTokens = 19
  private static let textTokens = 127

  /// - Parameter metrics: without a preset; nil for those that fit the answers.
  init(_ model: Model, preset: Preset?, metrics: [Metric]?, _ limits: Limits) throws(Failure) {
    guard let tokenizer = model.tokenizer else {
      throw Failure(
        Failure.badData, "\(model.path.printable): the backbone was converted without a tokenizer, which texts need")
    }
    self.model = model
    self.tokenizer = tokenizer
    self.preset = preset
    self.metrics = preset?.metrics ?? metrics
    self.limits = limits
  }

  /// - Parameter addsPresetName: see `ExampleReader`.
  func evaluate(_ path: String, addsPresetName: Bool) throws(Failure) -> EvaluationOutcome {
    let answers = try training { () throws(TrainingError) in try answerKind(path) }
    let metrics = self.metrics ?? answers.usualMetrics
    if preset == nil {
      try training { () throws(TrainingError) in
        for metric in metrics { try Evaluation.require(metric, suits: answers) }
      }
    }
    let newTokens = limits.newTokens ?? (answers == .texts ? Self.textTokens : Self.shortTokens)
    let session = try session(newTokens: newTokens)
    let examples = try training { () throws(TrainingError) in
      try ExampleReader(
        preset: preset, answers: answers, tokenizer: tokenizer, config: model.config,
        maxSourceTokens: session.sourceLimit(), addsPresetName: addsPresetName
      ).read(path)
    }
    if examples.truncatedCount > 0 {
      let share = "\(examples.truncatedCount.grouped) of \(examples.count.counted("source"))"
      log.notice("\(share) cut to \(session.sourceLimit().grouped) tokens; see --max-source-tokens")
    }
    let predictions = try predictions(session, examples, newTokens: newTokens)
    let evaluation = try training { () throws(TrainingError) in
      try Evaluation(
        predictions, examples.golds, answers: answers, metrics: metrics,
        countsQuestionsOnce: preset?.countsQuestionsOnce ?? false)
    }
    return EvaluationOutcome(evaluation, examples, predictions, isOfEncoder: !model.config.hasDecoder)
  }

  private func session(newTokens: Int) throws(Failure) -> Session {
    let sourceTokens = min(limits.sourceTokens, model.config.maxSourceTokens ?? .max)
    let session = try model.session(
      try model.plan(
        PlanRequest(
          sourceTokens: sourceTokens, targetTokens: newTokens, batch: model.config.hasDecoder ? limits.batch : 1,
          threads: limits.threads, budgetBytes: limits.budgetBytes)))
    try model.mount(model.chosen, on: session)
    return session
  }

  private func predictions(
    _ session: Session, _ examples: ExampleSet, newTokens: Int
  ) throws(Failure) -> [Prediction] {
    var progress = CountProgress("example", total: examples.count)
    defer { progress.finish() }
    return try training { () throws(TrainingError) in
      try Predictor(session, tokenizer: tokenizer, maxNewTokens: newTokens).predict(examples) { done in
        progress.advance(to: done)
        return !Interruption.isRequested
      }
    }
  }

  /// What the model answers: an encoder what its head makes, an encoder-decoder what the preset or the metrics ask for.
  private func answerKind(_ path: String) throws(TrainingError) -> ExampleSet.Answers {
    if model.config.hasDecoder {
      if let preset { return preset.answers }
      let domains = Set((metrics ?? []).map(\.domains))
      if domains.contains([.labels]) { return .labels(try LabelSet.collect(path)) }
      return domains.contains([.numbers]) ? .numbers : .texts
    }
    guard let section = model.chosen.last(where: { $0.section.hasHead })?.section ?? model.file.head,
      let head = section.head
    else { throw TrainingError(.unsupported, "neither the task nor the backbone has a head") }
    guard head.output == .exclusiveLabels else { return .numbers }
    let names = (0..<head.labelCount).map { section.label(at: $0).text }
    if let preset { return .labels(try LabelSet(preset, headNames: names, outWidth: head.outWidth)) }
    return .labels(LabelSet(names.isEmpty ? (0..<head.outWidth).map { "\($0)" } : names))
  }
}

extension ExampleSet.Answers {
  /// What such answers are usually judged by.
  var usualMetrics: [Metric] { self == .numbers ? [.pearson, .spearman] : [.accuracy] }
}
