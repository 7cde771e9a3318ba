import Foundation

/// What is to be answered, and with which task.
struct InputLine {
  let text: [UInt8]
  /// The second text of a pair.
  let secondText: [UInt8]?
  /// Names of tasks that act one behind the other; nil for those of the command line.
  let tasks: [String]?

  /// - Parameter isJSON: whether a text that begins with { is an object.
  init(_ input: InputText, isJSON: Bool) throws(Failure) {
    guard isJSON, input.bytes.first(where: { $0 != 0x20 && $0 != 0x09 }) == UInt8(ascii: "{") else {
      text = input.bytes
      secondText = nil
      tasks = nil
      return
    }
    let object: Object
    do {
      object = try JSONDecoder().decode(Object.self, from: Data(input.bytes))
    } catch {
      throw Failure(
        Failure.badData,
        "\(input.place): not an object with a text (found JSON that does not fit, required {\"text\": ...})")
    }
    text = Array(object.text.utf8)
    secondText = object.text2.map { Array($0.utf8) }
    tasks = object.task?.names
  }

  /// Other members are passed over, so that labelled data can be piped through.
  private struct Object: Decodable {
    let text: String
    let text2: String?
    let task: Names?
  }

  /// A name, or an array of names.
  private struct Names: Decodable {
    let names: [String]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let name = try? container.decode(String.self) {
        names = [name]
      } else {
        names = try container.decode([String].self)
      }
    }
  }
}
