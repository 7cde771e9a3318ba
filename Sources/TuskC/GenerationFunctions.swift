// The functions of class [session] of tusk.h that decode, which documents them; the compiler holds them against it.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CTusk
import TuskEngine
import TuskFormat
import TuskTokenizer

/// A caller's callback with its context.
private struct TokenCallback {
  let function: tusk_token_callback?
  let context: UnsafeMutableRawPointer?

  /// - Parameter text: what the token adds; nil where only ids are given.
  /// - Returns: whether to go on.
  func call(_ id: Int32, _ text: UnsafeBufferPointer<UInt8>?) -> Bool {
    guard let function else { return true }
    let start = text?.baseAddress.map { UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self) }
    return function(context, id, start, text?.count ?? 0)
  }
}

extension TaskSession {
  var textResult: tusk_text {
    let bytes = text.all
    return tusk_text(
      bytes: bytes.baseAddress.map { UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self) }, count: bytes.count)
  }

  /// Leaves the answer to the encoded source in `ids`, without the start token.
  /// - Parameter onToken: called with each; false ends the answer.
  fileprivate func generate(_ maxTokens: Int32, onToken: (Int32) -> Bool) throws(Failure) {
    let planned = session.plan.request.targetTokens
    guard maxTokens >= 0 else {
      throw Failure(TUSK_ERROR_INVALID_ARGUMENT, "max_tokens is out of range", found: Int(maxTokens), required: planned)
    }
    let most = maxTokens == 0 ? planned : Int(maxTokens)
    fedTokens = nil
    hasHidden = false
    ids.clear()
    do throws(EngineError) {
      if session.plan.request.beams == 1 {
        try session.generateGreedily(maxNewTokens: most) { _, id in
          ids.append(id)
          return onToken(id)
        }
      } else {
        try session.generateByBeams(maxNewTokens: most)
        for id in session.hypothesis(0).ids.dropFirst() {
          ids.append(id)
          guard onToken(id) else { return }
        }
      }
    } catch { throw Failure(error) }
  }

  fileprivate func requireDecoder() throws(Failure) {
    guard session.config.hasDecoder else { throw Failure(EngineError(.noDecoder)) }
  }
}

@c @implementation
public func tusk_session_start_decoding(_ session: OpaquePointer?) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    try session.requireDecoder()
    try session.requireSource()
    session.hasHidden = false
    session.session.startDecoding()
    session.fedTokens = 0
  }
}

@c @implementation
public func tusk_session_step_token(
  _ session: OpaquePointer?, _ id: Int32, _ logits: UnsafeMutablePointer<tusk_matrix>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let logits else { throw .null("logits is NULL") }
    try session.requireDecoder()
    let engine = session.session
    guard let fed = session.fedTokens, engine.plan.request.beams == 1 else {
      throw Failure(TUSK_ERROR_WRONG_ORDER, "decoding has not been started, or the session has several beams")
    }
    guard fed < engine.plan.request.targetTokens else {
      throw Failure(EngineError(.targetTooLong, found: fed + 1, required: engine.plan.request.targetTokens))
    }
    let size = engine.vocabularySize()
    guard id >= 0, Int(id) < size else { throw Failure(EngineError(.idOutOfRange, found: Int(id), required: size)) }
    withUnsafePointer(to: id) { engine.step($0) }
    session.fedTokens = fed + 1
    logits.pointee = tusk_matrix(values: engine.logits(row: 0), rows: 1, columns: size)
  }
}

@c @implementation
public func tusk_session_generate_ids(
  _ session: OpaquePointer?, _ ids: UnsafePointer<Int32>?, _ count: Int, _ max_tokens: Int32,
  _ callback: tusk_token_callback?, _ context: UnsafeMutableRawPointer?,
  _ answer: UnsafeMutablePointer<tusk_tokens>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let answer else { throw .null("answer is NULL") }
    try session.requireDecoder()
    let callback = TokenCallback(function: callback, context: context)
    try session.encode(callerIds(ids, count), types: nil)
    try session.generate(max_tokens) { callback.call($0, nil) }
    answer.pointee = tusk_tokens(ids: session.ids.all.baseAddress, types: nil, count: session.ids.count)
  }
}

@c @implementation
public func tusk_session_generate_text(
  _ session: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ count: Int, _ max_tokens: Int32,
  _ callback: tusk_token_callback?, _ context: UnsafeMutableRawPointer?, _ answer: UnsafeMutablePointer<tusk_text>?
) -> tusk_status {
  withSession(session) { (session) throws(Failure) in
    guard let answer else { throw .null("answer is NULL") }
    try session.requireDecoder()
    let tokenizer = try session.tokenizer()
    let callback = TokenCallback(function: callback, context: context)
    try session.encode(CallerText(text, count), CallerText(nil, 0, isOptional: true))
    session.text.clear()
    try session.generate(max_tokens) { id in
      guard callback.function != nil else { return true }
      // Decoding is monotone: more ids only append to the text of those before.
      let shown = session.text.count
      session.text.set(tokenizer.decode(Array(session.ids.all)))
      let new = session.text.all[min(shown, session.text.count)...]
      return callback.call(id, UnsafeBufferPointer(rebasing: new))
    }
    session.text.set(tokenizer.decode(Array(session.ids.all)))
    answer.pointee = session.textResult
  }
}
