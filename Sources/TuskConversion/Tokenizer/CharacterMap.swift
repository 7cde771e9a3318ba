import TuskTokenizer

/// SentencePiece's precompiled character map, taken apart and measured.
struct CharacterMap {
  /// Units of the rule trie.
  private(set) var trie: ArraySlice<UInt8> = []
  private(set) var texts: ArraySlice<UInt8> = []
  private(set) var longestRuleBytes = 0
  private(set) var longestReplacementBytes = 0
  /// For each ASCII byte: it is a rule's key, or a rule begins with it and another ASCII byte.
  private(set) var isChanged = [Bool](repeating: false, count: 128)

  private static let subject = "precompiled_charsmap"

  /// - Parameter bytes: u32 size of the trie, the trie, the texts; empty for no map.
  /// - Throws: `TokenizerBuilderError` where the trie is not one, or is longer or deeper than a section allows.
  init(_ bytes: [UInt8]) throws(TokenizerBuilderError) {
    guard !bytes.isEmpty else { return }
    guard bytes.count > 4 else {
      throw TokenizerBuilderError(Self.subject, "\(bytes.count) bytes found, more than 4 required")
    }
    let trieBytes = bytes[0..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard trieBytes > 0, trieBytes % 1024 == 0, trieBytes < bytes.count - 4, bytes.last == 0 else {
      throw TokenizerBuilderError(
        Self.subject, at: 0,
        "a trie of \(trieBytes) bytes found in \(bytes.count), a multiple of 1024 followed by "
          + "texts that end with a zero byte required")
    }
    trie = bytes[4..<4 + trieBytes]
    texts = bytes[(4 + trieBytes)...]
    try measure()
  }

  private func unit(_ index: UInt32) -> UInt32? {
    guard index < trie.count / 4 else { return nil }
    let start = trie.startIndex + 4 * Int(index)
    return UInt32(trie[start]) | UInt32(trie[start + 1]) << 8 | UInt32(trie[start + 2]) << 16
      | UInt32(trie[start + 3]) << 24
  }

  /// Visits every unit that a key reaches. Units may be shared by keys with a common end, so what lies below a unit is
  /// measured once and remembered.
  private mutating func measure() throws(TokenizerBuilderError) {
    var heights = [Int?](repeating: nil, count: trie.count / 4)
    longestRuleBytes = try height(of: 0, depth: 0, &heights)
    for byte in UInt8.min..<0x80 {
      guard let child = child(of: 0, byte) else { continue }
      isChanged[Int(byte)] =
        (unit(child) ?? 0) & 0x100 != 0 || (UInt8.min..<0x80).contains { self.child(of: child, $0) != nil }
    }
  }

  private func base(of index: UInt32) -> UInt32 {
    let unit = unit(index) ?? 0
    return index ^ ((unit >> 10) << ((unit & 0x200) >> 6))
  }

  private func child(of index: UInt32, _ byte: UInt8) -> UInt32? {
    let child = base(of: index) ^ UInt32(byte)
    guard let unit = unit(child), unit & 0x8000_00FF == UInt32(byte) else { return nil }
    return child
  }

  /// The length of the longest key end below a unit. A depth that no key may have proves a loop or a key too long.
  private mutating func height(
    of index: UInt32, depth: Int, _ heights: inout [Int?]
  ) throws(TokenizerBuilderError) -> Int {
    if let known = heights[Int(index)] { return known }
    guard depth <= UnigramLayout.keyBytesLimit else {
      throw TokenizerBuilderError(
        Self.subject, at: 4 + 4 * Int(index),
        "a key of more bytes found, at most \(UnigramLayout.keyBytesLimit) required")
    }
    if (unit(index) ?? 0) & 0x100 != 0 { try measureText(leaf: base(of: index)) }
    var height = 0
    for byte in UInt8.min...UInt8.max {
      guard let child = child(of: index, byte) else { continue }
      height = max(height, 1 + (try self.height(of: child, depth: depth + 1, &heights)))
    }
    heights[Int(index)] = height
    return height
  }

  private mutating func measureText(leaf: UInt32) throws(TokenizerBuilderError) {
    let value = Int((unit(leaf) ?? .max) & 0x7FFF_FFFF)
    guard value < texts.count else {
      throw TokenizerBuilderError(
        Self.subject, at: 4 + 4 * Int(leaf), "text \(value) named, one of \(texts.count) bytes required")
    }
    let text = texts[(texts.startIndex + value)...].prefix { $0 != 0 }
    guard text.count <= UnigramLayout.replacementBytesLimit else {
      throw TokenizerBuilderError(
        Self.subject, at: text.startIndex,
        "a text of \(text.count) bytes found, at most \(UnigramLayout.replacementBytesLimit) required")
    }
    longestReplacementBytes = max(longestReplacementBytes, text.count)
  }
}
