import TuskTokenizer

/// A Unigram tokenizer as a checkpoint gives it, before it is packed.
struct UnigramVocabulary {
  struct Piece {
    var text: [UInt8]
    var score: Float
    var type: UnigramLayout.PieceType
  }

  struct SpecialToken {
    let id: Int
    let takesWhitespaceBefore: Bool
    let takesWhitespaceAfter: Bool
  }

  /// Indexed by id.
  var pieces: [Piece] = []
  var specialTokens: [SpecialToken] = []
  var padId = 0
  var eosId = 0
  var unknownId = 0
  var sentinelCount = 0
  /// The id that a text begins with, if the model expects one.
  var beginId: Int?

  /// SentencePiece's precompiled character map: trie size, trie, texts. Empty for none.
  var characterMap: [UInt8] = []
  var addsDummyPrefix = true
  var removesExtraWhitespaces = true
  var escapesWhitespaces = true
  var prefixesOnlyAtStart = false
  var unknownText = [UInt8](" \u{2047} ".utf8)

  /// The vocabulary with XLM-RoBERTa's ids: its own four tokens in front of the normal pieces, `<mask>` behind them; or
  /// with CamemBERT's, whose five tokens leave SentencePiece's `<s>` and `</s>` where they are.
  /// - Throws: `TokenizerBuilderError` where the first pieces are not those whose places these tokens take.
  func withFairseqIds(
    _ ids: TokenizerBuilder.FairseqIds, subject: String
  ) throws(TokenizerBuilderError) -> UnigramVocabulary {
    let replaced = pieces.prefix(3).map { String(decoding: $0.text, as: UTF8.self) }
    guard replaced == ["<unk>", "<s>", "</s>"] else {
      throw TokenizerBuilderError(subject, "the first pieces \(replaced) found, <unk>, <s>, </s> required")
    }
    func piece(_ text: String, _ type: UnigramLayout.PieceType) -> Piece {
      Piece(text: [UInt8](text.utf8), score: 0, type: type)
    }
    var vocabulary = self
    let isCamembert = ids == .camembert
    vocabulary.pieces =
      isCamembert
      ? [
        piece("<s>NOTUSED", .control), piece("<pad>", .control), piece("</s>NOTUSED", .control),
        piece("<unk>", .unknown), piece("<unk>NOTUSED", .control), piece("<s>", .control), piece("</s>", .control),
      ]
      : [piece("<s>", .control), piece("<pad>", .control), piece("</s>", .control), piece("<unk>", .unknown)]
    vocabulary.pieces += pieces.dropFirst(3) + [piece("<mask>", .control)]
    vocabulary.unknownId = 3
    vocabulary.beginId = isCamembert ? 5 : 0
    return vocabulary
  }

  /// Makes the tokens of `settings` special and appends the sentinels.
  /// - Parameter subject: the file the pieces came from, for errors.
  mutating func addSpecialTokens(
    _ settings: CheckpointTokenizerSettings, vocabularySize: Int, subject: String
  ) throws(TokenizerBuilderError) {
    var flags: [String: CheckpointTokenizerSettings.AddedToken] = [:]
    for token in settings.addedTokens { flags[token.content] = token }
    padId = try id(of: settings.padToken, subject)
    eosId = try id(of: settings.eosToken, subject)
    for (id, content) in [(padId, settings.padToken), (eosId, settings.eosToken)] where pieces[id].type != .unknown {
      pieces[id].type = .control
      append(flags.removeValue(forKey: content), id)
    }
    append(flags.removeValue(forKey: String(decoding: pieces[unknownId].text, as: UTF8.self)), unknownId)

    // Where a tokenizer.json lists the sentinels among its pieces, they are there already.
    let firstSentinel = try firstSentinelId(count: settings.sentinelCount)
    sentinelCount = settings.sentinelCount
    guard firstSentinel + sentinelCount <= vocabularySize else {
      throw TokenizerBuilderError(
        subject,
        "\(firstSentinel) pieces and \(sentinelCount) sentinels found, the model has \(vocabularySize) rows; state the "
          + "number of sentinels as extra_ids in tokenizer_config.json")
    }
    for index in 0..<sentinelCount {
      let id = firstSentinel + sentinelCount - 1 - index
      let content = "<extra_id_\(index)>"
      let token = flags.removeValue(forKey: content)
      if let token, token.id != id {
        throw TokenizerBuilderError(subject, "\(content) has id \(token.id), id \(id) required")
      }
      try place([UInt8](content.utf8), at: id, limit: vocabularySize, subject)
      append(token, id)
    }
    for token in flags.values.sorted(by: { $0.id < $1.id }) {
      try place([UInt8](token.content.utf8), at: token.id, limit: vocabularySize, subject)
      append(token, token.id)
    }
    guard pieces.count <= vocabularySize else {
      throw TokenizerBuilderError(subject, "\(pieces.count) pieces found, the model has \(vocabularySize) rows")
    }
  }

  /// The id of `<extra_id_(count - 1)>`, the smallest of the sentinels.
  private func firstSentinelId(count: Int) throws(TokenizerBuilderError) -> Int {
    guard count > 0 else { return pieces.count }
    let last = [UInt8]("<extra_id_\(count - 1)>".utf8)
    return pieces.firstIndex { $0.text == last } ?? pieces.count
  }

  /// Makes the piece `id` the added token `text`.
  private mutating func place(
    _ text: [UInt8], at id: Int, limit: Int, _ subject: String
  ) throws(TokenizerBuilderError) {
    let content = String(decoding: text, as: UTF8.self)
    guard id >= 0, id < limit else {
      throw TokenizerBuilderError(subject, "\(content) has id \(id), below \(limit) required")
    }
    while pieces.count <= id { pieces.append(Piece(text: [], score: 0, type: .unused)) }
    guard pieces[id].text.isEmpty || pieces[id].text == text else {
      let found = String(decoding: pieces[id].text, as: UTF8.self)
      throw TokenizerBuilderError(subject, "id \(id) is the piece \(found), \(content) required")
    }
    pieces[id] = Piece(text: text, score: 0, type: .added)
  }

  private mutating func append(_ token: CheckpointTokenizerSettings.AddedToken?, _ id: Int) {
    specialTokens.append(
      SpecialToken(
        id: id, takesWhitespaceBefore: token?.takesWhitespaceBefore ?? false,
        takesWhitespaceAfter: token?.takesWhitespaceAfter ?? false))
  }

  private func id(of content: String, _ subject: String) throws(TokenizerBuilderError) -> Int {
    let text = [UInt8](content.utf8)
    guard let id = pieces.firstIndex(where: { $0.text == text }) else {
      throw TokenizerBuilderError(subject, "no piece \(content) found, one required")
    }
    return id
  }
}
