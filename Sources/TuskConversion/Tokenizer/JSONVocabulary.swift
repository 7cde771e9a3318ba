/// Reads one object of numbers out of a JSON text, key by key.
///
/// `JSONDecoder` gives keys as strings, which are equal where their bytes may differ: composed and decomposed letters are
/// pieces of their own in some vocabularies. The text must have been accepted by `JSONDecoder` before.
struct JSONVocabulary {
  private let bytes: [UInt8]
  private let subject: String
  private var position = 0

  /// The members of the object at `path`, in the order of the file.
  static func members(
    _ bytes: [UInt8], at path: [String], subject: String
  ) throws(TokenizerBuilderError) -> [(text: [UInt8], id: Int)] {
    var reader = JSONVocabulary(bytes: bytes, subject: subject)
    for name in path { try reader.enter([UInt8](name.utf8)) }
    return try reader.members()
  }

  private init(bytes: [UInt8], subject: String) {
    self.bytes = bytes
    self.subject = subject
  }

  /// Moves to the value of the member `name` of the object here.
  private mutating func enter(_ name: [UInt8]) throws(TokenizerBuilderError) {
    try take("{")
    while peek() != UInt8(ascii: "}") {
      let key = try string()
      try take(":")
      if key == name { return }
      try skipValue()
      if peek() == UInt8(ascii: ",") { try take(",") }
    }
    throw failure("no member \(String(decoding: name, as: UTF8.self)) found, one required")
  }

  private mutating func members() throws(TokenizerBuilderError) -> [(text: [UInt8], id: Int)] {
    var members: [(text: [UInt8], id: Int)] = []
    try take("{")
    while peek() != UInt8(ascii: "}") {
      let key = try string()
      try take(":")
      members.append((key, try number()))
      if peek() == UInt8(ascii: ",") { try take(",") }
    }
    return members
  }

  private mutating func peek() -> UInt8? {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    return position < bytes.count ? bytes[position] : nil
  }

  private mutating func take(_ character: Unicode.Scalar) throws(TokenizerBuilderError) {
    guard peek() == UInt8(ascii: character) else { throw failure("\(character) required") }
    position += 1
  }

  private mutating func number() throws(TokenizerBuilderError) -> Int {
    _ = peek()
    let digits = bytes[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else { throw failure("an id required") }
    position += digits.count
    return value
  }

  private mutating func string() throws(TokenizerBuilderError) -> [UInt8] {
    try take("\"")
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return text }
      if byte == UInt8(ascii: "\\") { try appendEscape(to: &text) } else { text.append(byte) }
    }
    throw failure("a string that ends required")
  }

  private mutating func appendEscape(to text: inout [UInt8]) throws(TokenizerBuilderError) {
    guard position < bytes.count else { throw failure("a string that ends required") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "u"):
      var units = [try unit()]
      if UTF16.isLeadSurrogate(units[0]), bytes[position...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) {
        position += 2
        units.append(try unit())
      }
      text += String(decoding: units, as: UTF16.self).utf8
    default: text.append(byte)
    }
  }

  private mutating func unit() throws(TokenizerBuilderError) -> UInt16 {
    let digits = bytes[position...].prefix(4)
    guard digits.count == 4, let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16) else {
      throw failure("four hexadecimal digits required")
    }
    position += 4
    return unit
  }

  /// Moves behind the value here.
  private mutating func skipValue() throws(TokenizerBuilderError) {
    var depth = 0
    repeat {
      guard let byte = peek() else { throw failure("a value that ends required") }
      switch byte {
      case UInt8(ascii: "\""): _ = try string()
      case UInt8(ascii: "{"), UInt8(ascii: "["): (depth, position) = (depth + 1, position + 1)
      case UInt8(ascii: "}"), UInt8(ascii: "]"): (depth, position) = (depth - 1, position + 1)
      case UInt8(ascii: ","), UInt8(ascii: ":"): position += 1
      default:
        while position < bytes.count, !",:]} \t\r\n".utf8.contains(bytes[position]) { position += 1 }
      }
    } while depth > 0
  }

  private func failure(_ sentence: String) -> TokenizerBuilderError {
    TokenizerBuilderError(subject, at: position, sentence)
  }
}
