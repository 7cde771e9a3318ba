import ArgumentParser
import TuskConversion
import TuskFormat

struct AverageTasks: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "average",
    abstract: "Average tasks into a new one.",
    discussion: """
      Every number of the new task is the weighted mean of those of the given tasks, as the adapters library averages \
      adapters (average_adapter, "linear"): of low-rank factors each factor by itself. The tasks must be of one backbone \
      and one structure. A head is not averaged: the new task has that of the first one, if it has any.

        tusk task average mnli.tusk rte.tusk --output both.tusk
        tusk task average a.tusk b.tusk c.tusk --weights 0.5,0.3,0.2 --output mix.tusk --name mix
      """)

  @Argument(help: "Task files.", completion: .file(extensions: ["tusk"]))
  var tasks: [String]

  @Option(help: "A weight for each task, separated by commas, scaled to the sum 1; without them, all are equal.")
  var weights: WeightList?

  @Option(name: .shortAndLong, help: "The task file to write.", completion: .file(extensions: ["tusk"]))
  var output: String

  @Option(help: "The new task's name; without it, the names of the tasks joined by +.")
  var name: String?

  func validate() throws {
    if let name, !(1...255).contains(name.utf8.count) || name.unicodeScalars.contains(where: \.isControl) {
      throw ValidationError("--name takes 1 to 255 bytes without control characters")
    }
    guard let weights else { return }
    guard weights.values.count == tasks.count else {
      throw ValidationError("--weights takes one number for each task (\(tasks.count))")
    }
  }

  func run() throws {
    try requireDistinct(output: output, inputs: tasks)
    var sections: [TaskSection] = []
    for path in tasks { sections.append(try section(path, first: sections.first)) }
    let name = Array((name ?? sections.map(\.nameText).joined(separator: "+")).utf8)
    guard name.count <= 255 else {
      throw Failure(
        Failure.usage, "the names of the tasks are longer together than a name may be; give one with --name")
    }
    let values = weights?.values ?? Array(repeating: 1, count: tasks.count)
    let average = TaskAverage.section(sections, weights: values, name: name)
    let total = values.reduce(0, +)
    let provenance = Provenance(
      settings: zip(sections, values).map { "average of \($0.nameText.printable), weight \($1 / total)" })
    try writing(output) { () throws(WriteError) in
      try TaskWriter.write(average, provenance: provenance.bytes, path: output)
    }
    let written = try reading(output) { () throws(FormatError) in try PackedFile(path: output) }
    try StandardOutput.write(
      line: "\(output.printable): \(written.task(at: 0).nameText.printable), \(tasks.count.counted("task")) averaged, "
        + "\(written.mapping.count.grouped) bytes")
  }

  /// The task of a file, proven whole and of the structure of the first one.
  private func section(_ path: String, first: TaskSection?) throws(Failure) -> TaskSection {
    try reading(path) { () throws(FormatError) in
      let file = try PackedFile(path: path)
      guard file.kind == .task else {
        throw FormatError(
          .invalidField, at: 12, found: UInt64(file.kind.rawValue), required: UInt64(FileKind.task.rawValue))
      }
      try file.verify()
      let section = file.task(at: 0)
      if let first { try section.requireSameStructure(as: first) }
      return section
    }
  }
}

extension Unicode.Scalar {
  var isControl: Bool { properties.generalCategory == .control }
}

/// Numbers separated by commas: none below 0, not all 0.
struct WeightList: ExpressibleByArgument {
  let values: [Float]

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Float($0) }
    guard values.allSatisfy({ $0.map { $0.isFinite && $0 >= 0 } ?? false }) else { return nil }
    self.values = values.compactMap { $0 }
    let total = self.values.reduce(0, +)
    guard total.isFinite, total > 0 else { return nil }
  }
}
