import ArgumentParser
import TuskEngine
import TuskFormat

struct Logits: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write teacher-forced logits for comparison with PyTorch.",
    discussion: """
      Encodes the source ids, feeds the decoder ids one by one and writes the logits behind each: float32 [T, V] in \
      NumPy's .npy format, version 1.0. V is the vocabulary of the task. An encoder's head gives its logits, \
      numbers or embedding [labels]; an encoder without head its output [S, D]. With a prompt, S counts its rows.

        tusk logits t5.tusk --task mine.tusk --input-ids 8774,1 -o logits.npy
        tusk logits t5.tusk --input-ids 8774,1 --decoder-input-ids 0,37 -o l.npy
        tusk logits bert.tusk --input-ids 101,7592,102 --token-type-ids 0,0,0 -o l.npy
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "Source ids separated by commas, end of sequence included.")
  var inputIds: IdList

  @Option(help: "Of an encoder: the type of each token, separated by commas; without them, 0.")
  var tokenTypeIds: IdList?

  @Option(help: "Decoder ids separated by commas; without them, the decoder's start token.")
  var decoderInputIds: IdList?

  @Option(name: .shortAndLong, help: "The .npy file for the logits [T, V].", completion: .file(extensions: ["npy"]))
  var output: String

  @Option(help: "A .npy file for the encoder's output [S, D].", completion: .file(extensions: ["npy"]))
  var encoderOutput: String?

  func validate() throws {
    if let tokenTypeIds, tokenTypeIds.ids.count != inputIds.ids.count {
      throw ValidationError("--token-type-ids takes as many numbers as --input-ids")
    }
  }

  func run() throws {
    let inputs = [model.backbone] + model.task
    try requireDistinct(output: output, inputs: inputs)
    if let encoderOutput { try requireDistinct(output: encoderOutput, inputs: inputs + [output]) }
    let model = try model.open()
    let session = try model.session(
      try model.plan(
        PlanRequest(
          sourceTokens: inputIds.ids.count, targetTokens: decoderInputIds?.ids.count ?? 1,
          threads: self.model.threadCount, budgetBytes: self.model.memoryBudget?.bytes)))
    try model.mount(model.chosen, on: session)
    do throws(EngineError) {
      try session.encode(inputIds.ids, typeIds: tokenTypeIds?.ids ?? [])
    } catch { throw Failure(error, path: model.path) }
    let encodedShape = [session.encodedRowCount(), model.config.dModel]
    let encoded = Array(
      UnsafeBufferPointer(start: session.encoderOutput, count: encodedShape[0] * encodedShape[1]))
    if model.config.hasDecoder {
      try writeLogits(model, session)
    } else if session.headSection() != nil {
      let answer: [Float]
      do throws(EngineError) { answer = Array(try session.headOutput()) } catch {
        throw Failure(error, path: model.path)
      }
      try NumpyFile.write(answer, shape: [answer.count], path: output)
    } else {
      try NumpyFile.write(encoded, shape: encodedShape, path: output)
    }
    if let encoderOutput { try NumpyFile.write(encoded, shape: encodedShape, path: encoderOutput) }
  }

  private func writeLogits(_ model: Model, _ session: Session) throws(Failure) {
    let target = decoderInputIds?.ids ?? [Int32(model.config.decoderStartId)]
    var logits: [Float] = []
    do throws(EngineError) {
      try target.withUnsafeBufferPointer { ids throws(EngineError) in
        try session.teacherForce(ids) { _, row in logits += row }
      }
    } catch { throw Failure(error, path: model.path) }
    try NumpyFile.write(logits, shape: [target.count, session.vocabularySize()], path: output)
  }
}
