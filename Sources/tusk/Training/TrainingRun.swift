import CTuskSystem
import Foundation
import Logging
import TuskConversion
import TuskFormat
import TuskTraining

/// `tusk train`: data, plan, the run and what is told of it.
final class TrainingRun {
  private let options: Train
  private let data: TrainingData
  private let file: PackedFile
  private let config: BackboneConfig
  private let trainer: Trainer
  /// Of a method that trains it: what is written is another backbone.
  private let backbone: TrainableBackbone?
  private let counts: TrainedCounts
  private let recipe: TrainingRecipe
  private let method: MethodSettings
  private let trainingSet: ExampleSet
  private let validationSet: ExampleSet?

  init(_ options: Train) throws(Failure) {
    self.options = options
    let (file, config) = try openBackbone(options.backbone)
    (self.file, self.config) = (file, config)
    try options.data.requireFit(hasDecoder: config.hasDecoder, options.backbone)
    guard let tokenizer = try openTokenizer(file, path: options.backbone) else {
      throw Failure(
        Failure.badData,
        "\(options.backbone.printable): the backbone was converted without a tokenizer, which texts need")
    }
    let method = options.method.settings(hasDecoder: config.hasDecoder, seed: options.recipe.seed)
    try training { () throws(TrainingError) in try method.requireFit(to: config) }
    let data = try TrainingData(options, config, tokenizer, method)
    let (examples, validation) = try data.read()
    (self.method, self.data, trainingSet, validationSet) = (method, data, examples, validation)
    recipe = options.recipe.recipe(method, exampleCount: examples.count)
    let settings = TrainingSettings(
      method, recipe, exampleCount: examples.count, patience: options.recipe.stopAfter)
    let identity = try data.identity()
    let name = options.name ?? Self.name(of: options.output)
    let trained = try training { () throws(TrainingError) in try TrainedBackbone(method, file, path: options.backbone) }
    backbone = trained?.backbone
    let section = try training { () throws(TrainingError) in
      guard let trained else {
        return try MethodTask.section(method, backbone: file, name: name, head: data.head)
      }
      return try trained.section(head: data.head, name: name, seed: method.seed)
    }
    trainer = try training { () throws(TrainingError) in
      try Trainer(
        trained?.backbone.file ?? file,
        section: section,
        settings: settings, tokenizer: tokenizer, training: examples, validation: validation, metrics: data.metrics,
        countsQuestionsOnce: data.preset?.countsQuestionsOnce ?? false, dataIdentity: identity,
        backbone: trained?.backbone, subspace: trained?.subspace, statePath: options.statePath,
        threads: options.threadCount, budgetBytes: options.memoryBudget?.bytes)
    }
    trainer.saveSeconds = options.saveSeconds
    var counts = TrainedCounts(trainer.task.section)
    if method.method.trainsBackbone {
      let head = counts.head
      counts = TrainedCounts(method, config: config)
      counts.head = head
    }
    self.counts = counts
  }

  /// Tells what is trained and what memory that takes.
  func describe() {
    for line in description { StandardError.write("\(line)\n") }
    for notice in notices { log.notice("\(notice)") }
  }

  /// Prints the same, and every plan there is.
  func printPlan() throws {
    let report = try training { () throws(TrainingError) in
      TrainingPlanReport(
        method, recipe, counts, trainer, training: trainingSet, validation: validationSet,
        choices: try TrainingPlan.choices(
          config: config, task: trainer.task.section, request: trainer.plan.request))
    }
    if options.json {
      try StandardOutput.write(json: report)
    } else {
      for line in description + [""] + report.choiceLines { try StandardOutput.write(line: line) }
    }
    for notice in notices { log.notice("\(notice)") }
  }

  private var description: [String] {
    let parts = [
      ("adapters", counts.adapters), ("rule", counts.rule), ("biases", counts.biases), ("norms", counts.norms),
      ("backbone", counts.backbone),
    ].filter { $0.1 > 0 }.map { "\($0.0) \($0.1.grouped)" }.joined(separator: ", ")
    var lines = [
      "\(method.method.rawValue), \(method.dialect.rawValue): \(counts.trained.grouped) numbers are trained, "
        + String(format: "%.4f %% of the backbone", counts.percent) + " (\(parts))"
        + (counts.head > 0 ? ", and \(counts.head.grouped) of a head" : "")
    ]
    if !config.hasDecoder {
      let labels = data.labels.map { labels in
        let names = labels.prefix(8).map(\.printable).joined(separator: ", ")
        return "\(labels.count.counted("label")): \(names)\(labels.count > 8 ? ", ..." : "")"
      }
      lines.append("answers: \(labels ?? "numbers")")
    }
    lines.append(
      "\(trainingSet.count.counted("example"))\(Self.cut(trainingSet)), "
        + (validationSet.map { "\($0.count.counted("validation example"))\(Self.cut($0))" } ?? "no validation data"))
    lines.append(
      "\(recipe.epochs.counted("epoch")) of \(trainer.stepsPerEpoch.counted("step")), batch \(recipe.batchSize), "
        + "rate \(recipe.learningRate), warm-up \(recipe.warmupSteps.counted("step")), dropout \(recipe.dropout)")
    let plan = trainer.plan
    lines.append(
      "plan: \(plan.privateBytes.byteText) private, \(plan.rows.source.grouped) source tokens together, activations "
        + (plan.keepsActivations ? "kept" : "computed again") + ", \(options.threadCount.counted("thread"))")
    return lines
  }

