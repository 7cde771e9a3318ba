import TuskFormat

/// The header of a Unigram section, checked; everything behind it is checked at the moment of use.
struct UnigramSection: Sendable {
  let pieceCount: Int
  let specialCount: Int
  let longestPieceBytes: Int
  let longestRuleBytes: Int
  let longestReplacementBytes: Int
  let unknownScore: Float
  let padId: Int32
  let eosId: Int32
  let unknownId: Int32
  let sentinelCount: Int
  let sentinelZeroId: Int32

  let addsDummyPrefix: Bool
  let removesExtraWhitespaces: Bool
  let escapesWhitespaces: Bool
  let isWordwise: Bool
  let prefixesOnlyAtStart: Bool
  /// Bit b: the ASCII byte b is never changed before another ASCII byte.
  let plainBytes: (UInt64, UInt64)

  let pieceTrie: DoubleArray
  let symbolTrie: DoubleArray
  let rules: DoubleArray
  let specialTrie: DoubleArray
  let pieceOffsets: Range<Int>
  let scores: Range<Int>
  let specials: Range<Int>
  let types: Range<Int>
  let pieceText: Range<Int>
  let replacements: Range<Int>
  let unknownText: Range<Int>

  /// Checks the header of `section`; reads nothing behind its first 192 bytes.
  init(_ section: MappedBytes) throws(TokenizerError) {
    let header = try section.withSpan { (span) throws(TokenizerError) in try Header(span) }
    pieceCount = try header.count(at: 16, 3...UnigramLayout.pieceCountLimit)
    specialCount = try header.count(at: 20, 0...pieceCount)
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
    try header.requireZero(60..<64)
    try header.requireZero(UnigramLayout.rangesEnd..<UnigramLayout.headerBytes)

    let flags = header.words[1]
    addsDummyPrefix = flags & UnigramLayout.Flags.addDummyPrefix != 0
    removesExtraWhitespaces = flags & UnigramLayout.Flags.removeExtraWhitespaces != 0
    escapesWhitespaces = flags & UnigramLayout.Flags.escapeWhitespaces != 0
    isWordwise = flags & UnigramLayout.Flags.wordwise != 0
    prefixesOnlyAtStart = flags & UnigramLayout.Flags.prefixOnlyAtStart != 0
    plainBytes = (header.long(at: UnigramLayout.plainBytesOffset), header.long(at: UnigramLayout.plainBytesOffset + 8))

    var ranges = RangeReader(header: header, sectionBytes: section.count)
    pieceOffsets = try ranges.next(.pieceOffsets, bytes: 4 * (pieceCount + 1))
    scores = try ranges.next(.scores, bytes: 4 * pieceCount)
    pieceTrie = try ranges.nextTrie(.pieceTrie)
    symbolTrie = try ranges.nextTrie(.symbolTrie)
    rules = try ranges.nextTrie(.rules)
    specials = try ranges.next(.specials, bytes: 8 * specialCount)
    specialTrie = try ranges.nextTrie(.specialTrie)
    types = try ranges.next(.types, bytes: pieceCount)
    pieceText = try ranges.next(.pieceText)
    replacements = try ranges.next(.replacements)
    unknownText = try ranges.next(.unknownText)
    guard unknownText.count <= UnigramLayout.unknownTextBytesLimit else {
      throw TokenizerError(
        .limitExceeded, at: UInt64(unknownText.lowerBound), found: UInt64(unknownText.count),
        required: UInt64(UnigramLayout.unknownTextBytesLimit))
    }
    try ranges.finish()
  }
}

/// The fixed part of a section as 48 words.
private struct Header {
  let words: [UInt32]

