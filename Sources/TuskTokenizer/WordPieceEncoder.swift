/// One encoding in progress: BERT's normalizer and pre-tokenizer in one pass, each word split where it ends.
struct WordPieceEncoder {
  var ids: [Int32] = []
  /// Units of the piece trie looked at.
  private(set) var steps = 0
  /// The word being gathered, and its length in characters; characters over the limit are only counted.
  private var word: [UInt8] = []
  private var wordCharacters = 0
  /// Characters with a combining class that wait for their order: class, arrival and value in one number.
  private var pending: [UInt64] = []

  private static let arrivalShift: UInt64 = 21
  private static let classShift: UInt64 = 56

  /// Appends the ids of ordinary text, the bytes `range` of `text`.
  mutating func encodeStretch(_ range: Range<Int>, of text: RawSpan, with model: SubwordSection, in section: RawSpan) {
    let table = model.characters
    var position = range.lowerBound
    while position < range.upperBound {
      let byte = text.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      if byte < 0x80 {
        position &+= 1
        let kind = table.asciiClass(byte, in: section)
        if kind.isEmpty || kind == .folded {
          if !pending.isEmpty { writePending() }
          if wordCharacters < model.wordCharacters { word.append(table.asciiFold(byte, in: section)) }
          wordCharacters &+= 1
        } else {
          take(UInt32(byte), kind, with: model, in: section)
        }
      } else {
        let character = UTF8Text.character(in: text, at: position, end: range.upperBound)
        position &+= character.length
        take(character.scalar, table.characterClass(character.scalar, in: section), with: model, in: section)
      }
    }
    endWord(with: model, in: section)
  }

  /// One character of the text.
  private mutating func take(
    _ scalar: UInt32, _ kind: CharacterClass, with model: SubwordSection, in section: RawSpan
  ) {
    if kind.contains(.dropped) { return }
    if kind.contains(.space) { return endWord(with: model, in: section) }
    if kind.contains(.ideograph) { endWord(with: model, in: section) }
    if kind.contains(.mark) {
      // A mark without a combining class is a starter: nothing is reordered across it, even though it goes.
      if !kind.contains(.nonstarter) { writePending() }
    } else if kind.contains(.folded) {
      model.characters.forEachReplacement(of: scalar, in: section) { scalar in
        let kind = model.characters.characterClass(scalar, in: section)
        put(scalar, kind, with: model, in: section)
      }
    } else if model.characters.decomposesHangul, let jamo = HangulSyllable(scalar) {
      put(jamo.leading, [], with: model, in: section)
      put(jamo.vowel, [], with: model, in: section)
      if let trailing = jamo.trailing { put(trailing, [], with: model, in: section) }
    } else {
      put(scalar, kind, with: model, in: section)
    }
    if kind.contains(.ideograph) { endWord(with: model, in: section) }
  }

  /// One normalized character.
  private mutating func put(
    _ scalar: UInt32, _ kind: CharacterClass, with model: SubwordSection, in section: RawSpan
  ) {
    if kind.contains(.nonstarter) {
      let order = UInt64(model.characters.combiningClass(scalar, in: section))
      pending.append(
        order << Self.classShift | UInt64(pending.count) << Self.arrivalShift | UInt64(scalar))
      return
    }
    writePending()
    if kind.contains(.space) { return endWord(with: model, in: section) }
    if kind.contains(.isolated) { endWord(with: model, in: section) }
    write(scalar, limit: model.wordCharacters)
    if kind.contains(.isolated) { endWord(with: model, in: section) }
  }

  private mutating func writePending() {
    guard !pending.isEmpty else { return }
    pending.sort()
    for entry in pending { write(UInt32(entry & UInt64(SubwordLayout.scalarMask)), limit: .max) }
    pending.removeAll(keepingCapacity: true)
  }

  @inline(__always)
  private mutating func write(_ scalar: UInt32, limit: Int) {
    if wordCharacters < limit { word.appendUTF8(scalar) }
    wordCharacters &+= 1
  }

  /// Splits the word gathered, by the longest piece at each position, or into one unknown id where none fits.
  private mutating func endWord(with model: SubwordSection, in section: RawSpan) {
    writePending()
    guard wordCharacters > 0 else { return }
    let firstId = ids.count
    var position = wordCharacters > model.wordCharacters ? -1 : 0
    let trie = model.pieceTrie
    while position >= 0 && position < word.count {
      guard let base = position == 0 ? trie.root(in: section) : continuationBase(of: trie, in: section),
        let piece = longestPiece(from: position, base, with: model, in: section)
      else {
        position = -1
        break
      }
      ids.append(piece.id)
      position += piece.length
    }
    if position < 0 {
      ids.removeSubrange(firstId...)
      ids.append(model.unknownId)
    }
    word.removeAll(keepingCapacity: true)
    wordCharacters = 0
  }

  /// Where a walk for a piece inside a word begins.
  private func continuationBase(of trie: DoubleArray, in section: RawSpan) -> DoubleArray.Base? {
    var base = trie.root(in: section)
    for byte in SubwordLayout.continuation.utf8 where trie.step(&base, byte, in: section) == nil { return nil }
    return base
  }

  private mutating func longestPiece(
    from start: Int, _ base: DoubleArray.Base, with model: SubwordSection, in section: RawSpan
  ) -> (id: Int32, length: Int)? {
    let trie = model.pieceTrie
    var base = base
    var best: (id: Int32, length: Int)?
    var position = start
    let last = min(word.count, start + model.longestPieceBytes)
    while position < last {
      steps &+= 1
      guard let unit = trie.step(&base, word[position], in: section) else { break }
      position &+= 1
      guard unit & DoubleArray.hasValue != 0 else { continue }
      let id = trie.value(at: base, in: section)
      if id < model.pieces.count { best = (Int32(id), position &- start) }
    }
    return best
  }
}

/// A Hangul syllable taken apart, as canonical decomposition does.
///
/// - Source: The Unicode Standard, section 3.12.
private struct HangulSyllable {
  let leading: UInt32
  let vowel: UInt32
  let trailing: UInt32?

  init?(_ scalar: UInt32) {
    guard (0xAC00...0xD7A3).contains(scalar) else { return nil }
    let index = scalar - 0xAC00
    leading = 0x1100 + index / 588
    vowel = 0x1161 + index % 588 / 28
    trailing = index % 28 == 0 ? nil : 0x11A7 + index % 28
  }
}
