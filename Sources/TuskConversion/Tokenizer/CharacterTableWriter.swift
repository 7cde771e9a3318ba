import Foundation
import TuskTokenizer

/// Packs what a tokenizer needs to know about characters, and no more of `UnicodeTables` than that.
struct CharacterTableWriter {
  /// What BERT's normalizer does.
  struct Normalization: Equatable {
    var cleansText = true
    var isolatesIdeographs = true
    var stripsAccents = true
    var lowercases = true
  }

  private var classes = [CharacterClass](repeating: [], count: 0x11_0000)
  private var folds: [UInt32: [UInt32]] = [:]
  private var combiningClasses: [UInt32: UInt32] = [:]
  private(set) var decomposesHangul = false

  /// The table of BERT's normalizer and pre-tokenizer.
  static func wordPiece(_ normalization: Normalization) -> CharacterTableWriter {
    var table = CharacterTableWriter()
    table.add(.space, UnicodeTables.spaces)
    table.add(.isolated, UnicodeTables.isolated)
    if normalization.cleansText { table.add(.dropped, UnicodeTables.dropped) }
    if normalization.isolatesIdeographs { table.add(.ideograph, UnicodeTables.ideographs) }
    table.decomposesHangul = normalization.stripsAccents
    var foldings: [UInt32: [UInt32]] = [:]
    if normalization.stripsAccents {
      table.addCombiningClasses()
      table.add(.mark, UnicodeTables.marks)
      for (scalar, text) in PackedTable(UnicodeTables.decompositions).map() {
        foldings[scalar] = text.filter { !table.classes[Int($0)].contains(.mark) }
      }
    }
    if normalization.lowercases {
      let lowerCase = PackedTable(UnicodeTables.lowerCase).map()
      foldings = foldings.mapValues { $0.flatMap { lowerCase[$0] ?? [$0] } }
      foldings.merge(lowerCase) { decomposed, _ in decomposed }
    }
    for (scalar, text) in foldings { table.fold(scalar, to: text) }
    return table
  }

  /// The table of the classes in GPT-2's regular expression.
  static func byteLevel() -> CharacterTableWriter {
    var table = CharacterTableWriter()
    table.add(.space, UnicodeTables.regexSpaces)
    table.add(.letter, UnicodeTables.letters)
    table.add(.number, UnicodeTables.numbers)
    return table
  }

  /// A class and a replacement for each ASCII character.
  var asciiBytes: [UInt8] {
    (UInt32(0)..<128).flatMap { scalar in
      [classes[Int(scalar)].rawValue, UInt8(folds[scalar]?.first ?? scalar)]
    }
  }

  /// The ranges `classes`, `folds`, `foldText` and `combining`.
  var ranges: [[UInt8]] {
    var words: [UInt32] = []
    var last: CharacterClass = []
    for scalar in 0x80..<classes.count where classes[scalar] != last {
      last = classes[scalar]
      words.append(UInt32(scalar) | UInt32(last.rawValue) << SubwordLayout.classShift)
    }
    var foldWords: [UInt32] = []
    var text: [UInt32] = []
    for (scalar, fold) in folds.sorted(by: { $0.key < $1.key }) {
      foldWords.append(scalar)
      if fold.count == 1 {
        foldWords.append(fold[0])
      } else {
        foldWords.append(
          SubwordLayout.foldIsText | UInt32(fold.count) << SubwordLayout.foldCountShift | UInt32(text.count))
        text += fold
      }
    }
    let kept = combiningClasses.filter { !classes[Int($0.key)].contains(.mark) }.sorted { $0.key < $1.key }
    let combining = kept.map { $0.key | $0.value << SubwordLayout.classShift }
    return [words, foldWords, text, combining].map(SectionBytes.words)
  }

  private mutating func add(_ kind: CharacterClass, _ table: String) {
    for range in PackedTable(table).ranges(withValues: false) {
      for scalar in range.scalars { classes[scalar].insert(kind) }
    }
  }

  private mutating func addCombiningClasses() {
    for range in PackedTable(UnicodeTables.combiningClasses).ranges(withValues: true) {
      for scalar in range.scalars {
        classes[scalar].insert(.nonstarter)
        combiningClasses[UInt32(scalar)] = range.value
      }
    }
  }

  private mutating func fold(_ scalar: UInt32, to text: [UInt32]) {
    guard !text.isEmpty else {
      // All of its decomposition are marks that are reordered.
      classes[Int(scalar)].insert([.mark, .nonstarter])
      return
    }
    // What is removed or ends a word is never replaced.
    guard text != [scalar], classes[Int(scalar)].isDisjoint(with: [.mark, .space, .dropped]) else { return }
    classes[Int(scalar)].insert(.folded)
    folds[scalar] = text
  }
}

/// One table of `UnicodeTables`.
private struct PackedTable {
  private let numbers: [UInt32]

  init(_ base64: String) {
    var numbers: [UInt32] = []
    var value: UInt32 = 0
    var shift: UInt32 = 0
    for byte in Data(base64Encoded: base64)! {
      value |= UInt32(byte & 0x7F) << shift
      shift += 7
      if byte < 0x80 {
        numbers.append(value)
        (value, shift) = (0, 0)
      }
    }
    self.numbers = numbers
  }

  func ranges(withValues: Bool) -> [(scalars: Range<Int>, value: UInt32)] {
    var end = 0
    let size = withValues ? 3 : 2
    return stride(from: 0, to: numbers.count, by: size).map { index in
      let start = end + Int(numbers[index])
      end = start + Int(numbers[index + 1]) + 1
      return (start..<end, withValues ? numbers[index + 2] : 0)
    }
  }

  func map() -> [UInt32: [UInt32]] {
    var map: [UInt32: [UInt32]] = [:]
    var next: UInt32 = 0
    var index = 0
    while index < numbers.count {
      let key = next + numbers[index]
      let count = Int(numbers[index + 1])
      map[key] = numbers[index + 2..<index + 2 + count].map { zigzag in
        zigzag & 1 == 0 ? key + zigzag / 2 : key - zigzag / 2 - 1
      }
      index += 2 + count
      next = key + 1
    }
    return map
  }
}
