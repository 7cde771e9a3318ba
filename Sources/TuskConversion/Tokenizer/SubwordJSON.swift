/// Reads Hugging Face's `tokenizer.json` of a WordPiece or byte-level BPE model.
enum SubwordJSON {
  private static let subject = "tokenizer.json"

  /// The type of the model a file describes.
  static func modelType(_ bytes: [UInt8]) throws(TokenizerBuilderError) -> String? {
    let model = try TokenizerJSON.decode(TypeFile.self, bytes, subject).model
    return model.type ?? (model.merges == nil ? nil : "BPE")
  }

  /// - Throws: `TokenizerBuilderError` where the file describes something else than BERT's or GPT-2's way.
  static func vocabulary(
    _ bytes: [UInt8], _ settings: SubwordSettings, limit: Int
  ) throws(TokenizerBuilderError) -> SubwordVocabulary {
    let file = try TokenizerJSON.decode(File.self, bytes, subject)
    let isWordPiece = file.model.type == "WordPiece"
    let model = isWordPiece ? try wordPiece(file, settings) : try byteLevel(file, settings)
    var vocabulary = SubwordVocabulary(model, subject: subject, limit: limit)
    try vocabulary.addPieces(JSONVocabulary.members(bytes, at: ["model", "vocab"], subject: subject))
    for token in file.addedTokens ?? [] {
      guard let id = token.id else {
        throw TokenizerBuilderError(subject, "the added token \(token.content) has no id")
      }
      try vocabulary.addSpecialToken(token.checked(id: id, subject, isNormalized: isWordPiece))
    }
    for token in try settings.addedTokens(isNormalized: isWordPiece) { try vocabulary.addSpecialToken(token) }
    try addTemplates(file, to: &vocabulary)
    vocabulary.wordCharacters = file.model.maxInputCharsPerWord ?? 100
    vocabulary.unknownToken = file.model.unkToken ?? (isWordPiece ? "[UNK]" : nil)
    try addSpecialIds(settings, isWordPiece: isWordPiece, to: &vocabulary)
    var pairs: [(left: [UInt8], right: [UInt8])] = []
    for merge in file.model.merges ?? [] { pairs.append((merge.left, merge.right)) }
    try vocabulary.addMerges(pairs)
    return vocabulary
  }

  private static func addSpecialIds(
    _ settings: SubwordSettings, isWordPiece: Bool, to vocabulary: inout SubwordVocabulary
  ) throws(TokenizerBuilderError) {
    let ids = vocabulary.ids
    func id(_ names: [String?]) -> Int? {
      names.compactMap { $0.flatMap { ids[[UInt8]($0.utf8)] } }.first
    }
    let last = vocabulary.template.lazy.compactMap { if case .token(let id, _) = $0 { id } else { nil } }.last
    guard let end = last ?? id([settings.endToken, "</s>", "<|endoftext|>"]) else {
      throw TokenizerBuilderError(
        subject, "no token that ends a text found, one in the template or an eos_token required")
    }
    vocabulary.eosId = end
    if let unknown = vocabulary.unknownToken {
      vocabulary.unknownId = try vocabulary.id(of: unknown)
    } else {
      vocabulary.unknownId = id([settings.unknownToken, "<unk>"]) ?? end
    }
    vocabulary.padId = id([settings.padToken, isWordPiece ? "[PAD]" : "<pad>"]) ?? end
  }

  private static func wordPiece(
    _ file: File, _ settings: SubwordSettings
  ) throws(TokenizerBuilderError) -> SubwordVocabulary.Model {
    guard let normalizer = file.normalizer, normalizer.type == "BertNormalizer" else {
      throw TokenizerBuilderError(
        subject, "the normalizer \(file.normalizer?.type ?? "none") found, BertNormalizer required")
    }
    guard file.preTokenizer?.type == "BertPreTokenizer" else {
      throw TokenizerBuilderError(
        subject, "the pre-tokenizer \(file.preTokenizer?.type ?? "none") found, BertPreTokenizer required")
    }
    guard file.model.continuingSubwordPrefix ?? "##" == "##" else {
      throw TokenizerBuilderError(subject, "the prefix \(file.model.continuingSubwordPrefix!) found, ## required")
    }
    let lowercases = normalizer.lowercase ?? true
    let given = CharacterTableWriter.Normalization(
      cleansText: normalizer.cleanText ?? true, isolatesIdeographs: normalizer.handleChineseChars ?? true,
      stripsAccents: normalizer.stripAccents ?? lowercases, lowercases: lowercases)
    return .wordPiece(settings.normalization(given))
  }

