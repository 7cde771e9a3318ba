import CTuskSystem

/// The owner of a read-only mapping: the file is mapped once, shared with every process that maps it, and unmapped
/// when the last view is gone. Or a caller's memory that holds a file, which is read in place and never freed.
public final class Mapping: Sendable {
  /// The only stored pointers of the format layer; every view goes through bounds that `MappedBytes` checked.
  private nonisolated(unsafe) let base: UnsafeRawPointer?
  public let count: Int
  private let ownership: Ownership

  private enum Ownership { case mapped, copied, borrowed }

  /// Where a file may begin in memory: what kernels require of the rows that formats align in it.
  public static let alignment = 64

  /// Maps the regular file at `path` (a null-terminated UTF-8 path).
  /// - Throws: `FormatError.Kind.cannotOpen` (with the errno value as `found`) or `.notRegularFile`.
  public convenience init(path: UnsafePointer<CChar>) throws(FormatError) {
    var mapping = tusk_mapping()
    let failure = tusk_map_file(path, &mapping)
    try self.init(mapping, failure)
  }

  /// Maps the regular file that `descriptor` is open on; the descriptor stays the caller's, who may close it at once.
  /// - Throws: as `init(path:)`.
  public convenience init(descriptor: Int32) throws(FormatError) {
    var mapping = tusk_mapping()
    let failure = tusk_map_descriptor(descriptor, &mapping)
    try self.init(mapping, failure)
  }

  /// Maps the regular file at `path` for this process alone: what is written to its bytes, by addresses of kernels, is not
  /// written to the file.
  /// - Throws: as `init(path:)`.
  package convenience init(privatePath path: UnsafePointer<CChar>) throws(FormatError) {
    var mapping = tusk_mapping()
    let failure = tusk_map_file_privately(path, &mapping)
    try self.init(mapping, failure)
  }

  private init(_ mapping: tusk_mapping, _ failure: Int32) throws(FormatError) {
    guard failure == 0 else {
      let irregular = failure == EISDIR || failure == EINVAL
      throw FormatError(irregular ? .notRegularFile : .cannotOpen, at: 0, found: UInt64(failure))
    }
    base = mapping.base
    count = Int(mapping.bytes)
    ownership = .mapped
  }

  /// A file that lies in the caller's memory, which is neither copied nor freed: it has to outlive this object and
  /// everything opened from it, unchanged.
  /// - Throws: `misalignedMemory` unless it begins on a multiple of `alignment`.
  public init(borrowing bytes: UnsafeRawBufferPointer) throws(FormatError) {
    let rest = UInt(bitPattern: bytes.baseAddress) % UInt(Self.alignment)
    guard rest == 0 else { throw FormatError(.misalignedMemory, at: 0, found: UInt64(rest)) }
    base = bytes.baseAddress
    count = bytes.count
    ownership = .borrowed
  }

  /// A copy of `bytes` that behaves like a mapped file; 64-byte aligned as a mapping is.
  public init(copying bytes: [UInt8]) {
    let copy = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 4096)
    bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { copy.copyMemory(from: start, byteCount: source.count) }
    }
    base = UnsafeRawPointer(copy)
    count = bytes.count
    ownership = .copied
  }

  deinit {
    switch ownership {
    case .mapped: tusk_unmap_file(tusk_mapping(base: base, bytes: UInt64(count)))
    case .copied: base?.deallocate()
    case .borrowed: break
    }
  }

  /// Says how this file will be read: the rows of `scattered` here and there, what follows up to `end` whole and often, with
  /// its neighbours in a large page. A caller's memory is left as it is.
  package func expectReads(scattered: Range<Int>, wholeTo end: Int) {
    guard ownership == .mapped else { return }
    let start = scattered.upperBound / Self.largePageBytes * Self.largePageBytes
    let end = min(end.roundedUp(to: Self.largePageBytes), count)
    if scattered.lowerBound < start {
      let count = start - scattered.lowerBound
      tusk_expect_scattered_reads(address(scattered.lowerBound, count: count), count)
    }
    tusk_prefer_large_pages(address(start, count: end - start), end - start)
  }

  /// On x86-64 and, with pages of 4 KB, on 64-bit ARM.
  private static let largePageBytes = 1 << 21

  /// All bytes of the file.
  public var bytes: MappedBytes { MappedBytes(owner: self, offset: 0, count: count) }

  /// The address of byte `offset`.
  /// - Precondition: `offset + count` lies within the mapping.
  func address(_ offset: Int, count: Int) -> UnsafeRawPointer {
    precondition(offset >= 0 && count >= 0 && offset <= self.count - count, "view outside its mapping")
    guard let base else { return UnsafeRawPointer(bitPattern: 1)! }
    return base + offset
  }
}

