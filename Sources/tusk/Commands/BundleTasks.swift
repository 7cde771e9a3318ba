import ArgumentParser
import TuskConversion
import TuskFormat

struct BundleTasks: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bundle",
    abstract: "Put a backbone and its tasks into one file.",
    discussion: """
      A bundle is one file to ship; `run --task NAME` then finds its tasks by name. The tasks must have been converted \
      for this backbone, and their names must differ.

        tusk bundle --output all.tusk t5.tusk sentiment.tusk topics.tusk
      """)

  @Option(name: .shortAndLong, help: "The bundle to write.", completion: .file(extensions: ["tusk"]))
  var output: String

  @Argument(help: "A backbone, or a bundle whose tasks are kept.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Argument(help: "Task files.", completion: .file(extensions: ["tusk"]))
  var tasks: [String]

  func run() throws {
    try requireDistinct(output: output, inputs: [backbone] + tasks)
    let (file, config) = try openBackbone(backbone)
    var sections: [TaskSection] = []
    var paths: [String: String] = [:]
    for path in [backbone] + tasks {
      for section in try taskSections(path == backbone ? file : nil, path: path) {
        try reading(path) { () throws(FormatError) in try section.requireFit(to: config) }
        if let other = paths.updateValue(path, forKey: section.nameText) {
          throw Failure(
            Failure.badData,
            "\(path.printable): byte \(section.name.offset): the name '\(section.nameText.printable)' is also that of "
              + "the task in \(other.printable)")
        }
        sections.append(section)
      }
    }
    try writing(output) { () throws(WriteError) in
      try TaskWriter.writeBundle(file, tasks: sections, path: output)
    }
    let written = try reading(output) { () throws(FormatError) in try PackedFile(path: output) }
    try StandardOutput.write(
      line: "\(output.printable): \(sections.count.counted("task")), \(written.mapping.count.grouped) bytes")
  }

  /// The tasks of the open backbone file, or of the task file at `path`.
  private func taskSections(_ open: PackedFile?, path: String) throws(Failure) -> [TaskSection] {
    let file: PackedFile
    if let open {
      file = open
    } else {
      file = try reading(path) { () throws(FormatError) in try PackedFile(path: path) }
      guard file.kind == .task else {
        throw Failure(Failure.badData, "\(path.printable): byte 12: not a task file")
      }
    }
    return (0..<file.taskCount).map { file.task(at: $0) }
  }
}
