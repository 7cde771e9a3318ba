extension TaskSection {
  /// Proves everything the accessors and the engine rely on; allocates nothing.
  /// - Throws: `FormatError` with the offset in the file.
  func validate() throws(FormatError) {
    guard bytes.count >= Self.headerBytes else {
      throw FormatError(
        .wrongSectionLength, at: bytes.offset, found: UInt64(bytes.count), required: UInt64(Self.headerBytes))
    }
    try validateHeader()
    let tables = try tableEnds()
    try bytes.requirePadding(Self.headerBytes + word(28)..<slotsOffset)
    guard tables.last <= bytes.count else {
      throw FormatError(.wrongTableLength, at: bytes.offset, found: UInt64(bytes.count), required: UInt64(tables.last))
    }
    try validateTensors()
    var mentions = Mentions()
    for position in 0..<slots.count { try validateSlot(position, &mentions) }
    try validateHead(&mentions)
    try requireAllUsed(mentions)
  }

  /// Proves that the task belongs to the backbone of `config`.
  /// - Throws: `taskOfOtherBackbone`, `taskOfOtherShape`.
  public func requireFit(to config: BackboneConfig) throws(FormatError) {
    guard fingerprint == config.fingerprint else {
      throw FormatError(.taskOfOtherBackbone, at: bytes.offset, found: fingerprint, required: config.fingerprint)
    }
    func require(_ position: Int, _ required: Int) throws(FormatError) {
      guard word(position) == required else {
        throw FormatError(
          .taskOfOtherShape, at: bytes.offset + position, found: UInt64(word(position)), required: UInt64(required))
      }
    }
    try require(8, config.dModel)
    try require(12, config.layerCount)
    try require(16, config.decoderLayerCount)
    try require(68, config.innerWidth)
    try require(72, config.dFF)
    guard vocabularySize <= config.vocabularySize else {
      throw FormatError(
        .taskOfOtherShape, at: bytes.offset + 20, found: UInt64(vocabularySize),
        required: UInt64(config.vocabularySize))
    }
    for position in 0..<slots.count { try requireFit(ofSlot: position, to: config) }
    guard let head else { return }
    guard !config.hasDecoder, head.input != .pooler || config.hasPooler else {
      throw FormatError(.taskOfOtherShape, at: bytes.offset + headOffset, found: UInt64(head.input.rawValue))
    }
  }

  /// A task replaces only norms that are there, changes only products that are there, and takes what comes out of a norm
  /// only where it stands.
  private func requireFit(ofSlot position: Int, to config: BackboneConfig) throws(FormatError) {
    let start = slotsOffset + position * Self.slotBytes
    let slot = slot(at: position)
    let hasNorm =
      switch position {
      case slots.encoderStart: config.hasEmbeddingNorm
      case slots.encoderEnd: config.normPlacement == .before
      case slots.decoderEnd: config.normPlacement == .before && config.hasDecoder
      default: true
      }
    guard hasNorm || (slot.normTensor == nil && slot.normBiasTensor == nil) else {
      let field = start + (slot.normTensor == nil ? 12 : 8)
      throw FormatError(.taskOfOtherShape, at: bytes.offset + field, found: UInt64(word(field)))
    }
    for attachment in slot.attachments {
      let record = attachmentsOffset + attachment * TaskAttachment.recordBytes
      let unfit: Int? =
        switch self.attachment(at: attachment) {
        case .adapter(let adapter):
          adapter.inputRule == .normOfSubLayerPlusStream && config.normPlacement == .before ? 6 : nil
        case .product(let product): config.has(product.target) ? nil : 2
        case .prefix, .prompt: nil
        }
      if let unfit {
        throw FormatError(
          .taskOfOtherShape, at: bytes.offset + record + unfit, found: UInt64(short(record + unfit)))
      }
    }
  }

  /// Proves that the section is the head of the backbone of `config` itself: it changes nothing inside of it.
  func requireBackboneHead(of config: BackboneConfig) throws(FormatError) {
    for (position, required) in [(44, 1), (32, 0)] where word(position) != required {
      throw FormatError(
        .invalidField, at: bytes.offset + position, found: UInt64(word(position)), required: UInt64(required))
    }
    for position in 0..<slots.count {
      let start = slotsOffset + position * Self.slotBytes
      try bytes.requireZero(start + 8..<start + 16)
    }
    try requireFit(to: config)
  }

  private func validateHeader() throws(FormatError) {
    _ = try bytes.field(8, in: 1...65_536)
    _ = try bytes.field(12, in: 1...1024)
    _ = try bytes.field(16, in: 0...1024)
    _ = try bytes.field(20, in: 1...16_777_216)
    _ = try bytes.field(24, in: 1...5)
    let nameBytes = try bytes.field(28, in: 1...255)
    let headCount = try bytes.field(44, in: 0...1)
    let sectionBytes: UInt64 = bytes.load(48)
    guard sectionBytes == UInt64(bytes.count) else {
      throw FormatError(
        .wrongSectionLength, at: bytes.offset + 48, found: sectionBytes, required: UInt64(bytes.count))
    }
    guard backboneParameterCount > 0 else {
      throw FormatError(.invalidField, at: bytes.offset + 56, found: 0, required: 1)
    }
    if headCount == 0 { try bytes.requireZero(64..<68) }
    _ = try bytes.field(68, in: 1...65_536)
    _ = try bytes.field(72, in: 1...1_048_576)
    try bytes.requireZero(76..<Self.headerBytes)
    guard Self.headerBytes + nameBytes <= bytes.count else {
      throw FormatError(
        .wrongTableLength, at: bytes.offset, found: UInt64(bytes.count), required: UInt64(Self.headerBytes + nameBytes))
    }
    try name.requireName()
  }

  /// Checked sums of the table lengths, so that the offset properties cannot overflow afterwards.
  private func tableEnds() throws(FormatError) -> (last: Int, tensors: Int) {
    let counts = [
      (attachmentCount, TaskAttachment.recordBytes), (linearCount, TaskLinear.recordBytes),
      (hasHead ? 1 : 0, TaskHead.recordBytes), (labelBytes.roundedUp(to: 8), 1), (tensorCount, TaskTensor.recordBytes),
    ]
    var end = attachmentsOffset
    for (count, recordBytes) in counts {
      let size = count.multipliedReportingOverflow(by: recordBytes)
      let sum = end.addingReportingOverflow(size.partialValue)
      guard !size.overflow, !sum.overflow, sum.partialValue <= bytes.count else {
        throw FormatError(.wrongTableLength, at: bytes.offset + 32, found: UInt64(count), required: UInt64(bytes.count))
      }
      end = sum.partialValue
    }
    return (end, end)
  }

  private func validateTensors() throws(FormatError) {
    var end = tensorsOffset + tensorCount * TaskTensor.recordBytes
    for position in 0..<tensorCount {
      let start = tensorsOffset + position * TaskTensor.recordBytes
      let record = bytes.slice(start..<start + TaskTensor.recordBytes)
      let kind: UInt16 = record.load(0)
      guard let kind = TaskTensorKind(rawValue: kind) else {
        throw FormatError(
          .invalidField, at: record.offset, found: UInt64(kind), required: UInt64(TaskTensorKind.allCases.count))
      }
      let encoding: UInt16 = record.load(2)
      guard encoding == UInt16(kind.encoding.rawValue) else {
        throw FormatError(
          .invalidField, at: record.offset + 2, found: UInt64(encoding), required: UInt64(kind.encoding.rawValue))
      }
      let dims = try (
        record.field(4, in: 1...16_777_216), record.field(8, in: 1...16_777_216), record.field(12, in: 1...16_777_216)
      )
      try record.requireZero(24..<32)
      let offset: UInt64 = record.load(16)
      let place = end.roundedUp(to: Container.rowAlignment)
      guard offset == UInt64(place) else {
        throw FormatError(.wrongTensorPlace, at: record.offset + 16, found: offset, required: UInt64(place))
      }
      // Three factors of at most 2^24 fit 72 bits, so each product is checked.
      let isCodes = kind.encoding == .int8Rows
      let width = isCodes ? dims.1.roundedUp(to: Container.rowAlignment) : dims.1
      let first = UInt64(isCodes ? dims.0 : dims.0 * 4).multipliedReportingOverflow(by: UInt64(width))
      let second = first.partialValue.multipliedReportingOverflow(by: UInt64(dims.2))
      guard !first.overflow, !second.overflow, place <= bytes.count,
        second.partialValue <= UInt64(bytes.count - place)
      else {
        throw FormatError(
          .wrongTensorShape, at: record.offset + 4, found: UInt64(dims.0), required: UInt64(bytes.count))
      }
      end = place + Int(second.partialValue)
    }
    guard end == bytes.count else {
      throw FormatError(.wrongTableLength, at: bytes.offset + 48, found: UInt64(bytes.count), required: UInt64(end))
    }
  }

  private func requireAllUsed(_ mentions: Mentions) throws(FormatError) {
    let unused = [
      (mentions.attachments, attachmentCount, 32), (mentions.linears, linearCount, 36),
      (mentions.tensors, tensorCount, 40),
    ]
    for (used, count, position) in unused where used != count {
      throw FormatError(.unusedEntry, at: bytes.offset + position, found: UInt64(count), required: UInt64(used))
    }
  }
}

