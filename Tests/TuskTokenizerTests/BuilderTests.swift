import Foundation
import Testing
import TuskTokenizer

@testable import TuskConversion

/// What becomes of a checkpoint's own files.
struct BuilderTests {
  @Test func aCheckpointWithoutATokenizerHasNoSection() throws {
    #expect(try Fixtures.section(["config.json": [UInt8]("{}".utf8)]) == nil)
  }

  @Test func sentinelsAreCountedFromTheFilesThatNameThem() throws {
    let model = try Fixtures.model("symbols")
    let pieces = try Fixtures.tokenizer(try Fixtures.section("symbols", sentinels: 0)).vocabularySize
    let cases: [([String: String], Int)] = [
      ([:], 100),
      (["tokenizer_config.json": "{\"extra_ids\": 7}"], 7),
      (
        [
          "special_tokens_map.json":
            "{\"additional_special_tokens\": [\"<extra_id_0>\", {\"content\": \"<extra_id_1>\"}]}"
        ], 2
      ),
      (["tokenizer_config.json": "{\"extra_ids\": 3, \"additional_special_tokens\": [\"<extra_id_0>\"]}"], 1),
      (["tokenizer.json": "{\"added_tokens\": [{\"id\": \(pieces), \"content\": \"<extra_id_0>\"}]}"], 1),
      (["tokenizer_config.json": "{\"added_tokens_decoder\": {\"\(pieces)\": {\"content\": \"<extra_id_0>\"}}}"], 1),
    ]
    for (files, count) in cases {
      var bytes = files.mapValues { [UInt8]($0.utf8) }
      bytes["spiece.model"] = model
      let tokenizer = try Fixtures.tokenizer(#require(try Fixtures.section(bytes)))
      #expect(tokenizer.sentinelCount == count)
      #expect(tokenizer.vocabularySize == pieces + count)
    }
  }

  @Test func sentinelsTakeTheWhitespaceTheFilesSay() throws {
    let pieces = try Fixtures.tokenizer(try Fixtures.section("symbols", sentinels: 0)).vocabularySize
    let config = """
      {"added_tokens_decoder": {"\(pieces)": {"content": "<extra_id_0>", "lstrip": true, "rstrip": true}}}
      """
    let model = try Fixtures.model("symbols")
    let files = ["spiece.model": model, "tokenizer_config.json": [UInt8](config.utf8)]
    let tokenizer = try Fixtures.tokenizer(#require(try Fixtures.section(files)))
    // U+0085 is white space that this vocabulary's character map leaves as it is, so it would be an unknown character.
    let text = [UInt8]("\u{85}\u{2003}<extra_id_0>\u{85}".utf8)
    #expect(try tokenizer.encode(text, appendingEndOfSequence: false) == [Int32(pieces)])
    let plain = try Fixtures.tokenizer(try Fixtures.section("symbols", sentinels: 1))
    #expect(try plain.encode(text, appendingEndOfSequence: false).count > 1)
  }

  @Test func aVocabularyLargerThanTheModelIsRefused() throws {
    let files = ["spiece.model": try Fixtures.model("symbols")]
    let needed = try Fixtures.tokenizer(#require(try Fixtures.section(files))).vocabularySize
    #expect(try Fixtures.section(files, vocabularySize: needed) != nil)
    #expect(throws: TokenizerBuilderError.self) { try Fixtures.section(files, vocabularySize: needed - 1) }
  }

  @Test func aVocabularyOfSpecialPiecesOnlyIsRefused() throws {
    func piece(_ text: String, type: UInt8) -> [UInt8] {
      let body = [0x0A, UInt8(text.utf8.count)] + Array(text.utf8) + [0x15, 0, 0, 0, 0, 0x18, type]
      return [0x0A, UInt8(body.count)] + body
    }
    let specials = piece("<pad>", type: 3) + piece("</s>", type: 3) + piece("<unk>", type: 2)
    #expect(throws: TokenizerBuilderError.self) {
      try TokenizerBuilder.section(sentencePieceModel: specials, vocabularySize: 200)
    }
    #expect(throws: Never.self) {
      try TokenizerBuilder.section(sentencePieceModel: specials + piece("a", type: 1), vocabularySize: 200)
    }
  }

  /// A `tokenizer.json` with the pieces of a recorded vocabulary, as transformers 4 writes it.
  private func tokenizerJSON(_ name: String, normalizer: String?, preTokenizer: String) throws -> [UInt8] {
    let vocabulary = try SentencePieceModel.vocabulary(try Fixtures.model(name))
    let vocab = vocabulary.pieces.map { piece -> [Any] in
      [String(decoding: piece.text, as: UTF8.self), Double(piece.score)]
    }
    let pieces = String(decoding: try JSONSerialization.data(withJSONObject: vocab), as: UTF8.self)
    let map = Data(vocabulary.characterMap).base64EncodedString()
    let added = ["<pad>", "</s>", "<unk>"].enumerated().map {
      "{\"id\": \($0), \"content\": \"\($1)\", \"special\": true, \"normalized\": false}"
    }
    let text = """
      {"added_tokens": [\(added.joined(separator: ","))],
       "normalizer": \(normalizer?.replacing("MAP", with: map) ?? "null"), "pre_tokenizer": \(preTokenizer),
       "model": {"type": "Unigram", "unk_id": 2, "vocab": \(pieces)}}
      """
    return [UInt8](text.utf8)
  }

  private static let precompiled = "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"MAP\"}"
  private static let stripped = """
    {"type": "Sequence", "normalizers": [\(precompiled), {"type": "Strip", "strip_right": true},
     {"type": "Replace", "content": "\u{2581}"}]}
    """
  private static let metaspace =
    "{\"type\": \"Metaspace\", \"replacement\": \"\u{2581}\", \"prepend_scheme\": \"always\"}"
  private static let split = """
    {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, \(metaspace)]}
    """

  @Test(arguments: [(stripped, metaspace), (precompiled, split)])
  func tokenizerJSONGivesTheIdsOfTheModelItWasMadeFrom(_ normalizer: String, _ preTokenizer: String) throws {
    let json = try tokenizerJSON("8k", normalizer: normalizer, preTokenizer: preTokenizer)
    let tokenizer = try Fixtures.tokenizer(#require(try Fixtures.section(["tokenizer.json": json])))
    for line in try Fixtures.lines("8k") where line.huggingface != true {
      #expect(try tokenizer.encode(line.bytes, appendingEndOfSequence: false) == line.ids)
    }
  }

  @Test func tokenizerJSONWithoutNormalizerIsRefusedWithAReason() throws {
    let json = try tokenizerJSON("symbols", normalizer: nil, preTokenizer: Self.split)
    let error = try #require(throws: TokenizerBuilderError.self) { try Fixtures.section(["tokenizer.json": json]) }
    #expect(error.subject == "tokenizer.json")
    #expect(error.sentence.contains("Precompiled"))
  }

  @Test func aDirectoryInPlaceOfAFileIsRefused() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "tusk-\(UUID().uuidString)")
    try FileManager.default.createDirectory(
      at: directory.appending(path: "spiece.model"), withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    #expect(throws: TokenizerBuilderError.self) {
      try TokenizerBuilder.section(checkpointDirectory: directory.path, vocabularySize: 100)
    }
  }

