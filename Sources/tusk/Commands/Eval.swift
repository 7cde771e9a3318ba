import ArgumentParser
import Foundation
import TuskConversion
import TuskTraining

struct Eval: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer labelled examples and say how many answers are right.",
    discussion: """
      Examples are lines of JSON: "source" and "target", or "text", for encoders perhaps "text2", and "label". With --preset \
      they are lines of that data set, given to the model as the Compacter authors do: formats/presets.md.

        tusk eval minilm.tusk --task sst2.tusk --data dev.jsonl --preset sst2
        tusk eval t5.tusk --task dates.tusk --data dates.jsonl --metric accuracy
        tusk eval all.tusk --task rte --data rte.jsonl --preset rte --json

      An answer that is no label counts as a wrong one, one that is no number as -1; a metric that is not defined counts as 0. \
      Encoder-decoders answer greedily.
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "A file with one example per line.", completion: .file(extensions: ["jsonl"]))
  var data: String

  @Option(
    help: ArgumentHelp(
      "The data set that the lines are of.", discussion: Preset.all.map(\.name).joined(separator: ", ") + "."))
  var preset: String?

  @Flag(help: "With --preset: repair what the authors did by mistake.")
  var correctPresets = false

  @Flag(help: "With --preset: begin each source with its name, as the authors do for methods without adapters.")
  var taskPrefix = false

  @Option(
    help: ArgumentHelp(
      "Metrics separated by commas, for data without --preset.",
      discussion: Metric.allCases.map(\.rawValue).joined(separator: ", ")
        + ". Without any: accuracy, of numbers pearson and spearman."))
  var metric: MetricList?

  @Option(
    help: "Write the answers into this file, one JSON object per example.", completion: .file(extensions: ["jsonl"]))
  var predictions: String?

  @Option(help: "Most tokens of a source, those around it included; what is longer is cut.")
  var maxSourceTokens = 128

  @Option(help: "Longest answer of an encoder-decoder, in tokens; without it 19 for labels and numbers, else 127.")
  var maxNewTokens: Int?

  @Option(help: "Sources that an encoder-decoder answers together.")
  var batch = 8

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    for (name, value, limit) in [
      ("--max-source-tokens", maxSourceTokens, 1_000_000), ("--max-new-tokens", maxNewTokens ?? 1, 1_000_000),
      ("--batch", batch, 1024),
    ] where !(1...limit).contains(value) {
      throw ValidationError("\(name) takes 1 to \(limit)")
    }
    guard let preset else {
      if correctPresets || taskPrefix { throw ValidationError("--correct-presets and --task-prefix go with --preset") }
      return
    }
    if metric != nil { throw ValidationError("a preset has its metrics: give --preset or --metric") }
    if Preset(named: preset) == nil {
      throw ValidationError("no such preset: \(preset.printable); see 'tusk eval --help'")
    }
  }

  func run() throws {
    if let predictions { try requireDistinct(output: predictions, inputs: [model.backbone, data] + model.task) }
    let run = try EvaluationRun(
      try model.open(), preset: preset.flatMap { Preset(named: $0, isCorrected: correctPresets) },
      metrics: metric?.metrics,
      EvaluationRun.Limits(
        sourceTokens: maxSourceTokens, newTokens: maxNewTokens, batch: batch, threads: model.threadCount,
        budgetBytes: model.memoryBudget?.bytes))
    Interruption.watch()
    let outcome = try run.evaluate(data, addsPresetName: taskPrefix)
    if let predictions { try ResultFile.write(try outcome.predictionLines(), path: predictions) }
    if json {
      try StandardOutput.write(json: outcome)
    } else {
      for line in outcome.lines { try StandardOutput.write(line: line) }
    }
  }
}

/// Metrics separated by commas.
struct MetricList: ExpressibleByArgument {
  let metrics: [Metric]

  init?(argument: String) {
    var metrics: [Metric] = []
    for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let metric = Metric(rawValue: String(name)), !metrics.contains(metric) else { return nil }
      metrics.append(metric)
    }
    self.metrics = metrics
  }
}