/// How many entries of each table have been named so far. Entries are numbered by first mention, so one counter per
/// table proves that all are used.
struct Mentions {
  var attachments = 0
  var linears = 0
  var tensors = 0
}

extension BackboneConfig {
  /// Whether the backbone has such a product.
  fileprivate func has(_ target: ProductTarget) -> Bool {
    switch target {
    case .q, .k, .v, .o, .wo: true
    case .wi: !isGated
    case .wi0, .wi1: isGated
    case .pooler: hasPooler
    case .head: hasDecoder
    }
  }
}

extension MappedBytes {
  /// Small paddings inside a task's tables are checked at open.
  func requirePadding(_ range: Range<Int>) throws(FormatError) {
    if let position = firstNonZero(in: range) {
      throw FormatError(.paddingNotZero, at: offset + position, found: UInt64(load(position, as: UInt8.self)))
    }
  }

  /// - Throws: `invalidName` at the first byte that is not text.
  func requireName() throws(FormatError) {
    if let position = firstInvalidNameByte {
      throw FormatError(.invalidName, at: offset + position, found: UInt64(load(position, as: UInt8.self)))
    }
  }

  /// The first byte that is a control character or not part of well-formed UTF-8.
  private var firstInvalidNameByte: Int? {
    var position = 0
    while position < count {
      let lead: UInt8 = load(position)
      let length: Int
      switch lead {
      case 0x20...0x7E: length = 1
      case 0xC2...0xDF: length = 2
      case 0xE0...0xEF: length = 3
      case 0xF0...0xF4: length = 4
      default: return position
      }
      guard position + length <= count else { return position }
      for step in 1..<max(length, 1) where load(position + step, as: UInt8.self) & 0xC0 != 0x80 { return position }
      if length > 2 {
        let second: UInt8 = load(position + 1)
        let isOverlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90)
        if isOverlong || (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F) { return position }
      } else if length == 2 && lead == 0xC2 && load(position + 1, as: UInt8.self) < 0xA0 {
        return position
      }
      position += length
    }
    return nil
  }
}
