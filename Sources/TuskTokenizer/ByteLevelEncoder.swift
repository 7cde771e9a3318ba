/// One encoding in progress: cuts text into words as GPT-2's regular expression does, and joins the bytes of each.
///
/// The expression is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: an alternative further
/// left wins, and every character belongs to one match.
struct ByteLevelEncoder {
  var ids: [Int32] = []
  private(set) var queue = MergeQueue()

  private static let space: UInt8 = 0x20
  private static let apostrophe: UInt8 = 0x27

  private struct Character {
    let kind: CharacterClass
    let length: Int
  }

  /// Ordinary text, the bytes `range` of `bytes`; with a prefix, the byte in front of them is a space.
  private struct Stretch: ~Escapable {
    let bytes: RawSpan
    let range: Range<Int>
    let start: Int

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, _ range: Range<Int>, hasPrefix: Bool) {
      self.bytes = bytes
      self.range = range
      start = hasPrefix ? range.lowerBound - 1 : range.lowerBound
    }

    @inline(__always)
    func byte(_ position: Int) -> UInt8 {
      position < range.lowerBound ? ByteLevelEncoder.space : bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
    }

    @inline(__always)
    func character(_ position: Int, _ table: CharacterTable, in section: RawSpan) -> Character {
      let first = byte(position)
      if first < 0x80 { return Character(kind: table.asciiClass(first, in: section), length: 1) }
      let character = UTF8Text.character(in: bytes, at: position, end: range.upperBound)
      return Character(kind: table.characterClass(character.scalar, in: section), length: character.length)
    }
  }

  /// Appends the ids of ordinary text, the bytes `range` of `text`.
  mutating func encodeStretch(_ range: Range<Int>, of text: RawSpan, with model: SubwordSection, in section: RawSpan) {
    guard !range.isEmpty else { return }
    let first = text.unsafeLoad(fromByteOffset: range.lowerBound, as: UInt8.self)
    let stretch = Stretch(text, range, hasPrefix: model.addsPrefixSpace && first != Self.space)
    var position = stretch.start
    while position < range.upperBound {
      let end = wordEnd(from: position, of: stretch, model.characters, in: section)
      appendBytes(position..<end, of: stretch, with: model, in: section)
      queue.finish(with: model.merges, in: section, into: &ids)
      position = end
    }
  }

  /// Where the match that begins at `start` ends.
  private func wordEnd(
    from start: Int, of stretch: borrowing Stretch, _ table: CharacterTable, in section: RawSpan
  ) -> Int {
    let end = stretch.range.upperBound
    if let suffix = contractionEnd(from: start, of: stretch) { return suffix }
    var position = start
    if stretch.byte(start) == Self.space, start + 1 < end { position += 1 }
    let first = stretch.character(position, table, in: section)
    if !first.kind.contains(.space) {
      let kind = first.kind
      repeat {
        position += stretch.character(position, table, in: section).length
      } while position < end && stretch.character(position, table, in: section).kind == kind
      return position
    }
    // White space: all of the run at the end of the text, else all but its last character, which belongs to what follows.
    position = start
    var last = start
    while position < end {
      let character = stretch.character(position, table, in: section)
      // The classes of a damaged section may contradict themselves; a match is never empty.
      guard character.kind.contains(.space) else { return last > start ? last : max(position, start + 1) }
      last = position
      position += character.length
    }
    return end
  }

  private func contractionEnd(from start: Int, of stretch: borrowing Stretch) -> Int? {
    let left = stretch.range.upperBound - start
    guard left > 1, stretch.byte(start) == Self.apostrophe else { return nil }
    let first = stretch.byte(start + 1)
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    default: break
    }
    guard left > 2 else { return nil }
    switch (first, stretch.byte(start + 2)) {
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    default: return nil
    }
  }

  private mutating func appendBytes(
    _ range: Range<Int>, of stretch: borrowing Stretch, with model: SubwordSection, in section: RawSpan
  ) {
    var position = range.lowerBound
    while position < range.upperBound {
      let byte = stretch.byte(position)
      if byte < 0x80 {
        append(byte, with: model, in: section)
        position &+= 1
        continue
      }
      if let length = UTF8Text.characterLength(in: stretch.bytes, at: position, end: stretch.range.upperBound) {
        for offset in position..<position + length { append(stretch.byte(offset), with: model, in: section) }
        position += length
      } else {
        for byte: UInt8 in [0xEF, 0xBF, 0xBD] { append(byte, with: model, in: section) }
        position += 1
      }
    }
  }

  @inline(__always)
  private mutating func append(_ byte: UInt8, with model: SubwordSection, in section: RawSpan) {
    let id = section.word(at: model.byteIds &+ 4 &* Int(byte))
    // A byte without a piece gives nothing.
    if id < model.pieces.count { queue.append(id) }
  }
}
