extension Checkpoint {
  /// Values converted or gathered at a time; 64 KiB of float32.
  private static let chunkElementCount = 16 << 10

  /// Reads rows `rows` of `tensor` as float32 into `destination`, row-major: exact for float32, float16 and bfloat16,
  /// rounded to nearest for float64. NaN and infinities pass through; see `UnsafeBufferPointer.firstNonFiniteIndex`.
  ///
  /// - Precondition: `tensor` is of this checkpoint, `rows` lies in `0..<tensor.rowCount`, and `destination` has
  ///   `rows.count * tensor.rowElementCount` elements.
  /// - Throws: `ConversionError.Kind.cannotRead`, `.malformed` for a broken compressed storage, `.unsupported` for a type
  ///   that is not floating-point.
  /// - Complexity: linear in the elements for a tensor stored row-major. A transposed view costs one system call for each
  ///   run of `rows.count` elements, so ask for many rows at once.
  public func readRows(
    of tensor: CheckpointTensor, rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
  ) throws(ConversionError) {
    let view = tensor.view
    let rowElementCount = tensor.rowElementCount
    precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rowCount, "rows outside the tensor")
    precondition(destination.count == rows.count * rowElementCount, "the destination does not fit the rows")
    guard tensor.elementType.isFloatingPoint else {
      throw ConversionError(
        .unsupported, file: tensor.sourceFile, subject: tensor.name,
        "found values of type \(tensor.elementType) where floating-point values are required")
    }
    if view.isContiguous {
      try readElements(
        of: tensor, from: view.firstElement + rows.lowerBound * rowElementCount, into: destination)
    } else {
      try gatherRows(of: tensor, rows: rows, into: destination)
    }
  }

  /// All values of a small tensor as float32, row-major.
  /// - Throws: what `readRows` throws, and `ConversionError.Kind.tooLarge` beyond `maximumElementCount`.
  public func readAll(
    _ tensor: CheckpointTensor, maximumElementCount: Int = 1 << 20
  ) throws(ConversionError) -> [Float] {
    guard tensor.elementCount <= maximumElementCount else {
      throw ConversionError(
        .tooLarge, file: tensor.sourceFile, subject: tensor.name,
        "found \(tensor.elementCount) values of shape \(tensor.shape); at most \(maximumElementCount) are read at once")
    }
    var values = [Float](repeating: 0, count: tensor.elementCount)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(ConversionError) in
      try readRows(of: tensor, rows: 0..<tensor.rowCount, into: buffer)
    }
    return values
  }

  /// Reads consecutive elements of the storage.
  private func readElements(
    of tensor: CheckpointTensor, from first: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws(ConversionError) {
    let type = tensor.elementType
    if type == .float32 {
      return try readBytes(of: tensor, at: UInt64(first * 4), into: UnsafeMutableRawBufferPointer(destination))
    }
    let chunk = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(destination.count, Checkpoint.chunkElementCount) * type.byteCount, alignment: 64)
    defer { chunk.deallocate() }
    for start in stride(from: 0, to: destination.count, by: Checkpoint.chunkElementCount) {
      let part = UnsafeMutableBufferPointer(
        rebasing: destination[start..<min(start + Checkpoint.chunkElementCount, destination.count)])
      let bytes = UnsafeMutableRawBufferPointer(rebasing: chunk[..<(part.count * type.byteCount)])
      try readBytes(of: tensor, at: UInt64((first + start) * type.byteCount), into: bytes)
      ElementConversion.convert(type, from: UnsafeRawBufferPointer(bytes), to: part)
    }
  }

  /// Reads bytes of the storage that start `offset` bytes from its beginning.
  private func readBytes(
    of tensor: CheckpointTensor, at offset: UInt64, into destination: UnsafeMutableRawBufferPointer
  ) throws(ConversionError) {
    let view = tensor.view
    let file = files[view.file]
    guard let compressedByteCount = view.compressedByteCount else {
      return try file.read(at: view.offset + offset, into: destination)
    }
    let inflation: Inflation
    if let (openView, open) = openInflation, openView == view, open.position <= offset {
      inflation = open
    } else {
      inflation = try Inflation(
        file: file, offset: view.offset, compressedByteCount: compressedByteCount, byteCount: view.byteCount,
        subject: tensor.name)
    }
    // Forgotten while it moves, because after an error it stands at no known place.
    openInflation = nil
    try inflation.skip(to: offset)
    try inflation.read(into: destination)
    openInflation = (view, inflation)
  }

  /// Reads rows of a view that is not stored row-major: runs along the dimension whose elements are neighbours in the
  /// storage, scattered to their places.
  private func gatherRows(
    of tensor: CheckpointTensor, rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
  ) throws(ConversionError) {
    let view = tensor.view
    let shape = [rows.count] + view.shape.dropFirst()
    let targetStrides = StorageView.contiguousStrides(shape)
    // Without a dimension of stride 1 a run is a single element.
    let runDimension = shape.indices.filter { view.strides[$0] == 1 && shape[$0] > 1 }.max { shape[$0] < shape[$1] }
    let runCount = runDimension.map { shape[$0] } ?? 1
    let runStride = runDimension.map { targetStrides[$0] } ?? 1
    guard !shape.contains(0) else { return }

    let run = UnsafeMutableBufferPointer<Float>.allocate(capacity: min(runCount, Checkpoint.chunkElementCount))
    defer { run.deallocate() }
    var place = [Int](repeating: 0, count: shape.count)
    var source = view.firstElement + rows.lowerBound * view.strides[0]
    var target = 0
    while true {
      for start in stride(from: 0, to: runCount, by: Checkpoint.chunkElementCount) {
        let part = UnsafeMutableBufferPointer(rebasing: run[..<min(runCount - start, run.count)])
        try readElements(of: tensor, from: source + start, into: part)
        for (index, value) in part.enumerated() { destination[target + (start + index) * runStride] = value }
      }
      // The next place, last dimension first; the run's own dimension stays at 0.
      var dimension = shape.count - 1
      while dimension >= 0 {
        if dimension != runDimension {
          place[dimension] += 1
          source += view.strides[dimension]
          target += targetStrides[dimension]
          if place[dimension] < shape[dimension] { break }
          source -= place[dimension] * view.strides[dimension]
          target -= place[dimension] * targetStrides[dimension]
          place[dimension] = 0
        }
        dimension -= 1
      }
      guard dimension >= 0 else { return }
    }
  }
}
