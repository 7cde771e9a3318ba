/// The mean of tasks that differ in nothing but numbers.
public enum TaskAverage {
  /// A task section whose every number outside the head, and the scaling of every adapter, is the weighted mean of those of
  /// `tasks`; the head, if there is one, is the first task's. int8 rows are averaged as the numbers they stand for, and quantized again.
  /// - Parameters:
  ///   - weights: one for each task, not all 0; scaled so that they sum to 1.
  ///   - name: UTF-8, 1 to 255 bytes.
  /// - Precondition: `requireSameStructure(as: tasks[0])` holds for each, and all numbers are finite.
  /// - Source: `average_adapter` of adapters, "linear"
  public static func section(_ tasks: [TaskSection], weights: [Float], name: [UInt8]) -> [UInt8] {
    precondition(tasks.count == weights.count && !tasks.isEmpty, "a weight for each task")
    precondition((1...255).contains(name.count), "a task name has 1 to 255 bytes")
    let sum = weights.reduce(0.0) { $0 + Double($1) }
    let mean = WeightedMean(tasks: tasks, weights: weights.map { Double($0) / sum })
    let first = tasks[0]
    var section = LittleEndianBytes(capacity: first.bytes.count + name.count)
    section.append(contentsOf: first.bytes.copied(0..<TaskSection.headerBytes))
    section.replace(at: 24, with: TaskOrigin.tasks.rawValue)
    section.replace(at: 28, with: UInt32(name.count))
    section.append(contentsOf: name)
    section.pad(to: section.bytes.count.roundedUp(to: 8))
    let shift = section.bytes.count - first.slotsOffset
    section.append(contentsOf: first.bytes.copied(first.slotsOffset..<first.tensorsOffset))
    for position in 0..<first.attachmentCount {
      guard case .adapter = first.attachment(at: position) else { continue }
      section.replace(at: first.scalingOffset(position) + shift, with: mean.scaling(ofAdapter: position).bitPattern)
    }
    var end = section.bytes.count + first.tensorCount * TaskTensor.recordBytes
    for position in 0..<first.tensorCount {
      let record = first.tensorsOffset + position * TaskTensor.recordBytes
      let offset = end.roundedUp(to: Container.rowAlignment)
      section.append(contentsOf: first.bytes.copied(record..<record + 16))
      section.append(UInt64(offset))
      section.append(UInt64(0))
      end = offset + first.tensor(at: position).data.count
    }
    let ownCount = first.bodyCounts.tensors
    for position in 0..<first.tensorCount {
      section.pad(to: section.bytes.count.roundedUp(to: Container.rowAlignment))
      if position < ownCount {
        section.append(contentsOf: mean.bytes(ofTensor: position))
      } else {
        let data = first.tensor(at: position).data
        section.append(contentsOf: data.copied(0..<data.count))
      }
    }
    section.replace(at: 48, with: UInt64(section.bytes.count))
    return section.bytes
  }
}

extension TaskSection {
  /// Proves that this task and `first` have the same slots, attachments, linears and tensors, of the same shapes and
  /// settings. Heads and names may differ, and the scaling of adapters, which may have been learned.
  /// - Throws: `taskOfOtherBackbone`; `tasksDiffer` at the first difference in this task's file.
  public func requireSameStructure(as first: TaskSection) throws(FormatError) {
    guard fingerprint == first.fingerprint else {
      throw FormatError(.taskOfOtherBackbone, at: bytes.offset, found: fingerprint, required: first.fingerprint)
    }
    for field in [8, 12, 16, 20, 32, 68, 72] { try requireEqual(field, field, of: first) }
    let own = bodyCounts
    let other = first.bodyCounts
    try requireEqual(slotsOffset, first.slotsOffset, of: first, count: attachmentsOffset - slotsOffset)
    for position in 0..<attachmentCount {
      let record = attachmentsOffset + position * TaskAttachment.recordBytes
      let other = first.attachmentsOffset + position * TaskAttachment.recordBytes
      try requireEqual(record, other, of: first, count: 16)
      if short(record) != 1 { try requireEqual(record + 16, other + 16, of: first) }
      try requireEqual(record + 20, other + 20, of: first, count: TaskAttachment.recordBytes - 20)
    }
    for (field, found, required) in [(36, own.linears, other.linears), (40, own.tensors, other.tensors)]
    where found != required {
      throw FormatError(.tasksDiffer, at: bytes.offset + field, found: UInt64(found), required: UInt64(required))
    }
    try requireEqual(
      linearsOffset, first.linearsOffset, of: first, count: own.linears * TaskLinear.recordBytes)
    for position in 0..<own.tensors {
      let record = position * TaskTensor.recordBytes
      try requireEqual(tensorsOffset + record, first.tensorsOffset + record, of: first, count: 16)
    }
  }

  /// Words of this section from `position` on equal those of `first` from `other` on.
  private func requireEqual(
    _ position: Int, _ other: Int, of first: TaskSection, count: Int = 4
  ) throws(FormatError) {
    for offset in stride(from: 0, to: count, by: 4) where word(position + offset) != first.word(other + offset) {
      throw FormatError(
        .tasksDiffer, at: bytes.offset + position + offset, found: UInt64(word(position + offset)),
        required: UInt64(first.word(other + offset)))
    }
  }

