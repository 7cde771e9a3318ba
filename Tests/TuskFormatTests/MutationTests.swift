import Testing

@testable import TuskFormat

/// Damage of any kind gives a typed error or, where only `verify` looks, an open file: never a trap.
@Suite struct MutationTests {
  private static let bundles = Result {
    [
      try ExampleFiles.nano(), try EncoderFiles.bundleBytes(EncoderFiles.bert),
      try EncoderFiles.bundleBytes(EncoderFiles.bert, section: EncoderFiles.everyKindSection),
    ]
  }

  @Test(arguments: 0..<3) func everyTruncationIsRefused(bundle: Int) throws {
    let bytes = try Self.bundles.get()[bundle]
    for count in 0..<bytes.count {
      #expect(throws: FormatError.self) { try NanoFiles.open(Array(bytes[..<count])) }
    }
    #expect(throws: FormatError.self) { try NanoFiles.open(bytes + [0]) }
  }

  @Test(arguments: 0..<3) func everyChangedByteIsFoundByOpeningOrVerifying(bundle: Int) throws {
    let bytes = try Self.bundles.get()[bundle]
    for position in bytes.indices {
      var changed = bytes
      changed[position] ^= 0x41
      #expect(throws: FormatError.self, "byte \(position)") { try NanoFiles.open(changed).verify() }
    }
  }

  /// Behind right checksums the parsers themselves have to hold.
  @Test(arguments: 0..<3) func signedDamageNeverTraps(bundle: Int) throws {
    let whole = PatchedFile(try Self.bundles.get()[bundle])
    var random = SplitMix64(state: 1)
    let interesting: [UInt32] = [0, 1, 2, 0x7F, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
    var opened = 0
    var refused = 0
    let starts = [0] + [SectionKind.config, .tensorIndex, .head, .task].compactMap { whole.place(of: $0) }
    for start in starts {
      for position in stride(from: start, to: min(start + 1500, whole.bytes.count - 4), by: 2) {
        let value =
          random.next() % 2 == 0 ? interesting[Int(random.next() % 8)] : UInt32(truncatingIfNeeded: random.next())
        let isTable = position < 64 + 32 * whole.word(32)
        let damaged =
          isTable ? whole.setting(position, to: value).signedIfPossible : whole.setting(position, to: value).resigned
        do {
          let file = try NanoFiles.open(damaged.bytes)
          try file.verify()
          opened += 1
        } catch {
          refused += 1
        }
      }
    }
    // Some values leave a legal file, most do not.
    #expect(opened > 0 && refused > opened)
  }

  @Test func aRandomTableNeverTraps() throws {
    var random = SplitMix64(state: 2)
    for _ in 0..<20_000 {
      let sections = (0..<Int(random.next() % 6)).map { _ in
        (
          kind: UInt16(random.next() % 8), flags: UInt16(random.next() % 2),
          offset: random.next() >> (random.next() % 64), byteCount: random.next() >> (random.next() % 64)
        )
      }
      let kind: FileKind = [.backbone, .task, .bundle][Int(random.next() % 3)]
      let file = PatchedFile(kind: kind, sections: sections).extended(by: Int(random.next() % 300))
      #expect(throws: FormatError.self) { try NanoFiles.open(file.bytes) }
    }
  }
}

extension PatchedFile {
  /// Signed, unless the table's length itself was damaged.
  fileprivate var signedIfPossible: PatchedFile { 64 + 32 * word(32) <= bytes.count ? signed : self }
}

/// A small generator whose sequence is the same everywhere.
struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
