/// Assembles the bytes of a task section.
///
/// Tensors, linears and attachments are added in any order and named by what the adding call returned; the section
/// numbers them by first mention. What is never named is an error of the caller.
public struct TaskBuilder {
  private let config: BackboneConfig
  private let name: [UInt8]
  private let vocabularySize: Int
  private let origin: TaskOrigin
  private var slots: [(attachments: [TaskAttachment], norm: Int?, normBias: Int?)]
  private var head: (record: TaskHead, labels: [[UInt8]])?
  private var linears: [TaskLinear] = []
  private var tensors: [(kind: TaskTensorKind, shape: TensorShape, values: TensorValues)] = []

  public let layout: SlotLayout

  /// A task without parts for the backbone of `config`.
  /// - Precondition: `name` has 1 to 255 bytes.
  public init(config: BackboneConfig, name: [UInt8], vocabularySize: Int, origin: TaskOrigin) {
    precondition((1...255).contains(name.count), "a task name has 1 to 255 bytes")
    self.config = config
    self.name = name
    self.vocabularySize = vocabularySize
    self.origin = origin
    layout = SlotLayout(layerCount: config.layerCount, decoderLayerCount: config.decoderLayerCount)
    slots = Array(repeating: ([], nil, nil), count: layout.count)
  }

  /// Adds a row-major tensor; the result names it.
  public mutating func addTensor(_ kind: TaskTensorKind, _ shape: TensorShape, _ values: [Float]) -> Int {
    precondition(values.count == shape.elementCount, "values do not fill the shape")
    precondition(kind.encoding == .float32, "values of this kind are codes")
    tensors.append((kind, shape, .floats(values)))
    return tensors.count - 1
  }

  /// Adds int8 rows [rows, columns], row-major; the result names the tensor.
  public mutating func addCodes(rows: Int, columns: Int, _ codes: [Int8]) -> Int {
    precondition(codes.count == rows * columns, "codes do not fill the shape")
    tensors.append((.codes, TensorShape(rows, columns), .codes(codes)))
    return tensors.count - 1
  }

  /// Adds a linear whose references are what `addTensor` returned; the result names it.
  public mutating func addLinear(_ linear: TaskLinear) -> Int {
    linears.append(linear)
    return linears.count - 1
  }

  /// Adds `attachment`, whose references are what `addLinear` and `addTensor` returned, to `slot`.
  /// - Precondition: there is none of this kind and placement at the slot.
  public mutating func attach(_ attachment: TaskAttachment, slot: Int) {
    let place = slots[slot].attachments.firstIndex { $0.order >= attachment.order } ?? slots[slot].attachments.count
    precondition(
      place == slots[slot].attachments.count || slots[slot].attachments[place].order != attachment.order,
      "a slot has one attachment of a kind and placement")
    slots[slot].attachments.insert(attachment, at: place)
  }

  /// Replaces the norm weight of `slot` by a tensor of kind `taskNorm`.
  public mutating func setNorm(_ tensor: Int, slot: Int) { slots[slot].norm = tensor }

  /// Replaces the bias of the LayerNorm of `slot` by a tensor of kind `taskNormBias`.
  public mutating func setNormBias(_ tensor: Int, slot: Int) { slots[slot].normBias = tensor }

  /// Gives the task a head whose linears are what `addLinear` returned.
  /// - Parameter labels: UTF-8 names of the outputs, each of 1 to 255 bytes; none, or as many as there are outputs.
  public mutating func setHead(_ head: TaskHead, labels: [[UInt8]] = []) {
    precondition(labels.isEmpty || labels.count == head.outWidth, "labels name all outputs or none")
    precondition(labels.allSatisfy { (1...255).contains($0.count) }, "a label has 1 to 255 bytes")
    var record = head
    record.labelCount = labels.count
    self.head = (record, labels)
  }

  /// What has been attached to `slot`.
  public func attachments(slot: Int) -> [TaskAttachment] { slots[slot].attachments }

