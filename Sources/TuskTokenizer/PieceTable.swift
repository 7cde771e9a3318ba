/// The pieces of a vocabulary, looked up in the part of a section that is not checked when it is opened.
struct PieceTable: Sendable {
  let count: Int
  /// Byte offsets of `pieceOffsets` and of `types` in the section.
  let offsets: Int
  let types: Int
  let text: Range<Int>

  /// Where the text of piece `id` lies in the section, or nil when there is no such piece.
  func piece(_ id: Int32, in section: RawSpan) -> Range<Int>? {
    guard id >= 0, Int(id) < count else { return nil }
    let lower = Int(section.word(at: offsets + 4 * Int(id)))
    let upper = Int(section.word(at: offsets + 4 * Int(id) + 4))
    guard lower <= upper, upper <= text.count else { return nil }
    return text.lowerBound + lower..<text.lowerBound + upper
  }

  /// - Precondition: `id` is in `0 ..< count`.
  func type(of id: Int32, in section: RawSpan) -> UnigramLayout.PieceType? {
    let value = section.unsafeLoad(fromByteOffset: types + Int(id), as: UInt8.self)
    return UnigramLayout.PieceType(rawValue: value)
  }
}

/// The tokens that are recognized in a text as they are written.
struct SpecialTokens: Sendable {
  struct Match {
    let id: Int32
    /// The bytes of the text it takes, white space beside it included.
    let range: Range<Int>
  }

  let trie: DoubleArray
  /// Byte offset of `specials` in the section.
  let entries: Int
  let count: Int
  let pieceCount: Int

  /// The first special token at or behind `start`.
  func next(
    from start: Int, of text: RawSpan, in section: RawSpan
  ) -> Match? {
    guard !trie.isEmpty else { return nil }
    let root = trie.root(in: section)
    var position = start
    while position < text.byteCount {
      let index = root ^ UInt32(text.unsafeLoad(fromByteOffset: position, as: UInt8.self))
      // The index of a byte's unit is known before its label: most bytes of a text begin no special token.
      if trie.unit(index, in: section) & DoubleArray.labelMask == root ^ index,
        let match = trie.longestMatch(
          in: text, from: position, to: text.byteCount, limit: UnigramLayout.keyBytesLimit, section: section),
        let token = self.match(match.value, at: position, match.length, after: start, of: text, in: section)
      {
        return token
      }
      position &+= 1
    }
    return nil
  }

  private func match(
    _ index: UInt32, at position: Int, _ length: Int, after start: Int, of text: RawSpan,
    in section: RawSpan
  ) -> Match? {
    guard Int(index) < count else { return nil }
    let entry = entries + 8 * Int(index)
    let id = section.word(at: entry)
    let flags = section.word(at: entry + 4)
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
    return Match(id: Int32(id), range: lower..<upper)
  }
}

extension RawSpan {
  /// The little-endian word at byte `offset`, aligned or not.
  /// - Precondition: it lies within the span.
  @inline(__always)
  func word(at offset: Int) -> UInt32 {
    UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
