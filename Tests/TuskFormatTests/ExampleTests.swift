import Foundation
import Testing

@testable import TuskFormat

/// The files of `formats/examples`.
enum ExampleFiles {
  static let formats = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("formats")

  static func nano() throws -> [UInt8] {
    Array(try Data(contentsOf: formats.appendingPathComponent("examples/nano.tusk")))
  }
}

@Suite struct ExampleTests {
  @Test func theExampleIsAWholeBundle() throws {
    let file = try NanoFiles.open(ExampleFiles.nano())
    try file.verify()
    #expect(file.kind == .bundle)
    #expect(file.config?.dModel == 8)
    #expect(file.section(.tokenizer) != nil)
    #expect(file.taskCount == 1)
  }

  /// Every line `offset  bytes  meaning` shows the bytes at that offset; header, table and config are there without gap.
  @Test func theAnnotatedHexdumpIsTrue() throws {
    let bytes = try ExampleFiles.nano()
    let text = try String(contentsOf: ExampleFiles.formats.appendingPathComponent("nano-hexdump.md"), encoding: .utf8)
    var shown = Set<Int>()
    for line in text.split(separator: "\n") {
      if let end = line.wholeMatch(of: /\* +zeros up to ([0-9a-f]{8})/).flatMap({ Int($0.1, radix: 16) }) {
        let start = try #require(shown.max()) + 1
        #expect(bytes[start..<end].allSatisfy { $0 == 0 }, "\(line)")
        shown.formUnion(start..<end)
        continue
      }
      guard let match = line.prefixMatch(of: /([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)/) else { continue }
      let offset = try #require(Int(match.1, radix: 16))
      for (index, byte) in match.2.split(separator: " ").enumerated() {
        #expect(bytes[offset + index] == UInt8(byte, radix: 16), "\(line)")
        shown.insert(offset + index)
      }
    }
    let table = 64..<64 + 32 * PatchedFile(bytes).word(32)
    let config = PatchedFile(bytes).offset(of: .config)
    for position in Array(0..<64) + Array(table) + Array(config..<config + 192) {
      #expect(shown.contains(position), "byte \(position) is not shown")
    }
  }
}