  /// The section.
  /// - Precondition: every tensor and linear is named by a slot or the head.
  public func sectionBytes() -> [UInt8] {
    var numbering = Numbering(linearCount: linears.count, tensorCount: tensors.count)
    var slotTable = LittleEndianBytes(capacity: slots.count * TaskSection.slotBytes)
    var attachmentTable = LittleEndianBytes(capacity: slots.count * TaskAttachment.recordBytes)
    var linearTable = LittleEndianBytes(capacity: linears.count * TaskLinear.recordBytes)
    var attachmentCount = 0
    for slot in slots {
      slotTable.append(UInt32(attachmentCount))
      slotTable.append(UInt32(slot.attachments.count))
      slotTable.append(numbering.tensor(slot.norm))
      slotTable.append(numbering.tensor(slot.normBias))
      for attachment in slot.attachments { append(attachment, to: &attachmentTable, &linearTable, &numbering) }
      attachmentCount += slot.attachments.count
    }
    let (headRecord, labels) = headTables(&linearTable, &numbering)
    precondition(numbering.linearOrder.count == linears.count, "a linear is not used")
    precondition(numbering.tensorOrder.count == tensors.count, "a tensor is not used")

    let tables = slotTable.bytes + attachmentTable.bytes + linearTable.bytes + headRecord + labels
    var section = LittleEndianBytes(capacity: TaskSection.headerBytes)
    section.append(config.fingerprint)
    for value in [config.dModel, config.layerCount, config.decoderLayerCount, vocabularySize, Int(origin.rawValue)] {
      section.append(UInt32(value))
    }
    for value in [name.count, attachmentCount, linears.count, tensors.count, head == nil ? 0 : 1] {
      section.append(UInt32(value))
    }
    let sectionBytesPosition = section.bytes.count
    section.append(UInt64(0))
    section.append(UInt64(config.parameterCount))
    for value in [labels.count, config.innerWidth, config.dFF] { section.append(UInt32(value)) }
    section.pad(to: TaskSection.headerBytes)
    section.append(contentsOf: name)
    section.pad(to: section.bytes.count.roundedUp(to: 8))
    section.append(contentsOf: tables)
    section.pad(to: section.bytes.count.roundedUp(to: 8))
    appendTensors(numbering.tensorOrder, to: &section)
    section.replace(at: sectionBytesPosition, with: UInt64(section.bytes.count))
    return section.bytes
  }

  private func append(
    _ attachment: TaskAttachment, to table: inout LittleEndianBytes, _ linearTable: inout LittleEndianBytes,
    _ numbering: inout Numbering
  ) {
    let start = table.bytes.count
    for value in [attachment.order.kind, attachment.order.placement] { table.append(value) }
    switch attachment {
    case .adapter(let adapter): append(adapter, to: &table, &linearTable, &numbering)
    case .product(let product):
      table.append(product.linear.map { 1 + number(of: $0, &linearTable, &numbering) } ?? 0)
      table.append(product.scaling.bitPattern)
      for tensor in [product.inputScale, product.outputScale, product.bias] { table.append(numbering.tensor(tensor)) }
    case .prefix(let prefix):
      table.append(UInt32(prefix.tokenCount))
      for tensor in [prefix.keys, prefix.values] { table.append(numbering.tensor(tensor)) }
      table.append(UInt32(prefix.queryOffset))
    case .prompt(let prompt):
      table.append(UInt32(prompt.tokenCount))
      table.append(numbering.tensor(prompt.embeddings))
      for value in [prompt.place.rawValue, prompt.stage.rawValue] { table.append(value) }
      table.append(UInt32(prompt.firstToken))
    }
    table.pad(to: start + TaskAttachment.recordBytes)
  }

  private func append(
    _ adapter: TaskAdapter, to table: inout LittleEndianBytes, _ linearTable: inout LittleEndianBytes,
    _ numbering: inout Numbering
  ) {
    table.append(UInt16(adapter.activation.rawValue))
    table.append(adapter.inputRule.rawValue)
    table.append(adapter.skipRule.rawValue)
    table.append(UInt16((adapter.addsStream ? 1 : 0) | (adapter.normsSkip ? 2 : 0)))
    table.append(UInt32(adapter.bottleneckWidth))
    table.append(adapter.scaling.bitPattern)
    table.append(adapter.normEpsilon.bitPattern)
    for linear in [adapter.down, adapter.up] { table.append(number(of: linear, &linearTable, &numbering)) }
    for tensor in [
      adapter.normBeforeWeight, adapter.normBeforeBias, adapter.normAfterWeight, adapter.normAfterBias,
      adapter.scalingVector, adapter.gateWeight, adapter.gateBias,
    ] { table.append(numbering.tensor(tensor)) }
  }

