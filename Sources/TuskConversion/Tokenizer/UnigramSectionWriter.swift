import TuskTokenizer

/// Packs a vocabulary into a Unigram section, as formats/tokenizer.md lays it out.
struct UnigramSectionWriter {
  private let vocabulary: UnigramVocabulary
  private let map: CharacterMap
  private let subject: String

  init(_ vocabulary: UnigramVocabulary, subject: String) throws(TokenizerBuilderError) {
    self.vocabulary = vocabulary
    self.subject = subject
    map = try CharacterMap(vocabulary.characterMap)
  }

  /// The bytes of the section.
  func section() throws(TokenizerBuilderError) -> [UInt8] {
    let pieces = vocabulary.pieces
    guard (3...UnigramLayout.pieceCountLimit).contains(pieces.count) else {
      throw TokenizerBuilderError(
        subject, "\(pieces.count) pieces found, 3 ... \(UnigramLayout.pieceCountLimit) required")
    }
    guard vocabulary.unknownText.count <= UnigramLayout.unknownTextBytesLimit else {
      throw TokenizerBuilderError(
        subject, "an unk_surface of \(vocabulary.unknownText.count) bytes found, at most 63 required")
    }
    for (id, piece) in pieces.enumerated() where !piece.score.isFinite {
      throw TokenizerBuilderError(subject, "piece \(id) has the score \(piece.score), a finite one required")
    }
    let searched = pieces.indices.filter { pieces[$0].type == .normal || pieces[$0].type == .userDefined }
    guard !searched.isEmpty else {
      throw TokenizerBuilderError(subject, "found special pieces only; a piece that texts can be cut into is required")
    }
    let symbols = pieces.indices.filter { pieces[$0].type == .userDefined }
    let specials = vocabulary.specialTokens.enumerated().map { (pieces[$1.id].text, UInt32($0)) }

    var ranges: [[UInt8]] = []
    ranges.append(pieceOffsets())
    ranges.append(words(pieces.map { searchScore(of: $0).bitPattern }))
    ranges.append(try trie(searched.map { (pieces[$0].text, UInt32($0)) }))
    ranges.append(try trie(symbols.map { (pieces[$0].text, UInt32($0)) }))
    ranges.append([UInt8](map.trie))
    ranges.append(words(vocabulary.specialTokens.flatMap { [UInt32($0.id), flags(of: $0)] }))
    ranges.append(try trie(specials))
    ranges.append(pieces.map(\.type.rawValue))
    ranges.append(pieces.flatMap(\.text))
    ranges.append([UInt8](map.texts))
    ranges.append(vocabulary.unknownText)

    var section = header(ranges, searched: searched.map { pieces[$0] }, symbols: symbols.map { pieces[$0].text })
    for range in ranges { section.append(contentsOf: range) }
    return section
  }

  private func header(
    _ ranges: [[UInt8]], searched: [UnigramVocabulary.Piece], symbols: [[UInt8]]
  ) -> [UInt8] {
    let sectionBytes = ranges.reduce(UnigramLayout.headerBytes) { $0 + $1.count }
    let unknownScore = (searched.filter { $0.type == .normal }.map(\.score).min() ?? .greatestFiniteMagnitude) - 10
    let sentinelZeroId = vocabulary.pieces.firstIndex { $0.text == [UInt8]("<extra_id_0>".utf8) && $0.type == .added }
    var header = words([
      UnigramLayout.kind, flags(searched), UInt32(truncatingIfNeeded: sectionBytes), UInt32(sectionBytes >> 32),
      UInt32(vocabulary.pieces.count), UInt32(vocabulary.specialTokens.count),
      UInt32(searched.map(\.text.count).max() ?? 1), UInt32(map.longestRuleBytes),
      UInt32(map.longestReplacementBytes), unknownScore.bitPattern, UInt32(vocabulary.padId),
      UInt32(vocabulary.eosId), UInt32(vocabulary.unknownId), UInt32(vocabulary.sentinelCount),
      UInt32(sentinelZeroId ?? 0), 0,
    ])
    var plain = [UInt8](repeating: 0, count: 16)
    for byte in 0..<128 where !map.isChanged[byte] && !symbols.contains(where: { $0[0] == UInt8(byte) }) {
      plain[byte / 8] |= 1 << UInt8(byte % 8)
    }
    header += plain
    var offset = UnigramLayout.headerBytes
    for range in ranges {
      header += words([UInt32(offset), UInt32(range.count)])
      offset += range.count
    }
    return header + [UInt8](repeating: 0, count: UnigramLayout.headerBytes - header.count)
  }

  private func flags(_ searched: [UnigramVocabulary.Piece]) -> UInt32 {
    typealias Flags = UnigramLayout.Flags
    let space: [UInt8] = vocabulary.escapesWhitespaces ? [0xE2, 0x96, 0x81] : [0x20]
    let isWordwise = searched.allSatisfy { piece in
      !piece.text.indices.dropFirst().contains { piece.text[$0...].starts(with: space) }
    }
    return (vocabulary.addsDummyPrefix ? Flags.addDummyPrefix : 0)
      | (vocabulary.removesExtraWhitespaces ? Flags.removeExtraWhitespaces : 0)
      | (vocabulary.escapesWhitespaces ? Flags.escapeWhitespaces : 0) | (isWordwise ? Flags.wordwise : 0)
      | (vocabulary.prefixesOnlyAtStart ? Flags.prefixOnlyAtStart : 0)
  }

  private func flags(of token: UnigramVocabulary.SpecialToken) -> UInt32 {
    (token.takesWhitespaceBefore ? UnigramLayout.takesWhitespaceBefore : 0)
      | (token.takesWhitespaceAfter ? UnigramLayout.takesWhitespaceAfter : 0)
  }

  /// A user-defined symbol is always chosen: its score beats that of any pieces it is made of.
  private func searchScore(of piece: UnigramVocabulary.Piece) -> Float {
    switch piece.type {
    case .normal: piece.score
    case .userDefined: Float(0.1 * Double(piece.text.count - 1))
    default: 0
    }
  }

  private func pieceOffsets() -> [UInt8] {
    var offset: UInt32 = 0
    var offsets = [offset]
    for piece in vocabulary.pieces {
      offset += UInt32(piece.text.count)
      offsets.append(offset)
    }
    return words(offsets)
  }

  private func trie(_ keys: [([UInt8], UInt32)]) throws(TokenizerBuilderError) -> [UInt8] {
    let sorted = keys.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map { (text: $0.0, value: $0.1) }
    for (index, key) in sorted.enumerated() {
      let content = String(decoding: key.text, as: UTF8.self)
      guard !key.text.isEmpty, key.text.count <= UnigramLayout.keyBytesLimit, !key.text.contains(0) else {
        throw TokenizerBuilderError(
          subject,
          "piece \(key.value) has \(key.text.count) bytes, 1 ... \(UnigramLayout.keyBytesLimit) without zero bytes required"
        )
      }
      guard index == 0 || sorted[index - 1].text != key.text else {
        throw TokenizerBuilderError(subject, "the piece \(content) found twice, once required")
      }
    }
    guard let units = DoubleArrayBuilder.units(for: sorted) else {
      throw TokenizerBuilderError(
        subject, "the vocabulary needs a trie of more than \(DoubleArrayBuilder.unitLimit) units")
    }
    return words(units)
  }

  private func words(_ values: [UInt32]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * values.count)
    for value in values {
      for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    return bytes
  }
}
