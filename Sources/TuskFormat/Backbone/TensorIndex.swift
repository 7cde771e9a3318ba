/// A tensor of an open file: what it is and where its bytes lie.
public struct Tensor: Sendable {
  public let spec: TensorSpec
  /// CRC-32 of the source values as float32.
  public let sourceChecksum: UInt32
  /// Rows of codes or floats, `spec.rowStrideBytes` apart, 64-byte aligned.
  public let data: MappedBytes
  /// One float32 per row for int8 rows; empty for float32.
  public let scales: MappedBytes
}

package enum TensorIndex {
  package static let entryBytes = 64

  /// Where the tensors of one group lie, relative to the start of their section.
  package struct Place {
    package let data: Int
    package let scales: Int
    package let end: Int

    /// The place of `spec` behind a tensor that ends at `end`; nil if the offsets do not fit an Int.
    package init?(of spec: TensorSpec, after end: Int) {
      guard let start = end.roundedUpIfPossible(to: Container.rowAlignment) else { return nil }
      let size = spec.rows.multipliedReportingOverflow(by: spec.rowStrideBytes)
      let scales = start.addingReportingOverflow(size.partialValue)
      let total = scales.partialValue.addingReportingOverflow(spec.scalesByteCount)
      if size.overflow || scales.overflow || total.overflow { return nil }
      data = start
      self.scales = scales.partialValue
      self.end = total.partialValue
    }
  }

  /// The index entry of a tensor.
  package static func entry(_ spec: TensorSpec, _ place: Place, sourceChecksum: UInt32) -> [UInt8] {
    var bytes = LittleEndianBytes(capacity: entryBytes)
    bytes.append(spec.role.rawValue)
    bytes.append(spec.stack.rawValue)
    bytes.append(spec.encoding.rawValue)
    bytes.append(UInt16(spec.layer))
    bytes.append(UInt16(0))
    bytes.append(UInt32(spec.rows))
    bytes.append(UInt32(spec.columns))
    bytes.append(UInt32(spec.rowStrideBytes))
    bytes.append(sourceChecksum)
    bytes.append(UInt64(place.data))
    bytes.append(UInt64(spec.dataByteCount))
    bytes.append(UInt64(spec.encoding == .int8Rows ? place.scales : 0))
    bytes.pad(to: entryBytes)
    return bytes.bytes
  }

  /// Proves that `index` holds exactly the tensors `config` demands, in its order and at their only possible places,
  /// and that the fingerprint is theirs.
  static func validate(
    _ index: MappedBytes, config: BackboneConfig, weights: (Int) -> SectionEntry
  ) throws(FormatError) {
    let count = config.tensorCount
    guard index.count == count * entryBytes else {
      throw FormatError(
        .wrongSectionLength, at: index.offset, found: UInt64(index.count), required: UInt64(count * entryBytes))
    }
    var fingerprint = config.fingerprintBasis
    var group = -1
    var end = 0
    var section: SectionEntry?
    var position = 0
    try config.forEachTensor { spec throws(FormatError) in
      let entry = index.slice(position * entryBytes..<(position + 1) * entryBytes)
      position += 1
      if spec.group != group {
        if let section { try requireFull(section, end: end) }
        group = spec.group
        section = weights(group)
        end = 0
      }
      guard let place = Place(of: spec, after: end), let section, place.end <= section.byteCount else {
        throw FormatError(
          .wrongSectionLength, at: section!.offset, found: UInt64(section!.byteCount), required: UInt64.max)
      }
      try validate(entry, spec, place)
      fingerprint.combine(spec, sourceChecksum: entry.load(20))
      end = place.end
    }
    if let section { try requireFull(section, end: end) }
    guard fingerprint.value == config.fingerprint else {
      throw FormatError(
        .fingerprintMismatch, at: index.offset, found: config.fingerprint, required: fingerprint.value)
    }
  }

  private static func requireFull(_ section: SectionEntry, end: Int) throws(FormatError) {
    guard section.byteCount == end else {
      throw FormatError(
        .wrongSectionLength, at: section.offset, found: UInt64(section.byteCount), required: UInt64(end))
    }
  }

  private static func validate(
    _ entry: MappedBytes, _ spec: TensorSpec, _ place: Place
  ) throws(FormatError) {
    func require(
      _ found: UInt64, _ required: UInt64, _ kind: FormatError.Kind, at position: Int
    ) throws(FormatError) {
      guard found == required else {
        throw FormatError(kind, at: entry.offset + position, found: found, required: required)
      }
    }
    try require(UInt64(entry.load(0, as: UInt16.self)), UInt64(spec.role.rawValue), .wrongTensor, at: 0)
    try require(UInt64(entry.load(2, as: UInt8.self)), UInt64(spec.stack.rawValue), .wrongTensor, at: 2)
    try require(UInt64(entry.load(3, as: UInt8.self)), UInt64(spec.encoding.rawValue), .wrongTensorEncoding, at: 3)
    try require(UInt64(entry.load(4, as: UInt16.self)), UInt64(spec.layer), .wrongTensor, at: 4)
    try entry.requireZero(6..<8)
    try require(UInt64(entry.load(8, as: UInt32.self)), UInt64(spec.rows), .wrongTensorShape, at: 8)
    try require(UInt64(entry.load(12, as: UInt32.self)), UInt64(spec.columns), .wrongTensorShape, at: 12)
    try require(UInt64(entry.load(16, as: UInt32.self)), UInt64(spec.rowStrideBytes), .wrongTensorShape, at: 16)
    try require(entry.load(24), UInt64(place.data), .wrongTensorPlace, at: 24)
    try require(entry.load(32), UInt64(spec.dataByteCount), .wrongTensorPlace, at: 32)
    let scales = spec.encoding == .int8Rows ? UInt64(place.scales) : 0
    try require(entry.load(40), scales, .wrongTensorPlace, at: 40)
    try entry.requireZero(48..<entryBytes)
  }
}

extension Int {
  fileprivate func roundedUpIfPossible(to alignment: Int) -> Int? {
    let sum = addingReportingOverflow(alignment - 1)
    return sum.overflow ? nil : sum.partialValue / alignment * alignment
  }
}
