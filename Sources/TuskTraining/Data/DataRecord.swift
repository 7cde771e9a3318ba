import TuskConversion

/// One line of a data file: a JSON object.
struct DataRecord {
  var members: [String: JSONValue]
  /// Path of the file, fit for a message.
  let file: String
  /// From 1 on.
  let line: Int

  /// - Throws: `.malformed` for what is no JSON object, or not UTF-8.
  init(_ bytes: [UInt8], file: String, line: Int) throws(TrainingError) {
    self.file = file
    self.line = line
    guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else {
      throw TrainingError(.malformed, file: file, line: line, "the line is empty (required a JSON object)")
    }
    let value: JSONValue
    do throws(ConversionError) { value = try JSONValue(bytes, file: file) } catch {
      let place = error.offset.map { "byte \($0) of the line: " } ?? ""
      let subject = error.subject.map { "'\($0.printable)': " } ?? ""
      throw TrainingError(.malformed, file: file, line: line, place + subject + error.sentence)
    }
    guard case .object(let members) = value else {
      throw TrainingError(
        .malformed, file: file, line: line, "no JSON object (found \(value.kindText), required {...})")
    }
    self.members = members
  }

  /// A part of a line that is an example by itself.
  init(_ members: [String: JSONValue], of record: DataRecord) {
    self.members = members
    file = record.file
    line = record.line
  }

  /// Why the line is no example, or not one of the task's.
  func failure(_ sentence: String, _ kind: TrainingError.Kind = .malformed) -> TrainingError {
    TrainingError(kind, file: file, line: line, sentence)
  }

  /// What was found in place of what is required in the member `path`.
  func failure(_ path: String, found: JSONValue?, required: String) -> TrainingError {
    failure("'\(path.printable)': found \(found?.kindText ?? "nothing"), required \(required)")
  }

  /// The member that `path` leads to, as in "idx.question"; nil if there is none, or `null`.
  func value(_ path: String) -> JSONValue? {
    var value = JSONValue.object(members)
    for name in path.split(separator: ".") {
      guard case .object(let members) = value, let member = members[String(name)] else { return nil }
      value = member
    }
    return value == .null ? nil : value
  }

  /// The first of `paths` that leads to a member, with that member; without any the first, with nil.
  func member(_ paths: [String]) -> (path: String, value: JSONValue?) {
    for path in paths {
      if let value = value(path) { return (path, value) }
    }
    return (paths[0], nil)
  }

  func text(_ paths: String...) throws(TrainingError) -> String { try text(paths) }

  func text(_ paths: [String]) throws(TrainingError) -> String {
    let (path, value) = member(paths)
    guard case .string(let text) = value else { throw failure(path, found: value, required: "a text") }
    return text
  }

  func texts(_ path: String) throws(TrainingError) -> [String] {
    let value = value(path)
    guard case .array(let elements) = value else { throw failure(path, found: value, required: "an array of texts") }
    var texts: [String] = []
    for element in elements {
      guard case .string(let text) = element else { throw failure(path, found: element, required: "a text") }
      texts.append(text)
    }
    return texts
  }

  func count(_ paths: [String]) throws(TrainingError) -> Int {
    let (path, value) = member(paths)
    guard case .integer(let count) = value, count >= 0 else {
      throw failure(path, found: value, required: "a whole number from 0 on")
    }
    return count
  }

  func objects(_ path: String) throws(TrainingError) -> [[String: JSONValue]] {
    let value = value(path)
    guard case .array(let elements) = value else { throw failure(path, found: value, required: "an array of objects") }
    var objects: [[String: JSONValue]] = []
    for element in elements {
      guard case .object(let members) = element else { throw failure(path, found: element, required: "an object") }
      objects.append(members)
    }
    return objects
  }
}

extension JSONValue {
  /// In the words of an error.
  var kindText: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "the number \(value)"
    case .number(let value): "the number \(value)"
    case .string(let text): "the text '\(String(text.prefix(40)).printable)'"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