  private var notices: [String] {
    var notices: [String] = []
    if options.recipe.warmupSteps == nil,
      recipe.warmupSteps < TrainingRecipe(method, exampleCount: trainingSet.count).warmupSteps
    {
      let steps = recipe.stepCount(exampleCount: trainingSet.count)
      notices.append("the recipe's warm-up is cut to a tenth of these \(steps.counted("step")); see --warmup-steps")
    }
    if data.addsPresetName {
      notices.append(
        "each source begins with the preset's name, as the authors do with \(method.method.rawValue); 'tusk eval' does it "
          + "with --task-prefix")
    }
    if options.memoryBudget == nil, trainer.plan.limitBytes == nil {
      notices.append("examples this long take much memory beside this backbone; see --max-source-tokens")
    }
    return notices
  }

  func train() throws {
    if options.resume { try resume() }
    var report = TrainingReport(
      totalSteps: recipe.stepCount(exampleCount: trainingSet.count),
      log: try options.log.map { try TrainingLog(path: $0, goingOnBehind: options.resume ? trainer.step : nil) })
    let outcome: TrainingOutcome
    var writeFailure: Failure?
    do throws(TrainingError) {
      outcome = try trainer.run { event in
        report.take(event)
        if case .evaluation(let epoch) = event, epoch.isBest, backbone != nil { writeFailure = writeBackbone() }
        return writeFailure == nil && !Interruption.isRequested && report.failure == nil
      }
    } catch {
      report.finish()
      if error.kind == .notFinite { try keepBest() }
      try drawChart(report)
      throw Failure(error)
    }
    report.finish()
    if let writeFailure { throw writeFailure }
    if outcome.isFinished { try writeTask() }
    try drawChart(report)
    if let failure = report.failure { throw failure }
    guard outcome.isFinished else {
      throw Failure(
        Failure.interrupted,
        "interrupted behind step \(outcome.steps.grouped); the same command with --resume goes on from "
          + options.statePath.printable)
    }
    tusk_remove_file(options.statePath)
    let summary = TrainingSummary(options, trainer, counts, outcome, report)
    if options.json {
      try StandardOutput.write(json: summary)
    } else {
      try StandardOutput.write(line: summary.line)
    }
  }

  private func resume() throws(Failure) {
    try training { () throws(TrainingError) in try trainer.resume() }
    StandardError.write("going on behind step \(trainer.step.grouped)\n")
    if trainer.hasOtherPacks {
      log.notice(
        "other packs of examples than before (see --memory-budget and --threads): the result differs in its last bits")
    }
  }

  /// After a loss that is not finite.
  private func keepBest() throws(Failure) {
    guard let epoch = trainer.bestEpoch else { return }
    try writeTask()
    log.warning("the task of epoch \(epoch) was written to \(options.output.printable)")
  }

  /// Writes the backbone as it is, which is the best so far.
  private func writeBackbone() -> Failure? {
    let section = trainer.task.section
    let head = section.hasHead ? trainer.task.bytes : nil
    do throws(WriteError) {
      try backbone?.write(to: options.output, head: head, provenance: provenance.bytes)
      return nil
    } catch { return Failure(error, path: options.output) }
  }

  private var provenance: Provenance {
    Provenance(
      settings: [
        "trained by \(method.method.rawValue), \(method.dialect.rawValue)",
        "\(recipe.epochs.counted("epoch")), batch \(recipe.batchSize), rate \(recipe.learningRate), seed \(recipe.seed)",
        "\(trainingSet.count.counted("example")) of \(Self.name(of: options.train).printable)",
      ])
  }

  private func writeTask() throws(Failure) {
    // A trained backbone has been written when it was the best.
    guard backbone == nil else { return }
    let best = trainer.best
    try writing(options.output) { () throws(WriteError) in
      try TaskWriter.write(best, provenance: provenance.bytes, path: options.output)
    }
  }

  private func drawChart(_ report: TrainingReport) throws {
    guard let chart = options.chart else { return }
    try writeChart(TrainingChart(report.curve, title: Self.name(of: options.output)).svg, path: chart)
  }

  private static func cut(_ set: ExampleSet) -> String {
    set.truncatedCount == 0 ? "" : " (\(set.truncatedCount.grouped) cut at the end; see --max-source-tokens)"
  }

  /// The last part of a path without its ending.
  private static func name(of path: String) -> String {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    return last.hasSuffix(".tusk") ? String(last.dropLast(5)) : last
  }
}
