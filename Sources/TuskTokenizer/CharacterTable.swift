/// Classes and replacements of characters, looked up in a section.
struct CharacterTable: Sendable {
  /// Byte offset of a class and a replacement for each of the first 128 characters.
  let ascii: Int
  let classes: Range<Int>
  let folds: Range<Int>
  let foldText: Range<Int>
  let combining: Range<Int>
  let decomposesHangul: Bool

  /// - Precondition: `byte` is below 128.
  @inline(__always)
  func asciiClass(_ byte: UInt8, in section: RawSpan) -> CharacterClass {
    CharacterClass(rawValue: section.unsafeLoad(fromByteOffset: ascii &+ 2 &* Int(byte), as: UInt8.self))
  }

  /// What the ASCII character `byte` is replaced by, itself if by nothing else.
  /// - Precondition: `byte` is below 128.
  @inline(__always)
  func asciiFold(_ byte: UInt8, in section: RawSpan) -> UInt8 {
    section.unsafeLoad(fromByteOffset: ascii &+ 2 &* Int(byte) &+ 1, as: UInt8.self) & 0x7F
  }

  /// The class of any character.
  /// - Complexity: O(log of the number of classes).
  func characterClass(_ scalar: UInt32, in section: RawSpan) -> CharacterClass {
    if scalar < 0x80 { return asciiClass(UInt8(scalar), in: section) }
    // The last word whose scalar is not behind the one looked for.
    var low = 0
    var high = classes.count / 4
    while low < high {
      let middle = (low &+ high) / 2
      if section.word(at: classes.lowerBound &+ 4 &* middle) & SubwordLayout.scalarMask <= scalar {
        low = middle &+ 1
      } else {
        high = middle
      }
    }
    guard low > 0 else { return [] }
    let word = section.word(at: classes.lowerBound + 4 * (low - 1))
    return CharacterClass(rawValue: UInt8(word >> SubwordLayout.classShift))
  }

  /// Calls `body` with each character that `scalar` is replaced by; with itself if there is no replacement.
  @inline(__always)
  func forEachReplacement(of scalar: UInt32, in section: RawSpan, _ body: (UInt32) -> Void) {
    guard let value = word(for: scalar, of: folds, stride: SubwordLayout.foldBytes, mask: .max, in: section) else {
      return body(scalar)
    }
    guard value & SubwordLayout.foldIsText != 0 else { return body(value) }
    let first = Int(value & SubwordLayout.scalarMask)
    let count = Int(value >> SubwordLayout.foldCountShift) & SubwordLayout.foldCountLimit
    guard first + count <= foldText.count / 4 else { return }
    for index in first..<first + count { body(section.word(at: foldText.lowerBound + 4 * index)) }
  }

  /// The combining class of a character of class `nonstarter` that is not a mark.
  func combiningClass(_ scalar: UInt32, in section: RawSpan) -> UInt8 {
    let value = word(
      for: scalar, of: combining, stride: 4, mask: SubwordLayout.scalarMask, in: section)
    return UInt8((value ?? 0) >> SubwordLayout.classShift)
  }

  /// The last word of the entry whose first word, masked, is `scalar`.
  private func word(
    for scalar: UInt32, of table: Range<Int>, stride: Int, mask: UInt32, in section: RawSpan
  ) -> UInt32? {
    var low = 0
    var high = table.count / stride
    while low < high {
      let middle = (low &+ high) / 2
      let entry = table.lowerBound &+ stride &* middle
      let key = section.word(at: entry) & mask
      if key == scalar { return section.word(at: entry &+ stride &- 4) }
      if key < scalar { low = middle &+ 1 } else { high = middle }
    }
    return nil
  }
}
