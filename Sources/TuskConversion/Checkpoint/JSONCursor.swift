/// A JSON value read whole; for configuration files and lines of data, which are small.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// The value in the file at `path`, or nil when there is no such file.
  package static func read(path: String) throws(ConversionError) -> JSONValue? {
    guard let file = try InputFile.ifPresent(path: path) else { return nil }
    guard file.byteCount <= JSONCursor.maximumConfigurationBytes else {
      throw ConversionError(
        .tooLarge, file: path,
        "found \(file.byteCount) bytes; a configuration file has at most \(JSONCursor.maximumConfigurationBytes)")
    }
    let bytes = try file.bytes(at: 0, count: Int(file.byteCount))
    guard !bytes.starts(with: ConversionError.gitPointerStart) else { throw .gitPointer(path) }
    return try JSONValue(bytes, file: path)
  }

  /// The one value that `bytes` hold.
  /// - Parameter file: where they come from, for errors.
  package init(_ bytes: [UInt8], file: String) throws(ConversionError) {
    var cursor = JSONCursor(bytes, file: file)
    self = try cursor.value()
    try cursor.end()
  }
}

/// Reads JSON from the front, one value at a time, and keeps nothing it was not asked for. Stricter than the grammar where
/// leniency would let two readers see two documents: a key may appear once, text is valid UTF-8, nesting is bounded.
struct JSONCursor {
  static let maximumConfigurationBytes: UInt64 = 1 << 20
  private static let maximumDepth = 32

  private let bytes: [UInt8]
  private let file: String
  /// Offset in the file of `bytes[0]`.
  private let base: UInt64
  private(set) var position = 0
  private var depth = 0

  init(_ bytes: [UInt8], file: String, base: UInt64 = 0) {
    self.bytes = bytes
    self.file = file
    self.base = base
  }

  func failure(_ sentence: String, at position: Int? = nil, subject: String? = nil) -> ConversionError {
    ConversionError(
      .malformed, file: file, offset: base + UInt64(position ?? self.position), subject: subject, sentence)
  }

