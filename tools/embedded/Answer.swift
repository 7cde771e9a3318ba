import CTuskEmbedded
import TuskEngine
import TuskFormat

/// See tusk_embedded.h.
@_cdecl("tusk_embedded_answer")
public func answer(
  model: UnsafeRawPointer, modelBytes: Int, arena: UnsafeMutableRawPointer, arenaBytes: Int,
  text: UnsafePointer<UInt8>, textBytes: Int, sourceTokens: Int, newTokens: Int,
  answer: UnsafeMutablePointer<UInt8>, room: Int, report: UnsafeMutablePointer<tusk_embedded_report>
) -> Int {
  let file: PackedFile
  do throws(FormatError) {
    file = try PackedFile(Mapping(borrowing: UnsafeRawBufferPointer(start: model, count: modelBytes)))
  } catch {
    report.pointee.kind = UInt32(error.kind.rawValue)
    report.pointee.offset = UInt32(truncatingIfNeeded: error.offset)
    return -1
  }
  let memory = UnsafeMutableRawBufferPointer(start: arena, count: arenaBytes)
  let source = Array(UnsafeBufferPointer(start: text, count: textBytes))
  do throws(TextError) {
    let session = try open(file, memory, sourceTokens: sourceTokens, newTokens: newTokens, report)
    let bytes = try session.answer(source, maxNewTokens: newTokens)
    for index in 0..<min(bytes.count, room) { answer[index] = bytes[index] }
    return bytes.count
  } catch {
    switch error {
    case .engine(let error):
      report.pointee.kind = UInt32(error.kind.rawValue)
      return -2
    case .tokenizer: return -3
    }
  }
}

private func open(
  _ file: PackedFile, _ memory: UnsafeMutableRawBufferPointer, sourceTokens: Int, newTokens: Int,
  _ report: UnsafeMutablePointer<tusk_embedded_report>
) throws(TextError) -> TextSession {
  guard let config = file.config else { throw .engine(EngineError(.notABackbone)) }
  let task = file.taskCount > 0 ? file.task(at: 0) : nil
  var request = PlanRequest(sourceTokens: sourceTokens, targetTokens: newTokens)
  if let task { request.reserve(for: task) }
  let plan: MemoryPlan
  do throws(EngineError) { plan = try MemoryPlan(config: config, request: request) } catch { throw .engine(error) }
  report.pointee.arenaBytes = plan.arenaBytes
  let session = try TextSession(file, plan: plan, memory: memory)
  // Opening the file has proven that its tasks fit its backbone, and the plan has room for this one.
  do throws(FormatError) { try session.session.setTask(task) } catch {
    throw .engine(EngineError(.taskTooWide))
  }
  return session
}
