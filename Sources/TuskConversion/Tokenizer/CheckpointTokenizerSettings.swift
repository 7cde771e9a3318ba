import Foundation

/// What the files beside a vocabulary say about special tokens.
struct CheckpointTokenizerSettings {
  struct AddedToken {
    let id: Int
    let content: String
    let takesWhitespaceBefore: Bool
    let takesWhitespaceAfter: Bool
  }

  private(set) var padToken = "<pad>"
  private(set) var eosToken = "</s>"
  /// Tokens with ids and white space rules, if a file lists them.
  private(set) var addedTokens: [AddedToken] = []
  private(set) var sentinelCount = 100

  /// T5's own: 100 sentinels.
  init() {}

  /// - Parameters:
  ///   - config, specialTokensMap: contents of `tokenizer_config.json` and `special_tokens_map.json`, where they exist.
  ///   - listed: the tokens that `tokenizer.json` adds.
  init(config: [UInt8]?, specialTokensMap: [UInt8]?, listed: [ListedToken]?) throws(TokenizerBuilderError) {
    let config = try config.map { (bytes) throws(TokenizerBuilderError) in
      try TokenizerJSON.decode(ConfigFile.self, bytes, "tokenizer_config.json")
    }
    let map = try specialTokensMap.map { (bytes) throws(TokenizerBuilderError) in
      try TokenizerJSON.decode(ConfigFile.self, bytes, "special_tokens_map.json")
    }
    if let name = config?.padToken ?? map?.padToken { padToken = name.content }
    if let name = config?.eosToken ?? map?.eosToken { eosToken = name.content }
    if let decoder = config?.addedTokensDecoder {
      for (key, token) in decoder.sorted(by: { $0.key < $1.key }) {
        guard let id = Int(key) else {
          throw TokenizerBuilderError("tokenizer_config.json", "the added token id \(key) is not a number")
        }
        addedTokens.append(try token.checked(id: id, "tokenizer_config.json"))
      }
    } else if let listed {
      for token in listed {
        guard let id = token.id else {
          throw TokenizerBuilderError("tokenizer.json", "the added token \(token.content) has no id")
        }
        addedTokens.append(try token.checked(id: id, "tokenizer.json"))
      }
    }
    let listedCount = addedTokens.count { Self.isSentinel($0.content) }
    if listedCount > 0 {
      sentinelCount = listedCount
    } else if let count = config?.sentinelCount ?? map?.sentinelCount {
      sentinelCount = count
    }
    guard (0...100_000).contains(sentinelCount) else {
      throw TokenizerBuilderError("tokenizer_config.json", "extra_ids is \(sentinelCount), 0 ... 100000 required")
    }
  }

  /// For a model that has none and does not say so.
  mutating func dropSentinels() { sentinelCount = 0 }

  /// The tokens of XLM-RoBERTa and its kin, where no file lists them.
  mutating func useFairseqTokens(beginId: Int, maskId: Int) {
    dropSentinels()
    guard addedTokens.isEmpty else { return }
    addedTokens = [
      AddedToken(id: beginId, content: "<s>", takesWhitespaceBefore: false, takesWhitespaceAfter: false),
      AddedToken(id: maskId, content: "<mask>", takesWhitespaceBefore: true, takesWhitespaceAfter: false),
    ]
  }

  private static func isSentinel(_ content: String) -> Bool {
    content.hasPrefix("<extra_id_") && content.hasSuffix(">")
  }

  /// An added token as the JSON files write it.
  struct ListedToken: Decodable {
    let id: Int?
    let content: String
    let singleWord: Bool?
    let lstrip: Bool?
    let rstrip: Bool?
    let normalized: Bool?
    let special: Bool?

    /// - Parameter isNormalized: whether the tokenizer has a normalizer, which a token must not be matched behind.
    func checked(
      id: Int, _ subject: String, isNormalized: Bool = true
    ) throws(TokenizerBuilderError) -> AddedToken {
      guard special ?? true, !(normalized ?? false) || !isNormalized, !(singleWord ?? false) else {
        throw TokenizerBuilderError(
          subject, "the added token \(content) is not special, or is normalized or a single word; not supported")
      }
      return AddedToken(
        id: id, content: content, takesWhitespaceBefore: lstrip ?? false, takesWhitespaceAfter: rstrip ?? false)
    }
  }

  /// A token's name: a string, or an object with its content.
  struct TokenName: Decodable {
    let content: String

    private enum CodingKeys: CodingKey { case content }

    init(from decoder: any Decoder) throws {
      if let name = try? decoder.singleValueContainer().decode(String.self) {
        content = name
      } else {
        content = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .content)
      }
    }
  }

  private struct ConfigFile: Decodable {
    let padToken: TokenName?
    let eosToken: TokenName?
    let extraIds: Int?
    let additionalSpecialTokens: [TokenName]?
    let addedTokensDecoder: [String: ListedToken]?

    var sentinelCount: Int? {
      let named = (additionalSpecialTokens ?? []).count { isSentinel($0.content) }
      return named > 0 ? named : extraIds
    }
  }
}
