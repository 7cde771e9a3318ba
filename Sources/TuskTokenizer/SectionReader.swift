import TuskFormat

/// The fixed part of a section as 48 words, whose kind, flags and length are right.
struct SectionHeader {
  let words: [UInt32]

  static let byteCount = 192

  /// The kind of `section`, unchecked; nil where there is no header.
  static func kind(_ section: RawSpan) throws(TokenizerError) -> UInt32 {
    guard section.byteCount >= byteCount else {
      throw TokenizerError(.truncatedHeader, at: 0, found: UInt64(section.byteCount), required: UInt64(byteCount))
    }
    return UInt32(littleEndian: section.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt32.self))
  }

  /// - Precondition: `kind` found a header.
  init(_ section: RawSpan, knownFlags: UInt32) throws(TokenizerError) {
    words = [UInt32](unsafeUninitializedCapacity: Self.byteCount / 4) { buffer, count in
      for index in 0..<Self.byteCount / 4 {
        let word = section.unsafeLoadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
        buffer.initializeElement(at: index, to: UInt32(littleEndian: word))
      }
      count = Self.byteCount / 4
    }
    guard words[1] & ~knownFlags == 0 else {
      throw TokenizerError(.unknownFlags, at: 4, found: UInt64(words[1]), required: UInt64(knownFlags))
    }
    guard long(at: 8) == UInt64(section.byteCount) else {
      throw TokenizerError(.wrongLength, at: 8, found: UInt64(section.byteCount), required: long(at: 8))
    }
  }

  func long(at offset: Int) -> UInt64 { UInt64(words[offset / 4]) | UInt64(words[offset / 4 + 1]) << 32 }

  func count(at offset: Int, _ limits: ClosedRange<Int>) throws(TokenizerError) -> Int {
    let value = Int(words[offset / 4])
    guard limits.contains(value) else {
      let limit = value < limits.lowerBound ? limits.lowerBound : limits.upperBound
      throw TokenizerError(.limitExceeded, at: UInt64(offset), found: UInt64(value), required: UInt64(limit))
    }
    return value
  }

  func id(at offset: Int, below limit: Int) throws(TokenizerError) -> Int32 {
    let value = Int(words[offset / 4])
    guard value < limit else {
      throw TokenizerError(.idOutOfRange, at: UInt64(offset), found: UInt64(value), required: UInt64(limit))
    }
    return Int32(value)
  }

  func requireZero(_ bytes: Range<Int>) throws(TokenizerError) {
    for offset in stride(from: bytes.lowerBound, to: bytes.upperBound, by: 4) where words[offset / 4] != 0 {
      throw TokenizerError(.reservedNotZero, at: UInt64(offset), found: UInt64(words[offset / 4]))
    }
  }
}

/// Hands out the ranges in their order and proves that they fill the section without a hole.
struct RangeReader {
  let header: SectionHeader
  let sectionBytes: Int
  /// Byte offset of the next range's entry in the header.
  private var entry: Int
  private var end = SectionHeader.byteCount

  init(header: SectionHeader, entriesOffset: Int, sectionBytes: Int) {
    self.header = header
    self.sectionBytes = sectionBytes
    entry = entriesOffset
  }

  /// - Parameters:
  ///   - bytes: the length the range must have; nil where any is allowed.
  ///   - unit: the number of bytes that length must be a multiple of.
  mutating func next(bytes: Int? = nil, unit: Int = 1) throws(TokenizerError) -> Range<Int> {
    let offset = Int(header.words[entry / 4])
    let length = Int(header.words[entry / 4 + 1])
    guard offset == end else {
      throw TokenizerError(.misplacedRange, at: UInt64(entry), found: UInt64(offset), required: UInt64(end))
    }
    if let bytes, length != bytes {
      throw TokenizerError(.wrongRangeLength, at: UInt64(entry + 4), found: UInt64(length), required: UInt64(bytes))
    }
    guard length <= sectionBytes - end else {
      throw TokenizerError(
        .misplacedRange, at: UInt64(entry + 4), found: UInt64(length), required: UInt64(sectionBytes - end))
    }
    guard length % unit == 0 else { throw wrongLength(length, unit: unit) }
    entry += 8
    end += length
    return offset..<end
  }

  mutating func nextTrie(mayBeEmpty: Bool = true) throws(TokenizerError) -> DoubleArray {
    let bytes = try next(unit: 4)
    guard mayBeEmpty || !bytes.isEmpty else {
      entry -= 8
      throw wrongLength(0, unit: 4)
    }
    return DoubleArray(offset: bytes.lowerBound, unitCount: UInt32(bytes.count / 4))
  }

  func finish() throws(TokenizerError) {
    guard end == sectionBytes else {
      throw TokenizerError(.wrongLength, at: 8, found: UInt64(sectionBytes), required: UInt64(end))
    }
  }

  private func wrongLength(_ length: Int, unit: Int) -> TokenizerError {
    TokenizerError(
      .wrongRangeLength, at: UInt64(entry + 4), found: UInt64(length), required: UInt64((length + unit) / unit * unit))
  }
}
