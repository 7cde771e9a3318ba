import CTuskSystem
import Foundation
import Logging
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer
import TuskTraining

/// `tusk train`: data, plan, the run and what is told of it.
final class TrainingRun {
  private let options: Train
  private let trainer: Trainer
  private let counts: TrainedCounts
  private let recipe: TrainingRecipe
  private let method: MethodSettings
  private let trainingSet: ExampleSet
  private let validationSet: ExampleSet?

  init(_ options: Train) throws(Failure) {
    self.options = options
    let (file, config) = try openBackbone(options.backbone)
    guard let tokenizer = try openTokenizer(file, path: options.backbone) else {
      throw Failure(
        Failure.badData,
        "\(options.backbone.printable): the backbone was converted without a tokenizer, which texts need")
    }
    method = options.method.settings(hasDecoder: config.hasDecoder, seed: options.recipe.seed)
    let preset = options.preset.flatMap { Preset(named: $0, isCorrected: options.correctPresets) }
    let data = try TrainingData(options, preset, config, tokenizer, method)
    (trainingSet, validationSet) = try data.read()
    recipe = options.recipe.recipe(method, exampleCount: trainingSet.count)
    let name = options.name ?? Self.name(of: options.output)
    let method = self.method
    let section = try training { () throws(TrainingError) in
      try MethodTask.section(method, backbone: file, name: name, head: data.head)
    }
    let steps = recipe.epochs * ((trainingSet.count + recipe.batchSize - 1) / recipe.batchSize)
    let settings = TrainingSettings(
      method: method,
      optimizer: OptimizerSettings(
        learningRate: recipe.learningRate, warmupSteps: recipe.warmupSteps, totalSteps: steps,
        clipNorm: recipe.clipNorm, beta1: recipe.beta1, beta2: recipe.beta2, epsilon: recipe.epsilon,
        weightDecay: recipe.weightDecay),
      batch: recipe.batchSize, epochs: recipe.epochs, dropout: recipe.dropout, seed: recipe.seed,
      patience: options.recipe.stopAfter)
    let request = TrainingRequest(
      sourceTokens: trainingSet.longestSource, targetTokens: trainingSet.longestTarget,
      batch: min(recipe.batchSize, trainingSet.count), threads: options.threadCount, dropout: settings.dropoutRates,
      budgetBytes: options.memoryBudget?.bytes)
    let (examples, heldOut) = (trainingSet, validationSet)
    trainer = try training { () throws(TrainingError) in
      try Trainer(
        file, section: section, settings: settings, request: request, tokenizer: tokenizer, training: examples,
        validation: heldOut, metrics: data.metrics, countsQuestionsOnce: preset?.countsQuestionsOnce ?? false,
        dataIdentity: ["data": Self.checksum(options.train)], statePath: options.output + ".state")
    }
    counts = TrainedCounts(trainer.task.section)
  }

  /// Tells what is trained and what memory that takes.
  func describe() throws(Failure) {
    let plan = trainer.plan
    let parts = [
      ("adapters", counts.adapters), ("rule", counts.rule), ("biases", counts.biases), ("norms", counts.norms),
      ("head", counts.head),
    ].filter { $0.1 > 0 }.map { "\($0.1.grouped) \($0.0)" }.joined(separator: ", ")
    note(
      "\(method.method.rawValue), \(method.dialect.rawValue): \(counts.trained.grouped) numbers trained without head, "
        + String(format: "%.4f %% of the backbone", counts.percent) + " (\(parts))")
    note(
      "\(trainingSet.count.counted("example"))\(Self.cut(trainingSet)), \(recipe.epochs.counted("epoch")) of "
        + "\(trainer.stepsPerEpoch.counted("step")), batch \(recipe.batchSize), rate \(recipe.learningRate), "
        + "warm-up \(recipe.warmupSteps.counted("step")), dropout \(recipe.dropout); "
        + (validationSet.map { "\($0.count.counted("validation example"))\(Self.cut($0))" } ?? "no validation data"))
    note(
      "plan: \(plan.privateBytes.byteText) private, \(plan.rows.source) source rows at once, "
        + (plan.keepsActivations ? "activations kept" : "activations computed again") + ", "
        + "\(options.threadCount.counted("thread"))")
    for notice in warnings { log.notice("\(notice)") }
  }

