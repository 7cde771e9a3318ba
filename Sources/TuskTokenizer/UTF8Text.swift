/// Questions about the UTF-8 characters of a text.
enum UTF8Text {
  /// The length the first byte of a character promises; 1 for a byte that can begin none.
  @inline(__always)
  static func promisedLength(_ first: UInt8) -> Int {
    if first < 0xC0 { return 1 }
    if first < 0xE0 { return 2 }
    return first < 0xF0 ? 3 : 4
  }

  /// The length of the well-formed character at `start`, or nil where there is none.
  static func characterLength(in text: RawSpan, at start: Int, end: Int) -> Int? {
    decode(in: text, at: start, end: end)?.length
  }

  /// The length of the white space character (Unicode property White_Space) at `start`, or nil.
  static func whitespaceLength(in text: RawSpan, at start: Int, end: Int) -> Int? {
    guard let (scalar, length) = decode(in: text, at: start, end: end) else { return nil }
    switch scalar {
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: return length
    default: return nil
    }
  }

  /// The character at `start`; U+FFFD of one byte where none is well formed.
  @inline(__always)
  static func character(in text: RawSpan, at start: Int, end: Int) -> (scalar: UInt32, length: Int) {
    decode(in: text, at: start, end: end) ?? (0xFFFD, 1)
  }

  private static func decode(
    in text: RawSpan, at start: Int, end: Int
  ) -> (scalar: UInt32, length: Int)? {
    let first = text.unsafeLoad(fromByteOffset: start, as: UInt8.self)
    if first < 0x80 { return (UInt32(first), 1) }
    // 0xF8... promise no character, but have the same high bits as a four-byte one.
    guard first >= 0xC2, first < 0xF5 else { return nil }
    let length = promisedLength(first)
    guard end &- start >= length else { return nil }
    var scalar = UInt32(first) & (0xFF >> UInt32(length &+ 1))
    for index in 1..<length {
      let byte = text.unsafeLoad(fromByteOffset: start &+ index, as: UInt8.self)
      guard byte & 0xC0 == 0x80 else { return nil }
      scalar = scalar << 6 | UInt32(byte & 0x3F)
    }
    let smallest: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x1_0000
    guard scalar >= smallest, scalar <= 0x10_FFFF, !(0xD800...0xDFFF).contains(scalar) else { return nil }
    return (scalar, length)
  }
}

extension [UInt8] {
  /// Appends the UTF-8 form of `scalar`; that of U+FFFD for what is no scalar value.
  mutating func appendUTF8(_ scalar: UInt32) {
    let isScalar = scalar <= 0x10_FFFF && !(0xD800...0xDFFF).contains(scalar)
    let value = isScalar ? scalar : 0xFFFD
    if value < 0x80 { return append(UInt8(value)) }
    if value < 0x800 {
      append(0xC0 | UInt8(value >> 6))
    } else {
      if value < 0x1_0000 {
        append(0xE0 | UInt8(value >> 12))
      } else {
        append(0xF0 | UInt8(value >> 18))
        append(0x80 | UInt8(value >> 12 & 0x3F))
      }
      append(0x80 | UInt8(value >> 6 & 0x3F))
    }
    append(0x80 | UInt8(value & 0x3F))
  }
}
