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
    ranges.append(SectionBytes.offsets(pieces.map(\.text)))
    ranges.append(SectionBytes.words(pieces.map { searchScore(of: $0).bitPattern }))
    ranges.append(try SectionBytes.trie(searched.map { (pieces[$0].text, UInt32($0)) }, subject: subject))
    ranges.append(try SectionBytes.trie(symbols.map { (pieces[$0].text, UInt32($0)) }, subject: subject))
    ranges.append([UInt8](map.trie))
    ranges.append(SectionBytes.words(vocabulary.specialTokens.flatMap { [UInt32($0.id), flags(of: $0)] }))
    ranges.append(try SectionBytes.trie(specials, subject: subject))
    ranges.append(pieces.map(\.type.rawValue))
    ranges.append(pieces.flatMap(\.text))
    ranges.append([UInt8](map.texts))
    ranges.append(vocabulary.unknownText)

    let (entries, contents) = SectionBytes.ranges(ranges, from: UnigramLayout.headerBytes)
    let header = header(
      sectionBytes: UnigramLayout.headerBytes + contents.count, entries, searched: searched.map { pieces[$0] },
      symbols: symbols.map { pieces[$0].text })
    return header + contents
  }

  private func header(
    sectionBytes: Int, _ entries: [UInt8], searched: [UnigramVocabulary.Piece], symbols: [[UInt8]]
  ) -> [UInt8] {
    let unknownScore = (searched.filter { $0.type == .normal }.map(\.score).min() ?? .greatestFiniteMagnitude) - 10
    let sentinelZeroId = vocabulary.pieces.firstIndex { $0.text == [UInt8]("<extra_id_0>".utf8) && $0.type == .added }
    var header = SectionBytes.words([
      UnigramLayout.kind, flags(searched), UInt32(truncatingIfNeeded: sectionBytes), UInt32(sectionBytes >> 32),
      UInt32(vocabulary.pieces.count), UInt32(vocabulary.specialTokens.count),
      UInt32(searched.map(\.text.count).max() ?? 1), UInt32(map.longestRuleBytes),
      UInt32(map.longestReplacementBytes), unknownScore.bitPattern, UInt32(vocabulary.padId),
      UInt32(vocabulary.eosId), UInt32(vocabulary.unknownId), UInt32(vocabulary.sentinelCount),
      UInt32(sentinelZeroId ?? 0), UInt32(vocabulary.beginId ?? 0),
    ])
    var plain = [UInt8](repeating: 0, count: 16)
    for byte in 0..<128 where !map.isChanged[byte] && !symbols.contains(where: { $0[0] == UInt8(byte) }) {
      plain[byte / 8] |= 1 << UInt8(byte % 8)
    }
    header += plain
    header += entries
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
      | (vocabulary.beginId == nil ? 0 : Flags.beginToken | Flags.wordSums)
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
}
