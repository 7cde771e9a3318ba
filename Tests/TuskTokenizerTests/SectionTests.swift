import Testing
import TuskFormat

@testable import TuskTokenizer

/// What a reader does with a section that is not what its writer made.
struct SectionTests {
  /// Short, since they are encoded after every change; they meet every range of a section.
  private static let texts =
    ["", "the elephant!", "in New York </s> <extra_id_1> \u{e9}", "\u{FB01}☃☃ \u{200B}x e\u{301}"].map {
      [UInt8]($0.utf8)
    } + [[0xFF, 0x80]]

  /// Opens, encodes, decodes and reads pieces; whatever comes out must be ids that have a piece.
  private func exercise(_ section: [UInt8]) throws(TokenizerError) {
    let tokenizer = try Fixtures.tokenizer(section)
    for text in Self.texts {
      let ids = try tokenizer.encode(text, appendingEndOfSequence: true)
      #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
      _ = tokenizer.decode(ids, skippingSpecialTokens: false)
      _ = tokenizer.decode(ids)
    }
  }

  @Test(arguments: [UInt8(0x01), 0x80, 0xFF])
  func everyChangedByteIsRefusedOrHarmless(_ mask: UInt8) throws {
    let section = try Fixtures.section("symbols", sentinels: 2)
    try exercise(section)
    var refused = 0
    for offset in section.indices {
      var changed = section
      changed[offset] ^= mask
      do throws(TokenizerError) { try exercise(changed) } catch { refused += 1 }
    }
    #expect(refused > 50)
    #expect(refused <= UnigramLayout.headerBytes)
  }

  @Test func everyTruncationIsRefused() throws {
    let section = try Fixtures.section("symbols", sentinels: 2)
    for length in 0..<section.count {
      let expected: TokenizerError.Kind = length < UnigramLayout.headerBytes ? .truncatedHeader : .wrongLength
      #expect(throws: TokenizerError.self) { try Fixtures.tokenizer([UInt8](section[..<length])) }
      do { _ = try Fixtures.tokenizer([UInt8](section[..<length])) } catch { #expect(error.kind == expected) }
    }
  }

  /// Everything behind the header can be anything.
  @Test(arguments: [UInt8(0), 0x55, 0xFF])
  func contentsOfOneValueAreHarmless(_ value: UInt8) throws {
    var section = try Fixtures.section("symbols", sentinels: 2)
    for offset in UnigramLayout.headerBytes..<section.count { section[offset] = value }
    try exercise(section)
  }

  struct Fault: Sendable {
    let offset: Int
    let value: UInt32
    let error: TokenizerError
  }

  /// One change of one header word for each kind of error.
  @Test func eachFaultOfTheHeaderIsNamed() throws {
    let section = try Fixtures.section("symbols", sentinels: 2)
    let count = UInt64(try Fixtures.tokenizer(section).vocabularySize)
    let bytes = UInt64(section.count)
    let faults = [
      Fault(offset: 0, value: 9, error: TokenizerError(.unknownKind, at: 0, found: 9, required: 3)),
      Fault(offset: 4, value: 128, error: TokenizerError(.unknownFlags, at: 4, found: 128, required: 127)),
      Fault(offset: 8, value: 7, error: TokenizerError(.wrongLength, at: 8, found: bytes, required: 7)),
      Fault(offset: 16, value: 2, error: TokenizerError(.limitExceeded, at: 16, found: 2, required: 3)),
      Fault(offset: 24, value: 513, error: TokenizerError(.limitExceeded, at: 24, found: 513, required: 512)),
      Fault(
        offset: 40, value: UInt32(count), error: TokenizerError(.idOutOfRange, at: 40, found: count, required: count)),
      Fault(offset: 56, value: 0, error: TokenizerError(.idOutOfRange, at: 56, found: 0, required: 1)),
      Fault(offset: 60, value: 1, error: TokenizerError(.reservedNotZero, at: 60, found: 1)),
      Fault(offset: 188, value: 1, error: TokenizerError(.reservedNotZero, at: 188, found: 1)),
      Fault(offset: 80, value: 191, error: TokenizerError(.misplacedRange, at: 80, found: 191, required: 192)),
      Fault(
        offset: 84, value: 4,
        error: TokenizerError(.wrongRangeLength, at: 84, found: 4, required: 4 * (count + 1))),
      Fault(offset: 100, value: 0, error: TokenizerError(.wrongRangeLength, at: 100, found: 0, required: 4)),
    ]
    for fault in faults {
      var changed = section
      for index in 0..<4 { changed[fault.offset + index] = UInt8(truncatingIfNeeded: fault.value >> (8 * index)) }
      #expect(throws: fault.error) { try Fixtures.tokenizer(changed) }
    }
    let named = Set(faults.map(\.error.kind)).union([.truncatedHeader, .textTooLong])
    #expect(named.count == TokenizerError.Kind.allCases.count)
  }

  @Test func bytesBehindTheLastRangeAreRefused() throws {
    var section = try Fixtures.section("symbols", sentinels: 2)
    let bytes = UInt64(section.count)
    section.append(0)
    withUnsafeBytes(of: (bytes + 1).littleEndian) { section.replaceSubrange(8..<16, with: $0) }
    #expect(throws: TokenizerError(.wrongLength, at: 8, found: bytes + 1, required: bytes)) {
      try Fixtures.tokenizer(section)
    }
  }
}
