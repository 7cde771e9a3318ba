/// What `tokenizer_config.json` and `special_tokens_map.json` say about a WordPiece or byte-level BPE tokenizer.
struct SubwordSettings {
  private let config: ConfigFile?
  private let map: ConfigFile?

  /// - Parameters:
  ///   - config, specialTokensMap: contents of the two files, where they exist.
  init(config: [UInt8]?, specialTokensMap: [UInt8]?) throws(TokenizerBuilderError) {
    self.config = try config.map { (bytes) throws(TokenizerBuilderError) in
      try TokenizerJSON.decode(ConfigFile.self, bytes, "tokenizer_config.json")
    }
    map = try specialTokensMap.map { (bytes) throws(TokenizerBuilderError) in
      try TokenizerJSON.decode(ConfigFile.self, bytes, "special_tokens_map.json")
    }
  }

  var padToken: String? { (config?.padToken ?? map?.padToken)?.content }
  var unknownToken: String? { (config?.unkToken ?? map?.unkToken)?.content }
  var classToken: String? { (config?.clsToken ?? map?.clsToken)?.content }
  var separatorToken: String? { (config?.sepToken ?? map?.sepToken)?.content }
  var maskToken: String? { (config?.maskToken ?? map?.maskToken)?.content }
  var endToken: String? { (config?.eosToken ?? map?.eosToken)?.content }
  var additionalTokens: [String] {
    (config?.additionalSpecialTokens ?? map?.additionalSpecialTokens ?? []).map(\.content)
  }
  var addsPrefixSpace: Bool? { config?.addPrefixSpace }

  /// What BERT's normalizer does: as the settings say, else as `given` does.
  func normalization(_ given: CharacterTableWriter.Normalization) -> CharacterTableWriter.Normalization {
    var normalization = given
    if let lowercases = config?.doLowerCase {
      // Accents follow the case where nothing is said about them.
      if given.stripsAccents == given.lowercases { normalization.stripsAccents = lowercases }
      normalization.lowercases = lowercases
    }
    if let stripsAccents = config?.stripAccents { normalization.stripsAccents = stripsAccents }
    if let isolates = config?.tokenizeChineseChars { normalization.isolatesIdeographs = isolates }
    return normalization
  }

  /// The tokens that `added_tokens_decoder` lists, by id.
  func addedTokens(isNormalized: Bool) throws(TokenizerBuilderError) -> [CheckpointTokenizerSettings.AddedToken] {
    let subject = "tokenizer_config.json"
    var tokens: [CheckpointTokenizerSettings.AddedToken] = []
    for (key, token) in config?.addedTokensDecoder ?? [:] {
      guard let id = Int(key) else {
        throw TokenizerBuilderError(subject, "the added token id \(key) is not a number")
      }
      tokens.append(try token.checked(id: id, subject, isNormalized: isNormalized))
    }
    return tokens.sorted { $0.id < $1.id }
  }

  private struct ConfigFile: Decodable {
    let padToken, unkToken, clsToken, sepToken, maskToken, eosToken: CheckpointTokenizerSettings.TokenName?
    let additionalSpecialTokens: [CheckpointTokenizerSettings.TokenName]?
    let addedTokensDecoder: [String: CheckpointTokenizerSettings.ListedToken]?
    let doLowerCase, stripAccents, tokenizeChineseChars, addPrefixSpace: Bool?
  }
}
