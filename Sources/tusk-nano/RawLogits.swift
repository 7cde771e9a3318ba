import CTuskSystem
import TuskEngine
import TuskFormat

/// Logits for ids, as raw float32 in the machine's order on standard output, so that a program on another machine can be
/// held to them bit for bit: teacher-forced [T, V]; of an encoder what its head gives, or its output [S, D].
struct RawLogits {
  private let options: Options
  private let session: Session

  init(_ options: Options) throws(Failure) {
    self.options = options
    var planned = options
    planned.sourceTokens = options.inputIds.count
    planned.maxNewTokens = max(options.decoderInputIds.count, 1)
    let model = try Model(options.files)
    let plan = try model.plan(planned)
    do throws(EngineError) {
      session = try Session(model.backbone, plan: plan, isaCap: tusk_isa_from_environment())
    } catch { throw Failure(error) }
    guard model.taskCount > 0 else { return }
    do throws(FormatError) { try session.setTask(model.task(at: 0)) } catch {
      throw Failure(error, path: options.files[options.files.count - 1])
    }
  }

  func run() throws(Failure) {
    guard options.tokenTypeIds.isEmpty || options.tokenTypeIds.count == options.inputIds.count else {
      throw Failure(64) { $0.add("--token-type-ids takes as many ids as --input-ids") }
    }
    do throws(EngineError) {
      try options.inputIds.withUnsafeBufferPointer { ids throws(EngineError) in
        try options.tokenTypeIds.withUnsafeBufferPointer { types throws(EngineError) in
          try session.encode(ids, types: types.isEmpty ? nil : types)
        }
      }
      if session.config.hasDecoder {
        let start = [Int32(session.config.decoderStartId)]
        let target = options.decoderInputIds.isEmpty ? start : options.decoderInputIds
        try target.withUnsafeBufferPointer { ids throws(EngineError) in
          try session.teacherForce(ids) { _, logits in write(logits) }
        }
      } else if session.headSection() != nil {
        write(try session.headOutput())
      } else {
        let count = session.encodedRowCount() * session.config.dModel
        write(UnsafeBufferPointer(start: session.encoderOutput, count: count))
      }
    } catch { throw Failure(error) }
  }

  private func write(_ numbers: UnsafeBufferPointer<Float>) {
    _ = tusk_write_stream(1, numbers.baseAddress!, 4 * numbers.count)
  }
}
