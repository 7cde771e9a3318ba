// The functions of class [session] of tusk.h that encode, which documents them; the compiler holds them against it.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CTusk
import CTuskHandles
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Runs `body` as the only call on the session.
func withSession(_ session: OpaquePointer?, _ body: (TaskSession) throws(Failure) -> Void) -> tusk_status {
  guard let session else { return tusk_status(TUSK_ERROR_NULL_ARGUMENT) }
  return TaskSession.behind(session).exclusively(body)
}

@c @implementation
public func tusk_session_destroy(_ session: OpaquePointer?) -> tusk_status {
  guard let session else { return tusk_status(TUSK_OK) }
  guard let model = closed(session) else { return tusk_status(TUSK_ERROR_IN_USE) }
  TaskSession.takeBack(session)
  tusk_handle_remove_user(model)
  return tusk_status(TUSK_OK)
}

/// Closes the session to other calls and gives its model's state; nil if a call is under way. A function of its own, so
/// that no reference taken here outlives the session: whoever sees the model without users may free its memory.
@inline(never)
private func closed(_ session: OpaquePointer) -> UnsafeMutablePointer<tusk_handle>? {
  let handle = TaskSession.behind(session)
  return tusk_handle_enter(handle.state) ? handle.model.state : nil
}

@c @implementation
public func tusk_session_last_message(_ session: OpaquePointer?) -> UnsafePointer<CChar>? {
  guard let session else { return nullHandleMessage }
  return tusk_handle_message(TaskSession.behind(session).state)
}

@c @implementation
public func tusk_session_get_footprint(
  _ session: OpaquePointer?, _ footprint: UnsafeMutablePointer<tusk_footprint>?
) -> tusk_status {
  guard let session, let footprint else { return tusk_status(TUSK_ERROR_NULL_ARGUMENT) }
  do throws(Failure) {
    try requireStructBytes(footprint.pointee.struct_bytes, MemoryLayout<tusk_footprint>.size)
  } catch { return error.status }
  footprint.pointee = TaskSession.behind(session).footprint
  return tusk_status(TUSK_OK)
}

@c @implementation
public func tusk_session_set_task(_ session: OpaquePointer?, _ task: Int32) -> tusk_status {
  withSession(session) { (session) throws(Failure) in try session.setTask(task) }
}

@c @implementation
public func tusk_session_set_tasks(_ session: OpaquePointer?, _ tasks: UnsafePointer<Int32>?, _ count: Int)
  -> tusk_status
{
  withSession(session) { (session) throws(Failure) in try session.setTasks(callerIds(tasks, count)) }
}

@c @implementation
public func tusk_session_tokenize_text(
  _ session: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ count: Int, _ second: UnsafePointer<CChar>?,
  _ second_count: Int, _ tokens: UnsafeMutablePointer<tusk_tokens>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let tokens else { throw .null("tokens is NULL") }
    try session.tokenize(CallerText(text, count), CallerText(second, second_count, isOptional: true))
    tokens.pointee = tusk_tokens(
      ids: session.ids.all.baseAddress, types: session.types.all.baseAddress, count: session.ids.count)
  }
}

@c @implementation
public func tusk_session_decode_ids(
  _ session: OpaquePointer?, _ ids: UnsafePointer<Int32>?, _ count: Int, _ text: UnsafeMutablePointer<tusk_text>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let text else { throw .null("text is NULL") }
    let ids = try callerIds(ids, count)
    session.text.set(try session.tokenizer().decode(Array(ids)))
    text.pointee = session.textResult
  }
}

/// The caller's numbers, whose address and count are checked.
func callerIds(_ ids: UnsafePointer<Int32>?, _ count: Int) throws(Failure) -> UnsafeBufferPointer<Int32> {
  guard count >= 0, count <= Tokenizer.textBytesLimit else {
    throw Failure(
      TUSK_ERROR_INVALID_ARGUMENT, "there are more numbers than any call takes", found: UInt64(UInt(bitPattern: count)),
      required: UInt64(Tokenizer.textBytesLimit))
  }
  guard ids != nil || count == 0 else { throw .null("the address of the numbers is NULL") }
  return UnsafeBufferPointer(start: ids, count: count)
}

@c @implementation
public func tusk_session_encode_ids(
  _ session: OpaquePointer?, _ ids: UnsafePointer<Int32>?, _ types: UnsafePointer<Int32>?, _ count: Int
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    let ids = try callerIds(ids, count)
    try session.encode(ids, types: types.map { UnsafeBufferPointer(start: $0, count: count) })
  }
}

@c @implementation
public func tusk_session_encode_text(
  _ session: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ count: Int, _ second: UnsafePointer<CChar>?,
  _ second_count: Int
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    try session.encode(CallerText(text, count), CallerText(second, second_count, isOptional: true))
  }
}

@c @implementation
public func tusk_session_get_hidden(_ session: OpaquePointer?, _ hidden: UnsafeMutablePointer<tusk_matrix>?)
  -> tusk_status
{
  withSession(session) { (session) throws(Failure) in
    guard let hidden else { throw .null("hidden is NULL") }
    guard session.hasHidden else {
      throw Failure(TUSK_ERROR_WRONG_ORDER, "no source has been encoded since the last switch or answer")
    }
    hidden.pointee = tusk_matrix(
      values: session.session.encoderOutput, rows: session.session.encodedRowCount(),
      columns: session.session.config.dModel)
  }
}

@c @implementation
public func tusk_session_get_outputs(_ session: OpaquePointer?, _ outputs: UnsafeMutablePointer<tusk_matrix>?)
  -> tusk_status
{
  withSession(session) { (session) throws(Failure) in
    guard let outputs else { throw .null("outputs is NULL") }
    outputs.pointee = try session.headValues(forPeople: false)
  }
}

@c @implementation
public func tusk_session_get_scores(_ session: OpaquePointer?, _ scores: UnsafeMutablePointer<tusk_matrix>?)
  -> tusk_status
{
  withSession(session) { (session) throws(Failure) in
    guard let scores else { throw .null("scores is NULL") }
    scores.pointee = try session.headValues(forPeople: true)
  }
}

@c @implementation
public func tusk_session_classify_text(
  _ session: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ count: Int, _ second: UnsafePointer<CChar>?,
  _ second_count: Int, _ scores: UnsafeMutablePointer<tusk_matrix>?, _ best: UnsafeMutablePointer<Int32>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let scores else { throw .null("scores is NULL") }
    guard try session.head().output != .embedding else {
      throw Failure(TUSK_ERROR_NO_HEAD, "the head makes an embedding, no scores")
    }
    try session.encode(CallerText(text, count), CallerText(second, second_count, isOptional: true))
    let values = try session.headValues(forPeople: true)
    scores.pointee = values
    guard let best, let first = values.values else { return }
    best.pointee = 0
    for index in 1..<max(values.columns, 1) where first[index] > first[Int(best.pointee)] {
      best.pointee = Int32(clamping: index)
    }
  }
}

@c @implementation
public func tusk_session_embed_text(
  _ session: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ count: Int,
  _ embedding: UnsafeMutablePointer<tusk_matrix>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let embedding else { throw .null("embedding is NULL") }
    guard try session.head().output == .embedding else {
      throw Failure(TUSK_ERROR_NO_HEAD, "the head makes scores, no embedding")
    }
    try session.encode(CallerText(text, count), CallerText(nil, 0, isOptional: true))
    embedding.pointee = try session.headValues(forPeople: true)
  }
}
