import ArgumentParser
import TuskEngine
import TuskFormat

struct Logits: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write teacher-forced logits for comparison with PyTorch.",
    discussion: """
      Encodes the source ids, feeds the decoder ids one by one and writes the logits behind each: float32 [T, V] in \
      NumPy's .npy format, version 1.0. V is the vocabulary of the task.

        tusk logits t5.tusk --task mine.tusk --input-ids 8774,1 -o logits.npy
        tusk logits t5.tusk --input-ids 8774,1 --decoder-input-ids 0,37 -o l.npy
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "Source ids separated by commas, end of sequence included.")
  var inputIds: IdList

  @Option(help: "Decoder ids separated by commas; without them, the decoder's start token.")
  var decoderInputIds: IdList?

  @Option(name: .shortAndLong, help: "The .npy file for the logits [T, V].", completion: .file(extensions: ["npy"]))
  var output: String

  @Option(help: "A .npy file for the encoder's output [S, D].", completion: .file(extensions: ["npy"]))
  var encoderOutput: String?

  func run() throws {
    let inputs = [model.backbone] + model.task
    try requireDistinct(output: output, inputs: inputs)
    if let encoderOutput { try requireDistinct(output: encoderOutput, inputs: inputs + [output]) }
    let model = try model.open()
    let target = decoderInputIds?.ids ?? [Int32(model.config.decoderStartId)]
    let session = try model.session(
      try model.plan(
        PlanRequest(
          sourceTokens: inputIds.ids.count, targetTokens: target.count, threads: self.model.threadCount,
          budgetBytes: self.model.memoryBudget?.bytes)))
    var encoded: [Float] = []
    var logits: [Float] = []
    do throws(EngineError) {
      try inputIds.ids.withUnsafeBufferPointer { ids throws(EngineError) in try session.encode(ids) }
      encoded += UnsafeBufferPointer(
        start: session.encoderOutput, count: inputIds.ids.count * model.config.dModel)
      try target.withUnsafeBufferPointer { ids throws(EngineError) in
        try session.teacherForce(ids) { _, row in logits += row }
      }
    } catch { throw Failure(error, path: model.path) }
    try NumpyFile.write(logits, rows: target.count, columns: session.vocabularySize(), path: output)
    if let encoderOutput {
      try NumpyFile.write(encoded, rows: inputIds.ids.count, columns: model.config.dModel, path: encoderOutput)
    }
  }
}