  /// The next byte that is not white space, nil at the end.
  private mutating func peek() -> UInt8? {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return bytes[position]
      }
    }
    return nil
  }

  private mutating func consume(_ character: Unicode.Scalar) throws(ConversionError) {
    guard peek() == UInt8(ascii: character) else {
      throw failure("\(describeNext()) where JSON requires '\(character)'")
    }
    position += 1
  }

  private func describeNext() -> String {
    position < bytes.count ? "found '\(String(Unicode.Scalar(bytes[position])).printable)'" : "found the end"
  }

  /// Only white space may remain.
  mutating func end() throws(ConversionError) {
    guard peek() == nil else { throw failure("\(describeNext()) after the end of the JSON value") }
  }

  private mutating func enter() throws(ConversionError) {
    depth += 1
    guard depth <= JSONCursor.maximumDepth else {
      throw failure("JSON is nested deeper than \(JSONCursor.maximumDepth) levels")
    }
  }

  /// Calls `member` for each key of an object; `member` must read the key's value.
  mutating func object(
    _ member: (inout JSONCursor, String) throws(ConversionError) -> Void
  ) throws(ConversionError) {
    try enter()
    try consume("{")
    var keys = Set<String>()
    if peek() != UInt8(ascii: "}") {
      while true {
        let start = position
        let key = try string()
        guard keys.insert(key).inserted else {
          throw failure("the key appears twice in one object", at: start, subject: key)
        }
        try consume(":")
        try member(&self, key)
        guard peek() == UInt8(ascii: ",") else { break }
        position += 1
        _ = peek()
      }
    }
    try consume("}")
    depth -= 1
  }

  /// Calls `element` for each element of an array; `element` must read it.
  mutating func array(_ element: (inout JSONCursor) throws(ConversionError) -> Void) throws(ConversionError) {
    try enter()
    try consume("[")
    if peek() != UInt8(ascii: "]") {
      while true {
        try element(&self)
        guard peek() == UInt8(ascii: ",") else { break }
        position += 1
      }
    }
    try consume("]")
    depth -= 1
  }

  mutating func string() throws(ConversionError) -> String {
    try consume("\"")
    let start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
      guard bytes[position] >= 0x20 else { throw failure("a string holds a control character that is not escaped") }
      position += 1
    }
    var content = bytes[start..<position]
    if position < bytes.count, bytes[position] == UInt8(ascii: "\\") { content += try escapedRest() }
    try consume("\"")
    guard let text = String(validating: content, as: UTF8.self) else {
      throw failure("a string is not valid UTF-8", at: start)
    }
    return text
  }

  /// The rest of a string from its first escape to before its closing quote, with escapes replaced.
  private mutating func escapedRest() throws(ConversionError) -> [UInt8] {
    var content: [UInt8] = []
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      let byte = bytes[position]
      guard byte >= 0x20 else { throw failure("a string holds a control character that is not escaped") }
      position += 1
      guard byte == UInt8(ascii: "\\") else {
        content.append(byte)
        continue
      }
      content += Array(String(try escapedScalar()).utf8)
    }
    return content
  }

  /// The scalar an escape stands for; `position` is after its backslash.
  private mutating func escapedScalar() throws(ConversionError) -> Unicode.Scalar {
    guard position < bytes.count else { throw failure("found the end inside a string") }
    position += 1
    switch bytes[position - 1] {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try hexadecimalUnit()
      if let scalar = Unicode.Scalar(first) { return scalar }
      guard 0xD800..<0xDC00 ~= first, bytes[position...].starts(with: [0x5C, 0x75]) else {
        throw failure("a string holds half of a surrogate pair")
      }
      position += 2
      let second = try hexadecimalUnit()
      let combined = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) &- 0xDC00) & 0x3FF
      guard 0xDC00..<0xE000 ~= second, let scalar = Unicode.Scalar(combined) else {
        throw failure("a string holds half of a surrogate pair")
      }
      return scalar
    default: throw failure("a string holds an escape that JSON does not have", at: position - 1)
    }
  }

  private mutating func hexadecimalUnit() throws(ConversionError) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
        throw failure("a \\u escape has fewer than four hexadecimal digits")
      }
      unit = unit << 4 | UInt16(digit)
      position += 1
    }
    return unit
  }

  /// A number without fraction or exponent that fits in `Int`.
  mutating func integer() throws(ConversionError) -> Int {
    let start = position
    guard case .integer(let value) = try number() else {
      throw failure("found a fraction or an exponent where a whole number is required", at: start)
    }
    return value
  }

  private mutating func number() throws(ConversionError) -> JSONValue {
    _ = peek()
    let start = position
    if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
    let firstDigit = position
    let integerDigits = try digits()
    guard integerDigits == 1 || bytes[firstDigit] != UInt8(ascii: "0") else {
      throw failure("a number starts with a superfluous zero", at: start)
    }
    var isInteger = true
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      _ = try digits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
        position += 1
      }
      _ = try digits()
    }
    guard position - start <= 64 else { throw failure("a number has more than 64 characters", at: start) }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger {
      guard let value = Int(text) else { throw failure("a whole number does not fit in 64 bits", at: start) }
      return .integer(value)
    }
    guard let value = Double(text), value.isFinite else { throw failure("a number is out of range", at: start) }
    return .number(value)
  }

  private mutating func digits() throws(ConversionError) -> Int {
    let start = position
    while position < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[position] { position += 1 }
    guard position > start else { throw failure("\(describeNext()) where JSON requires a digit") }
    return position - start
  }

  /// The next value, whatever it is.
  mutating func value() throws(ConversionError) -> JSONValue {
    switch peek() {
    case UInt8(ascii: "{"):
      var members: [String: JSONValue] = [:]
      try object { (cursor, key) throws(ConversionError) in members[key] = try cursor.value() }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try array { (cursor) throws(ConversionError) in elements.append(try cursor.value()) }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(ConversionError) -> JSONValue {
    let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    guard bytes[position...].starts(with: expected) else {
      throw failure("\(describeNext()) where a value is required")
    }
    position += expected.count
    return value
  }
}