/// A range of a mapping, kept alive by a reference to its owner. Two words and a reference; copying it copies no data.
public struct MappedBytes: Sendable {
  public let owner: Mapping
  /// Byte offset of the range in its file.
  public let offset: Int
  public let count: Int

  init(owner: Mapping, offset: Int, count: Int) {
    self.owner = owner
    self.offset = offset
    self.count = count
  }

  /// The part `range` of these bytes.
  /// - Precondition: `range` lies within them.
  public func slice(_ range: Range<Int>) -> MappedBytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice outside its bytes")
    return MappedBytes(owner: owner, offset: offset + range.lowerBound, count: range.count)
  }

  /// Calls `body` with the bytes; the span cannot outlive the call.
  public func withSpan<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let buffer = UnsafeRawBufferPointer(start: owner.address(offset, count: count), count: count)
    return try body(buffer.bytes)
  }

  /// The address of the first byte, for kernels. Valid while `owner` is referenced.
  package var address: UnsafeRawPointer { owner.address(offset, count: count) }

  /// The little-endian value at byte `position`, aligned or not.
  /// - Precondition: it lies within these bytes.
  @inline(__always)
  package func load<Value: BitwiseCopyable>(_ position: Int, as type: Value.Type = Value.self) -> Value {
    precondition(position >= 0 && position <= count - MemoryLayout<Value>.size, "load outside its bytes")
    return address.loadUnaligned(fromByteOffset: position, as: type)
  }

  /// The first position in `range` whose byte is not zero.
  package func firstNonZero(in range: Range<Int>) -> Int? {
    for position in range where load(position, as: UInt8.self) != 0 { return position }
    return nil
  }

  /// CRC-32 of the bytes.
  package var checksum: UInt32 { checksum(after: 0) }

  /// CRC-32 of the bytes that `checksum` stands for, followed by these.
  package func checksum(after checksum: UInt32) -> UInt32 { tusk_crc32(checksum, address, count) }
}

extension MappedBytes {
  /// - Throws: `reservedNotZero` if any byte of `range` is not zero.
  func requireZero(_ range: Range<Int>) throws(FormatError) {
    if let position = firstNonZero(in: range) {
      throw FormatError(.reservedNotZero, at: offset + position, found: UInt64(load(position, as: UInt8.self)))
    }
  }

  /// The u32 at `position`, required to lie in `range`.
  func field(_ position: Int, in range: ClosedRange<UInt32>) throws(FormatError) -> Int {
    let value: UInt32 = load(position)
    guard range.contains(value) else {
      let bound = value < range.lowerBound ? range.lowerBound : range.upperBound
      throw FormatError(.invalidField, at: offset + position, found: UInt64(value), required: UInt64(bound))
    }
    return Int(value)
  }

  /// The u32 at `position`, required to be 0 or 1.
  func flag(_ position: Int) throws(FormatError) -> Bool { try field(position, in: 0...1) == 1 }

  /// The f32 at `position`, required to be finite.
  func finite(_ position: Int) throws(FormatError) -> Float {
    let bits: UInt32 = load(position)
    let value = Float(bitPattern: bits)
    guard value.isFinite else { throw FormatError(.invalidField, at: offset + position, found: UInt64(bits)) }
    return value
  }

  /// The f32 at `position`, required to be finite and above 0.
  func positive(_ position: Int) throws(FormatError) -> Float {
    let value = try finite(position)
    guard value > 0 else {
      throw FormatError(.invalidField, at: offset + position, found: UInt64(value.bitPattern))
    }
    return value
  }
}
