import CTuskSystem
import TuskFormat
import TuskTokenizer

/// Makes the tokenizer section of a backbone from the files of a Hugging Face checkpoint.
public struct TokenizerBuilder {
  /// How the pieces of a `sentencepiece.bpe.model` are numbered: fairseq put tokens of its own in front.
  public enum FairseqIds: Sendable {
    case xlmRoberta
    case camembert
  }

  private static let vocabularyBytesLimit = 1 << 28

  /// The section for the checkpoint in `path`, from the first of these that is there: `spiece.model`,
  /// `sentencepiece.bpe.model`, `tokenizer.json`, `vocab.txt`, `vocab.json` with `merges.txt`. Nil if there is none, which is legal: such a backbone takes ids only.
  /// - Parameter vocabularySize: rows of the model's embedding; no id may reach it.
  /// - Throws: `TokenizerBuilderError` where a file cannot be read, or describes a tokenizer whose ids Tusk would not
  ///   reproduce.
  public static func section(
    checkpointDirectory path: String, vocabularySize: Int, fairseqIds: FairseqIds = .xlmRoberta
  ) throws(TokenizerBuilderError) -> [UInt8]? {
    let model = try read("spiece.model", in: path)
    let json = try read("tokenizer.json", in: path)
    let fairseqModel = model == nil ? try read("sentencepiece.bpe.model", in: path) : nil
    if model == nil, fairseqModel == nil, let section = try subwordSection(json, in: path, limit: vocabularySize) {
      return section
    }
    let listed = try json.map { (bytes) throws(TokenizerBuilderError) in try TokenizerJSON.addedTokens(bytes) }
    var settings = try CheckpointTokenizerSettings(
      config: try read("tokenizer_config.json", in: path),
      specialTokensMap: try read("special_tokens_map.json", in: path), listed: listed)
    if let fairseqModel {
      let subject = "sentencepiece.bpe.model"
      let vocabulary = try SentencePieceModel.vocabulary(fairseqModel).withFairseqIds(
        fairseqIds, subject: subject)
      settings.useFairseqTokens(beginId: vocabulary.beginId ?? 0, maskId: vocabulary.pieces.count - 1)
      return try section(vocabulary, settings, vocabularySize: vocabularySize, subject)
    }
    if let model {
      return try section(
        try SentencePieceModel.vocabulary(model), settings, vocabularySize: vocabularySize, "spiece.model")
    }
    guard let json else { return nil }
    let vocabulary = try TokenizerJSON.vocabulary(json)
    if vocabulary.beginId != nil { settings.dropSentinels() }
    return try section(vocabulary, settings, vocabularySize: vocabularySize, "tokenizer.json")
  }

  /// The section for a WordPiece or byte-level BPE checkpoint, or nil if it is neither.
  private static func subwordSection(
    _ json: [UInt8]?, in path: String, limit: Int
  ) throws(TokenizerBuilderError) -> [UInt8]? {
    if let json, !["WordPiece", "BPE"].contains(try SubwordJSON.modelType(json)) { return nil }
    let settings = try SubwordSettings(
      config: try read("tokenizer_config.json", in: path),
      specialTokensMap: try read("special_tokens_map.json", in: path))
    let vocabulary: SubwordVocabulary
    let subject: String
    if let json {
      vocabulary = try SubwordJSON.vocabulary(json, settings, limit: limit)
      subject = "tokenizer.json"
    } else if let lines = try read("vocab.txt", in: path) {
      vocabulary = try SubwordFiles.wordPiece(lines, settings, limit: limit)
      subject = "vocab.txt"
    } else if let ids = try read("vocab.json", in: path), let merges = try read("merges.txt", in: path) {
      vocabulary = try SubwordFiles.byteLevel(vocabulary: ids, merges: merges, settings, limit: limit)
      subject = "vocab.json"
    } else {
      return nil
    }
    return try SubwordSectionWriter(vocabulary, subject: subject).section()
  }

  /// The section for a `spiece.model` alone, with T5's 100 sentinels.
  public static func section(
    sentencePieceModel bytes: [UInt8], vocabularySize: Int
  ) throws(TokenizerBuilderError) -> [UInt8] {
    let vocabulary = try SentencePieceModel.vocabulary(bytes)
    return try section(vocabulary, CheckpointTokenizerSettings(), vocabularySize: vocabularySize, "spiece.model")
  }

  private static func section(
    _ vocabulary: UnigramVocabulary, _ settings: CheckpointTokenizerSettings, vocabularySize: Int, _ subject: String
  ) throws(TokenizerBuilderError) -> [UInt8] {
    var vocabulary = vocabulary
    try vocabulary.addSpecialTokens(settings, vocabularySize: vocabularySize, subject: subject)
    return try UnigramSectionWriter(vocabulary, subject: subject).section()
  }

  /// The bytes of a file of the checkpoint, or nil if there is none of that name.
  private static func read(_ name: String, in directory: String) throws(TokenizerBuilderError) -> [UInt8]? {
    do {
      let mapping = try Mapping(path: directory + "/" + name)
      guard mapping.count <= vocabularyBytesLimit else {
        throw TokenizerBuilderError(name, "\(mapping.count) bytes found, at most \(vocabularyBytesLimit) required")
      }
      return mapping.bytes.withSpan { span in
        [UInt8](unsafeUninitializedCapacity: span.byteCount) { buffer, count in
          span.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
          count = span.byteCount
        }
      }
    } catch let error as FormatError {
      if error.kind == .cannotOpen, error.found == UInt64(ENOENT) { return nil }
      throw TokenizerBuilderError(name, "cannot be read: \(String(cString: tusk_error_text(Int32(error.found))))")
    } catch let error as TokenizerBuilderError {
      throw error
    } catch {
      throw TokenizerBuilderError(name, "cannot be read: \(error)")
    }
  }
}
