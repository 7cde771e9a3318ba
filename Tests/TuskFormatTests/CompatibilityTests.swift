import Testing

@testable import TuskFormat

/// What `formats/compatibility.md` promises of old readers and new files.
@Suite struct CompatibilityTests {
  /// The bytes of `file` with one more section of kind `kind` at its end.
  private func withSection(_ file: [UInt8], kind: UInt16, isRequired: Bool) -> PatchedFile {
    let whole = PatchedFile(file)
    let count = whole.word(32)
    // The table grows by one entry, which in the nano files still fits in front of the first section.
    let end = (file.count + 63) / 64 * 64
    var grown = PatchedFile(file).extended(by: end + 1 - file.count)
    let entry = 64 + 32 * count
    grown = grown.setting(32, to: UInt32(count + 1)).setting(entry, to: kind)
    grown = grown.setting(entry + 2, to: UInt16(isRequired ? 1 : 0)).setting(entry + 16, to: UInt64(end))
    return grown.setting(entry + 24, to: UInt64(1)).resigned
  }

  private func taskBytes() throws -> [UInt8] {
    let config = try #require(NanoFiles.open(NanoFiles.backboneBytes()).config)
    return try NanoFiles.written {
      try TaskWriter.write(NanoFiles.taskSection(config), provenance: nil, path: $0)
    }
  }

  @Test func anUnknownOptionalSectionIsSkipped() throws {
    let bytes = try taskBytes()
    let file = try NanoFiles.open(withSection(bytes, kind: 77, isRequired: false).bytes)
    let plain = try NanoFiles.open(bytes)
    #expect(file.sectionCount == plain.sectionCount + 1)
    #expect(file.task(at: 0).bytes.checksum == plain.task(at: 0).bytes.checksum)
  }

  @Test func anUnknownRequiredSectionIsRefused() throws {
    let file = withSection(try taskBytes(), kind: 77, isRequired: true)
    #expect(throws: FormatError(.unknownRequiredSection, at: 96, found: 77)) { try NanoFiles.open(file.bytes) }
  }

  @Test func aLaterVersionIsRefused() throws {
    let file = PatchedFile(try taskBytes()).setting(8, to: UInt16(2)).signed
    #expect(throws: FormatError(.unsupportedVersion, at: 8, found: 2, required: 1)) { try NanoFiles.open(file.bytes) }
  }

  @Test func aLaterWriterOfTheSameReadVersionIsAccepted() throws {
    let file = PatchedFile(try taskBytes()).setting(10, to: UInt16(5)).signed
    #expect(try NanoFiles.open(file.bytes).taskCount == 1)
  }
}
