import Testing
import TuskTokenizer

/// The ids and texts that the libraries recorded.
struct GoldenTests {
  private static let section = Result { try Fixtures.section("8k", sentinels: 28) }

  @Test(arguments: ["8k"] + Fixtures.variants)
  func idsAndTextsAreThoseOfTheLibraries(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(
      try name == "8k" ? Self.section.get() : Fixtures.section(name, sentinels: 28))
    let lines = try Fixtures.lines(name)
    #expect(lines.count >= 79)
    for line in lines {
      let ids = try tokenizer.encode(line.bytes, appendingEndOfSequence: false)
      #expect(ids == line.ids, "\(name): \(line.text ?? line.hex ?? "")")
      let text = tokenizer.decode(line.ids, skippingSpecialTokens: line.huggingface != true)
      #expect(String(decoding: text, as: UTF8.self) == line.decoded, "\(name): \(line.text ?? line.hex ?? "")")
    }
  }

  @Test func endOfSequenceIsAppendedOnce() throws {
    let tokenizer = try Fixtures.tokenizer(Self.section.get())
    #expect(try tokenizer.encode([], appendingEndOfSequence: true) == [tokenizer.eosId])
    #expect(try tokenizer.encode([UInt8]("</s>".utf8), appendingEndOfSequence: true) == [1, 1])
  }

  @Test func sentinelsCountDownFromTheLastId() throws {
    let tokenizer = try Fixtures.tokenizer(Self.section.get())
    #expect(tokenizer.vocabularySize == 8028)
    #expect(tokenizer.sentinelCount == 28)
    #expect(tokenizer.sentinelId(0) == 8027)
    #expect(tokenizer.piece(tokenizer.sentinelId(27)) == [UInt8]("<extra_id_27>".utf8))
    #expect((tokenizer.padId, tokenizer.eosId, tokenizer.unknownId) == (0, 1, 2))
  }

  @Test func specialTokensAreSkippedOrWritten() throws {
    let tokenizer = try Fixtures.tokenizer(Self.section.get())
    let ids = try tokenizer.encode([UInt8]("<pad> a <extra_id_3> b</s>".utf8), appendingEndOfSequence: false)
    #expect(String(decoding: tokenizer.decode(ids), as: UTF8.self) == "a b")
    let written = tokenizer.decode(ids, skippingSpecialTokens: false)
    #expect(String(decoding: written, as: UTF8.self) == "<pad> a<extra_id_3> b</s>")
  }

  @Test func idsWithoutAPieceGiveNothing() throws {
    let tokenizer = try Fixtures.tokenizer(Self.section.get())
    for id: Int32 in [-1, 8028, .min, .max] {
      #expect(tokenizer.piece(id) == [])
      #expect(tokenizer.decode([id], skippingSpecialTokens: false) == [])
    }
  }
}