  /// The head's record and its labels, without padding; both empty without a head.
  private func headTables(
    _ linearTable: inout LittleEndianBytes, _ numbering: inout Numbering
  ) -> (record: [UInt8], labels: [UInt8]) {
    guard let head else { return ([], []) }
    let first = head.record.first.map { 1 + number(of: $0, &linearTable, &numbering) } ?? 0
    let second = head.record.second.map { 1 + number(of: $0, &linearTable, &numbering) } ?? 0
    var labels: [UInt8] = []
    for label in head.labels { labels += [UInt8(label.count)] + label }
    return (head.record.record(first: first, second: second), labels)
  }

  /// The stored number of a linear, which is appended to the table at its first mention.
  private func number(
    of linear: Int, _ linearTable: inout LittleEndianBytes, _ numbering: inout Numbering
  ) -> UInt32 {
    let (number, isNew) = numbering.linear(linear)
    if isNew { append(linears[linear], to: &linearTable, &numbering) }
    return number
  }

  private func append(_ linear: TaskLinear, to table: inout LittleEndianBytes, _ numbering: inout Numbering) {
    let start = table.bytes.count
    for value in [linear.inWidth, linear.outWidth, linear.phmDim, linear.factorRank] { table.append(UInt32(value)) }
    for tensor in [
      linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor, linear.full, linear.bias,
    ] { table.append(numbering.tensor(tensor)) }
    for value in [linear.inBlocks, linear.outBlocks] { table.append(UInt32(value)) }
    for tensor in [linear.codes, linear.scales] { table.append(numbering.tensor(tensor)) }
    table.pad(to: start + TaskLinear.recordBytes)
  }

  private func appendTensors(_ order: [Int], to section: inout LittleEndianBytes) {
    var end = section.bytes.count + order.count * TaskTensor.recordBytes
    for index in order {
      let tensor = tensors[index]
      let start = section.bytes.count
      let offset = end.roundedUp(to: Container.rowAlignment)
      section.append(tensor.kind.rawValue)
      section.append(UInt16(tensor.kind.encoding.rawValue))
      for dim in [tensor.shape.dim0, tensor.shape.dim1, tensor.shape.dim2] { section.append(UInt32(dim)) }
      section.append(UInt64(offset))
      section.pad(to: start + TaskTensor.recordBytes)
      end = offset + tensor.shape.byteCount(tensor.kind)
    }
    for index in order {
      section.pad(to: section.bytes.count.roundedUp(to: Container.rowAlignment))
      switch tensors[index].values {
      case .floats(let values): for value in values { section.append(value.bitPattern) }
      case .codes(let codes):
        let columns = tensors[index].shape.dim1
        for row in 0..<tensors[index].shape.dim0 {
          section.append(contentsOf: codes[row * columns..<(row + 1) * columns].map { UInt8(bitPattern: $0) })
          section.pad(to: section.bytes.count.roundedUp(to: Container.rowAlignment))
        }
      }
    }
  }
}

/// Values of a tensor before they are bytes.
private enum TensorValues {
  case floats([Float])
  case codes([Int8])
}

/// Numbers by first mention.
private struct Numbering {
  private var linearNumbers: [Int?]
  private var tensorNumbers: [Int?]
  private(set) var linearOrder: [Int] = []
  private(set) var tensorOrder: [Int] = []

  init(linearCount: Int, tensorCount: Int) {
    linearNumbers = Array(repeating: nil, count: linearCount)
    tensorNumbers = Array(repeating: nil, count: tensorCount)
  }

  /// The stored number of a linear, and whether this is its first mention.
  mutating func linear(_ index: Int) -> (number: UInt32, isNew: Bool) {
    if let number = linearNumbers[index] { return (UInt32(number), false) }
    linearNumbers[index] = linearOrder.count
    linearOrder.append(index)
    return (UInt32(linearOrder.count - 1), true)
  }

  /// The stored reference to an optional tensor: 0, or 1 + its number.
  mutating func tensor(_ index: Int?) -> UInt32 {
    guard let index else { return 0 }
    if let number = tensorNumbers[index] { return UInt32(number + 1) }
    tensorNumbers[index] = tensorOrder.count
    tensorOrder.append(index)
    return UInt32(tensorOrder.count)
  }
}
