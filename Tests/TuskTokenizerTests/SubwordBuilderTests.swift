import Foundation
import Testing
import TuskTokenizer

@testable import TuskConversion

/// What becomes of the files of WordPiece and byte-level BPE checkpoints.
struct SubwordBuilderTests {
  private static let wordPiece = """
    {"added_tokens": [{"id": 1, "content": "[SEP]", "special": true, "normalized": false}],
     "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
     "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 2]},
     "model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "[SEP]": 1, "[CLS]": 2, "a": 3, "##b": 4}}}
    """
  private static let byteLevel = """
    {"normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
     "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]},
     "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": ["a b"]}}
    """

  private func ids(_ files: [String: String], _ text: String) throws -> [Int32] {
    let section = try #require(try Fixtures.section(files.mapValues { [UInt8]($0.utf8) }))
    return try Fixtures.tokenizer(section).encode([UInt8](text.utf8), appendingEndOfSequence: true)
  }

  @Test func settingsBesideTheVocabularyCount() throws {
    let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "A", "\u{e0}", "<new>"].joined(
      separator: "\r\n")
    #expect(try ids(["vocab.txt": vocabulary], "A \u{e0}") == [2, 5, 5, 3])
    let cased = ["vocab.txt": vocabulary, "tokenizer_config.json": "{\"do_lower_case\": false}"]
    #expect(try ids(cased, "A \u{e0}") == [2, 6, 7, 3])
    let accents = ["vocab.txt": vocabulary, "tokenizer_config.json": "{\"strip_accents\": false}"]
    #expect(try ids(accents, "A \u{c0}") == [2, 5, 7, 3])
    let named = ["vocab.txt": vocabulary, "tokenizer_config.json": "{\"additional_special_tokens\": [\"<new>\"]}"]
    #expect(try ids(named, "a<new>") == [2, 5, 8, 3])
    #expect(try ids(["tokenizer.json": Self.byteLevel], "ab") == [0, 4, 1])
    let prefixed = ["tokenizer.json": Self.byteLevel, "tokenizer_config.json": "{\"add_prefix_space\": true}"]
    // The space has no piece here, so it keeps nothing apart.
    #expect(try ids(prefixed, "ab") == [0, 4, 1])
  }

  @Test(arguments: [
    ("BertNormalizer", "NFKC", "BertNormalizer required"),
    ("BertPreTokenizer", "Whitespace", "BertPreTokenizer required"),
    ("\"special\": true", "\"special\": false", "[SEP]"), ("\"normalized\": false", "\"normalized\": true", "[SEP]"),
    ("\"id\": 1", "\"id\": 3", "[SEP]"), ("[\"[CLS]\", 2]", "[\"[CLS]\", 9]", "id 9"), ("\"[UNK]\"", "\"?\"", "[UNK]"),
    ("\"##b\": 4", "\"##b\": 3", "id 3"), ("\"##b\": 4", "\"##b\": 1048576", "rows of the model"),
    ("\"type\": \"WordPiece\"", "\"type\": \"WordPiece\", \"max_input_chars_per_word\": 0", "max_input_chars"),
    ("\"type\": \"WordPiece\"", "\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"@@\"", "@@"),
    ("BertProcessing", "Unheard", "Unheard"),
  ])
  func whatAWordPieceSectionCannotExpressIsRefused(_ found: String, _ replaced: String, _ named: String) throws {
    let json = Self.wordPiece.replacing(found, with: replaced)
    let error = try #require(throws: TokenizerBuilderError.self) { try ids(["tokenizer.json": json], "a") }
    #expect(error.sentence.contains(named), "\(error)")
  }

  @Test(arguments: [
    ("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", "NFC"),
    ("\"ByteLevel\"", "\"Metaspace\"", "Metaspace"),
    ("false}", "false, \"use_regex\": false}", "GPT-2"), ("[\"a b\"]", "[\"a c\"]", "merge 0"),
    ("[\"a b\"]", "[\"ab\"]", "merge"), ("\"BPE\"", "\"BPE\", \"dropout\": 0.1", "dropout"),
    ("\"BPE\"", "\"BPE\", \"ignore_merges\": true", "ignore_merges"),
  ])
  func whatAByteLevelSectionCannotExpressIsRefused(_ found: String, _ replaced: String, _ named: String) throws {
    let json = Self.byteLevel.replacing(found, with: replaced)
    let error = try #require(throws: TokenizerBuilderError.self) { try ids(["tokenizer.json": json], "a") }
    #expect(error.sentence.contains(named), "\(error)")
  }

  @Test(arguments: [wordPiece, byteLevel])
  func damagedFilesAreRefusedOrGiveASectionThatOpens(_ json: String) throws {
    let bytes = [UInt8](json.utf8)
    // Packing the character tables takes most of the time, so not every byte is tried.
    for offset in stride(from: 0, to: bytes.count, by: 5) {
      var changed = bytes
      changed[offset] ^= [0x01, 0x10, 0x80][offset % 3]
      for damaged in [changed, [UInt8](bytes[..<offset])] {
        do {
          guard let section = try Fixtures.section(["tokenizer.json": damaged]) else { continue }
          #expect(throws: Never.self) { try Fixtures.tokenizer(section) }
        } catch let error as TokenizerBuilderError { #expect(!error.sentence.isEmpty) }
      }
    }
  }
}
