/// Lookups in the part of a section that is not checked when it is opened.
extension UnigramSection {
  struct SpecialToken {
    let id: Int32
    /// The bytes of the text it takes, white space beside it included.
    let range: Range<Int>
  }

  /// Where the text of piece `id` lies in the section, or nil when there is no such piece.
  func piece(_ id: Int32, in section: RawSpan) -> Range<Int>? {
    guard id >= 0, Int(id) < pieceCount else { return nil }
    let lower = Int(word(at: pieceOffsets.lowerBound + 4 * Int(id), in: section))
    let upper = Int(word(at: pieceOffsets.lowerBound + 4 * Int(id) + 4, in: section))
    guard lower <= upper, upper <= pieceText.count else { return nil }
    return pieceText.lowerBound + lower..<pieceText.lowerBound + upper
  }

  /// - Precondition: `id` is in `0 ..< pieceCount`.
  func type(of id: Int32, in section: RawSpan) -> UnigramLayout.PieceType? {
    let value = section.unsafeLoad(fromByteOffset: types.lowerBound + Int(id), as: UInt8.self)
    return UnigramLayout.PieceType(rawValue: value)
  }

  /// The first special token at or behind `start`.
  func nextSpecialToken(
    from start: Int, of text: RawSpan, in section: RawSpan
  ) -> SpecialToken? {
    guard !specialTrie.isEmpty else { return nil }
    let root = specialTrie.root(in: section)
    var position = start
    while position < text.byteCount {
      let index = root ^ UInt32(text.unsafeLoad(fromByteOffset: position, as: UInt8.self))
      // The index of a byte's unit is known before its label: most bytes of a text begin no special token.
      if specialTrie.unit(index, in: section) & DoubleArray.labelMask == root ^ index,
        let match = specialTrie.longestMatch(
          in: text, from: position, to: text.byteCount, limit: UnigramLayout.keyBytesLimit, section: section),
        let token = specialToken(match.value, at: position, match.length, after: start, of: text, in: section)
      {
        return token
      }
      position &+= 1
    }
    return nil
  }

  private func specialToken(
    _ index: UInt32, at position: Int, _ length: Int, after start: Int, of text: RawSpan,
    in section: RawSpan
  ) -> SpecialToken? {
    guard Int(index) < specialCount else { return nil }
    let entry = specials.lowerBound + 8 * Int(index)
    let id = word(at: entry, in: section)
    let flags = word(at: entry + 4, in: section)
    guard Int(id) < pieceCount else { return nil }
    var lower = position
    var upper = position + length
    if flags & UnigramLayout.takesWhitespaceBefore != 0 {
      while lower > start {
        var first = lower - 1
        while first > start, first > lower - 4, text.unsafeLoad(fromByteOffset: first, as: UInt8.self) & 0xC0 == 0x80 {
          first -= 1
        }
        guard UTF8Text.whitespaceLength(in: text, at: first, end: lower) == lower - first else { break }
        lower = first
      }
    }
    if flags & UnigramLayout.takesWhitespaceAfter != 0 {
      while upper < text.byteCount, let length = UTF8Text.whitespaceLength(in: text, at: upper, end: text.byteCount) {
        upper += length
      }
    }
    return SpecialToken(id: Int32(id), range: lower..<upper)
  }

  private func word(at offset: Int, in section: RawSpan) -> UInt32 {
    UInt32(littleEndian: section.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
