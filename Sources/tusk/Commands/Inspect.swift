import ArgumentParser
import TuskFormat

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a Tusk file holds.",
    discussion: """
      Prints kind, architecture, tasks with their parameters and sections with their bytes and checksums. With the \
      backbone of a task file, also checks that the two fit.

        tusk inspect t5.tusk
        tusk inspect sentiment.tusk --backbone t5.tusk --json
      """)

  @Argument(help: "A backbone, task or bundle.", completion: .file(extensions: ["tusk"]))
  var file: String

  @Option(help: "A backbone that the tasks must fit.", completion: .file(extensions: ["tusk"]))
  var backbone: String?

  @Flag(help: "Print one JSON object with all sections.")
  var json = false

  func run() throws {
    let packed = try reading(file) { () throws(FormatError) in try PackedFile(path: file) }
    let config = try backbone.map { try openBackbone($0).config }
    if let config {
      for position in 0..<packed.taskCount {
        try reading(file) { () throws(FormatError) in try packed.task(at: position).requireFit(to: config) }
      }
    }
    let report = FileReport(packed)
    if json {
      try StandardOutput.write(json: report)
    } else {
      for line in report.lines(path: file) { try StandardOutput.write(line: line) }
    }
  }
}
