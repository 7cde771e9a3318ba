import ArgumentParser
import CTuskSystem
import Foundation
import TuskConversion
import TuskEngine
import TuskFormat

struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what tasks cost beside each other and beside their bare backbone.",
    discussion: """
      For each task: its parameters, bytes on disk, the private bytes of a process that runs it alone, the \
      multiply-adds it adds to a token, and the time it adds, measured in turns with the bare backbone. Without tasks, \
      those of the bundle are compared.

        tusk compare t5.tusk compacter.tusk lora.tusk --chart comparison.svg
        tusk compare all.tusk --source-tokens 64 --json

      Full fine-tuning and Intrinsic-SAID change every weight: such a task is another backbone, with all its bytes.
      """)

  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Argument(help: "Task files, or names of tasks in the bundle.", completion: .file(extensions: ["tusk"]))
  var tasks: [String] = []

  @Option(help: "Length of each source, S.")
  var sourceTokens = 128

  @Option(help: "Tokens to decode, T; an encoder decodes none.")
  var targetTokens = 32

  @Option(help: "Threads; without it, one per physical core.")
  var threads: Int?

  @Option(help: "How often to measure, after one round that is not counted.")
  var rounds = 7

  @Flag(help: "Print one JSON object.")
  var json = false

  @Option(help: "Also draw the costs into this file.", completion: .file(extensions: ["svg"]))
  var chart: String?

  func validate() throws {
    for (name, value, limit) in [
      ("--source-tokens", sourceTokens, 1_000_000), ("--target-tokens", targetTokens, 1_000_000),
      ("--threads", threads ?? 1, 1024), ("--rounds", rounds, 1000),
    ] where !(1...limit).contains(value) {
      throw ValidationError("\(name) takes 1 to \(limit)")
    }
  }

  func run() throws {
    if let chart { try requireDistinct(output: chart, inputs: [backbone] + tasks) }
    let model = try Model(path: backbone, tasks: tasks)
    guard !model.tasks.isEmpty else {
      throw Failure(Failure.usage, "\(backbone.printable): no task to compare; name task files behind the backbone")
    }
    try model.requirePositions(sourceTokens)
    let run = try ComparisonRun(
      model,
      PlanRequest(
        sourceTokens: sourceTokens, targetTokens: model.config.hasDecoder ? targetTokens : 1,
        threads: threads ?? Int(tusk_physical_core_count())), rounds: rounds)
    let comparison = try run.comparison()
    if json {
      try StandardOutput.write(json: comparison)
    } else {
      for line in comparison.lines { try StandardOutput.write(line: line) }
    }
    if let chart {
      let title = URL(fileURLWithPath: model.path).lastPathComponent
      try writeChart(ComparisonChart(comparison, title: title).svg, path: chart)
    }
  }
}
