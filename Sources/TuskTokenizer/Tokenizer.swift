import TuskFormat

/// Text to ids and back with a tokenizer section used where it is mapped: a value of this type owns no vocabulary.
///
/// - Source: formats/tokenizer.md.
public struct Tokenizer: Sendable {
  /// How text becomes pieces.
  public enum Kind: UInt32, CaseIterable, Sendable {
    /// SentencePiece Unigram: T5, XLM-RoBERTa.
    case unigram = 1
    /// BERT, DistilBERT, MiniLM.
    case wordPiece
    /// GPT-2's byte-level BPE: RoBERTa.
    case byteLevel
  }

  enum Model: Sendable {
    case unigram(UnigramSection)
    case wordPiece(SubwordSection)
    case byteLevel(SubwordSection)
  }

  public let kind: Kind
  let bytes: MappedBytes
  let model: Model

  /// Opens a section; reads its first 192 bytes only.
  /// - Throws: `TokenizerError` where the header is not one this reader accepts. Damage behind the header is no error:
  ///   it gives other ids.
  public init(_ section: MappedBytes) throws(TokenizerError) {
    let found = try section.withSpan { (span) throws(TokenizerError) in try SectionHeader.kind(span) }
    guard let kind = Kind(rawValue: found) else {
      throw TokenizerError(
        .unknownKind, at: 0, found: UInt64(found), required: UInt64(Kind.allCases.count))
    }
    switch kind {
    case .unigram: model = .unigram(try UnigramSection(section))
    case .wordPiece: model = .wordPiece(try SubwordSection(section, kind: kind))
    case .byteLevel: model = .byteLevel(try SubwordSection(section, kind: kind))
    }
    self.kind = kind
    bytes = section
  }

  /// The number of ids that have a piece, sentinels included. A model may have more rows than that.
  public var vocabularySize: Int { pieces.count }

  public var padId: Int32 {
    switch model {
    case .unigram(let model): model.padId
    case .wordPiece(let model), .byteLevel(let model): model.padId
    }
  }

  /// The id that ends a text: `</s>`, BERT's `[SEP]`.
  public var eosId: Int32 {
    switch model {
    case .unigram(let model): model.eosId
    case .wordPiece(let model), .byteLevel(let model): model.eosId
    }
  }

  public var unknownId: Int32 {
    switch model {
    case .unigram(let model): model.unknownId
    case .wordPiece(let model), .byteLevel(let model): model.unknownId
    }
  }

  /// The number of sentinels `<extra_id_N>`.
  public var sentinelCount: Int {
    if case .unigram(let model) = model { model.sentinelCount } else { 0 }
  }

  /// The id of `<extra_id_index>`.
  /// - Precondition: `index` is in `0 ..< sentinelCount`.
  public func sentinelId(_ index: Int) -> Int32 {
    guard case .unigram(let model) = model, index >= 0, index < model.sentinelCount else {
      preconditionFailure("no such sentinel")
    }
    return model.sentinelZeroId - Int32(index)
  }

  var pieces: PieceTable {
    switch model {
    case .unigram(let model): model.pieces
    case .wordPiece(let model), .byteLevel(let model): model.pieces
    }
  }

  private var specials: SpecialTokens {
    switch model {
    case .unigram(let model): model.specials
    case .wordPiece(let model), .byteLevel(let model): model.specials
    }
  }

  /// The most bytes a text may have.
  public static var textBytesLimit: Int { UnigramLayout.textBytesLimit }

  /// The ids of a text. Bytes that are not UTF-8 count as U+FFFD, one for each byte.
  /// - Parameter appendingEndOfSequence: give what a model takes: for T5 the end-of-sequence id behind the text, for an
  ///   encoder all that its template puts around one text, as `[CLS] text [SEP]`.
  /// - Throws: `TokenizerError.Kind.textTooLong`.
  /// - Complexity: O(bytes x longest piece) time, of byte-level BPE O(n log n) in the bytes of a word. Working memory beside
  ///   the ids: 13 bytes per normalized byte of the longest word (of the text, if the vocabulary has pieces of several
  ///   words), of byte-level BPE 52.
  public func encode(_ utf8: [UInt8], appendingEndOfSequence: Bool) throws(TokenizerError) -> [Int32] {
    try encode(utf8.span, appendingEndOfSequence: appendingEndOfSequence)
  }

  /// The ids of the text in `utf8`, as the array form gives them.
  public func encode(_ utf8: Span<UInt8>, appendingEndOfSequence: Bool) throws(TokenizerError) -> [Int32] {
    var steps = 0
    return try encode(utf8, appendingEndOfSequence: appendingEndOfSequence, steps: &steps)
  }

  /// - Parameter steps: receives the number of trie units or merges the search looked at.
  func encode(
    _ utf8: Span<UInt8>, appendingEndOfSequence: Bool, steps: inout Int
  ) throws(TokenizerError) -> [Int32] {
    guard utf8.count <= UnigramLayout.textBytesLimit else {
      let limit = UInt64(UnigramLayout.textBytesLimit)
      throw TokenizerError(.textTooLong, at: limit, found: UInt64(utf8.count), required: limit)
    }
    let ids = plainIds(utf8.bytes, &steps)
    return appendingEndOfSequence ? surrounded(ids) : ids
  }

  /// The ids of a text without anything around them.
  private func plainIds(_ text: RawSpan, _ steps: inout Int) -> [Int32] {
    bytes.withSpan { section in
      switch model {
      case .unigram(let model):
        var encoder = UnigramEncoder()
        encoder.ids.reserveCapacity(text.byteCount / 3 + 8)
        forEachStretch(of: text, in: section) { stretch, id in
          encoder.encodeStretch(stretch, of: text, with: model, in: section)
          if let id { encoder.ids.append(id) }
        }
        steps = encoder.lattice.steps
        return encoder.ids
      case .wordPiece(let model):
        var encoder = WordPieceEncoder()
        encoder.ids.reserveCapacity(text.byteCount / 4 + 8)
        forEachStretch(of: text, in: section) { stretch, id in
          encoder.encodeStretch(stretch, of: text, with: model, in: section)
          if let id { encoder.ids.append(id) }
        }
        steps = encoder.steps
        return encoder.ids
      case .byteLevel(let model):
        var encoder = ByteLevelEncoder()
        encoder.ids.reserveCapacity(text.byteCount / 4 + 8)
        forEachStretch(of: text, in: section) { stretch, id in
          encoder.encodeStretch(stretch, of: text, with: model, in: section)
          if let id { encoder.ids.append(id) }
        }
        steps = encoder.queue.steps
        return encoder.ids
      }
    }
  }

  /// Calls `body` with each stretch of ordinary text, empty ones included, and the special token behind it, if there is one.
  @inline(__always)
  private func forEachStretch(of text: RawSpan, in section: RawSpan, _ body: (Range<Int>, Int32?) -> Void) {
    let specials = specials
    var position = 0
    while let token = specials.next(from: position, of: text, in: section) {
      body(position..<token.range.lowerBound, token.id)
      position = token.range.upperBound
    }
    body(position..<text.byteCount, nil)
  }

  /// The bytes of the piece with this id, written as its vocabulary writes it: with U+2581 for a space, `##` before what
  /// continues a word, or GPT-2's letters for bytes. Empty when there is none.
  public func piece(_ id: Int32) -> [UInt8] {
    var text: [UInt8] = []
    bytes.withSpan { section in
      if let piece = pieces.piece(id, in: section) { text.append(section, piece) }
    }
    return text
  }
}
