/// Validation of slots and of what they name, in the order of first mention.
extension TaskSection {
  /// Attachments of a slot.
  static let maximumAttachments: UInt32 = 16
  /// Vectors of a prefix or a prompt.
  static let maximumPromptTokens: UInt32 = 4096

  func validateSlot(_ position: Int, _ mentions: inout Mentions) throws(FormatError) {
    let start = slotsOffset + position * Self.slotBytes
    let first = word(start)
    guard first == mentions.attachments else {
      throw FormatError(
        .invalidReference, at: bytes.offset + start, found: UInt64(first), required: UInt64(mentions.attachments))
    }
    let count = try bytes.field(start + 4, in: 0...Self.maximumAttachments)
    try mention(start + 8, .taskNorm, TensorShape(dModel), &mentions)
    try mention(start + 12, .taskNormBias, TensorShape(dModel), &mentions)
    guard first + count <= attachmentCount else {
      throw FormatError(
        .invalidReference, at: bytes.offset + start, found: UInt64(first), required: UInt64(attachmentCount))
    }
    mentions.attachments += count
    var last: (UInt16, UInt16) = (0, 0)
    for attachment in first..<first + count {
      let record = attachmentsOffset + attachment * TaskAttachment.recordBytes
      let order = (short(record), short(record + 2))
      guard order > last else {
        throw FormatError(.invalidReference, at: bytes.offset + record, found: UInt64(order.0))
      }
      last = order
      try validateAttachment(record, slot: position, &mentions)
    }
  }

  private func validateAttachment(_ start: Int, slot: Int, _ mentions: inout Mentions) throws(FormatError) {
    let site = slots.subLayer(ofSlot: slot)
    try shortField(start, in: 1...4)
    switch short(start) {
    case 1:
      try require(site != nil, kindAt: start)
      try validateAdapter(start, isInEncoder: site?.stack == .encoder, &mentions)
    case 2: try validateProduct(start, slot: slot, &mentions)
    case 3:
      try require(site != nil && site?.subLayer != .feedForward, kindAt: start)
      try validatePrefix(start, &mentions)
    default:
      try require(slot == slots.encoderStart, kindAt: start)
      try validatePrompt(start, &mentions)
    }
  }

  private func require(_ isPossible: Bool, kindAt start: Int) throws(FormatError) {
    guard isPossible else { throw FormatError(.invalidField, at: bytes.offset + start, found: UInt64(short(start))) }
  }