  private var warnings: [String] {
    let steps = recipe.epochs * trainer.stepsPerEpoch
    guard options.recipe.warmupSteps == nil,
      recipe.warmupSteps < TrainingRecipe(method, exampleCount: trainingSet.count).warmupSteps
    else { return [] }
    return ["the recipe's warm-up is cut to a tenth of these \(steps) steps; see --warmup-steps"]
  }

  func train() throws {
    if options.resume {
      try training { () throws(TrainingError) in try trainer.resume() }
      note("going on behind step \(trainer.step)")
    }
    var report = TrainingReport(
      totalSteps: recipe.epochs * trainer.stepsPerEpoch,
      log: try options.log.map { try LineWriter(path: $0, appends: options.resume) })
    let outcome: TrainingOutcome
    do {
      outcome = try trainer.run { event in
        report.take(event)
        return !Interruption.isRequested && report.failure == nil
      }
    } catch {
      report.finish()
      if error.kind == .notFinite, trainer.bestEpoch != nil {
        try write()
        log.error(
          "the task of epoch \(trainer.bestEpoch!), the best so far, was written to \(options.output.printable)")
      }
      throw Failure(error)
    }
    report.finish()
    if let failure = report.failure { throw failure }
    if let chart = options.chart { try writeChart(TrainingChart(report, title: options.output).svg, path: chart) }
    guard outcome.isFinished else {
      note("stopped behind step \(outcome.steps); the same command with --resume goes on")
      throw Failure(Failure.interrupted, "interrupted; the state is in \(options.output.printable).state")
    }
    try write()
    tusk_remove_file(options.output + ".state")
    try print(outcome, report)
  }

  private func write() throws(Failure) {
    let provenance = Provenance(
      settings: [
        "trained by \(method.method.rawValue), \(method.dialect.rawValue)", "seed \(recipe.seed)",
        "data \(Self.name(of: options.train).printable)",
      ])
    let best = trainer.best
    try writing(options.output) { () throws(WriteError) in
      try TaskWriter.write(best, provenance: provenance.bytes, path: options.output)
    }
  }

  private func print(_ outcome: TrainingOutcome, _ report: TrainingReport) throws {
    let summary = TrainingSummary(
      output: options.output, method: method.method.rawValue, dialect: method.dialect.rawValue,
      trainedParameters: counts.trained, headParameters: counts.head, percentOfBackbone: counts.percent,
      steps: outcome.steps, epochs: outcome.epochs, bestEpoch: outcome.bestEpoch, bestValue: outcome.bestValue,
      metrics: report.bestMetrics, finalLoss: report.losses.last ?? 0, seconds: report.seconds,
      tokensPerSecond: report.tokensPerSecond, plannedPrivateBytes: trainer.plan.privateBytes,
      privateBytes: Int(report.peakPrivateBytes))
    if options.json {
      try StandardOutput.write(json: summary)
    } else {
      try StandardOutput.write(line: summary.line)
    }
  }

  private func note(_ text: String) { StandardError.write("\(text)\n") }

  private static func cut(_ set: ExampleSet) -> String {
    set.truncatedCount == 0 ? "" : " (\(set.truncatedCount.grouped) cut at the end; see --max-source-tokens)"
  }

  /// The last part of a path without its ending.
  private static func name(of path: String) -> String {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    return last.hasSuffix(".tusk") ? String(last.dropLast(5)) : last
  }

  /// CRC-32 of a file's bytes, for telling data apart.
  private static func checksum(_ path: String) throws(TrainingError) -> String {
    do throws(FormatError) { return String(try Mapping(path: path).bytes.checksum, radix: 16) } catch {
      throw TrainingError(.cannotOpen, file: path, "cannot open")
    }
  }
}
