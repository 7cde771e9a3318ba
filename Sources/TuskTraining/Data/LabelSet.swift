import TuskConversion

/// The labels of a task, in the order of an encoder's head.
public struct LabelSet: Equatable, Sendable {
  /// What the head calls them.
  public let names: [String]
  /// What an encoder-decoder writes for each, and what `tusk eval` calls them: the number a preset gives, else the name.
  public let texts: [String]
  /// Where each of a preset's labels stands; empty without a preset.
  private let presetPositions: [Int]
  private let positions: [[UInt8]: Int]

  /// A label's name in bytes: what a task file has room for.
  private static let nameBytes = 1...255

  /// - Parameter names: of names that are there twice the first counts.
  public init(_ names: [String]) {
    self.init(names, texts: names, presetPositions: [])
  }

  private init(_ names: [String], texts: [String], presetPositions: [Int]) {
    self.names = names
    self.texts = texts
    self.presetPositions = presetPositions
    positions = Dictionary(
      names.enumerated().map { (Array($0.element.utf8), $0.offset) }, uniquingKeysWith: { first, _ in first })
  }

  /// The labels of `preset` in its order, by their names; nil if it has none.
  public init?(_ preset: Preset) {
    guard case .labels(let names) = preset.answer else { return nil }
    self.init(
      names.map { $0[0] }, texts: names.indices.map { "\($0)" }, presetPositions: Array(names.indices))
  }

  /// The labels of `preset` in the order of a head that is there already, which calls them by their number, one of their
  /// names, or `LABEL_` and their number, or, without names, has them in the preset's order.
  /// - Throws: `.mismatch` if the head has other labels; `.unsupported` if the preset has none.
  public init(_ preset: Preset, headNames: [String], outWidth: Int) throws(TrainingError) {
    guard case .labels(let known) = preset.answer else {
      throw TrainingError(.unsupported, "the preset '\(preset.name)' has no labels, which the head answers with")
    }
    let names = headNames.isEmpty ? (0..<outWidth).map { "\($0)" } : headNames
    var presetPositions: [Int] = []
    for (label, spellings) in known.enumerated() {
      let accepted = Set((["\(label)", "LABEL_\(label)"] + spellings).map { Array($0.utf8) })
      guard let position = names.firstIndex(where: { accepted.contains(Array($0.utf8)) }) else { break }
      presetPositions.append(position)
    }
    guard known.count == names.count, Set(presetPositions).count == names.count else {
      let wanted = known.enumerated().map { "\($0.offset)/\($0.element[0])" }
      throw TrainingError(
        .mismatch,
        "the head's labels are not those of the preset '\(preset.name)' (found \(Self.list(names)), required "
          + "\(Self.list(wanted)))")
    }
    var texts = names
    for (label, position) in presetPositions.enumerated() { texts[position] = "\(label)" }
    self.init(names, texts: texts, presetPositions: presetPositions)
  }

  public var count: Int { names.count }

  /// Where the label of this name stands, nil if there is none.
  func position(of name: String) -> Int? { positions[Array(name.utf8)] }

  /// Where the label stands that a preset has at `label`.
  func position(ofPreset label: Int) -> Int { presetPositions.isEmpty ? label : presetPositions[label] }

  /// Where the label stands that counts as positive: `1`, else the second one.
  var positive: Int { texts.firstIndex(of: "1") ?? 1 }

  /// Names for a message: the first ones.
  static func list(_ names: [String]) -> String {
    let shown = names.prefix(12).map(\.printable).joined(separator: ", ")
    return names.count > 12 ? "\(shown) ... (\(names.count))" : shown
  }

  /// The labels in the lines of a file of `source` and `target` or `text` and `label`: ascending, if all are whole numbers,
  /// else in the order of their bytes.
  /// - Throws: as `ExampleReader`; `.malformed` for a label that is a fraction, empty, longer than 255 bytes, or has a
  ///   control character.
  public static func collect(_ path: String) throws(TrainingError) -> LabelSet {
    let file = try LineFile(path: path)
    var names: Set<[UInt8]> = []
    while let bytes = try file.next() {
      let record = try DataRecord(bytes, file: path.printable, line: file.lineNumber)
      let (member, value) = record.member(["label", "target"])
      guard let value else { throw record.unlabelled("'label' or 'target'") }
      guard let name = value.labelText else {
        throw record.failure(member, found: value, required: "a text or a whole number")
      }
      guard nameBytes.contains(name.utf8.count), !name.unicodeScalars.contains(where: \.isControl) else {
        throw record.failure(
          member, found: value, required: "a label of 1 to 255 bytes without control characters")
      }
      names.insert(Array(name.utf8))
    }
    guard !names.isEmpty else { throw TrainingError(.empty, file: path.printable, "the file has no examples") }
    let texts = names.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
    let numbers = texts.compactMap { Int($0) }
    guard numbers.count == texts.count else { return LabelSet(texts) }
    return LabelSet(zip(numbers, texts).sorted { $0.0 < $1.0 }.map(\.1))
  }
}

extension Unicode.Scalar {
  fileprivate var isControl: Bool { properties.generalCategory == .control }
}
