/// The fixed header of a file whose length, checksum and version have been proven.
struct Header {
  let kind: FileKind
  let sectionCount: Int

  var tableEnd: Int { Container.headerBytes + sectionCount * Container.sectionEntryBytes }

  init(parsing file: MappedBytes) throws(FormatError) {
    guard Int(littleEndian: 1) == 1 else { throw FormatError(.unsupportedVersion, at: 0) }
    guard file.count >= Container.headerBytes else {
      if file.count >= 8 { try Header.requireMagic(file) }
      throw FormatError(
        .truncatedHeader, at: file.count, found: UInt64(file.count), required: UInt64(Container.headerBytes))
    }
    try Header.requireMagic(file)
    let readVersion: UInt16 = file.load(8)
    guard readVersion == Container.readVersion else {
      throw FormatError(
        .unsupportedVersion, at: 8, found: UInt64(readVersion), required: UInt64(Container.readVersion))
    }
    let writeVersion: UInt16 = file.load(10)
    guard writeVersion >= readVersion else {
      throw FormatError(.invalidField, at: 10, found: UInt64(writeVersion), required: UInt64(readVersion))
    }
    guard let kind = FileKind(rawValue: file.load(12)) else {
      throw FormatError(.invalidField, at: 12, found: UInt64(file.load(12, as: UInt32.self)), required: 3)
    }
    let fileBytes: UInt64 = file.load(16)
    guard fileBytes == UInt64(file.count) else {
      throw FormatError(.wrongFileLength, at: 16, found: UInt64(file.count), required: fileBytes)
    }
    let tableOffset: UInt64 = file.load(24)
    guard tableOffset == UInt64(Container.headerBytes) else {
      throw FormatError(.wrongTableOffset, at: 24, found: tableOffset, required: UInt64(Container.headerBytes))
    }
    let sectionCount = try file.field(32, in: 1...Container.maximumSectionCount)
    try file.requireZero(36..<Container.checksumOffset)
    self.kind = kind
    self.sectionCount = sectionCount
    guard tableEnd <= file.count else {
      throw FormatError(.truncatedTable, at: file.count, found: UInt64(file.count), required: UInt64(tableEnd))
    }
    let checksum = Header.indexChecksum(file.slice(0..<tableEnd))
    let stored: UInt32 = file.load(Container.checksumOffset)
    guard checksum == stored else {
      throw FormatError(
        .indexChecksumMismatch, at: Container.checksumOffset, found: UInt64(stored), required: UInt64(checksum))
    }
  }

  private static func requireMagic(_ file: MappedBytes) throws(FormatError) {
    let magic: UInt64 = file.load(0)
    guard magic == Container.magic else {
      throw FormatError(.wrongMagic, at: 0, found: magic, required: Container.magic)
    }
  }

  /// CRC-32 of the header without its checksum field, followed by the table.
  static func indexChecksum(_ headerAndTable: MappedBytes) -> UInt32 {
    headerAndTable.slice(Container.headerBytes..<headerAndTable.count)
      .checksum(after: headerAndTable.slice(0..<Container.checksumOffset).checksum)
  }

  static func entry(at position: Int, of file: MappedBytes) -> SectionEntry {
    let start = Container.headerBytes + position * Container.sectionEntryBytes
    return SectionEntry(
      rawKind: file.load(start), ordinal: Int(file.load(start + 4, as: UInt32.self)), checksum: file.load(start + 8),
      isRequired: file.load(start + 2, as: UInt16.self) & 1 != 0,
      offset: Int(clamping: file.load(start + 16, as: UInt64.self)),
      byteCount: Int(clamping: file.load(start + 24, as: UInt64.self)))
  }
}

/// Walks the section table once and proves order, places and completeness.
struct SectionScan {
  private let kind: FileKind
  private var end: Int
  private var lastRank = -1
  /// By `SectionKind.rank`.
  private var counts = InlineArray<7, Int>(repeating: 0)
  private var firsts = InlineArray<7, Int>(repeating: 0)

  init(kind: FileKind, tableEnd: Int) {
    self.kind = kind
    end = tableEnd
  }

  func count(_ kind: SectionKind) -> Int { counts[kind.rank] }

  /// Table position of the first section of `kind`.
  func first(_ kind: SectionKind) -> Int? { counts[kind.rank] == 0 ? nil : firsts[kind.rank] }

  mutating func take(at position: Int, of file: MappedBytes) throws(FormatError) {
    let start = Container.headerBytes + position * Container.sectionEntryBytes
    let entry = Header.entry(at: position, of: file)
    let flags: UInt16 = file.load(start + 2)
    guard flags <= 1 else { throw FormatError(.reservedNotZero, at: start + 2, found: UInt64(flags), required: 1) }
    try file.requireZero(start + 12..<start + 16)
    let alignment: Int
    if let kind = entry.kind {
      try takeKnown(kind, entry, at: position, start)
      alignment = kind.alignment
    } else {
      guard !entry.isRequired else {
        throw FormatError(.unknownRequiredSection, at: start, found: UInt64(entry.rawKind))
      }
      alignment = Container.rowAlignment
    }
    let offset = end.roundedUp(to: alignment)
    guard entry.offset == offset else {
      throw FormatError(
        .wrongSectionOffset, at: start + 16, found: UInt64(entry.offset), required: UInt64(offset))
    }
    let next = offset.addingReportingOverflow(entry.byteCount)
    guard entry.byteCount > 0, !next.overflow, next.partialValue < Int.max - Container.pageAlignment else {
      throw FormatError(.wrongSectionLength, at: start + 24, found: UInt64(entry.byteCount), required: 1)
    }
    end = next.partialValue
  }

  private mutating func takeKnown(
    _ kind: SectionKind, _ entry: SectionEntry, at position: Int, _ start: Int
  ) throws(FormatError) {
    guard entry.isRequired == kind.isRequired else {
      throw FormatError(
        .wrongSectionFlags, at: start + 2, found: entry.isRequired ? 1 : 0, required: kind.isRequired ? 1 : 0)
    }
    let mayRepeat = kind == .weights || (kind == .task && self.kind == .bundle)
    let isAllowed = self.kind == .task ? kind == .task || kind == .provenance : kind != .task || self.kind == .bundle
    let isInOrder = kind.rank > lastRank || (kind.rank == lastRank && mayRepeat)
    guard isAllowed, isInOrder, entry.ordinal == counts[kind.rank] else {
      throw FormatError(.wrongSectionOrder, at: start, found: UInt64(entry.rawKind))
    }
    guard kind != .provenance || entry.byteCount <= Container.maximumProvenanceBytes else {
      throw FormatError(
        .wrongSectionLength, at: start + 24, found: UInt64(entry.byteCount),
        required: UInt64(Container.maximumProvenanceBytes))
    }
    if counts[kind.rank] == 0 { firsts[kind.rank] = position }
    counts[kind.rank] += 1
    lastRank = kind.rank
  }

  func finish(fileBytes: Int) throws(FormatError) {
    for kind in [SectionKind.config, .tensorIndex, .weights, .task] {
      let isNeeded = kind == .task ? self.kind != .backbone : self.kind != .task
      if isNeeded && count(kind) == 0 {
        throw FormatError(.missingSection, at: Container.headerBytes, found: 0, required: UInt64(kind.rawValue))
      }
    }
    guard end == fileBytes else {
      throw FormatError(.wrongFileLength, at: 16, found: UInt64(fileBytes), required: UInt64(end))
    }
  }
}
