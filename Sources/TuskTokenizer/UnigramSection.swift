import TuskFormat

/// The header of a Unigram section, checked; everything behind it is checked at the moment of use.
struct UnigramSection: Sendable {
  let longestPieceBytes: Int
  let longestRuleBytes: Int
  let longestReplacementBytes: Int
  let unknownScore: Float
  let padId: Int32
  let eosId: Int32
  let unknownId: Int32
  /// Of a model whose texts begin with a token of their own.
  let beginId: Int32?
  let sentinelCount: Int
  let sentinelZeroId: Int32

  let addsDummyPrefix: Bool
  let removesExtraWhitespaces: Bool
  let escapesWhitespaces: Bool
  let isWordwise: Bool
  let prefixesOnlyAtStart: Bool
  /// Whether sums of scores are float64 and begin anew at each word, rather than float32 through the whole text.
  let sumsWords: Bool
  /// Bit b: the ASCII byte b is never changed before another ASCII byte.
  let plainBytes: (UInt64, UInt64)

  let pieceTrie: DoubleArray
  let symbolTrie: DoubleArray
  let rules: DoubleArray
  let scores: Range<Int>
  let pieces: PieceTable
  let specials: SpecialTokens
  let replacements: Range<Int>
  let unknownText: Range<Int>

  /// Checks the header of `section`; reads nothing behind its first 192 bytes.
  init(_ section: MappedBytes) throws(TokenizerError) {
    let header = try section.withSpan { (span) throws(TokenizerError) in
      try SectionHeader(span, knownFlags: UnigramLayout.Flags.known)
    }
    let pieceCount = try header.count(at: 16, 3...UnigramLayout.pieceCountLimit)
    let specialCount = try header.count(at: 20, 0...pieceCount)
    longestPieceBytes = try header.count(at: 24, 1...UnigramLayout.keyBytesLimit)
    longestRuleBytes = try header.count(at: 28, 0...UnigramLayout.keyBytesLimit)
    longestReplacementBytes = try header.count(at: 32, 0...UnigramLayout.replacementBytesLimit)
    unknownScore = Float(bitPattern: header.words[9])
    padId = try header.id(at: 40, below: pieceCount)
    eosId = try header.id(at: 44, below: pieceCount)
    unknownId = try header.id(at: 48, below: pieceCount)
    sentinelCount = try header.count(at: 52, 0...pieceCount)
    sentinelZeroId = try header.id(at: 56, below: pieceCount)
    guard sentinelCount == 0 || Int(sentinelZeroId) >= sentinelCount - 1 else {
      throw TokenizerError(.idOutOfRange, at: 56, found: UInt64(sentinelZeroId), required: UInt64(sentinelCount - 1))
    }
    if header.words[1] & UnigramLayout.Flags.beginToken != 0 {
      beginId = try header.id(at: 60, below: pieceCount)
    } else {
      try header.requireZero(60..<64)
      beginId = nil
    }
    try header.requireZero(UnigramLayout.rangesEnd..<UnigramLayout.headerBytes)

    let flags = header.words[1]
    addsDummyPrefix = flags & UnigramLayout.Flags.addDummyPrefix != 0
    removesExtraWhitespaces = flags & UnigramLayout.Flags.removeExtraWhitespaces != 0
    escapesWhitespaces = flags & UnigramLayout.Flags.escapeWhitespaces != 0
    isWordwise = flags & UnigramLayout.Flags.wordwise != 0
    prefixesOnlyAtStart = flags & UnigramLayout.Flags.prefixOnlyAtStart != 0
    sumsWords = flags & UnigramLayout.Flags.wordSums != 0
    plainBytes = (header.long(at: UnigramLayout.plainBytesOffset), header.long(at: UnigramLayout.plainBytesOffset + 8))

    var ranges = RangeReader(
      header: header, entriesOffset: UnigramLayout.rangesOffset, sectionBytes: section.count)
    let pieceOffsets = try ranges.next(bytes: 4 * (pieceCount + 1))
    scores = try ranges.next(bytes: 4 * pieceCount)
    pieceTrie = try ranges.nextTrie(mayBeEmpty: false)
    symbolTrie = try ranges.nextTrie()
    rules = try ranges.nextTrie()
    let specialEntries = try ranges.next(bytes: 8 * specialCount)
    let specialTrie = try ranges.nextTrie()
    let types = try ranges.next(bytes: pieceCount)
    let pieceText = try ranges.next()
    replacements = try ranges.next()
    unknownText = try ranges.next()
    guard unknownText.count <= UnigramLayout.unknownTextBytesLimit else {
      throw TokenizerError(
        .limitExceeded, at: UInt64(unknownText.lowerBound), found: UInt64(unknownText.count),
        required: UInt64(UnigramLayout.unknownTextBytesLimit))
    }
    try ranges.finish()
    pieces = PieceTable(count: pieceCount, offsets: pieceOffsets.lowerBound, types: types.lowerBound, text: pieceText)
    specials = SpecialTokens(
      trie: specialTrie, entries: specialEntries.lowerBound, count: specialCount, pieceCount: pieceCount)
  }
}
