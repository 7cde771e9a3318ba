/// One member of a zip archive; its data was checked to lie within the file and beside every other member's.
struct ZipEntry {
  let name: String
  let headerOffset: UInt64
  var dataOffset: UInt64 = 0
  /// Bytes in the archive.
  let compressedByteCount: UInt64
  /// Bytes once inflated; equal to `compressedByteCount` for a stored member.
  let byteCount: UInt64
  let isDeflated: Bool
  let flags: UInt16
  let crc32: UInt32
}

/// The central directory of a zip or zip64 archive on one disk, stored and deflated members only.
///
/// Everything a lenient reader would guess is refused: a gap between the directory and the records that locate it, members
/// that overlap, two members of one name, local headers that disagree with the directory.
///
/// - Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 to 4.5
struct ZipDirectory {
  static let maximumDirectoryBytes: UInt64 = 8 << 20
  static let maximumEntryCount: UInt64 = 1 << 16
  /// Deflate cannot shrink anything further; a member that claims more is a bomb.
  static let maximumDeflateRatio: UInt64 = 1032

  let entries: [String: ZipEntry]

  /// - Throws: `ConversionError.Kind.malformed`, `.tooLarge`, `.unsupported` or `.cannotRead`.
  init(_ file: InputFile) throws(ConversionError) {
    let location = try ZipDirectory.locate(in: file)
    guard location.byteCount <= ZipDirectory.maximumDirectoryBytes,
      location.entryCount <= ZipDirectory.maximumEntryCount
    else {
      throw ConversionError(
        .tooLarge, file: file.path, offset: location.offset,
        "the archive lists \(location.entryCount) members in \(location.byteCount) bytes; this reader accepts "
          + "\(ZipDirectory.maximumEntryCount) in \(ZipDirectory.maximumDirectoryBytes)")
    }
    let parser = DirectoryParser(
      file: file, location: location, bytes: try file.bytes(at: location.offset, count: Int(location.byteCount)))
    var entries: [String: ZipEntry] = [:]
    var end = location.offset
    // Backwards, so that each member must end before the one that follows it in the file begins.
    for var entry in try parser.entries().sorted(by: { $0.headerOffset > $1.headerOffset }) {
      try parser.checkLocalHeader(&entry, end: end)
      end = entry.headerOffset
      guard entries.updateValue(entry, forKey: entry.name) == nil else {
        throw ConversionError(
          .malformed, file: file.path, offset: entry.headerOffset, subject: entry.name,
          "the archive has two members of this name")
      }
    }
    self.entries = entries
  }

  struct Location {
    var offset: UInt64
    var byteCount: UInt64
    var entryCount: UInt64
  }

  /// Finds the central directory from the end records.
  private static func locate(in file: InputFile) throws(ConversionError) -> Location {
    let maximumCommentBytes: UInt64 = 0xFFFF
    let tailBytes = min(file.byteCount, 22 + maximumCommentBytes)
    let tailOffset = file.byteCount - tailBytes
    let tail = LittleEndianBytes(try file.bytes(at: tailOffset, count: Int(tailBytes)))
    let candidates = stride(from: tail.count - 22, through: 0, by: -1)
    guard
      let end = candidates.first(where: {
        tail.uint32(at: $0) == 0x0605_4B50 && Int(tail.uint16(at: $0 + 20)) == tail.count - 22 - $0
      })
    else {
      throw ConversionError(
        .malformed, file: file.path, offset: file.byteCount,
        "found no end-of-directory record of a zip archive; the file may be cut off")
    }
    let endOffset = tailOffset + UInt64(end)
    var location = Location(
      offset: UInt64(tail.uint32(at: end + 16)), byteCount: UInt64(tail.uint32(at: end + 12)),
      entryCount: UInt64(tail.uint16(at: end + 10)))
    guard tail.uint16(at: end + 4) == 0, tail.uint16(at: end + 6) == 0, tail.uint16(at: end + 8) == location.entryCount
    else {
      throw ConversionError(.unsupported, file: file.path, offset: endOffset, "the archive spans several disks")
    }
    var directoryEnd = endOffset
    if end >= 20, tail.uint32(at: end - 20) == 0x0706_4B50 {
      let recordOffset = tail.uint64(at: end - 12)
      location = try locate64(in: file, recordOffset: recordOffset, locatorOffset: endOffset - 20, short: location)
      directoryEnd = recordOffset
    }
    guard location.byteCount <= directoryEnd, location.offset == directoryEnd - location.byteCount,
      location.entryCount <= location.byteCount / 46
    else {
      throw ConversionError(
        .malformed, file: file.path, offset: endOffset,
        "a directory of \(location.entryCount) members in \(location.byteCount) bytes at \(location.offset) does not end "
          + "at byte \(directoryEnd), where its end record begins")
    }
    return location
  }

