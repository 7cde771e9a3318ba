/// Writes a backbone: the caller streams the tensors in index order, rows already encoded.
public final class BackboneWriter {
  private let writer: PackedWriter
  private let config: BackboneConfig
  /// Section positions.
  private let tensorIndexSection = 1
  private let firstWeightsSection: Int
  private var fingerprint: Fingerprint
  private let head: [UInt8]?
  private var index: [UInt8] = []
  private var position = 0

  /// Starts `PATH.tmp` for a backbone of `config`, whose `fingerprint` is computed here.
  /// - Parameters:
  ///   - tokenizer: the tokenizer section, if the backbone has one.
  ///   - provenance: UTF-8 text for people.
  ///   - head: the checkpoint's own head, if it has one: the section of a task without adapters and norms, whose
  ///     fingerprint is set here.
  public init(
    path: UnsafePointer<CChar>, config: BackboneConfig, tokenizer: [UInt8]?, provenance: [UInt8]?, head: [UInt8]? = nil
  ) throws(WriteError) {
    var sections = [
      SectionPlan(.config, byteCount: BackboneConfig.recordBytes),
      SectionPlan(.tensorIndex, byteCount: config.tensorCount * TensorIndex.entryBytes),
    ]
    if let provenance { sections.append(SectionPlan(.provenance, byteCount: provenance.count)) }
    if let tokenizer { sections.append(SectionPlan(.tokenizer, byteCount: tokenizer.count)) }
    if let head { sections.append(SectionPlan(.head, byteCount: head.count)) }
    self.head = head
    firstWeightsSection = sections.count
    var ends = [Int](repeating: 0, count: config.groupCount)
    for position in 0..<config.tensorCount {
      let spec = config.tensorSpec(at: position)
      guard let place = TensorIndex.Place(of: spec, after: ends[spec.group]) else { throw WriteError(errorNumber: 27) }
      ends[spec.group] = place.end
    }
    for (group, end) in ends.enumerated() { sections.append(SectionPlan(.weights, ordinal: group, byteCount: end)) }
    self.config = config
    fingerprint = config.fingerprintBasis
    writer = try PackedWriter(path: path, kind: .backbone, sections: sections)
    var next = 2
    for bytes in [provenance, tokenizer] {
      if let bytes {
        try writer.append(bytes, to: next)
        next += 1
      }
    }
  }

  /// The tensor that `append` and `finishTensor` speak of; nil when all are written.
  public var currentTensor: TensorSpec? { position < config.tensorCount ? config.tensorSpec(at: position) : nil }

  /// Length of the finished file.
  public var fileByteCount: Int { writer.fileByteCount }

  /// Appends encoded rows of the current tensor, each `rowStrideBytes` long with its padding; after the last row, the
  /// scales.
  public func append(_ bytes: UnsafeRawBufferPointer) throws(WriteError) {
    let section = firstWeightsSection + config.tensorSpec(at: position).group
    try writer.append(bytes, to: section)
  }

  /// Ends the current tensor.
  /// - Parameter sourceChecksum: CRC-32 of its source values as float32.
  /// - Precondition: all its rows and scales have been appended.
  public func finishTensor(sourceChecksum: UInt32) throws(WriteError) {
    let spec = config.tensorSpec(at: position)
    let section = firstWeightsSection + spec.group
    let written = writer.writtenByteCount(of: section)
    let place = TensorIndex.Place(of: spec, after: written - spec.dataByteCount - spec.scalesByteCount)
    precondition(place?.end == written, "tensor incomplete")
    index += TensorIndex.entry(spec, place!, sourceChecksum: sourceChecksum)
    fingerprint.combine(spec, sourceChecksum: sourceChecksum)
    position += 1
    if let next = currentTensor, next.group == spec.group {
      try writer.appendZeros(written.roundedUp(to: Container.rowAlignment) - written, to: section)
    }
  }

  /// The configuration with the fingerprint of the tensors.
  /// - Precondition: all of them are finished.
  public var finishedConfig: BackboneConfig {
    precondition(position == config.tensorCount, "tensors missing")
    var config = config
    config.fingerprint = fingerprint.value
    return config
  }

  /// Completes the file and renames it into place.
  public func finish() throws(WriteError) {
    if let head {
      var section = LittleEndianBytes(head)
      section.replace(at: 0, with: fingerprint.value)
      try writer.append(section.bytes, to: firstWeightsSection - 1)
    }
    try writer.append(finishedConfig.record, to: 0)
    try writer.append(index, to: tensorIndexSection)
    try writer.finish()
  }
}
