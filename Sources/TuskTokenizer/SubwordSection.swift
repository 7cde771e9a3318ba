import TuskFormat

/// The header of a WordPiece or byte-level BPE section, checked; everything behind it is checked at the moment of use.
struct SubwordSection: Sendable {
  let padId: Int32
  let eosId: Int32
  let unknownId: Int32
  let addsPrefixSpace: Bool
  let longestPieceBytes: Int
  let wordCharacters: Int

  let pieces: PieceTable
  let specials: SpecialTokens
  let characters: CharacterTable
  /// WordPiece only.
  let pieceTrie: DoubleArray
  /// Byte-level BPE only.
  let merges: MergeTable
  /// Byte offset of 256 ids, of byte-level BPE only.
  let byteIds: Int
  /// What surrounds one text, and two.
  let template: Range<Int>
  let pairTemplate: Range<Int>

  /// Checks the header of `section`; reads nothing behind its first 192 bytes.
  init(_ section: MappedBytes, kind: Tokenizer.Kind) throws(TokenizerError) {
    let header = try section.withSpan { (span) throws(TokenizerError) in
      try SectionHeader(span, knownFlags: SubwordLayout.Flags.known)
    }
    let isWordPiece = kind == .wordPiece
    let count = try header.count(at: 16, 1...SubwordLayout.pieceCountLimit)
    let specialCount = try header.count(at: 20, 0...count)
    longestPieceBytes = try header.count(at: 24, 1...SubwordLayout.keyBytesLimit)
    wordCharacters = try header.count(
      at: 28, isWordPiece ? 1...SubwordLayout.wordCharactersLimit : 0...0)
    padId = try header.id(at: 32, below: count)
    eosId = try header.id(at: 36, below: count)
    unknownId = try header.id(at: 40, below: count)
    let single = try header.count(at: 44, 1...SubwordLayout.templateLimit)
    let pair = try header.count(at: 48, 2...SubwordLayout.templateLimit)
    try header.requireZero(52..<SubwordLayout.rangesOffset)
    try header.requireZero(SubwordLayout.rangesEnd..<SectionHeader.byteCount)
    addsPrefixSpace = header.words[1] & SubwordLayout.Flags.addPrefixSpace != 0

    var ranges = RangeReader(
      header: header, entriesOffset: SubwordLayout.rangesOffset, sectionBytes: section.count)
    let offsets = try ranges.next(bytes: 4 * (count + 1))
    pieceTrie = try ranges.nextTrie(mayBeEmpty: !isWordPiece)
    let mergeStarts = try ranges.next(bytes: isWordPiece ? 0 : 4 * (count + 1))
    let mergeEntries = try ranges.next(unit: SubwordLayout.mergeBytes)
    byteIds = try ranges.next(bytes: isWordPiece ? 0 : SubwordLayout.byteIdsBytes).lowerBound
    let classes = try ranges.next(unit: 4)
    let folds = try ranges.next(unit: SubwordLayout.foldBytes)
    let foldText = try ranges.next(unit: 4)
    let combining = try ranges.next(unit: 4)
    let specialEntries = try ranges.next(bytes: 8 * specialCount)
    let specialTrie = try ranges.nextTrie()
    let templates = try ranges.next(bytes: 4 * (single + pair))
    let bytes = try ranges.next(bytes: SubwordLayout.asciiBytes + count)
    let text = try ranges.next()
    try ranges.finish()

    pieces = PieceTable(
      count: count, offsets: offsets.lowerBound, types: bytes.lowerBound + SubwordLayout.asciiBytes, text: text)
    specials = SpecialTokens(
      trie: specialTrie, entries: specialEntries.lowerBound, count: specialCount, pieceCount: count)
    characters = CharacterTable(
      ascii: bytes.lowerBound, classes: classes, folds: folds, foldText: foldText, combining: combining,
      decomposesHangul: header.words[1] & SubwordLayout.Flags.decomposesHangul != 0)
    merges = MergeTable(starts: mergeStarts.lowerBound, entries: mergeEntries, pieceCount: count)
    template = templates.lowerBound..<templates.lowerBound + 4 * single
    pairTemplate = template.upperBound..<templates.upperBound
  }
}