  /// Linears and tensors that anything but the head names: the first of their tables, since numbers go by first mention.
  fileprivate var bodyCounts: (linears: Int, tensors: Int) {
    guard let head else { return (linearCount, tensorCount) }
    var counts = (linears: linearCount, tensors: tensorCount)
    // The head is mentioned last, and what only it names stands behind everything else.
    for linear in [head.second, head.first] {
      guard let linear, linear == counts.linears - 1, !isNamedOutsideHead(linear: linear) else { continue }
      counts.linears -= 1
    }
    counts.tensors = 0
    func take(_ tensors: Int?...) {
      for case let tensor? in tensors { counts.tensors = max(counts.tensors, tensor + 1) }
    }
    for position in 0..<slots.count {
      let slot = slot(at: position)
      take(slot.normTensor, slot.normBiasTensor)
      for attachment in slot.attachments {
        switch self.attachment(at: attachment) {
        case .adapter(let adapter):
          take(
            adapter.normBeforeWeight, adapter.normBeforeBias, adapter.normAfterWeight, adapter.normAfterBias,
            adapter.scalingVector, adapter.gateWeight, adapter.gateBias)
        case .product(let product): take(product.inputScale, product.outputScale, product.bias)
        case .prefix(let prefix): take(prefix.keys, prefix.values)
        case .prompt(let prompt): take(prompt.embeddings)
        }
      }
    }
    for position in 0..<counts.linears {
      let linear = linear(at: position)
      take(
        linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor, linear.full, linear.bias,
        linear.codes, linear.scales)
    }
    return counts
  }

  /// Where the scaling of the adapter at `position` of the attachments stands.
  fileprivate func scalingOffset(_ position: Int) -> Int {
    attachmentsOffset + position * TaskAttachment.recordBytes + 16
  }

  private func isNamedOutsideHead(linear: Int) -> Bool {
    for position in 0..<attachmentCount {
      switch attachment(at: position) {
      case .adapter(let adapter): if adapter.down == linear || adapter.up == linear { return true }
      case .product(let product): if product.linear == linear { return true }
      case .prefix, .prompt: break
      }
    }
    return false
  }
}

/// The numbers of an average.
private struct WeightedMean {
  let tasks: [TaskSection]
  /// Sum 1.
  let weights: [Double]

  func bytes(ofTensor position: Int) -> [UInt8] {
    let tensor = tasks[0].tensor(at: position)
    var result = LittleEndianBytes(capacity: tensor.data.count)
    switch tensor.kind {
    case .codes:
      let rows = quantizedRows(codes: position, scales: partner(of: position, isCodes: true))
      for row in rows {
        result.append(contentsOf: row.codes.map { UInt8(bitPattern: $0) })
        result.pad(to: result.bytes.count.roundedUp(to: Container.rowAlignment))
      }
    case .scales:
      for row in quantizedRows(codes: partner(of: position, isCodes: false), scales: position) {
        result.append(row.scale.bitPattern)
      }
    default:
      for index in 0..<tensor.shape.elementCount {
        result.append(mean { $0.tensor(at: position).data.load(4 * index) }.bitPattern)
      }
    }
    return result.bytes
  }

  func scaling(ofAdapter position: Int) -> Float {
    mean { $0.bytes.load($0.scalingOffset(position)) }
  }

  private func mean(_ value: (TaskSection) -> Float) -> Float {
    var sum = 0.0
    for (task, weight) in zip(tasks, weights) { sum += weight * Double(value(task)) }
    return Float(sum)
  }

  /// The scales of codes, or the codes of scales: of the first linear that names them.
  private func partner(of tensor: Int, isCodes: Bool) -> Int {
    for position in 0..<tasks[0].linearCount {
      let linear = tasks[0].linear(at: position)
      if let partner = isCodes ? linear.scales : linear.codes, (isCodes ? linear.codes : linear.scales) == tensor {
        return partner
      }
    }
    preconditionFailure("codes and scales are named together")
  }

  private func quantizedRows(codes: Int, scales: Int) -> [(codes: [Int8], scale: Float)] {
    let shape = tasks[0].tensor(at: codes).shape
    let stride = shape.dim1.roundedUp(to: Container.rowAlignment)
    return (0..<shape.dim0).map { row in
      var values = [Double](repeating: 0, count: shape.dim1)
      for (task, weight) in zip(tasks, weights) {
        let data = task.tensor(at: codes).data
        let scale: Float = task.tensor(at: scales).data.load(4 * row)
        for column in 0..<shape.dim1 {
          values[column] += weight * Double(scale) * Double(data.load(row * stride + column, as: Int8.self))
        }
      }
      let largest = values.reduce(0) { max($0, abs($1)) }
      let scale = Float(largest / 127)
      guard scale > 0 else { return ([Int8](repeating: 0, count: shape.dim1), 0) }
      // Adding a half and cutting rounds without the C library's `round`.
      return (values.map { Int8(min(max($0 / Double(scale) + ($0 < 0 ? -0.5 : 0.5), -127), 127)) }, scale)
    }
  }
}

extension MappedBytes {
  package func copied(_ range: Range<Int>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: slice(range).address, count: range.count))
  }
}
