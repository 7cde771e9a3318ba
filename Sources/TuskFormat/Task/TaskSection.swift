/// A task inside an open file: its tables, read in place.
///
/// Two words and a reference, whatever the task's size; nothing is copied when it is mounted.
/// - Source: `formats/task.md`
public struct TaskSection: Sendable {
  public let bytes: MappedBytes

  static let headerBytes = 96
  static let slotBytes = 16

  /// The tables of `bytes`, which must be validated before they are used.
  init(_ bytes: MappedBytes) { self.bytes = bytes }

  /// The task section that `bytes` are, proven as opening a file proves it, for the backbone of `config`.
  /// - Throws: as `PackedFile`, and `taskOfOtherBackbone`.
  package init(validating bytes: MappedBytes, for config: BackboneConfig) throws(FormatError) {
    self.init(bytes)
    try validate()
    try requireFit(to: config)
  }

  public var fingerprint: UInt64 { bytes.load(0) }
  public var dModel: Int { word(8) }
  /// H K of the backbone.
  public var innerWidth: Int { word(68) }
  public var dFF: Int { word(72) }
  public var slots: SlotLayout { SlotLayout(layerCount: word(12), decoderLayerCount: word(16)) }
  /// Ids at and above it have no logits.
  public var vocabularySize: Int { word(20) }
  public var origin: TaskOrigin { TaskOrigin(rawValue: bytes.load(24))! }
  /// UTF-8.
  public var name: MappedBytes { bytes.slice(Self.headerBytes..<Self.headerBytes + word(28)) }
  /// Numbers in the backbone the task was made for, a tied head counted once.
  public var backboneParameterCount: UInt64 { bytes.load(56) }
  public var attachmentCount: Int { word(32) }
  public var linearCount: Int { word(36) }
  public var tensorCount: Int { word(40) }

  func word(_ position: Int) -> Int { Int(bytes.load(position, as: UInt32.self)) }

  /// 0 is "none"; other values are 1 + an index.
  func optional(_ position: Int) -> Int? {
    let value = word(position)
    return value == 0 ? nil : value - 1
  }

  var slotsOffset: Int { Self.headerBytes + word(28).roundedUp(to: 8) }
  var attachmentsOffset: Int { slotsOffset + slots.count * Self.slotBytes }
  var linearsOffset: Int { attachmentsOffset + attachmentCount * TaskAttachment.recordBytes }
  var headOffset: Int { linearsOffset + linearCount * TaskLinear.recordBytes }
  var labelsOffset: Int { headOffset + (hasHead ? TaskHead.recordBytes : 0) }
  var labelBytes: Int { word(64) }
  var tensorsOffset: Int { labelsOffset + labelBytes.roundedUp(to: 8) }
  package var dataOffset: Int {
    (tensorsOffset + tensorCount * TaskTensor.recordBytes).roundedUp(to: Container.rowAlignment)
  }

  /// - Precondition: `position` is a slot of `slots`.
  public func slot(at position: Int) -> TaskSlot {
    precondition(position >= 0 && position < slots.count, "no such slot")
    let start = slotsOffset + position * Self.slotBytes
    let first = word(start)
    return TaskSlot(
      attachments: first..<first + word(start + 4), normTensor: optional(start + 8),
      normBiasTensor: optional(start + 12))
  }

  public func tensor(at position: Int) -> TaskTensor {
    precondition(position >= 0 && position < tensorCount, "no such tensor")
    let start = tensorsOffset + position * TaskTensor.recordBytes
    let kind = TaskTensorKind(rawValue: bytes.load(start))!
    let shape = TensorShape(word(start + 4), word(start + 8), word(start + 12))
    let offset = Int(bytes.load(start + 16, as: UInt64.self))
    return TaskTensor(kind: kind, shape: shape, data: bytes.slice(offset..<offset + shape.byteCount(kind)))
  }
}
