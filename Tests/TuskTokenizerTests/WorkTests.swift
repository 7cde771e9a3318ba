import Testing

@testable import TuskTokenizer

/// The work of an encoding, counted in trie units so that the numbers do not depend on the machine.
struct WorkTests {
  private static let section = Result { try Fixtures.section("8k", sentinels: 0) }

  private func steps(_ text: [UInt8]) throws -> Int {
    let tokenizer = try Fixtures.tokenizer(Self.section.get())
    var steps = 0
    _ = try tokenizer.encode(text.span, appendingEndOfSequence: false, steps: &steps)
    return steps
  }

  /// The longest piece of the vocabulary has 17 bytes; one step more finds the end of a walk.
  @Test func aMegabyteOfOneCharacterTakesALinearNumberOfSteps() throws {
    let steps = try steps([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
    #expect(steps > 1_000_000)
    #expect(steps <= 18 * 1_000_003)
  }

  @Test(arguments: ["x", ".", " ", "é", "☃", "e\u{301}", "\u{FDFA}"])
  func aRunOfOneCharacterCostsNoMorePerByteThanALine(_ character: String) throws {
    let utf8 = [UInt8](character.utf8)
    let text = (0..<40_000).flatMap { _ in utf8 }
    #expect(try steps(text) <= 4 * (try steps([UInt8](text[..<(text.count / 4)]))) + 100)
  }

  @Test func aWordOf32768CharactersCostsNoMorePerByteThanAShortOne() throws {
    let pattern = [UInt8]("internationalization".utf8)
    let short = (0..<1024).map { pattern[$0 % pattern.count] }
    let long = (0..<32768).map { pattern[$0 % pattern.count] }
    #expect(try steps(long) <= 32 * steps(short) + 1000)
  }

  @Test func aTextOverTheLimitIsRefused() throws {
    let tokenizer = try Fixtures.tokenizer(try Fixtures.section("symbols", sentinels: 0))
    let text = [UInt8](repeating: 0x61, count: Tokenizer.textBytesLimit + 1)
    let limit = UInt64(Tokenizer.textBytesLimit)
    #expect(throws: TokenizerError(.textTooLong, at: limit, found: limit + 1, required: limit)) {
      try tokenizer.encode(text, appendingEndOfSequence: true)
    }
  }
}
