import ArgumentParser
import Foundation
import TuskEngine

struct Footprint: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a job costs in memory, planned and measured.",
    discussion: """
      Every byte is planned before anything runs. The measurement comes from a process that holds only the engine \
      (tusk-nano, found beside this program): it mounts every task in turn, encodes a source of S ids and decodes T tokens.

        tusk footprint t5.tusk --task mine.tusk
        tusk footprint t5.tusk --source-tokens 512 --memory-budget 12MB --plan-only
        tusk footprint all.tusk --chart footprint.svg

      Mapped bytes are pages of the model files: all processes share them, and the system takes them back when it \
      needs room. Private bytes are what one more process costs.
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "Length of the source, S.")
  var sourceTokens = 128

  @Option(help: "Tokens to decode, T.")
  var targetTokens = 32

  @Option(help: "Hypotheses of a beam search.")
  var beams = 1

  @Flag(help: "Do not measure.")
  var planOnly = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @Option(help: "Also draw the bytes into this file.", completion: .file(extensions: ["svg"]))
  var chart: String?

  @Option(
    help: ArgumentHelp(
      "A measured size to draw beside, such as 'PyTorch float32=1240MB'. Repeatable.", valueName: "label=size"))
  var reference: [NamedSize] = []

  @Option(help: "The program to measure, instead of the tusk-nano beside this one.", completion: .file())
  var engine: String?

  func validate() throws {
    for (name, value) in [("--source-tokens", sourceTokens), ("--target-tokens", targetTokens), ("--beams", beams)]
    where !(1...1_000_000).contains(value) {
      throw ValidationError("\(name) takes 1 to 1000000")
    }
  }

  func run() throws {
    if let chart { try requireDistinct(output: chart, inputs: [model.backbone] + model.task) }
    let model = try model.open()
    let plan = try model.plan(
      PlanRequest(
        sourceTokens: sourceTokens, targetTokens: targetTokens, beams: beams, threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes))
    let report = try FootprintReport(model, plan: plan, engine: planOnly ? nil : try measure(model))
    if json {
      try StandardOutput.write(json: report)
    } else {
      for line in report.lines { try StandardOutput.write(line: line) }
    }
    if let chart {
      let title = URL(fileURLWithPath: model.path).lastPathComponent
      let drawing = FootprintChart(report, title: title, references: reference).svg
      try writeChart(drawing, path: chart)
    }
  }

  private func measure(_ model: Model) throws -> (path: String, values: [String: Int]) {
    let process = try EngineProcess(path: engine)
    var arguments = [model.path]
    for path in model.chosen.map(\.path) where !arguments.contains(path) { arguments.append(path) }
    arguments += [
      "--measure", "--source-tokens", "\(sourceTokens)", "--max-new-tokens", "\(targetTokens)", "--beams", "\(beams)",
      "--threads", "\(self.model.threadCount)",
    ]
    if let budget = self.model.memoryBudget { arguments += ["--budget", "\(budget.bytes)"] }
    return (process.program.path, try process.run(arguments))
  }
}
