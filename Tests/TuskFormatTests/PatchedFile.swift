import CTuskSystem

@testable import TuskFormat

/// A file whose bytes are changed on purpose, with the checksums made right again so that the change itself is found.
struct PatchedFile {
  private(set) var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// A header of `kind` with `sections` in its table and nothing behind it.
  init(kind: FileKind, sections: [(kind: UInt16, flags: UInt16, offset: UInt64, byteCount: UInt64)]) {
    var file = LittleEndianBytes(capacity: 256)
    file.append(Container.magic)
    file.append(Container.readVersion)
    file.append(Container.readVersion)
    file.append(kind.rawValue)
    file.append(UInt64(64 + 32 * sections.count))
    file.append(UInt64(64))
    file.append(UInt32(sections.count))
    file.pad(to: 64)
    for section in sections {
      file.append(section.kind)
      file.append(section.flags)
      file.append(UInt32(0))
      file.append(UInt64(0))
      file.append(section.offset)
      file.append(section.byteCount)
    }
    bytes = file.bytes
    sign()
  }

  func word(_ position: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
  }

  /// Replaces the value at `position`.
  func setting<Value: FixedWidthInteger>(_ position: Int, to value: Value) -> PatchedFile {
    var copy = self
    withUnsafeBytes(of: value.littleEndian) { source in
      for (index, byte) in source.enumerated() { copy.bytes[position + index] = byte }
    }
    return copy
  }

  /// The file with `count` more zero bytes, and a header that says so.
  func extended(by count: Int) -> PatchedFile {
    var copy = self
    copy.bytes += [UInt8](repeating: 0, count: count)
    return copy.setting(16, to: UInt64(copy.bytes.count)).signed
  }

  /// With section checksums and index checksum computed anew.
  var resigned: PatchedFile {
    var copy = self
    for entry in 0..<word(32) {
      let start = 64 + 32 * entry
      let offset = word(start + 16)
      let section = Array(bytes[offset..<offset + word(start + 24)])
      copy = copy.setting(start + 8, to: tusk_crc32(0, section, section.count))
    }
    return copy.signed
  }

  /// With the index checksum computed anew.
  var signed: PatchedFile {
    var copy = self
    copy.sign()
    return copy
  }

  private mutating func sign() {
    let table = Array(bytes[64...].prefix(32 * word(32)))
    let checksum = tusk_crc32(tusk_crc32(0, bytes, 60), table, table.count)
    self = setting(60, to: checksum)
  }

  /// Start of the only section of `kind`, or of its first.
  func offset(of kind: SectionKind) -> Int {
    guard let place = place(of: kind) else { preconditionFailure("no such section") }
    return place
  }

  func place(of kind: SectionKind) -> Int? {
    for entry in 0..<word(32) where bytes[64 + 32 * entry] == UInt8(kind.rawValue) { return word(64 + 32 * entry + 16) }
    return nil
  }
}
