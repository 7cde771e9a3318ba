import TuskFormat

/// Text to ids and back with a tokenizer section used where it is mapped: a value of this type owns no vocabulary.
///
/// - Source: formats/tokenizer.md.
public struct Tokenizer: Sendable {
  private let bytes: MappedBytes
  private let model: UnigramSection

  /// Opens a section; reads its first 192 bytes only.
  /// - Throws: `TokenizerError` where the header is not one this reader accepts. Damage behind the header is no error:
  ///   it gives other ids.
  public init(_ section: MappedBytes) throws(TokenizerError) {
    model = try UnigramSection(section)
    bytes = section
  }

  /// The number of ids that have a piece, sentinels included. A model may have more rows than that.
  public var vocabularySize: Int { model.pieceCount }
  public var padId: Int32 { model.padId }
  public var eosId: Int32 { model.eosId }
  public var unknownId: Int32 { model.unknownId }

  /// The number of sentinels `<extra_id_N>`.
  public var sentinelCount: Int { model.sentinelCount }

  /// The id of `<extra_id_index>`.
  /// - Precondition: `index` is in `0 ..< sentinelCount`.
  public func sentinelId(_ index: Int) -> Int32 {
    precondition(index >= 0 && index < sentinelCount, "no such sentinel")
    return model.sentinelZeroId - Int32(index)
  }

  /// The most bytes a text may have.
  public static var textBytesLimit: Int { UnigramLayout.textBytesLimit }

  /// The ids of a text. Bytes that are not UTF-8 count as U+FFFD, one for each byte.
  /// - Throws: `TokenizerError.Kind.textTooLong`.
  /// - Complexity: O(bytes x longest piece) time; 13 bytes of working memory per normalized byte of the longest word (of
  ///   the text, if the vocabulary has pieces of several words) beside the ids.
  public func encode(_ utf8: [UInt8], appendingEndOfSequence: Bool) throws(TokenizerError) -> [Int32] {
    try encode(utf8.span, appendingEndOfSequence: appendingEndOfSequence)
  }

  /// The ids of the text in `utf8`, as the array form gives them.
  public func encode(_ utf8: Span<UInt8>, appendingEndOfSequence: Bool) throws(TokenizerError) -> [Int32] {
    var steps = 0
    return try encode(utf8, appendingEndOfSequence: appendingEndOfSequence, steps: &steps)
  }

  /// - Parameter steps: receives the number of trie units the search looked at.
  func encode(
    _ utf8: Span<UInt8>, appendingEndOfSequence: Bool, steps: inout Int
  ) throws(TokenizerError) -> [Int32] {
    guard utf8.count <= UnigramLayout.textBytesLimit else {
      let limit = UInt64(UnigramLayout.textBytesLimit)
      throw TokenizerError(.textTooLong, at: limit, found: UInt64(utf8.count), required: limit)
    }
    var encoder = UnigramEncoder()
    encoder.ids.reserveCapacity(utf8.count / 3 + 8)
    let text = utf8.bytes
    bytes.withSpan { section in
      var position = 0
      while let token = model.nextSpecialToken(from: position, of: text, in: section) {
        encoder.encodeStretch(position..<token.range.lowerBound, of: text, with: model, in: section)
        encoder.ids.append(token.id)
        position = token.range.upperBound
      }
      encoder.encodeStretch(position..<text.byteCount, of: text, with: model, in: section)
    }
    if appendingEndOfSequence { encoder.ids.append(model.eosId) }
    steps = encoder.lattice.steps
    return encoder.ids
  }

  /// The text of `ids`. Ids without a piece give nothing.
  /// - Parameter skippingSpecialTokens: leave out control tokens and sentinels and write the unknown id as " U+2047 ";
  ///   otherwise each is written as its piece.
  public func decode(_ ids: [Int32], skippingSpecialTokens: Bool = true) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(ids.count * 4)
    bytes.withSpan { section in
      var dropsSpace = model.addsDummyPrefix || model.removesExtraWhitespaces
      for id in ids {
        guard let piece = model.piece(id, in: section) else { continue }
        switch model.type(of: id, in: section) {
        case .control, .added:
          if !skippingSpecialTokens { text.append(section, piece) }
        case .unknown:
          text.append(section, skippingSpecialTokens ? model.unknownText : piece)
        default:
          let dropped = text.appendPiece(section, piece, droppingSpace: dropsSpace && text.isEmpty)
          if dropped && !model.removesExtraWhitespaces { dropsSpace = false }
        }
      }
    }
    return text
  }

  /// The bytes of the piece with this id, with U+2581 for a space; empty when there is none.
  public func piece(_ id: Int32) -> [UInt8] {
    var text: [UInt8] = []
    bytes.withSpan { section in
      if let piece = model.piece(id, in: section) { text.append(section, piece) }
    }
    return text
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ source: RawSpan, _ range: Range<Int>) {
    for offset in range { append(source.unsafeLoad(fromByteOffset: offset, as: UInt8.self)) }
  }

  /// Appends a piece with each U+2581 as a space. Returns whether a leading one was dropped.
  fileprivate mutating func appendPiece(_ source: RawSpan, _ range: Range<Int>, droppingSpace: Bool) -> Bool {
    var position = range.lowerBound
    var dropped = false
    while position < range.upperBound {
      let byte = source.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      if byte == 0xE2, range.upperBound - position >= 3,
        source.unsafeLoad(fromByteOffset: position + 1, as: UInt8.self) == 0x96,
        source.unsafeLoad(fromByteOffset: position + 2, as: UInt8.self) == 0x81
      {
        if droppingSpace && position == range.lowerBound { dropped = true } else { append(0x20) }
        position += 3
      } else {
        append(byte)
        position += 1
      }
    }
    return dropped
  }
}
