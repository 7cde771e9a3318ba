/// JSON as Python's `json.dump(indent=2, sort_keys=True)` writes it: ASCII, keys in order, one member a line.
enum JSONText {
  static func bytes(_ value: JSONValue) -> [UInt8] {
    var text = ""
    append(value, indent: 0, to: &text)
    return Array((text + "\n").utf8)
  }

  /// A text in quotation marks.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for unit in text.utf16 {
      switch unit {
      case 0x22: result += "\\\""
      case 0x5C: result += "\\\\"
      case 0x0A: result += "\\n"
      case 0x20...0x7E: result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
      default:
        let digits = String(unit, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    return result + "\""
  }

  private static func append(_ value: JSONValue, indent: Int, to text: inout String) {
    switch value {
    case .null: text += "null"
    case .bool(let flag): text += flag ? "true" : "false"
    case .integer(let number): text += "\(number)"
    case .number(let number): text += "\(number)"
    case .string(let string): text += quoted(string)
    case .array(let elements):
      appendList(elements.map { (nil, $0) }, brackets: ("[", "]"), indent: indent, to: &text)
    case .object(let members):
      appendList(
        members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, brackets: ("{", "}"), indent: indent, to: &text)
    }
  }

  private static func appendList(
    _ elements: [(key: String?, value: JSONValue)], brackets: (String, String), indent: Int, to text: inout String
  ) {
    text += brackets.0
    for (position, element) in elements.enumerated() {
      text += (position == 0 ? "\n" : ",\n") + String(repeating: " ", count: indent + 2)
      if let key = element.key { text += quoted(key) + ": " }
      append(element.value, indent: indent + 2, to: &text)
    }
    if !elements.isEmpty { text += "\n" + String(repeating: " ", count: indent) }
    text += brackets.1
  }
}
