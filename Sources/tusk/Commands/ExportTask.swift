import ArgumentParser
import Foundation
import Logging
import TuskConversion
import TuskFormat

struct ExportTask: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "task",
    abstract: "Write a task as a directory that PyTorch loads.",
    discussion: """
      The directory gives the same answers in PyTorch, and tusk convert task makes the same task of it. Formats: \
      adapterhub is what load_adapter of the adapters library loads, peft what PeftModel.from_pretrained loads, authors \
      the output directory of the Compacter authors' code. A task with a part that the format has no form for is \
      refused; formats/conversion.md lists what exports to what.

        tusk export task mine.tusk --backbone t5.tusk --format adapterhub -o mine
        tusk export task lora.tusk --backbone bert.tusk --format peft -o lora
        tusk export task rte.tusk --backbone t5.tusk --format authors \\
          --checkpoint ./t5-base --output ./rte

      authors writes the whole model, in float32, and takes its weights from the checkpoint.
      """)

  @Argument(help: "A task file, or the name of a task in the bundle.", completion: .file(extensions: ["tusk"]))
  var task: String

  @Option(help: "The backbone or bundle the task belongs to.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Option(help: "Who will load the directory.")
  var format: TaskExport.Format

  @Option(name: .shortAndLong, help: "The directory to write.", completion: .directory)
  var output: String

  @Option(
    help: """
      The Hugging Face directory the backbone was packed from. authors needs it; the others take from it what kind of \
      model it is, where the backbone leaves that open (XLM-RoBERTa, ELECTRA), and its path.
      """, completion: .directory)
  var checkpoint: String?

  @Option(help: "What the files call the task; without it, its own name.")
  var name: String?

  @Option(
    help: """
      How tensors are stored. Without it, as the format's reader expects them: safetensors for peft, torch for \
      adapterhub (load_adapter reads safetensors with use_safetensors=True) and authors.
      """)
  var tensors: TaskExport.Container?

  @Flag(help: "Replace a directory that an export has made.")
  var force = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if format == .authors && tensors == .safetensors {
      throw ValidationError("--tensors safetensors: the authors' code reads pytorch_model.bin only")
    }
    if format == .authors && checkpoint == nil {
      throw ValidationError(
        "--format authors needs --checkpoint: it writes the whole model, whose weights a pack no longer has as they were "
          + "trained")
    }
  }

  func run() throws {
    Interruption.watch()
    let model = try Model(path: backbone, tasks: [task])
    let chosen = model.chosen[0]
    try reading(chosen.path) { () throws(FormatError) in try PackedFile(path: chosen.path).verify() }
    var progress: ProgressBar?
    let report: ExportReport
    do throws(ConversionError) {
      let export = try TaskExport(
        chosen.section, path: chosen.path, backbone: model.file, backbonePath: backbone, format: format, name: name,
        checkpoint: checkpoint, container: tensors)
      progress = ProgressBar(totalBytes: export.byteCount)
      let files = try export.write(to: output, replacing: force) { step in
        progress?.show(doneBytes: step.doneBytes, step.tensor)
        return !Interruption.isRequested
      }
      progress?.finish()
      report = ExportReport(export, files, format: format, task: chosen.section, output: output)
    } catch {
      progress?.finish()
      throw Failure(error)
    }
    guard !json else { return try StandardOutput.write(json: report) }
    for note in report.notes { log.notice("\(note)") }
    try StandardOutput.write(line: report.line)
  }
}

/// What was written: the members of `formats/json.md`.
struct ExportReport: Encodable {
  struct File: Encodable {
    let name: String
    let bytes: Int
  }

  let output: String
  let format: String
  let name: String
  let parameters: Int
  let bytes: Int
  let files: [File]
  let notes: [String]

  init(
    _ export: TaskExport, _ files: [TaskExport.WrittenFile], format: TaskExport.Format, task: TaskSection,
    output: String
  ) {
    self.output = output
    self.format = format.rawValue
    name = export.name
    parameters = TaskParameters(task).total
    bytes = files.reduce(0) { $0 + $1.byteCount }
    self.files = files.map { File(name: $0.name, bytes: $0.byteCount) }
    notes = export.notes
  }

  /// One line for people.
  var line: String {
    "\(output.printable): \(name.printable) as \(format), \(parameters.grouped) parameters, "
      + "\(files.count.counted("file")), \(bytes.grouped) bytes"
  }
}

extension TaskExport.Format: ExpressibleByArgument {}
extension TaskExport.Container: ExpressibleByArgument {}
