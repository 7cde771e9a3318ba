import Foundation
import Testing
import TuskConversion
import TuskFormat

@testable import TuskTokenizer

/// WordPiece and byte-level BPE: the ids that Hugging Face recorded, and what a reader does with damaged sections.
struct SubwordTests {
  static let names = ["uncased", "cased", "roberta", "gpt2"]

  private struct Line: Decodable {
    let text: String
    let pair: String?
    let maximum: Int?
    let ids: [Int32]
    let types: [Int32]
    let decoded: String
  }

  private static func section(_ name: String) throws -> [UInt8] {
    let folder = Fixtures.folder.appending(path: name)
    var files: [String: [UInt8]] = [:]
    for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
      files[file.lastPathComponent] = [UInt8](try Data(contentsOf: file))
    }
    return try #require(try Fixtures.section(files))
  }

  @Test(arguments: names + ["xlmr"])
  func idsTypesAndTextsAreThoseOfTheLibrary(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(try Self.section(name))
    #expect(tokenizer.kind == (name == "xlmr" ? .unigram : name.hasSuffix("cased") ? .wordPiece : .byteLevel))
    let data = try Data(contentsOf: Fixtures.folder.appending(path: "\(name).jsonl"))
    let lines = try data.split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(Line.self, from: $0) }
    #expect(lines.count >= (name == "xlmr" ? 150 : 200))
    for line in lines {
      let shown = "\(name): \(line.text) \(line.pair ?? "") \(line.maximum ?? -1)"
      let (ids, typeIds) = try tokenizer.encodePair(
        [UInt8](line.text.utf8), line.pair.map { [UInt8]($0.utf8) }, maximumTokens: line.maximum)
      #expect(ids == line.ids, "\(shown)")
      #expect(typeIds == line.types, "\(shown)")
      #expect(String(decoding: tokenizer.decode(line.ids), as: UTF8.self) == line.decoded, "\(shown)")
      if line.pair == nil, line.maximum == nil {
        #expect(try tokenizer.encode([UInt8](line.text.utf8), appendingEndOfSequence: true) == line.ids, "\(shown)")
      }
    }
  }

  /// CamemBERT numbers the same pieces otherwise: `<s>NOTUSED`, `<pad>`, `</s>NOTUSED`, `<unk>`, `<unk>NOTUSED`, then all
  /// that SentencePiece has behind its own `<unk>`, then `<mask>`.
  @Test func camembertNumbersThePiecesOfXLMRobertaItsOwnWay() throws {
    let model = [UInt8](try Data(contentsOf: Fixtures.folder.appending(path: "xlmr/sentencepiece.bpe.model")))
    let section = try #require(
      try Fixtures.section(["sentencepiece.bpe.model": model], fairseqIds: .camembert))
    let tokenizer = try Fixtures.tokenizer(section)
    #expect((tokenizer.padId, tokenizer.unknownId, tokenizer.eosId) == (1, 3, 6))
    let own: [Int32: Int32] = [0: 5, 1: 1, 2: 6, 3: 3]
    let data = try Data(contentsOf: Fixtures.folder.appending(path: "xlmr.jsonl"))
    for line in data.split(separator: UInt8(ascii: "\n")) {
      let line = try JSONDecoder().decode(Line.self, from: line)
      let (ids, _) = try tokenizer.encodePair(
        [UInt8](line.text.utf8), line.pair.map { [UInt8]($0.utf8) }, maximumTokens: line.maximum)
      #expect(ids == line.ids.map { own[$0] ?? $0 + 3 }, "\(line.text)")
    }
  }

  @Test func specialIdsAreThoseOfTheVocabulary() throws {
    let uncased = try Fixtures.tokenizer(try Self.section("uncased"))
    #expect((uncased.padId, uncased.unknownId, uncased.eosId, uncased.sentinelCount) == (0, 1, 3, 0))
    let roberta = try Fixtures.tokenizer(try Self.section("roberta"))
    #expect((roberta.padId, roberta.unknownId, roberta.eosId) == (1, 3, 2))
    let xlmr = try Fixtures.tokenizer(try Self.section("xlmr"))
    #expect((xlmr.padId, xlmr.unknownId, xlmr.eosId, xlmr.sentinelCount) == (1, 3, 2, 0))
    #expect(roberta.piece(4) == [UInt8]("<mask>".utf8))
  }

  @Test(arguments: names)
  func bytesThatAreNotUTF8CountAsReplacementCharacters(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(try Self.section(name))
    let invalid: [UInt8] = [0x61, 0xFF, 0xE2, 0x82, 0x20, 0xC0, 0x80, 0x62, 0xF0]
    let replaced = [UInt8]("a\u{FFFD}\u{FFFD}\u{FFFD} \u{FFFD}\u{FFFD}b\u{FFFD}".utf8)
    let expected = try tokenizer.encode(replaced, appendingEndOfSequence: false)
    #expect(try tokenizer.encode(invalid, appendingEndOfSequence: false) == expected)
  }

  /// Tokens around the texts stay, whatever the maximum.
  @Test func aMaximumBelowTheTemplateLeavesTheTemplate() throws {
    let tokenizer = try Fixtures.tokenizer(try Self.section("uncased"))
    for maximum in 0...3 {
      let answer = try tokenizer.encodePair([UInt8]("a b".utf8), [UInt8]("c".utf8), maximumTokens: maximum)
      #expect(answer.ids == [2, 3, 3])
      #expect(answer.typeIds == [0, 0, 1])
    }
  }

  /// A dictionary of strings would hold only one of two pieces that are canonically equivalent.
  @Test func composedAndDecomposedPiecesAreDifferent() throws {
    let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u{e9}", "e\u{301}", "\\u0065\\u0308", "\u{eb}"]
    let members = vocabulary.enumerated().map { "\"\($0.element)\": \($0.offset)" }.joined(separator: ", ")
    let json = """
      {"normalizer": {"type": "BertNormalizer", "lowercase": false, "strip_accents": false},
       "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing",
       "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "model": {"type": "WordPiece", "vocab": {\(members)}}}
      """
    let section = try #require(try Fixtures.section(["tokenizer.json": [UInt8](json.utf8)]))
    let text = [UInt8]("e\u{301} \u{e9} \u{eb} e\u{308}".utf8)
    #expect(
      try Fixtures.tokenizer(section).encode(text, appendingEndOfSequence: true) == [2, 5, 4, 7, 6, 3])
  }

  @Test(arguments: ["uncased", "roberta"])
  func aLongWordTakesStepsInProportion(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(try Self.section(name))
    func steps(_ count: Int) throws -> Int {
      var steps = 0
      let text = (0..<count).map { UInt8(ascii: "a") + UInt8($0 * $0 % 7) }
      _ = try tokenizer.encode(text.span, appendingEndOfSequence: false, steps: &steps)
      return steps
    }
    // Each merge is looked up at most three times for every byte, among fewer than 2^10 merges of one piece.
    #expect(try steps(100_000) <= 100_000 * 3 * 10)
    #expect(try steps(100_000) <= 11 * steps(10_000) + 1000)
  }

  @Test func aRunOfMarksIsOrderedInTime() throws {
    let tokenizer = try Fixtures.tokenizer(try Self.section("uncased"))
    let text = "a" + String(repeating: "\u{302F}\u{302E}\u{1D16D}", count: 50_000)
    #expect(try tokenizer.encode([UInt8](text.utf8), appendingEndOfSequence: false) == [tokenizer.unknownId])
  }

  private static let texts =
    [
      "", "the Elephant's \u{e9}e\u{302e}\u{301} 1+2 \u{4e2d}\u{ac01}", "a [SEP]</s> <mask>b  \n c\u{a0}",
      "\u{344}\u{2260}\u{302f}\u{302e}I",
    ].map { [UInt8]($0.utf8) } + [[0xFF, 0x27, 0x73]]

  /// Opens, encodes, decodes; whatever comes out must be ids that have a piece.
  private func exercise(_ section: [UInt8]) throws(TokenizerError) {
    let tokenizer = try Fixtures.tokenizer(section)
    for text in Self.texts {
      let (ids, typeIds) = try tokenizer.encodePair(text, Self.texts[1], maximumTokens: 20)
      #expect(ids.count == typeIds.count)
      #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
      _ = tokenizer.decode(ids, skippingSpecialTokens: false)
      _ = tokenizer.decode(ids)
    }
  }

  @Test(arguments: ["uncased", "roberta"])
  func everyChangedByteIsRefusedOrHarmless(_ name: String) throws {
    let section = try Self.section(name)
    try exercise(section)
    var refused = 0
    for offset in section.indices where offset < 256 || offset % 7 == 0 {
      var changed = section
      changed[offset] ^= [0x01, 0x80, 0xFF][offset % 3]
      do throws(TokenizerError) { try exercise(changed) } catch { refused += 1 }
    }
    #expect(refused > 100)
    #expect(refused <= SectionHeader.byteCount)
  }

  @Test(arguments: ["uncased", "roberta"], [UInt8(0), 0x55, 0xFF])
  func contentsOfOneValueAreHarmless(_ name: String, _ value: UInt8) throws {
    var section = try Self.section(name)
    for offset in SectionHeader.byteCount..<section.count { section[offset] = value }
    try exercise(section)
  }

  @Test(arguments: names)
  func everyTruncationIsRefused(_ name: String) throws {
    let section = try Self.section(name)
    for length in Array(0..<300) + Array(stride(from: 300, to: section.count, by: 997)) {
      let expected: TokenizerError.Kind = length < SectionHeader.byteCount ? .truncatedHeader : .wrongLength
      do {
        _ = try Fixtures.tokenizer([UInt8](section[..<length]))
        Issue.record("\(length) bytes were accepted")
      } catch { #expect(error.kind == expected) }
    }
  }

  /// One change of one header word for each rule.
  @Test func eachFaultOfTheHeaderIsNamed() throws {
    let section = try Self.section("roberta")
    let count = UInt64(try Fixtures.tokenizer(section).vocabularySize)
    let faults: [(offset: Int, value: UInt32, error: TokenizerError)] = [
      (0, 4, TokenizerError(.unknownKind, at: 0, found: 4, required: 3)),
      (4, 4, TokenizerError(.unknownFlags, at: 4, found: 4, required: 3)),
      (16, 0, TokenizerError(.limitExceeded, at: 16, found: 0, required: 1)),
      (28, 1, TokenizerError(.limitExceeded, at: 28, found: 1, required: 0)),
      (32, UInt32(count), TokenizerError(.idOutOfRange, at: 32, found: count, required: count)),
      (44, 17, TokenizerError(.limitExceeded, at: 44, found: 17, required: 16)),
      (48, 1, TokenizerError(.limitExceeded, at: 48, found: 1, required: 2)),
      (52, 1, TokenizerError(.reservedNotZero, at: 52, found: 1)),
      (188, 1, TokenizerError(.reservedNotZero, at: 188, found: 1)),
      (64, 191, TokenizerError(.misplacedRange, at: 64, found: 191, required: 192)),
      (68, 4, TokenizerError(.wrongRangeLength, at: 68, found: 4, required: 4 * (count + 1))),
      (100, 1020, TokenizerError(.wrongRangeLength, at: 100, found: 1020, required: 1024)),
    ]
    for fault in faults {
      var changed = section
      for index in 0..<4 { changed[fault.offset + index] = UInt8(truncatingIfNeeded: fault.value >> (8 * index)) }
      #expect(throws: fault.error) { try Fixtures.tokenizer(changed) }
    }
  }
}