  /// The location in the zip64 record, which must agree with every field of the short record that is not saturated.
  private static func locate64(
    in file: InputFile, recordOffset: UInt64, locatorOffset: UInt64, short: Location
  ) throws(ConversionError) -> Location {
    guard locatorOffset >= 56, recordOffset <= locatorOffset - 56 else {
      throw ConversionError(
        .malformed, file: file.path, offset: locatorOffset, "the zip64 record is said to lie at \(recordOffset)")
    }
    let record = LittleEndianBytes(try file.bytes(at: recordOffset, count: 56))
    let location = Location(
      offset: record.uint64(at: 48), byteCount: record.uint64(at: 40), entryCount: record.uint64(at: 32))
    guard record.uint32(at: 0) == 0x0606_4B50, record.uint64(at: 4) == locatorOffset - recordOffset - 12,
      record.uint32(at: 16) == 0, record.uint32(at: 20) == 0, record.uint64(at: 24) == location.entryCount,
      short.offset == location.offset || short.offset == 0xFFFF_FFFF,
      short.byteCount == location.byteCount || short.byteCount == 0xFFFF_FFFF,
      short.entryCount == location.entryCount || short.entryCount == 0xFFFF
    else {
      throw ConversionError(
        .malformed, file: file.path, offset: recordOffset, "the zip64 record contradicts the end-of-directory record")
    }
    return location
  }
}

/// Reads directory records; `bytes` holds the whole central directory.
private struct DirectoryParser {
  let file: InputFile
  let location: ZipDirectory.Location
  let bytes: LittleEndianBytes

  init(file: InputFile, location: ZipDirectory.Location, bytes: [UInt8]) {
    self.file = file
    self.location = location
    self.bytes = LittleEndianBytes(bytes)
  }

  func failure(_ sentence: String, at offset: UInt64, subject: String? = nil) -> ConversionError {
    ConversionError(.malformed, file: file.path, offset: offset, subject: subject, sentence)
  }

  func entries() throws(ConversionError) -> [ZipEntry] {
    var entries: [ZipEntry] = []
    var position = 0
    for _ in 0..<location.entryCount {
      entries.append(try entry(at: &position))
    }
    guard position == bytes.count else {
      throw failure("the directory goes on after its last member", at: location.offset + UInt64(position))
    }
    return entries
  }

  private func entry(at position: inout Int) throws(ConversionError) -> ZipEntry {
    let offset = location.offset + UInt64(position)
    guard bytes.count - position >= 46, bytes.uint32(at: position) == 0x0201_4B50 else {
      throw failure("found no directory record where a member's is required", at: offset)
    }
    let nameCount = Int(bytes.uint16(at: position + 28))
    let extraCount = Int(bytes.uint16(at: position + 30))
    let recordCount = 46 + nameCount + extraCount + Int(bytes.uint16(at: position + 32))
    guard bytes.count - position >= recordCount else {
      throw failure("a directory record of \(recordCount) bytes is cut off", at: offset)
    }
    let nameStart = position + 46
    guard let name = String(validating: bytes[nameStart..<nameStart + nameCount], as: UTF8.self) else {
      throw failure("a member's name is not valid UTF-8", at: offset)
    }
    var wide = WideFields(
      byteCount: UInt64(bytes.uint32(at: position + 24)), compressedByteCount: UInt64(bytes.uint32(at: position + 20)),
      headerOffset: UInt64(bytes.uint32(at: position + 42)))
    let extra = nameStart + nameCount..<nameStart + nameCount + extraCount
    guard wide.widen(from: bytes, in: extra) else {
      throw failure("the zip64 sizes of a member are missing or cut off", at: offset, subject: name)
    }
    let flags = bytes.uint16(at: position + 8)
    let method = bytes.uint16(at: position + 10)
    guard flags & 0x0041 == 0 else {
      throw ConversionError(.unsupported, file: file.path, offset: offset, subject: name, "the member is encrypted")
    }
    guard method == 0 || method == 8 else {
      throw ConversionError(
        .unsupported, file: file.path, offset: offset, subject: name,
        "compression method \(method) is not supported; stored (0) and deflated (8) are")
    }
    guard bytes.uint16(at: position + 34) == 0 else {
      throw ConversionError(.unsupported, file: file.path, offset: offset, "the archive spans several disks")
    }
    guard method == 8 || wide.byteCount == wide.compressedByteCount else {
      throw failure("a stored member has two different sizes", at: offset, subject: name)
    }
    guard wide.byteCount / ZipDirectory.maximumDeflateRatio <= wide.compressedByteCount else {
      throw failure(
        "\(wide.compressedByteCount) bytes cannot inflate to \(wide.byteCount)", at: offset, subject: name)
    }
    position += recordCount
    return ZipEntry(
      name: name, headerOffset: wide.headerOffset, compressedByteCount: wide.compressedByteCount,
      byteCount: wide.byteCount, isDeflated: method == 8, flags: flags,
      crc32: bytes.uint32(at: position - recordCount + 16))
  }

