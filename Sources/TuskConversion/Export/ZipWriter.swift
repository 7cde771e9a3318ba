import CTuskSystem

/// Writes a zip archive of stored members, with zip64 records where a number does not fit 32 bits.
///
/// - Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 to 4.5
struct ZipWriter {
  /// 1 January 1980, the first day there is: equal inputs give equal archives.
  private static let date: UInt16 = 0x21
  private static let saturated: UInt64 = 0xFFFF_FFFF
  /// Extra field that fills up to an alignment, as PyTorch calls it.
  private static let paddingField: UInt16 = 0x4246

  private struct Member {
    let name: [UInt8]
    let headerOffset: UInt64
    let byteCount: UInt64
    var checksum: UInt32 = 0
    let isWide: Bool
  }

  private let file: OutputFile
  /// Numbers from here on get zip64 records.
  private let wideFrom: UInt64
  private var members: [Member] = []

  init(_ file: OutputFile, wideFrom: UInt64 = saturated) {
    self.file = file
    self.wideFrom = wideFrom
  }

  /// Begins a member of `byteCount` bytes, whose first byte lies at a multiple of `alignment` in the file.
  mutating func begin(_ name: String, byteCount: UInt64, alignment: UInt64 = 64) throws(ConversionError) {
    let name = Array(name.utf8)
    let member = Member(
      name: name, headerOffset: file.byteCount, byteCount: byteCount, isWide: byteCount >= wideFrom)
    let wide = member.isWide ? bytes(UInt16(1), UInt16(16)) + bytes(byteCount, byteCount) : []
    let unpadded = file.byteCount + 30 + UInt64(name.count + wide.count) + 4
    let padding = (alignment - unpadded % alignment) % alignment
    let extra = wide + bytes(Self.paddingField, UInt16(padding)) + [UInt8](repeating: 0, count: Int(padding))
    let size = member.isWide ? UInt32.max : UInt32(byteCount)
    // The checksum is known at the end.
    try file.append(
      bytes(UInt32(0x0403_4B50)) + bytes(version(member.isWide), 0, 0, 0, Self.date) + bytes(UInt32(0), size, size)
        + bytes(UInt16(name.count), UInt16(extra.count)) + name + extra)
    members.append(member)
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(ConversionError) {
    guard let start = bytes.baseAddress else { return }
    let last = members.count - 1
    members[last].checksum = tusk_crc32(members[last].checksum, start, bytes.count)
    try file.append(bytes)
  }

  /// A whole member.
  mutating func add(_ name: String, _ bytes: [UInt8]) throws(ConversionError) {
    try begin(name, byteCount: UInt64(bytes.count))
    try bytes.withUnsafeBufferPointer { (bytes) throws(ConversionError) in try append(UnsafeRawBufferPointer(bytes)) }
  }

  /// Writes what is known only now: the checksums and the directory.
  func finish() throws(ConversionError) {
    for member in members { try file.replace(at: member.headerOffset + 14, with: bytes(member.checksum)) }
    let start = file.byteCount
    for member in members { try file.append(entry(member)) }
    let byteCount = file.byteCount - start
    let isWide = start >= wideFrom || byteCount >= wideFrom || members.count >= 0xFFFF
    if isWide {
      let record = file.byteCount
      let count = UInt64(members.count)
      try file.append(
        bytes(UInt32(0x0606_4B50)) + bytes(UInt64(44)) + bytes(version(true), version(true)) + bytes(UInt32(0), 0)
          + bytes(count, count, byteCount, start))
      try file.append(bytes(UInt32(0x0706_4B50), 0) + bytes(record) + bytes(UInt32(1)))
    }
    let count = UInt16(clamping: members.count)
    try file.append(
      bytes(UInt32(0x0605_4B50)) + bytes(UInt16(0), 0, count, count)
        + bytes(isWide ? UInt32.max : UInt32(byteCount), isWide ? UInt32.max : UInt32(start)) + bytes(UInt16(0)))
  }

  /// The member's record in the directory.
  private func entry(_ member: Member) -> [UInt8] {
    let isFar = member.headerOffset >= wideFrom
    let fields =
      (member.isWide ? bytes(member.byteCount, member.byteCount) : []) + (isFar ? bytes(member.headerOffset) : [])
    let extra = fields.isEmpty ? [] : bytes(UInt16(1), UInt16(fields.count)) + fields
    let size = member.isWide ? UInt32.max : UInt32(member.byteCount)
    return bytes(UInt32(0x0201_4B50)) + bytes(version(true), version(member.isWide || isFar), 0, 0, 0, Self.date)
      + bytes(member.checksum, size, size) + bytes(UInt16(member.name.count), UInt16(extra.count), 0, 0, 0)
      + bytes(UInt32(0), isFar ? UInt32.max : UInt32(member.headerOffset)) + member.name + extra
  }

  /// What a reader must know: 4.5 for zip64.
  private func version(_ isWide: Bool) -> UInt16 { isWide ? 45 : 20 }

  private func bytes<Number: FixedWidthInteger>(_ numbers: Number...) -> [UInt8] {
    numbers.flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } }
  }
}
