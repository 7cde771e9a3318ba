import TuskTokenizer

/// A WordPiece or byte-level BPE tokenizer as a checkpoint gives it, before it is packed.
struct SubwordVocabulary {
  enum Model: Equatable {
    case wordPiece(CharacterTableWriter.Normalization)
    case byteLevel(addsPrefixSpace: Bool)
  }

  struct Merge: Equatable {
    let left: Int
    let right: Int
    let result: Int
  }

  enum TemplateItem: Equatable {
    case text(Int, typeId: Int)
    case token(Int, typeId: Int)
  }

  let model: Model
  /// Indexed by id; nil where there is none. Bytes, since equal strings may be different pieces.
  private(set) var pieces: [[UInt8]?] = []
  private(set) var ids: [[UInt8]: Int] = [:]
  /// The ids of the model's own pieces; added tokens are found in a text only as they are written.
  private(set) var modelIds: [[UInt8]: Int] = [:]
  /// By rank.
  private(set) var merges: [Merge] = []
  private(set) var specialTokens: [CheckpointTokenizerSettings.AddedToken] = []
  var wordCharacters = 100
  var unknownToken: String?
  var padId = 0
  var eosId = 0
  var unknownId = 0
  var template: [TemplateItem] = []
  var pairTemplate: [TemplateItem] = []

  private let subject: String
  private let limit: Int

  /// - Parameters:
  ///   - subject: the file the vocabulary is from, for errors.
  ///   - limit: rows of the model's embedding; no id may reach it.
  init(_ model: Model, subject: String, limit: Int) {
    self.model = model
    self.subject = subject
    self.limit = limit
  }

  /// Adds the pieces of the model. Where a text comes twice, the larger id is its id.
  mutating func addPieces(_ entries: [(text: [UInt8], id: Int)]) throws(TokenizerBuilderError) {
    for (text, id) in entries.sorted(by: { $0.id < $1.id }) {
      try place(text, at: id)
      modelIds[text] = id
    }
  }

  /// - Parameter pairs: the two pieces of each merge, by rank.
  mutating func addMerges(_ pairs: [(left: [UInt8], right: [UInt8])]) throws(TokenizerBuilderError) {
    merges.reserveCapacity(pairs.count)
    for (rank, pair) in pairs.enumerated() {
      guard let left = modelIds[pair.left], let right = modelIds[pair.right],
        let result = modelIds[pair.left + pair.right]
      else {
        throw TokenizerBuilderError(
          subject,
          "merge \(rank), \(shown(pair.left)) and \(shown(pair.right)), has a part or a result that is no piece")
      }
      merges.append(Merge(left: left, right: right, result: result))
    }
  }

  /// Makes `token` one that is recognized as it is written.
  mutating func addSpecialToken(_ token: CheckpointTokenizerSettings.AddedToken) throws(TokenizerBuilderError) {
    let text = [UInt8](token.content.utf8)
    guard !text.isEmpty, !specialTokens.contains(where: { [UInt8]($0.content.utf8) == text }) else { return }
    if let id = ids[text] {
      guard id == token.id else {
        throw TokenizerBuilderError(subject, "\(token.content) has id \(id), \(token.id) required")
      }
    } else {
      try place(text, at: token.id)
    }
    specialTokens.append(token)
  }

  func id(of token: String) throws(TokenizerBuilderError) -> Int {
    guard let id = ids[[UInt8](token.utf8)] else {
      throw TokenizerBuilderError(subject, "no piece \(token) found, one required")
    }
    return id
  }

  private mutating func place(_ text: [UInt8], at id: Int) throws(TokenizerBuilderError) {
    guard id >= 0, id < limit else {
      throw TokenizerBuilderError(
        subject, "\(shown(text)) has id \(id), below \(limit), the rows of the model, required")
    }
    while pieces.count <= id { pieces.append(nil) }
    guard pieces[id] == nil else {
      throw TokenizerBuilderError(subject, "id \(id) is the piece \(shown(pieces[id]!)), \(shown(text)) required")
    }
    pieces[id] = text
    ids[text] = id
  }

  private func shown(_ text: [UInt8]) -> String { String(decoding: text, as: UTF8.self) }
}
