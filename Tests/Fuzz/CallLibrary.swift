import CTusk

/// Calls functions of the C interface in the order and with the arguments that the input spells, on the example file and a
/// session planned by its first bytes. Every call has to come back with a status that has a name, and nothing may keep
/// the session or the model from being destroyed.
@_cdecl("LLVMFuzzerTestOneInput")
public func callLibrary(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var input = Input(bytes: UnsafeBufferPointer(start: start, count: count))
  var model: OpaquePointer?
  require(tusk_model_create(nil, 0, &model))
  require(tusk_model_open_path(model, "formats/examples/nano.tusk"))
  var options = tusk_session_options()
  options.struct_bytes = MemoryLayout<tusk_session_options>.size
  options.source_tokens = Int32(input.byte() % 40)
  options.target_tokens = Int32(input.byte() % 10)
  options.beams = Int32(input.byte() % 5)
  options.budget_bytes = UInt64(input.byte()) << 14
  options.truncates = input.byte() % 2 == 0
  var session: OpaquePointer?
  if named(tusk_session_create(model, &options, &session)) == 0 {
    while !input.isAtEnd { _ = named(call(session, &input)) }
    require(tusk_session_destroy(session))
  }
  require(tusk_model_destroy(model))
  return 0
}

/// Arguments, read one behind the other; zeros when they are used up.
struct Input {
  let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard !isAtEnd else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  /// Small numbers mostly, and those at the ends of a type.
  mutating func number() -> Int32 {
    let value = byte()
    return value < 250 ? Int32(value) - 3 : value < 253 ? .max : .min
  }

  mutating func numbers() -> [Int32] { (0..<byte() % 12).map { _ in number() } }

  mutating func text() -> [CChar] { (0..<byte() % 50).map { _ in CChar(bitPattern: byte()) } }

  /// The length of what holds `count`, or one that nothing has.
  mutating func length(_ count: Int) -> Int {
    switch byte() {
    case 0: -1
    case 1: .max
    case 2: .min
    case 3: 1 << 40
    default: count
    }
  }
}

private func require(_ status: tusk_status) { precondition(status == 0, "a call that cannot fail failed") }

private func named(_ status: tusk_status) -> tusk_status {
  let name = String(cString: tusk_status_name(status))
  precondition(name != "TUSK_ERROR_UNKNOWN", "a status without a name")
  return status
}

private let callback: tusk_token_callback = { session, id, _, _ in
  precondition(tusk_session_set_task(OpaquePointer(session), id) != 0, "a call from a callback")
  return id % 5 != 0
}

private func call(_ session: OpaquePointer?, _ input: inout Input) -> tusk_status {
  var tokens = tusk_tokens()
  var matrix = tusk_matrix()
  var result = tusk_text()
  var best: Int32 = 0
  let function = input.byte() % 16
  let text = input.text()
  let numbers = input.numbers()
  let textLength = input.length(text.count)
  let numberLength = input.length(numbers.count)
  let number = input.number()
  let context = session.map { UnsafeMutableRawPointer($0) }
  switch function {
  case 0: return tusk_session_set_task(session, number)
  case 1: return tusk_session_set_tasks(session, numbers, numberLength)
  case 2: return tusk_session_tokenize_text(session, text, textLength, nil, 0, &tokens)
  case 3: return tusk_session_tokenize_text(session, text, textLength, text, textLength, &tokens)
  case 4: return tusk_session_decode_ids(session, numbers, numberLength, &result)
  case 5: return tusk_session_encode_ids(session, numbers, nil, numberLength)
  case 6: return tusk_session_encode_ids(session, numbers, numbers, numberLength)
  case 7: return tusk_session_encode_text(session, text, textLength, nil, Int(number))
  case 8: return tusk_session_get_hidden(session, &matrix)
  case 9: return tusk_session_get_outputs(session, &matrix)
  case 10: return tusk_session_start_decoding(session)
  case 11, 12: return tusk_session_step_token(session, number, &matrix)
  case 13: return tusk_session_generate_ids(session, numbers, numberLength, number, callback, context, &tokens)
  case 14: return tusk_session_generate_text(session, text, textLength, number, callback, context, &result)
  default: return tusk_session_classify_text(session, text, textLength, nil, 0, &matrix, &best)
  }
}