  private func validateAdapter(
    _ start: Int, isInEncoder: Bool, _ mentions: inout Mentions
  ) throws(FormatError) {
    try shortField(start + 2, in: 1...1)
    try shortField(start + 4, in: 0...UInt16(Activation.allCases.count - 1))
    try shortField(start + 6, in: 1...UInt16(InputRule.allCases.count))
    try shortField(start + 8, in: 0...3)
    try shortField(start + 10, in: 0...(word(start + 40) == 0 ? 1 : 3))
    let width = try bytes.field(start + 12, in: 1...1_048_576)
    _ = try bytes.finite(start + 16)
    _ = try bytes.positive(start + 20)
    _ = try mentionLinear(start + 24, number: word(start + 24), inWidth: dModel, outWidth: width, &mentions)
    _ = try mentionLinear(start + 28, number: word(start + 28), inWidth: width, outWidth: dModel, &mentions)
    for offset in [32, 40] {
      let hasWeight = try mention(start + offset, .adapterNormWeight, TensorShape(dModel), &mentions)
      let hasBias = try mention(start + offset + 4, .adapterNormBias, TensorShape(dModel), &mentions)
      guard hasWeight == hasBias else {
        throw FormatError(.invalidReference, at: bytes.offset + start + offset + 4)
      }
    }
    try mention(start + 48, .scalingVector, TensorShape(dModel), &mentions)
    let hasGate = try mention(start + 52, .gateWeight, TensorShape(dModel), &mentions)
    let hasGateBias = try mention(start + 56, .gateBias, TensorShape(1), &mentions)
    guard hasGate == hasGateBias, isInEncoder || !hasGate else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 52)
    }
    try bytes.requireZero(start + 60..<start + 64)
  }

  private func validateProduct(_ start: Int, slot: Int, _ mentions: inout Mentions) throws(FormatError) {
    try shortField(start + 2, in: 1...UInt16(ProductTarget.allCases.count))
    let target = ProductTarget(rawValue: short(start + 2))!
    guard let (inWidth, outWidth) = widths(of: target, slot: slot) else {
      throw FormatError(.invalidField, at: bytes.offset + start + 2, found: UInt64(target.rawValue))
    }
    let scaling = try bytes.finite(start + 8)
    let hasLinear = word(start + 4) != 0
    guard hasLinear || scaling.bitPattern == 0 else {
      throw FormatError(.invalidField, at: bytes.offset + start + 8, found: UInt64(scaling.bitPattern))
    }
    if hasLinear {
      _ = try mentionLinear(
        start + 4, number: word(start + 4) - 1, inWidth: inWidth, outWidth: outWidth, &mentions)
    }
    let hasInputScale = try mention(start + 12, .inputScale, TensorShape(inWidth), &mentions)
    let hasOutputScale = try mention(start + 16, .outputScale, TensorShape(outWidth), &mentions)
    let hasBias = try mention(start + 20, .bias, TensorShape(outWidth), &mentions)
    guard !hasInputScale || (target.ownsInput && !hasLinear) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 12)
    }
    guard hasLinear || hasInputScale || hasOutputScale || hasBias else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 4)
    }
    try bytes.requireZero(start + 24..<start + 64)
  }

  /// Widths of a product, or nil if none of its kind stands at `slot`.
  private func widths(of target: ProductTarget, slot: Int) -> (inWidth: Int, outWidth: Int)? {
    let isFeedForward = slots.subLayer(ofSlot: slot).map { $0.subLayer == .feedForward }
    switch target {
    case .q, .k, .v: return isFeedForward == false ? (dModel, innerWidth) : nil
    case .o: return isFeedForward == false ? (innerWidth, dModel) : nil
    case .wi, .wi0, .wi1: return isFeedForward == true ? (dModel, dFF) : nil
    case .wo: return isFeedForward == true ? (dFF, dModel) : nil
    case .pooler: return slot == slots.encoderEnd ? (dModel, dModel) : nil
    case .head: return slot == slots.decoderEnd ? (dModel, vocabularySize) : nil
    }
  }

  private func validatePrefix(_ start: Int, _ mentions: inout Mentions) throws(FormatError) {
    try shortField(start + 2, in: 1...1)
    let count = try bytes.field(start + 4, in: 1...Self.maximumPromptTokens)
    let shape = TensorShape(count, innerWidth)
    try requireMention(start + 8, .prefixKeys, shape, &mentions)
    try requireMention(start + 12, .prefixValues, shape, &mentions)
    _ = try bytes.field(start + 16, in: 0...UInt32(count))
    try bytes.requireZero(start + 20..<start + 64)
  }

  private func validatePrompt(_ start: Int, _ mentions: inout Mentions) throws(FormatError) {
    try shortField(start + 2, in: 1...1)
    let count = try bytes.field(start + 4, in: 1...Self.maximumPromptTokens)
    try requireMention(start + 8, .prompt, TensorShape(count, dModel), &mentions)
    try shortField(start + 12, in: 1...2)
    try shortField(start + 14, in: 1...2)
    _ = try bytes.field(start + 16, in: 0...UInt32(count))
    try bytes.requireZero(start + 20..<start + 64)
  }

  private func requireMention(
    _ field: Int, _ kind: TaskTensorKind, _ shape: TensorShape, _ mentions: inout Mentions
  ) throws(FormatError) {
    guard try mention(field, kind, shape, &mentions) else {
      throw FormatError(.invalidReference, at: bytes.offset + field)
    }
  }

  /// Checks the optional tensor reference at `field`; false if there is none.
  @discardableResult
  func mention(
    _ field: Int, _ kind: TaskTensorKind, _ shape: TensorShape, _ mentions: inout Mentions
  ) throws(FormatError) -> Bool {
    let value = word(field)
    guard value > 0 else { return false }
    let index = value - 1
    guard index < tensorCount, index <= mentions.tensors else {
      throw FormatError(
        .invalidReference, at: bytes.offset + field, found: UInt64(index), required: UInt64(mentions.tensors))
    }
    if index == mentions.tensors { mentions.tensors += 1 }
    let tensor = tensor(at: index)
    guard tensor.kind == kind, tensor.shape == shape else {
      throw FormatError(
        .wrongTensorShape, at: bytes.offset + tensorsOffset + index * TaskTensor.recordBytes,
        found: UInt64(tensor.shape.elementCount), required: UInt64(shape.elementCount))
    }
    return true
  }

  func shortField(_ position: Int, in range: ClosedRange<UInt16>) throws(FormatError) {
    let value: UInt16 = bytes.load(position)
    guard range.contains(value) else {
      throw FormatError(
        .invalidField, at: bytes.offset + position, found: UInt64(value), required: UInt64(range.upperBound))
    }
  }
}
