import Foundation
import TuskTokenizer

/// Reads Hugging Face's `tokenizer.json` of a Unigram model.
enum TokenizerJSON {
  private static let subject = "tokenizer.json"

  /// The tokens the file adds to the vocabulary.
  static func addedTokens(
    _ bytes: [UInt8]
  ) throws(TokenizerBuilderError) -> [CheckpointTokenizerSettings.ListedToken] {
    try decode(AddedTokensFile.self, bytes, subject).addedTokens ?? []
  }

  /// - Throws: `TokenizerBuilderError` where the file describes something that does not give the ids of SentencePiece.
  static func vocabulary(_ bytes: [UInt8]) throws(TokenizerBuilderError) -> UnigramVocabulary {
    let file = try decode(TokenizerFile.self, bytes, subject)
    guard file.model.type == "Unigram", !(file.model.byteFallback ?? false) else {
      throw TokenizerBuilderError(
        subject, "a model of type \(file.model.type ?? "none") found, Unigram without byte_fallback required")
    }
    var vocabulary = UnigramVocabulary()
    vocabulary.pieces = file.model.vocab.map {
      UnigramVocabulary.Piece(text: [UInt8]($0.text.utf8), score: Float($0.score), type: .normal)
    }
    guard let unknown = file.model.unkId, vocabulary.pieces.indices.contains(unknown) else {
      throw TokenizerBuilderError(subject, "no unk_id that names a piece found, one required")
    }
    vocabulary.unknownId = unknown
    vocabulary.pieces[unknown].type = .unknown
    if let processor = file.postProcessor, let beginId = processor.beginId {
      guard vocabulary.pieces.indices.contains(beginId), processor.isRobertaLike else {
        throw TokenizerBuilderError(
          subject,
          "a post-processor with a token in front of a text found; only <s> A </s> with the pair "
            + "<s> A </s> </s> B </s> is supported for Unigram")
      }
      vocabulary.beginId = beginId
    }
    vocabulary.characterMap = try characterMap(file)
    try readPreTokenizer(file, into: &vocabulary)
    return vocabulary
  }

  static func decode<T: Decodable>(
    _ type: T.Type, _ bytes: [UInt8], _ subject: String
  ) throws(TokenizerBuilderError) -> T {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch {
      throw TokenizerBuilderError(subject, "not the JSON this reader expects: \(error)")
    }
  }

  private static func characterMap(_ file: TokenizerFile) throws(TokenizerBuilderError) -> [UInt8] {
    let maps = (file.normalizer?.flattened ?? []).filter { $0.type == "Precompiled" }
    guard maps.count == 1, let text = maps[0].precompiledCharsmap else {
      throw TokenizerBuilderError(
        subject,
        "\(maps.count) Precompiled normalizers found, 1 required: without it full-width letters, ligatures and control "
          + "characters become other ids than those the model was trained on; use the checkpoint's spiece.model, or a "
          + "tokenizer.json written by transformers 4")
    }
    guard let map = Data(base64Encoded: text) else {
      throw TokenizerBuilderError(subject, "precompiled_charsmap is not base64")
    }
    return [UInt8](map)
  }

  private static func readPreTokenizer(
    _ file: TokenizerFile, into vocabulary: inout UnigramVocabulary
  ) throws(TokenizerBuilderError) {
    let steps = file.preTokenizer?.flattened ?? []
    guard let metaspace = steps.last, metaspace.type == "Metaspace", metaspace.replacement ?? "\u{2581}" == "\u{2581}",
      steps.count == 1 || (steps.count == 2 && steps[0].type == "WhitespaceSplit")
    else {
      throw TokenizerBuilderError(
        subject, "the pre-tokenizers \(steps.map { $0.type ?? "none" }) found, [WhitespaceSplit,] Metaspace required")
    }
    let normalizers = (file.normalizer?.flattened ?? []).map { $0.type ?? "none" }
    let collapses = normalizers == ["Precompiled", "Strip", "Replace"]
    guard collapses || (steps.count == 2 && normalizers == ["Precompiled"]) else {
      throw TokenizerBuilderError(
        subject,
        "the normalizers \(normalizers) found, Precompiled with Strip and Replace or with WhitespaceSplit required")
    }
    switch metaspace.prependScheme ?? ((metaspace.addPrefixSpace ?? true) ? "always" : "never") {
    case "always": break
    case "first" where steps.count == 1: vocabulary.prefixesOnlyAtStart = true
    case let scheme:
      throw TokenizerBuilderError(subject, "the Metaspace prepend_scheme \(scheme) found, always or first required")
    }
  }

  private struct AddedTokensFile: Decodable {
    let addedTokens: [CheckpointTokenizerSettings.ListedToken]?
  }

  private struct TokenizerFile: Decodable {
    let normalizer: Step?
    let preTokenizer: Step?
    let postProcessor: PostProcessorJSON?
    let model: Model
  }

  /// A normalizer or a pre-tokenizer: one step, or a sequence of them.
  private struct Step: Decodable {
    let type: String?
    let normalizers: [Step]?
    let pretokenizers: [Step]?
    let precompiledCharsmap: String?
    let replacement: String?
    let prependScheme: String?
    let addPrefixSpace: Bool?

    var flattened: [Step] {
      guard type == "Sequence" else { return [self] }
      return (normalizers ?? pretokenizers ?? []).flatMap(\.flattened)
    }
  }

  private struct Model: Decodable {
    let type: String?
    let unkId: Int?
    let byteFallback: Bool?
    let vocab: [Entry]
  }

  /// A pair [text, score].
  private struct Entry: Decodable {
    let text: String
    let score: Double

    init(from decoder: any Decoder) throws {
      var pair = try decoder.unkeyedContainer()
      text = try pair.decode(String.self)
      score = try pair.decode(Double.self)
    }
  }
}
