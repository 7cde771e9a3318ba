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

  public var fingerprint: UInt64 { bytes.load(0) }
  public var dModel: Int { word(8) }
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
  var dataOffset: Int { (tensorsOffset + tensorCount * TaskTensor.recordBytes).roundedUp(to: Container.rowAlignment) }

  /// - Precondition: `position` is a slot of `slots`.
  public func slot(at position: Int) -> TaskSlot {
    precondition(position >= 0 && position < slots.count, "no such slot")
    let start = slotsOffset + position * Self.slotBytes
    return TaskSlot(
      attachment: word(start + 4) == 0 ? nil : word(start), normTensor: optional(start + 8),
      normBiasTensor: optional(start + 12))
  }

  public func attachment(at position: Int) -> TaskAttachment {
    precondition(position >= 0 && position < attachmentCount, "no such attachment")
    let start = attachmentsOffset + position * TaskAttachment.recordBytes
    func short(_ offset: Int) -> UInt16 { bytes.load(start + offset) }
    return TaskAttachment(
      activation: Activation(rawValue: UInt32(short(4)))!, inputRule: InputRule(rawValue: short(6))!,
      skipRule: SkipRule(rawValue: short(8))!, addsStream: short(10) & 1 != 0, bottleneckWidth: word(start + 12),
      scaling: bytes.load(start + 16), normEpsilon: bytes.load(start + 20), down: word(start + 24),
      up: word(start + 28), normBeforeWeight: optional(start + 32), normBeforeBias: optional(start + 36),
      normAfterWeight: optional(start + 40), normAfterBias: optional(start + 44),
      scalingVector: optional(start + 48))
  }

  public func linear(at position: Int) -> TaskLinear {
    precondition(position >= 0 && position < linearCount, "no such linear")
    let start = linearsOffset + position * TaskLinear.recordBytes
    return TaskLinear(
      inWidth: word(start), outWidth: word(start + 4), phmDim: word(start + 8), factorRank: word(start + 12),
      rule: optional(start + 16), ruleLeft: optional(start + 20), ruleRight: optional(start + 24),
      leftFactor: optional(start + 28), rightFactor: optional(start + 32), full: optional(start + 36),
      bias: optional(start + 40))
  }

  public func tensor(at position: Int) -> TaskTensor {
    precondition(position >= 0 && position < tensorCount, "no such tensor")
    let start = tensorsOffset + position * TaskTensor.recordBytes
    let shape = TensorShape(word(start + 4), word(start + 8), word(start + 12))
    let offset = Int(bytes.load(start + 16, as: UInt64.self))
    return TaskTensor(
      kind: TaskTensorKind(rawValue: bytes.load(start))!, shape: shape,
      data: bytes.slice(offset..<offset + 4 * shape.elementCount))
  }
}
