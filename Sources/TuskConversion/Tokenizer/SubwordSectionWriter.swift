import TuskTokenizer

/// Packs a vocabulary into a WordPiece or byte-level BPE section, as formats/tokenizer.md lays it out.
struct SubwordSectionWriter {
  private let vocabulary: SubwordVocabulary
  private let characters: CharacterTableWriter
  private let subject: String

  init(_ vocabulary: SubwordVocabulary, subject: String) {
    self.vocabulary = vocabulary
    self.subject = subject
    switch vocabulary.model {
    case .wordPiece(let normalization): characters = .wordPiece(normalization)
    case .byteLevel: characters = .byteLevel()
    }
  }

  /// The bytes of the section.
  func section() throws(TokenizerBuilderError) -> [UInt8] {
    let texts = vocabulary.pieces.map { $0 ?? [] }
    guard (1...SubwordLayout.pieceCountLimit).contains(texts.count) else {
      throw TokenizerBuilderError(
        subject, "\(texts.count) pieces found, 1 ... \(SubwordLayout.pieceCountLimit) required")
    }
    guard (1...SubwordLayout.wordCharactersLimit).contains(vocabulary.wordCharacters) else {
      throw TokenizerBuilderError(
        subject,
        "max_input_chars_per_word is \(vocabulary.wordCharacters), 1 ... \(SubwordLayout.wordCharactersLimit) required")
    }
    var trie: [UInt8] = []
    var longest = 1
    if isWordPiece {
      // The empty piece, an empty line of vocab.txt, is never looked for.
      let keys = vocabulary.modelIds.filter { !$0.key.isEmpty }.map { ($0.key, UInt32($0.value)) }
      guard !keys.isEmpty else { throw TokenizerBuilderError(subject, "no pieces found") }
      trie = try SectionBytes.trie(keys, subject: subject)
      longest = keys.map(\.0.count).max()!
    }
    let specials = vocabulary.specialTokens
    var ranges = [SectionBytes.offsets(texts), trie] + (try mergeRanges())
    ranges += characters.ranges
    ranges.append(SectionBytes.words(specials.flatMap { [UInt32($0.id), flags(of: $0)] }))
    let specialKeys = specials.enumerated().map { ([UInt8]($1.content.utf8), UInt32($0)) }
    ranges.append(try SectionBytes.trie(specialKeys, subject: subject))
    ranges.append(SectionBytes.words(try (vocabulary.template + vocabulary.pairTemplate).map(word)))
    ranges.append(characters.asciiBytes + types())
    ranges.append(texts.flatMap { $0 })

    let (entries, contents) = SectionBytes.ranges(ranges, from: SubwordLayout.headerBytes)
    return try header(sectionBytes: SubwordLayout.headerBytes + contents.count, entries, longest: longest) + contents
  }

  private var isWordPiece: Bool {
    if case .wordPiece = vocabulary.model { true } else { false }
  }

  private func header(
    sectionBytes: Int, _ entries: [UInt8], longest: Int
  ) throws(TokenizerBuilderError) -> [UInt8] {
    for template in [vocabulary.template, vocabulary.pairTemplate] where template.count > SubwordLayout.templateLimit {
      throw TokenizerBuilderError(
        subject, "a template of \(template.count) parts found, at most \(SubwordLayout.templateLimit) required")
    }
    var flags = characters.decomposesHangul ? SubwordLayout.Flags.decomposesHangul : 0
    if vocabulary.model == .byteLevel(addsPrefixSpace: true) { flags |= SubwordLayout.Flags.addPrefixSpace }
    let header = SectionBytes.words([
      isWordPiece ? SubwordLayout.wordPieceKind : SubwordLayout.byteLevelKind, flags,
      UInt32(truncatingIfNeeded: sectionBytes), UInt32(sectionBytes >> 32), UInt32(vocabulary.pieces.count),
      UInt32(vocabulary.specialTokens.count), UInt32(longest), isWordPiece ? UInt32(vocabulary.wordCharacters) : 0,
      UInt32(vocabulary.padId), UInt32(vocabulary.eosId), UInt32(vocabulary.unknownId),
      UInt32(vocabulary.template.count), UInt32(vocabulary.pairTemplate.count), 0, 0, 0,
    ])
    return header + entries
      + [UInt8](repeating: 0, count: SubwordLayout.headerBytes - header.count - entries.count)
  }

  /// The ranges `mergeStarts`, `merges` and `byteIds`.
  private func mergeRanges() throws(TokenizerBuilderError) -> [[UInt8]] {
    guard !isWordPiece else { return [[], [], []] }
    var ranked: [[Int: (rank: Int, result: Int)]] = Array(repeating: [:], count: vocabulary.pieces.count)
    // Of a pair that is listed twice, the last rank counts.
    for (rank, merge) in vocabulary.merges.enumerated() { ranked[merge.left][merge.right] = (rank, merge.result) }
    var starts: [UInt32] = [0]
    var entries: [UInt32] = []
    for merges in ranked {
      for (right, merge) in merges.sorted(by: { $0.key < $1.key }) {
        entries += [UInt32(right), UInt32(merge.rank), UInt32(merge.result)]
      }
      starts.append(UInt32(entries.count * 4 / SubwordLayout.mergeBytes))
    }
    var byteIds = [UInt32](repeating: .max, count: 256)
    if let unknown = vocabulary.unknownToken {
      byteIds = [UInt32](repeating: UInt32(try vocabulary.id(of: unknown)), count: 256)
    }
    for (text, id) in vocabulary.modelIds {
      let scalars = String(decoding: text, as: UTF8.self).unicodeScalars
      guard scalars.count == 1, let byte = ByteLevelAlphabet.byte(of: scalars.first!.value) else { continue }
      byteIds[Int(byte)] = UInt32(id)
    }
    return [starts, entries, byteIds].map(SectionBytes.words)
  }

  private func types() -> [UInt8] {
    var types = vocabulary.pieces.map { ($0 == nil ? UnigramLayout.PieceType.unused : .normal).rawValue }
    for token in vocabulary.specialTokens { types[token.id] = UnigramLayout.PieceType.control.rawValue }
    if vocabulary.unknownToken != nil { types[vocabulary.unknownId] = UnigramLayout.PieceType.unknown.rawValue }
    return types
  }

  private func flags(of token: CheckpointTokenizerSettings.AddedToken) -> UInt32 {
    (token.takesWhitespaceBefore ? UnigramLayout.takesWhitespaceBefore : 0)
      | (token.takesWhitespaceAfter ? UnigramLayout.takesWhitespaceAfter : 0)
  }

  private func word(_ item: SubwordVocabulary.TemplateItem) throws(TokenizerBuilderError) -> UInt32 {
    let (value, typeId, isText) =
      switch item {
      case .text(let text, let typeId): (text, typeId, SubwordLayout.TemplateItem.isText)
      case .token(let id, let typeId): (id, typeId, UInt32(0))
      }
    guard (0..<Int(SubwordLayout.TemplateItem.typeLimit)).contains(typeId) else {
      throw TokenizerBuilderError(subject, "a template with the type id \(typeId) found, below 16 required")
    }
    return UInt32(value) | UInt32(typeId) << SubwordLayout.TemplateItem.typeShift | isText
  }
}