  init(_ section: RawSpan) throws(TokenizerError) {
    let required = UnigramLayout.headerBytes
    guard section.byteCount >= required else {
      throw TokenizerError(.truncatedHeader, at: 0, found: UInt64(section.byteCount), required: UInt64(required))
    }
    words = [UInt32](unsafeUninitializedCapacity: required / 4) { buffer, count in
      for index in 0..<required / 4 {
        let word = section.unsafeLoadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
        buffer.initializeElement(at: index, to: UInt32(littleEndian: word))
      }
      count = required / 4
    }
    guard words[0] == UnigramLayout.kind else {
      throw TokenizerError(.unknownKind, at: 0, found: UInt64(words[0]), required: UInt64(UnigramLayout.kind))
    }
    guard words[1] & ~UnigramLayout.Flags.known == 0 else {
      throw TokenizerError(
        .unknownFlags, at: 4, found: UInt64(words[1]), required: UInt64(UnigramLayout.Flags.known))
    }
    guard long(at: 8) == UInt64(section.byteCount) else {
      throw TokenizerError(.wrongLength, at: 8, found: UInt64(section.byteCount), required: long(at: 8))
    }
  }

  func long(at offset: Int) -> UInt64 { UInt64(words[offset / 4]) | UInt64(words[offset / 4 + 1]) << 32 }

  func count(at offset: Int, _ limits: ClosedRange<Int>) throws(TokenizerError) -> Int {
    let value = Int(words[offset / 4])
    guard limits.contains(value) else {
      let limit = value < limits.lowerBound ? limits.lowerBound : limits.upperBound
      throw TokenizerError(.limitExceeded, at: UInt64(offset), found: UInt64(value), required: UInt64(limit))
    }
    return value
  }

  func id(at offset: Int, below limit: Int) throws(TokenizerError) -> Int32 {
    let value = Int(words[offset / 4])
    guard value < limit else {
      throw TokenizerError(.idOutOfRange, at: UInt64(offset), found: UInt64(value), required: UInt64(limit))
    }
    return Int32(value)
  }

  func requireZero(_ bytes: Range<Int>) throws(TokenizerError) {
    for offset in stride(from: bytes.lowerBound, to: bytes.upperBound, by: 4) where words[offset / 4] != 0 {
      throw TokenizerError(.reservedNotZero, at: UInt64(offset), found: UInt64(words[offset / 4]))
    }
  }
}

/// Hands out the ranges in their order and proves that they fill the section without a hole.
private struct RangeReader {
  let header: Header
  let sectionBytes: Int
  var end = UnigramLayout.headerBytes

  /// - Parameter bytes: the length the range must have; nil where any is allowed.
  mutating func next(_ range: UnigramLayout.Range, bytes: Int? = nil) throws(TokenizerError) -> Range<Int> {
    let entry = UnigramLayout.rangesOffset + 8 * range.rawValue
    let offset = Int(header.words[entry / 4])
    let length = Int(header.words[entry / 4 + 1])
    guard offset == end else {
      throw TokenizerError(.misplacedRange, at: UInt64(entry), found: UInt64(offset), required: UInt64(end))
    }
    if let bytes, length != bytes {
      throw TokenizerError(.wrongRangeLength, at: UInt64(entry + 4), found: UInt64(length), required: UInt64(bytes))
    }
    guard length <= sectionBytes - end else {
      throw TokenizerError(
        .misplacedRange, at: UInt64(entry + 4), found: UInt64(length), required: UInt64(sectionBytes - end))
    }
    end += length
    return offset..<end
  }

  mutating func nextTrie(_ range: UnigramLayout.Range) throws(TokenizerError) -> DoubleArray {
    let bytes = try next(range)
    guard bytes.count % 4 == 0, range != .pieceTrie || !bytes.isEmpty else {
      let entry = UnigramLayout.rangesOffset + 8 * range.rawValue
      let required = (bytes.count + 4) / 4 * 4
      throw TokenizerError(
        .wrongRangeLength, at: UInt64(entry + 4), found: UInt64(bytes.count), required: UInt64(required))
    }
    return DoubleArray(offset: bytes.lowerBound, unitCount: UInt32(bytes.count / 4))
  }

  func finish() throws(TokenizerError) {
    guard end == sectionBytes else {
      throw TokenizerError(.wrongLength, at: 8, found: UInt64(sectionBytes), required: UInt64(end))
    }
  }
}
