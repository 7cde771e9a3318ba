extension PackedFile {
  /// Checks what opening leaves unread: every checksum, every padding byte, every code and scale, every float.
  /// - Complexity: reads the whole file once.
  /// - Throws: the first fault, in file order by section.
  public func verify() throws(FormatError) {
    let file = mapping.bytes
    var end = Container.headerBytes + sectionCount * Container.sectionEntryBytes
    for position in 0..<sectionCount {
      let entry = section(at: position)
      try file.requireZeroPadding(end..<entry.offset)
      let bytes = file.slice(entry)
      let checksum = bytes.checksum
      guard checksum == entry.checksum else {
        throw FormatError(
          .checksumMismatch, at: entry.offset, found: UInt64(checksum), required: UInt64(entry.checksum))
      }
      end = entry.offset + entry.byteCount
    }
    if let config {
      for position in 0..<config.tensorCount { try verify(tensor(at: position)) }
      for group in 0..<config.groupCount { try verifyGaps(group: group, config) }
    }
    if let head { try verify(head) }
    for position in 0..<taskCount { try verify(task(at: position)) }
  }

  private func verify(_ tensor: Tensor) throws(FormatError) {
    let spec = tensor.spec
    for row in 0..<spec.rows {
      let bytes = tensor.data.slice(row * spec.rowStrideBytes..<(row + 1) * spec.rowStrideBytes)
      guard spec.encoding == .float32 else {
        try bytes.verifyCodes(count: spec.columns)
        continue
      }
      try bytes.slice(0..<spec.columns * 4).requireFinite()
      try bytes.requireZeroPadding(spec.columns * 4..<spec.rowStrideBytes)
    }
    try tensor.scales.requireFinite()
    for row in 0..<tensor.scales.count / 4 where tensor.scales.load(4 * row, as: Float.self) < 0 {
      throw FormatError(
        .valueNotFinite, at: tensor.scales.offset + 4 * row, found: UInt64(tensor.scales.load(4 * row, as: UInt32.self))
      )
    }
  }

  /// The gaps between the tensors of one `weights` section.
  private func verifyGaps(group: Int, _ config: BackboneConfig) throws(FormatError) {
    let section = weights(group: group)
    var end = section.offset
    for position in 0..<config.tensorCount where config.tensorSpec(at: position).group == group {
      let tensor = tensor(at: position)
      try mapping.bytes.requireZeroPadding(end..<tensor.data.offset)
      end = tensor.data.offset + tensor.data.count + tensor.scales.count
    }
  }

  private func verify(_ task: TaskSection) throws(FormatError) {
    var end = task.tensorsOffset + task.tensorCount * TaskTensor.recordBytes
    for position in 0..<task.tensorCount {
      let tensor = task.tensor(at: position)
      let data = tensor.data
      let start = data.offset - task.bytes.offset
      try task.bytes.requireZeroPadding(end..<start)
      if tensor.kind.encoding == .int8Rows {
        let stride = data.count / tensor.shape.dim0
        for row in 0..<tensor.shape.dim0 {
          try data.slice(row * stride..<(row + 1) * stride).verifyCodes(count: tensor.shape.dim1)
        }
      } else {
        try data.requireFinite()
      }
      end = start + data.count
    }
  }
}

extension MappedBytes {
  fileprivate func requireZeroPadding(_ range: Range<Int>) throws(FormatError) {
    if let position = firstNonZero(in: range) {
      throw FormatError(.paddingNotZero, at: offset + position, found: UInt64(load(position, as: UInt8.self)))
    }
  }

  /// - Throws: `valueNotFinite` at the first float32 that is infinite or not a number.
  fileprivate func requireFinite() throws(FormatError) {
    for position in 0..<count / 4 {
      let bits: UInt32 = load(4 * position)
      guard Float(bitPattern: bits).isFinite else {
        throw FormatError(.valueNotFinite, at: offset + 4 * position, found: UInt64(bits))
      }
    }
  }

  /// Checks a row of `count` codes and the padding behind them.
  fileprivate func verifyCodes(count: Int) throws(FormatError) {
    if let column = slice(0..<count).firstInvalidCode {
      throw FormatError(.invalidCode, at: offset + column, found: 0x80, required: 0x81)
    }
    try requireZeroPadding(count..<self.count)
  }

  private var firstInvalidCode: Int? {
    withSpan { span in
      for position in 0..<span.byteCount
      where unsafe span.unsafeLoad(fromUncheckedByteOffset: position, as: UInt8.self) == 0x80 {
        return position
      }
      return nil
    }
  }
}
