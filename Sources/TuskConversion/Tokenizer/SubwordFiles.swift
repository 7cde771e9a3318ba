/// Makes vocabularies from the files that came before `tokenizer.json`: vocab.txt, and vocab.json with merges.txt.
enum SubwordFiles {
  private typealias AddedToken = CheckpointTokenizerSettings.AddedToken

  /// BERT's `vocab.txt`: one piece a line.
  static func wordPiece(
    _ bytes: [UInt8], _ settings: SubwordSettings, limit: Int
  ) throws(TokenizerBuilderError) -> SubwordVocabulary {
    let subject = "vocab.txt"
    var vocabulary = SubwordVocabulary(
      .wordPiece(settings.normalization(.init())), subject: subject, limit: limit)
    try vocabulary.addPieces(lines(bytes).enumerated().map { ($0.element, $0.offset) })
    let classToken = settings.classToken ?? "[CLS]"
    let separator = settings.separatorToken ?? "[SEP]"
    let unknown = settings.unknownToken ?? "[UNK]"
    let pad = settings.padToken ?? "[PAD]"
    vocabulary.unknownToken = unknown
    vocabulary.unknownId = try vocabulary.id(of: unknown)
    vocabulary.eosId = try vocabulary.id(of: separator)
    vocabulary.padId = try vocabulary.id(of: pad)
    try addSpecialTokens(
      [unknown, separator, pad, classToken, settings.maskToken ?? "[MASK]"] + settings.additionalTokens,
      listed: settings.addedTokens(isNormalized: true), to: &vocabulary)
    let (begin, end) = (try vocabulary.id(of: classToken), vocabulary.eosId)
    vocabulary.template = [.token(begin, typeId: 0), .text(0, typeId: 0), .token(end, typeId: 0)]
    vocabulary.pairTemplate = vocabulary.template + [.text(1, typeId: 1), .token(end, typeId: 1)]
    return vocabulary
  }

  /// The `vocab.json` and `merges.txt` of RoBERTa; of GPT-2 where no piece is the class token.
  static func byteLevel(
    vocabulary json: [UInt8], merges: [UInt8], _ settings: SubwordSettings, limit: Int
  ) throws(TokenizerBuilderError) -> SubwordVocabulary {
    let subject = "vocab.json"
    _ = try TokenizerJSON.decode([String: Int].self, json, subject)
    var vocabulary = SubwordVocabulary(
      .byteLevel(addsPrefixSpace: settings.addsPrefixSpace ?? false), subject: subject, limit: limit)
    try vocabulary.addPieces(JSONVocabulary.members(json, at: [], subject: subject))
    try vocabulary.addMerges(pairs(merges))
    let classToken = settings.classToken ?? "<s>"
    let listed = try settings.addedTokens(isNormalized: false)
    guard vocabulary.ids[[UInt8](classToken.utf8)] != nil else {
      let end = settings.endToken ?? "<|endoftext|>"
      vocabulary.eosId = try vocabulary.id(of: end)
      vocabulary.unknownId = vocabulary.eosId
      vocabulary.padId = vocabulary.eosId
      vocabulary.template = [.text(0, typeId: 0)]
      vocabulary.pairTemplate = [.text(0, typeId: 0), .text(1, typeId: 1)]
      try addSpecialTokens([end] + settings.additionalTokens, listed: listed, to: &vocabulary)
      return vocabulary
    }
    let separator = settings.separatorToken ?? "</s>"
    let (unknown, pad) = (settings.unknownToken ?? "<unk>", settings.padToken ?? "<pad>")
    let begin = try vocabulary.id(of: classToken)
    let end = try vocabulary.id(of: separator)
    vocabulary.unknownId = try vocabulary.id(of: unknown)
    vocabulary.padId = try vocabulary.id(of: pad)
    vocabulary.eosId = end
    vocabulary.template = [.token(begin, typeId: 0), .text(0, typeId: 0), .token(end, typeId: 0)]
    vocabulary.pairTemplate =
      vocabulary.template + [.token(end, typeId: 0), .text(1, typeId: 0), .token(end, typeId: 0)]
    let mask = settings.maskToken ?? "<mask>"
    var tokens = listed
    if let id = vocabulary.ids[[UInt8](mask.utf8)], !listed.contains(where: { $0.id == id }) {
      tokens.append(AddedToken(id: id, content: mask, takesWhitespaceBefore: true, takesWhitespaceAfter: false))
    }
    try addSpecialTokens(
      [classToken, pad, separator, unknown] + settings.additionalTokens, listed: tokens, to: &vocabulary)
    return vocabulary
  }

  /// Makes the tokens `listed` special, then those of `names` that are not among them; a name without an id gets the next.
  private static func addSpecialTokens(
    _ names: [String], listed: [AddedToken], to vocabulary: inout SubwordVocabulary
  ) throws(TokenizerBuilderError) {
    for token in listed { try vocabulary.addSpecialToken(token) }
    for name in names {
      let id = vocabulary.ids[[UInt8](name.utf8)] ?? vocabulary.pieces.count
      try vocabulary.addSpecialToken(
        AddedToken(id: id, content: name, takesWhitespaceBefore: false, takesWhitespaceAfter: false))
    }
  }

  /// The lines of a text, ended by LF, CR or both; a last one without an end counts.
  private static func lines(_ bytes: [UInt8]) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count
      lines.append([UInt8](bytes[start..<end]))
      start = end + (bytes[end...].starts(with: [0x0D, 0x0A]) ? 2 : 1)
    }
    return lines
  }

  private static func pairs(
    _ bytes: [UInt8]
  ) throws(TokenizerBuilderError) -> [(left: [UInt8], right: [UInt8])] {
    var pairs: [(left: [UInt8], right: [UInt8])] = []
    for (number, line) in lines(bytes).enumerated() where !line.isEmpty && !line.starts(with: "#version".utf8) {
      guard let pair = Self.pair(line) else {
        throw TokenizerBuilderError("merges.txt", "line \(number + 1) is not two pieces with a space between them")
      }
      pairs.append(pair)
    }
    return pairs
  }

  /// The two pieces that a merge names.
  static func pair(_ text: [UInt8]) -> (left: [UInt8], right: [UInt8])? {
    let parts = text.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    return ([UInt8](parts[0]), [UInt8](parts[1]))
  }
}
