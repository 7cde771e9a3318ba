import TuskTokenizer

/// SentencePiece's precompiled character map, taken apart and measured.
struct CharacterMap {
  /// Units of the rule trie.
  private(set) var trie: ArraySlice<UInt8> = []
  private var units: [UInt32] = []
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
    units = stride(from: 4, to: 4 + trieBytes, by: 4).map { start in
      (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
    try measure()
  }

  /// Visits every unit that a key reaches. Units may be shared by keys with a common end, so what lies below a unit is
  /// measured once and remembered.
  private mutating func measure() throws(TokenizerBuilderError) {
    var heights = [Int?](repeating: nil, count: units.count)
    longestRuleBytes = try height(of: 0, depth: 0, &heights)
    for byte in 0..<128 {
      guard let child = self.children(of: 0).first(where: { $0 ^ base(of: 0) == UInt32(byte) }) else { continue }
      let childBase = base(of: child)
      isChanged[byte] = units[Int(child)] & 0x100 != 0 || children(of: child).contains { $0 ^ childBase < 0x80 }
    }
  }

  private func base(of index: UInt32) -> UInt32 {
    let unit = units[Int(index)]
    return index ^ ((unit >> 10) << ((unit & 0x200) >> 6))
  }

  /// The units that a byte leads to from unit `index`.
  private func children(of index: UInt32) -> [UInt32] {
    let base = self.base(of: index)
    // All of them lie in one block of 256 units, and the trie is made of whole blocks.
    guard base < units.count else { return [] }
    var children: [UInt32] = []
    for byte in 0..<UInt32(256) where units[Int(base ^ byte)] & 0x8000_00FF == byte { children.append(base ^ byte) }
    return children
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
    if units[Int(index)] & 0x100 != 0 { try measureText(leaf: base(of: index)) }
    var height = 0
    for child in children(of: index) {
      height = max(height, 1 + (try self.height(of: child, depth: depth + 1, &heights)))
    }
    heights[Int(index)] = height
    return height
  }

  private mutating func measureText(leaf: UInt32) throws(TokenizerBuilderError) {
    let value = leaf < units.count ? Int(units[Int(leaf)] & 0x7FFF_FFFF) : .max
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
