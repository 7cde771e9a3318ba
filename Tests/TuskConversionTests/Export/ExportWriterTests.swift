import Foundation
import Testing

@testable import TuskConversion

/// The files that exports write, read back.
@Suite struct ExportWriterTests {
  private static var state: StateDict {
    var state = StateDict()
    state.add("first", [2, 3, 4], (0..<24).map { Float($0) * 0.5 })
    state.add("a \"name\" with \u{00e9}\u{1F418} and \\", [5], [1, -2, 3.5, .leastNonzeroMagnitude, 1e30])
    state.add("again", sameAs: "first")
    state.add("single", [1], [7])
    return state
  }

  private func write(
    _ state: StateDict, as name: String, wideFrom: UInt64 = 0xFFFF_FFFF, in scratch: ScratchDirectory
  ) throws -> String {
    let file = try OutputFile(path: scratch.path + "/" + name)
    if name.hasSuffix(".safetensors") {
      try SafetensorsWriter.write(state, to: file, progress: { _ in })
    } else {
      try TorchArchiveWriter.write(state, to: file, wideFrom: wideFrom, progress: { _ in })
    }
    try file.finish()
    return file.path
  }

  private func values(_ state: StateDict) throws -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    for entry in state.entries {
      var own: [Float] = []
      try state.storages[entry.storage].write { bytes in own += bytes.bindMemory(to: Float.self) }
      values[entry.name] = own
    }
    return values
  }

  /// From 0 on every number gets its zip64 record, from 100 on sizes and far offsets do.
  @Test(arguments: [0, 100, 1000, 0xFFFF_FFFF] as [UInt64])
  func aTorchArchiveReadsBack(wideFrom: UInt64) throws {
    let scratch = try ScratchDirectory()
    let path = try write(Self.state, as: "x.bin", wideFrom: wideFrom, in: scratch)
    let checkpoint = try Checkpoint.open(file: path)
    for (name, values) in try values(Self.state) {
      let tensor = try #require(checkpoint.tensor(name))
      #expect(try checkpoint.readAll(tensor) == values)
    }
    #expect(checkpoint.tensorNames.count == 4)
    #expect(checkpoint.tensor("first")?.shape == [2, 3, 4])
    // One storage under two names.
    #expect(checkpoint.tensor("first")?.aliasOf == "again")
    #expect(checkpoint.storedByteCount == UInt64(Self.state.byteCount))
  }

  @Test func aSafetensorsFileReadsBack() throws {
    let scratch = try ScratchDirectory()
    let path = try write(Self.state, as: "x.safetensors", in: scratch)
    let checkpoint = try Checkpoint.open(file: path)
    for (name, values) in try values(Self.state) {
      #expect(try checkpoint.readAll(try #require(checkpoint.tensor(name))) == values)
    }
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect((8 + Int(bytes[0]) + Int(bytes[1]) << 8) % 8 == 0)
    // Both names of one tensor have values of their own, which the format demands.
    #expect(checkpoint.storedByteCount == UInt64(Self.state.byteCount + 4 * 24))
  }

  @Test func storagesLieAlignedAndEqualInputsGiveEqualFiles() throws {
    let scratch = try ScratchDirectory()
    for wideFrom in [0, 0xFFFF_FFFF] as [UInt64] {
      let path = try write(Self.state, as: "x.bin", wideFrom: wideFrom, in: scratch)
      let file = try InputFile(path: path)
      let entries = try ZipDirectory(file).entries
      #expect(entries.count == 6)
      for entry in entries.values { #expect(entry.dataOffset % 64 == 0, "\(entry.name)") }
      let again = try write(Self.state, as: "y.bin", wideFrom: wideFrom, in: scratch)
      let contents = try [path, again].map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
      #expect(contents[0] == contents[1])
    }
  }

  @Test func checksumsAreThoseOfTheMembers() throws {
    let scratch = try ScratchDirectory()
    let path = try write(Self.state, as: "x.bin", in: scratch)
    let file = try InputFile(path: path)
    for entry in try ZipDirectory(file).entries.values {
      let bytes = try file.bytes(at: entry.dataOffset, count: Int(entry.byteCount))
      #expect(entry.crc32 == crc32(bytes), "\(entry.name)")
      let local = try file.bytes(at: entry.headerOffset + 14, count: 4)
      #expect(local == [UInt8](littleEndian: entry.crc32))
    }
  }

  /// Bit by bit, as zip defines it.
  private func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }

  @Test func numbersBeyondABufferAreWritten() throws {
    var state = StateDict()
    let values = (0..<200_001).map { Float($0) }
    state.add("large", [values.count], values)
    state.add("behind", [2], [1, 2])
    let scratch = try ScratchDirectory()
    for name in ["x.bin", "x.safetensors"] {
      let checkpoint = try Checkpoint.open(file: try write(state, as: name, in: scratch))
      #expect(try checkpoint.readAll(try #require(checkpoint.tensor("large"))) == values)
      #expect(try checkpoint.readAll(try #require(checkpoint.tensor("behind"))) == [1, 2])
    }
  }

  @Test func settingsReadBackAndAreASCII() throws {
    let value = JSONValue.object([
      "b": .array([.integer(-3), .number(1), .number(1e-6), .number(0.1), .null, .bool(true)]), "a": .object([:]),
      "text \u{e9}": .string("tab\t, line\n, quote\", \\, \u{1F418}"), "empty": .array([]),
    ])
    let bytes = JSONText.bytes(value)
    #expect(bytes.allSatisfy { $0 < 0x7F })
    var cursor = JSONCursor(bytes, file: "x.json")
    #expect(try cursor.value() == value)
    try cursor.end()
    let text = String(decoding: bytes, as: UTF8.self)
    // Python tells a float from a whole number by it, and so does the adapters library.
    #expect(text.contains("    1.0,\n"))
    #expect(text.hasPrefix("{\n  \"a\": {},\n  \"b\": [\n    -3,\n"))
  }

  @Test func aPathThatCannotBeWrittenIsAnError() throws {
    let error = conversionError { () throws(ConversionError) in try OutputFile(path: "/dev/null/x") }
    #expect(error?.kind == .cannotWrite)
    let full = try OutputFile(path: "/dev/full")
    let failed = conversionError { () throws(ConversionError) in
      try full.append([UInt8](repeating: 1, count: 1 << 20))
    }
    #expect(failed?.kind == .cannotWrite)
  }
}