  @Test func damagedModelsAreRefusedOrGiveASectionThatOpens() throws {
    let model = try Fixtures.model("symbols")
    for offset in model.indices {
      var changed = model
      // A different change for each byte of a row: small, sign, all bits.
      changed[offset] ^= [0x01, 0x80, 0xFF][offset % 3]
      do throws(TokenizerBuilderError) {
        let section = try TokenizerBuilder.section(sentencePieceModel: changed, vocabularySize: 1000)
        #expect(throws: Never.self) { try Fixtures.tokenizer(section) }
      } catch { #expect(!error.sentence.isEmpty) }
    }
    for length in stride(from: 0, to: model.count, by: 7) {
      _ = try? TokenizerBuilder.section(sentencePieceModel: [UInt8](model[..<length]), vocabularySize: 1000)
    }
  }

  @Test func whatTheSectionCannotExpressIsRefused() throws {
    // Fields of trainer_spec (2): model_type (3) = BPE, treat_whitespace_as_suffix (24), byte_fallback (35).
    for field: [UInt8] in [[0x18, 0x02], [0xC0, 0x01, 0x01], [0x98, 0x02, 0x01]] {
      let model = try Fixtures.model("symbols") + [0x12, UInt8(field.count)] + field
      #expect(throws: TokenizerBuilderError.self) {
        try TokenizerBuilder.section(sentencePieceModel: model, vocabularySize: 1000)
      }
    }
    // A second piece with the text of an earlier one, and one with an infinite score.
    for piece: [UInt8] in [[0x0A, 0x01, 0x61], [0x0A, 0x02, 0x7A, 0x7A, 0x15, 0, 0, 0x80, 0x7F]] {
      let model = try Fixtures.model("symbols") + [0x0A, UInt8(piece.count)] + piece
      #expect(throws: TokenizerBuilderError.self) {
        try TokenizerBuilder.section(sentencePieceModel: model, vocabularySize: 1000)
      }
    }
  }
}