  /// Checks the member's local header against the directory, sets where its data begins, and that it ends by `end`.
  func checkLocalHeader(_ entry: inout ZipEntry, end: UInt64) throws(ConversionError) {
    let nameCount = UInt64(entry.name.utf8.count)
    guard entry.headerOffset <= end, end - entry.headerOffset >= 30 + nameCount else {
      throw failure("a member's header overlaps what follows it", at: entry.headerOffset, subject: entry.name)
    }
    let header = LittleEndianBytes(try file.bytes(at: entry.headerOffset, count: 30 + Int(nameCount)))
    let sizesFollowData = entry.flags & 0x0008 != 0
    let sizesAgree =
      header.uint32(at: 18) == UInt32(clamping: entry.compressedByteCount)
      && header.uint32(at: 22) == UInt32(clamping: entry.byteCount)
    guard header.uint32(at: 0) == 0x0403_4B50, header.uint16(at: 26) == UInt16(nameCount),
      header[30...].elementsEqual(entry.name.utf8), header.uint16(at: 6) == entry.flags,
      header.uint16(at: 8) == (entry.isDeflated ? 8 : 0), sizesFollowData || sizesAgree || header.hasWideSizes
    else {
      throw failure("a member's header contradicts the directory", at: entry.headerOffset, subject: entry.name)
    }
    entry.dataOffset = entry.headerOffset + 30 + nameCount + UInt64(header.uint16(at: 28))
    guard entry.dataOffset <= end, entry.compressedByteCount <= end - entry.dataOffset else {
      throw failure("a member's data overlaps what follows it", at: entry.dataOffset, subject: entry.name)
    }
  }
}

/// Fields of a directory record that a zip64 extra field replaces where they are saturated.
private struct WideFields {
  var byteCount: UInt64
  var compressedByteCount: UInt64
  var headerOffset: UInt64

  /// Replaces the saturated fields; false when the zip64 extra field lacks one of them.
  mutating func widen(from bytes: LittleEndianBytes, in extra: Range<Int>) -> Bool {
    let saturated: UInt64 = 0xFFFF_FFFF
    guard byteCount == saturated || compressedByteCount == saturated || headerOffset == saturated else { return true }
    var position = extra.lowerBound
    while extra.upperBound - position >= 4 {
      let count = Int(bytes.uint16(at: position + 2))
      let isWide = bytes.uint16(at: position) == 0x0001
      position += 4
      guard extra.upperBound - position >= count else { return false }
      let end = position + count
      if isWide {
        func next(_ field: inout UInt64) -> Bool {
          guard field == saturated else { return true }
          guard end - position >= 8 else { return false }
          field = bytes.uint64(at: position)
          position += 8
          return true
        }
        return next(&byteCount) && next(&compressedByteCount) && next(&headerOffset)
      }
      position = end
    }
    return false
  }
}

/// Little-endian numbers at offsets of an array. Offsets are the reader's own, checked against `count` before use.
private struct LittleEndianBytes {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var count: Int { bytes.count }

  subscript(range: Range<Int>) -> ArraySlice<UInt8> { bytes[range] }
  subscript(range: PartialRangeFrom<Int>) -> ArraySlice<UInt8> { bytes[range] }

  func uint16(at offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }
  func uint32(at offset: Int) -> UInt32 { UInt32(uint16(at: offset)) | UInt32(uint16(at: offset + 2)) << 16 }
  func uint64(at offset: Int) -> UInt64 { UInt64(uint32(at: offset)) | UInt64(uint32(at: offset + 4)) << 32 }

  /// Whether a local header (at the front) leaves its sizes to its zip64 extra field.
  var hasWideSizes: Bool { uint32(at: 18) == UInt32.max || uint32(at: 22) == UInt32.max }
}