  private static func byteLevel(
    _ file: File, _ settings: SubwordSettings
  ) throws(TokenizerBuilderError) -> SubwordVocabulary.Model {
    if let normalizer = file.normalizer {
      throw TokenizerBuilderError(
        subject, "the normalizer \(normalizer.type ?? "none") found, none is supported for BPE")
    }
    guard let step = file.preTokenizer, step.type == "ByteLevel", step.useRegex ?? true else {
      throw TokenizerBuilderError(
        subject,
        "the pre-tokenizer \(file.preTokenizer?.type ?? "none") found, ByteLevel with GPT-2's expression required")
    }
    let model = file.model
    guard model.dropout ?? 0 == 0, (model.continuingSubwordPrefix ?? "").isEmpty, (model.endOfWordSuffix ?? "").isEmpty,
      !(model.byteFallback ?? false), !(model.ignoreMerges ?? false), !(model.fuseUnk ?? false) || model.unkToken == nil
    else {
      throw TokenizerBuilderError(
        subject,
        "a BPE model with dropout, affixes, byte_fallback, ignore_merges or fuse_unk found, none of them required")
    }
    return .byteLevel(addsPrefixSpace: settings.addsPrefixSpace ?? step.addPrefixSpace ?? true)
  }

  private static func addTemplates(
    _ file: File, to vocabulary: inout SubwordVocabulary
  ) throws(TokenizerBuilderError) {
    let texts: [SubwordVocabulary.TemplateItem] = [.text(0, typeId: 0), .text(1, typeId: 1)]
    guard let processor = file.postProcessor, processor.type != "ByteLevel" else {
      vocabulary.template = [texts[0]]
      vocabulary.pairTemplate = texts
      return
    }
    switch (processor.type, processor.cls, processor.sep) {
    case ("TemplateProcessing", _, _):
      vocabulary.template = try items(processor.single ?? [], processor)
      vocabulary.pairTemplate = try items(processor.pair ?? [], processor)
    case ("BertProcessing", let begin?, let end?):
      vocabulary.template = [.token(begin.id, typeId: 0), texts[0], .token(end.id, typeId: 0)]
      vocabulary.pairTemplate = vocabulary.template + [texts[1], .token(end.id, typeId: 1)]
    case ("RobertaProcessing", let begin?, let end?):
      let separator = SubwordVocabulary.TemplateItem.token(end.id, typeId: 0)
      vocabulary.template = [.token(begin.id, typeId: 0), texts[0], separator]
      vocabulary.pairTemplate = vocabulary.template + [separator, .text(1, typeId: 0), separator]
    default:
      throw TokenizerBuilderError(
        subject,
        "the post-processor \(processor.type ?? "none") found, TemplateProcessing, BertProcessing, RobertaProcessing or "
          + "ByteLevel required")
    }
    for case .token(let id, _) in vocabulary.template + vocabulary.pairTemplate
    where !vocabulary.pieces.indices.contains(id) {
      throw TokenizerBuilderError(subject, "the post-processor names id \(id), which has no piece")
    }
    guard vocabulary.template.count > 0, vocabulary.pairTemplate.count > 1 else {
      throw TokenizerBuilderError(subject, "a template without a text found, one text and a pair of them required")
    }
  }

  private static func items(
    _ parts: [PostProcessorJSON.Part], _ processor: PostProcessorJSON
  ) throws(TokenizerBuilderError) -> [SubwordVocabulary.TemplateItem] {
    var items: [SubwordVocabulary.TemplateItem] = []
    for part in parts {
      if let text = part.sequence {
        items.append(.text(text.id == "A" ? 0 : 1, typeId: text.typeId))
      } else if let token = part.specialToken, let ids = processor.specialTokens?[token.id]?.ids {
        items += ids.map { .token($0, typeId: token.typeId) }
      } else {
        throw TokenizerBuilderError(subject, "a template part that names no text and no token")
      }
    }
    return items
  }
}

private struct TypeFile: Decodable {
  struct Model: Decodable {
    let type: String?
    let merges: [Merge]?
  }

  let model: Model
}

private struct File: Decodable {
  let addedTokens: [CheckpointTokenizerSettings.ListedToken]?
  let normalizer: Normalizer?
  let preTokenizer: PreTokenizer?
  let postProcessor: PostProcessorJSON?
  let model: Model
}

private struct Normalizer: Decodable {
  let type: String?
  let cleanText, handleChineseChars, stripAccents, lowercase: Bool?
}

private struct PreTokenizer: Decodable {
  let type: String?
  let addPrefixSpace, useRegex: Bool?
}

private struct Model: Decodable {
  let type, unkToken, continuingSubwordPrefix, endOfWordSuffix: String?
  let maxInputCharsPerWord: Int?
  let dropout: Double?
  let byteFallback, ignoreMerges, fuseUnk: Bool?
  let merges: [Merge]?
}

/// A pair of pieces: a list of two, or one text with a space.
private struct Merge: Decodable {
  let left, right: [UInt8]

  init(from decoder: any Decoder) throws {
    if var list = try? decoder.unkeyedContainer() {
      left = [UInt8](try list.decode(String.self).utf8)
      right = [UInt8](try list.decode(String.self).utf8)
      return
    }
    let container = try decoder.singleValueContainer()
    guard let pair = SubwordFiles.pair([UInt8](try container.decode(String.self).utf8)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "a merge of two pieces required")
    }
    (left, right) = pair
  }
}
