/// Validation of slots and of what they name, in the order of first mention.
extension TaskSection {
  func validateSlot(_ position: Int, _ mentions: inout Mentions) throws(FormatError) {
    let start = slotsOffset + position * Self.slotBytes
    let first = word(start)
    guard first == mentions.attachments else {
      throw FormatError(
        .invalidReference, at: bytes.offset + start, found: UInt64(first), required: UInt64(mentions.attachments))
    }
    let isEnd = position >= slots.encoderEnd
    let count = try bytes.field(start + 4, in: 0...(isEnd ? 0 : 1))
    try mention(start + 8, .taskNorm, TensorShape(dModel), &mentions)
    try mention(start + 12, .taskNormBias, TensorShape(dModel), &mentions)
    guard count == 1 else { return }
    guard first < attachmentCount else {
      throw FormatError(
        .invalidReference, at: bytes.offset + start, found: UInt64(first), required: UInt64(attachmentCount))
    }
    mentions.attachments += 1
    try validateAttachment(first, &mentions)
  }

  private func validateAttachment(_ position: Int, _ mentions: inout Mentions) throws(FormatError) {
    let start = attachmentsOffset + position * TaskAttachment.recordBytes
    try shortField(start, in: 1...1)
    try shortField(start + 2, in: 1...1)
    try shortField(start + 4, in: 0...UInt16(Activation.allCases.count - 1))
    try shortField(start + 6, in: 1...3)
    try shortField(start + 8, in: 0...3)
    try shortField(start + 10, in: 0...1)
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
    try bytes.requireZero(start + 52..<start + 64)
  }

  /// Checks the linear `index` that `field` names, and returns its output width. One named before has been checked
  /// before; only its widths are compared.
  func mentionLinear(
    _ field: Int, number index: Int, inWidth: Int, outWidth: Int? = nil, _ mentions: inout Mentions
  ) throws(FormatError) -> Int {
    guard index < linearCount, index <= mentions.linears else {
      throw FormatError(
        .invalidReference, at: bytes.offset + field, found: UInt64(index), required: UInt64(mentions.linears))
    }
    let start = linearsOffset + index * TaskLinear.recordBytes
    let outWidth = outWidth ?? word(start + 4)
    for (offset, required) in [(0, inWidth), (4, outWidth)] where word(start + offset) != required {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + offset, found: UInt64(word(start + offset)),
        required: UInt64(required))
    }
    if index == mentions.linears {
      mentions.linears += 1
      try validateLinear(start, &mentions)
    }
    return outWidth
  }

  private func validateLinear(_ start: Int, _ mentions: inout Mentions) throws(FormatError) {
    let inWidth = word(start)
    let outWidth = word(start + 4)
    let phmDim = try bytes.field(start + 8, in: 1...256)
    for (offset, width) in [(0, inWidth), (4, outWidth)] where width % phmDim != 0 {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + offset, found: UInt64(width), required: UInt64(phmDim))
    }
    let blockIn = inWidth / phmDim
    let blockOut = outWidth / phmDim
    // A larger rank says nothing more, and would let a small file ask for much working memory.
    let rank = try bytes.field(start + 12, in: 0...UInt32(max(blockIn, blockOut)))
    let hasRule = try mention(start + 16, .rule, TensorShape(phmDim, phmDim, phmDim), &mentions)
    let hasLeft = try mention(start + 20, .ruleLeft, TensorShape(phmDim, phmDim, 1), &mentions)
    let hasRight = try mention(start + 24, .ruleRight, TensorShape(phmDim, 1, phmDim), &mentions)
    guard hasLeft == hasRight, hasRule != hasLeft || (!hasRule && phmDim == 1) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 16)
    }
    let isFactored = rank > 0
    let factors = try (
      mention(start + 28, .leftFactor, TensorShape(phmDim, blockIn, rank), &mentions),
      mention(start + 32, .rightFactor, TensorShape(phmDim, rank, blockOut), &mentions),
      mention(start + 36, .full, TensorShape(phmDim, blockIn, blockOut), &mentions)
    )
    guard factors == (isFactored, isFactored, !isFactored) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 28)
    }
    try mention(start + 40, .bias, TensorShape(outWidth), &mentions)
    try bytes.requireZero(start + 44..<start + 64)
  }

  /// Checks the optional tensor reference at `field`; false if there is none.
  @discardableResult
  private func mention(
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
