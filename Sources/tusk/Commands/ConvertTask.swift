import ArgumentParser
import Foundation
import Logging
import TuskConversion
import TuskFormat

struct ConvertTask: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "task",
    abstract: "Convert a trained adapter for a backbone.",
    discussion: """
      Takes a directory saved by the adapters library (save_adapter or save_pretrained) or by PEFT (save_pretrained), \
      or the output directory of the Compacter authors' code. Every tensor must find its place and every place its \
      tensor; otherwise nothing is written and the error names it. formats/conversion.md lists what converts.

        tusk convert task ./my-adapter --backbone t5.tusk --output mine.tusk
        tusk convert task ./compacter/outputs/rte --backbone t5.tusk -o rte.tusk --name rte
        tusk convert task ./houlsby --backbone bert.tusk -o houlsby.tusk --weights int8
      """)

  @Argument(help: "The task's directory.", completion: .directory)
  var directory: String

  @Option(help: "The backbone or bundle the task was trained on.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Option(name: .shortAndLong, help: "The task file to write.", completion: .file(extensions: ["tusk"]))
  var output: String

  @Option(help: "The task's name; without it, the adapter's own. Chooses among several adapters.")
  var name: String?

  @Option(
    help: """
      Precision of the dense matrices of bottleneck adapters: float32 or int8, which takes a quarter of the memory. \
      Factors, vectors and heads are always float32.
      """)
  var weights: WeightEncoding = .float32

  func run() throws {
    try requireDistinct(output: output, inputs: files(in: directory) + [backbone])
    Interruption.watch()
    let (file, _) = try openBackbone(backbone)
    var progress: ProgressBar?
    do throws(ConversionError) {
      let conversion = try TaskConversion(
        directory: directory, backbone: file, backbonePath: backbone, name: name, weights: weights
      ) { step in
        if progress == nil { progress = ProgressBar(totalBytes: step.totalBytes) }
        progress?.show(doneBytes: step.doneBytes, step.tensor)
        return !Interruption.isRequested
      }
      progress?.finish()
      for note in conversion.notes { log.notice("\(note)") }
      try conversion.write(to: output)
    } catch {
      progress?.finish()
      throw Failure(error)
    }
    let written = try reading(output) { () throws(FormatError) in try PackedFile(path: output) }
    let task = FileReport.Task(written.task(at: 0))
    try StandardOutput.write(
      line: "\(output.printable): \(task.name.printable), \(task.parameters.grouped) parameters, "
        + String(format: "%.3f %% of the backbone, ", task.percentOfBackbone)
        + "\(written.mapping.count.grouped) bytes")
  }
}
