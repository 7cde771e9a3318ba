/// Reads the fields of one protobuf message, the bytes `range` of a file, front to back.
///
/// Every length is checked against the bytes that are left, so a message costs no more than its own size.
struct WireReader {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(Range<Int>)
    case fixed32(UInt32)
  }

  struct Field {
    let number: Int
    let value: Value
    /// Byte offset of the field in the file.
    let offset: Int
  }

  private let bytes: [UInt8]
  private let subject: String
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, subject: String) {
    self.bytes = bytes
    self.subject = subject
    position = range.lowerBound
    end = range.upperBound
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws(TokenizerBuilderError) -> Field? {
    guard position < end else { return nil }
    let offset = position
    let key = try varint()
    guard key >> 3 > 0, key >> 3 < 1 << 29 else {
      throw TokenizerBuilderError(subject, at: offset, "field number \(key >> 3) found, 1 ... 536870911 required")
    }
    let value: Value
    switch key & 7 {
    case 0: value = .varint(try varint())
    case 1: value = .fixed64(try fixed(8))
    case 2:
      let length = try varint()
      value = .bytes(try take(length))
    case 5: value = .fixed32(UInt32(try fixed(4)))
    default:
      throw TokenizerBuilderError(subject, at: offset, "wire type \(key & 7) found, 0, 1, 2 or 5 required")
    }
    return Field(number: Int(key >> 3), value: value, offset: offset)
  }

  private mutating func varint() throws(TokenizerBuilderError) -> UInt64 {
    let offset = position
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard position < end else { break }
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw TokenizerBuilderError(subject, at: offset, "a number of at most 10 bytes does not end where required")
  }

  private mutating func fixed(_ count: Int) throws(TokenizerBuilderError) -> UInt64 {
    try take(UInt64(count)).reversed().reduce(0) { $0 << 8 | UInt64(bytes[$1]) }
  }

  private mutating func take(_ count: UInt64) throws(TokenizerBuilderError) -> Range<Int> {
    guard count <= UInt64(end - position) else {
      throw TokenizerBuilderError(subject, at: position, "\(end - position) bytes are left, \(count) required")
    }
    let range = position..<position + Int(count)
    position = range.upperBound
    return range
  }
}
