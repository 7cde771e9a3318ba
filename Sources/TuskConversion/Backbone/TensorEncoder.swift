import TuskFormat

/// Encodes chunks of one tensor after another into rows as the file holds them, in pieces that may run side by side.
final class TensorEncoder {
  let pieceCount = 4
  private let rows: UnsafeMutableRawBufferPointer
  private let outcomes: UnsafeMutableBufferPointer<RowEncoding.Outcome?>

  /// - Parameter byteCount: of the largest chunk's encoded rows.
  init(byteCount: Int) {
    rows = .allocate(byteCount: byteCount, alignment: 64)
    outcomes = .allocate(capacity: TensorStream.maximumChunkRowCount)
    outcomes.initialize(repeating: nil)
  }

  deinit {
    rows.deallocate()
    outcomes.deallocate()
  }

  /// Encodes a part of the rows of `chunk`: pieces 0 ..< pieceCount together encode them all.
  func encode(_ chunk: Chunk, piece: Int, spec: TensorSpec) {
    let count = chunk.rows.count
    for index in piece * count / pieceCount..<(piece + 1) * count / pieceCount {
      let start = rows.baseAddress! + index * spec.rowStrideBytes
      let row = chunk.row(index)
      let used: Int
      if spec.encoding == .int8Rows {
        used = spec.columns
        outcomes[index] = RowEncoding.encodeInt8(row, to: start.assumingMemoryBound(to: Int8.self))
      } else {
        used = 4 * spec.columns
        start.copyMemory(from: row.baseAddress!, byteCount: used)
        outcomes[index] = RowEncoding.largestMagnitude(row).isFinite ? RowEncoding.Outcome() : nil
      }
      (start + used).initializeMemory(as: UInt8.self, repeating: 0, count: spec.rowStrideBytes - used)
    }
  }

  /// The encoded rows of the chunk encoded last.
  func encodedRows(count: Int, spec: TensorSpec) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: rows[..<(count * spec.rowStrideBytes)])
  }

  /// Takes the outcomes of the chunk encoded last into `distortion`.
  /// - Returns: the scales of its rows; none for float32.
  /// - Throws: `.notFinite` naming the row and column.
  func finishChunk(
    _ chunk: Chunk, of tensor: CheckpointTensor, spec: TensorSpec, _ distortion: inout Distortion
  ) throws(ConversionError) -> [Float] {
    var scales: [Float] = []
    for index in 0..<chunk.rows.count {
      let rowNumber = chunk.rows.lowerBound + index
      guard let outcome = outcomes[index] else {
        let row = chunk.row(index)
        let column = row.firstNonFiniteIndex ?? 0
        throw ConversionError(
          .notFinite, file: tensor.sourceFile, subject: tensor.name,
          "found \(row[column]) in row \(rowNumber), column \(column); weights are finite")
      }
      guard spec.encoding == .int8Rows else { continue }
      scales.append(outcome.scale)
      distortion.add(outcome, columns: spec.columns, tensor: tensor.name, row: rowNumber)
    }
    return scales
  }
}
