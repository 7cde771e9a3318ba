/// The settings of one JSON file. A key whose value is null counts as absent, as it does for the libraries that write
/// these files. Every error names the file and the key.
struct Settings {
  let file: String
  let values: [String: JSONValue]

  init(_ values: [String: JSONValue], file: String) {
    self.values = values.filter { $0.value != .null }
    self.file = file
  }

  /// The settings in the file at `path`, nil when there is no such file.
  init?(ifPresent path: String) throws(ConversionError) {
    guard let value = try JSONValue.read(path: path) else { return nil }
    guard case .object(let object) = value else {
      throw ConversionError(.malformed, file: path, "found \(value.summary); an object is required")
    }
    self.init(object, file: path)
  }

  subscript(key: String) -> JSONValue? { values[key] }

  func error(_ key: String, required: String) -> ConversionError {
    ConversionError(
      .badSetting, file: file, subject: key,
      "found \(values[key]?.summary ?? "no such setting"); \(required) is required")
  }

  /// Checks that every setting is one of `known`.
  /// - Parameter refused: settings that ask for what Tusk does not do, with the reason; false and nothing ask for nothing.
  func requireKnown(_ known: Set<String>, refused: [String: String]) throws(ConversionError) {
    for (key, value) in values.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
      if refused[key] != nil && value.isOff { continue }
      throw ConversionError(
        .unsupported, file: file, subject: key,
        refused[key]
          ?? "found \(value.summary) for a setting Tusk does not know, so what it changes is not known either"
      )
    }
  }

  /// The integer at `key`, or `defaultValue` when it is absent. A number without fraction is an integer: Python writes
  /// 32.0 for a float that holds one.
  func integer(
    _ key: String, in range: ClosedRange<Int>, default defaultValue: Int? = nil
  ) throws(ConversionError) -> Int {
    let required = "an integer of \(range.lowerBound) to \(range.upperBound)"
    guard let value = values[key] else {
      guard let defaultValue else { throw error(key, required: required) }
      return defaultValue
    }
    guard let integer = value.asInteger, range.contains(integer) else { throw error(key, required: required) }
    return integer
  }

  func bool(_ key: String, default defaultValue: Bool) throws(ConversionError) -> Bool {
    try optionalBool(key) ?? defaultValue
  }

  func optionalBool(_ key: String) throws(ConversionError) -> Bool? {
    guard let value = values[key] else { return nil }
    guard case .bool(let flag) = value else { throw error(key, required: "true or false") }
    return flag
  }

  func optionalInteger(_ key: String) throws(ConversionError) -> Int? {
    guard let value = values[key] else { return nil }
    guard let integer = value.asInteger else { throw error(key, required: "an integer") }
    return integer
  }

  func optionalText(_ key: String) throws(ConversionError) -> String? {
    guard let value = values[key] else { return nil }
    guard case .string(let text) = value else { throw error(key, required: "a text") }
    return text
  }

  func optionalObject(_ key: String) throws(ConversionError) -> Settings? {
    guard let value = values[key] else { return nil }
    guard case .object(let object) = value else { throw error(key, required: "an object") }
    return Settings(object, file: file)
  }

  func optionalIntegers(_ key: String) throws(ConversionError) -> [Int]? {
    guard let value = values[key] else { return nil }
    guard case .array(let elements) = value else { throw error(key, required: "a list of integers") }
    var integers: [Int] = []
    for element in elements {
      guard let integer = element.asInteger else { throw error(key, required: "a list of integers") }
      integers.append(integer)
    }
    return integers
  }
}

extension JSONValue {
  var asInteger: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  var asDouble: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  var asText: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  /// Whether a switch with this value changes nothing.
  var isOff: Bool { self == .bool(false) || self == .array([]) || self == .object([:]) }

  /// The value in a few words, for an error.
  var summary: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "'\(value.printable)'"
    case .array(let elements): "a list of \(elements.count)"
    case .object: "an object"
    }
  }
}
