import CTuskSystem

/// Consecutive rows of a tensor as float32.
struct Chunk {
  let rows: Range<Int>
  let columns: Int
  /// [rows.count, columns]
  let values: UnsafeBufferPointer<Float>

  /// Row `index` of the chunk.
  func row(_ index: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(rebasing: values[index * columns..<(index + 1) * columns])
  }
}

/// Streams tensors through two fixed buffers: while one chunk is worked on, the next is read. Two threads share the work;
/// memory does not grow with the tensors, only with a row longer than a buffer.
final class TensorStream {
  private static let bufferElementCount = 1 << 17
  /// Bounds what a user of the stream keeps per row of a chunk.
  static let maximumChunkRowCount = 2048

  private let checkpoint: Checkpoint
  private let pool: OpaquePointer
  private var front: UnsafeMutableBufferPointer<Float>
  private var back: UnsafeMutableBufferPointer<Float>

  /// - Parameter widestRow: columns of the widest tensor that will be streamed.
  init(_ checkpoint: Checkpoint, widestRow: Int) throws(ConversionError) {
    self.checkpoint = checkpoint
    guard let pool = tusk_pool_create(2) ?? tusk_pool_create(1) else {
      throw ConversionError(
        .cannotRead, file: checkpoint.firstFile, "the system has no thread or memory left to convert with")
    }
    self.pool = pool
    let capacity = max(Self.bufferElementCount, widestRow)
    front = .allocate(capacity: capacity)
    back = .allocate(capacity: capacity)
  }

  deinit {
    tusk_pool_destroy(pool)
    front.deallocate()
    back.deallocate()
  }

  /// Rows of a chunk of a tensor with `columns` columns.
  func chunkRowCount(columns: Int) -> Int {
    min(max(front.count / max(columns, 1), 1), Self.maximumChunkRowCount)
  }

  /// Streams `tensor` as rows of `columns` values and returns the CRC-32 of all of them.
  ///
  /// For each chunk, `work` is called once for each piece in `0..<pieceCount`, from either thread, and then `finish` on
  /// the caller's.
  /// - Precondition: `columns` divides the number of elements.
  func forEachChunk(
    of tensor: CheckpointTensor, columns: Int, pieceCount: Int, work: @escaping (Int, Chunk) -> Void,
    finish: (Chunk) throws(ConversionError) -> Void
  ) throws(ConversionError) -> UInt32 {
    let rowCount = tensor.elementCount / columns
    let step = chunkRowCount(columns: columns)
    var checksum: UInt32 = 0
    var rows = 0..<min(step, rowCount)
    if let failure = read(tensor, rows, columns, into: front) { throw failure }
    while !rows.isEmpty {
      let next = rows.upperBound..<min(rows.upperBound + step, rowCount)
      let chunk = Chunk(
        rows: rows, columns: columns, values: UnsafeBufferPointer(rebasing: front[..<(rows.count * columns)]))
      let task = ChunkTask(checksum: checksum) { [self] piece, task in
        switch piece {
        case 0: task.failure = next.isEmpty ? nil : read(tensor, next, columns, into: back)
        case 1: task.checksum = tusk_crc32(task.checksum, chunk.values.baseAddress!, 4 * chunk.values.count)
        default: work(piece - 2, chunk)
        }
      }
      task.run(on: pool, pieceCount: 2 + pieceCount)
      if let failure = task.failure { throw failure }
      checksum = task.checksum
      try finish(chunk)
      swap(&front, &back)
      rows = next
    }
    return checksum
  }

  private func read(
    _ tensor: CheckpointTensor, _ rows: Range<Int>, _ columns: Int, into buffer: UnsafeMutableBufferPointer<Float>
  ) -> ConversionError? {
    // A vector is stored with one value a row.
    let scale = tensor.shape.count == 1 ? columns : 1
    do throws(ConversionError) {
      try checkpoint.readRows(
        of: tensor, rows: rows.lowerBound * scale..<rows.upperBound * scale,
        into: UnsafeMutableBufferPointer(rebasing: buffer[..<(rows.count * columns)]))
      return nil
    } catch {
      return error
    }
  }
}

/// The pieces of work on one chunk, and what the two pieces with an outcome leave.
private final class ChunkTask {
  var failure: ConversionError?
  var checksum: UInt32
  private let body: (Int, ChunkTask) -> Void

  init(checksum: UInt32, body: @escaping (Int, ChunkTask) -> Void) {
    self.checksum = checksum
    self.body = body
  }

  func run(on pool: OpaquePointer, pieceCount: Int) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    let hasRun = tusk_pool_run(
      pool, pieceCount,
      { context, piece, _ in
        let task = Unmanaged<ChunkTask>.fromOpaque(context!).takeUnretainedValue()
        task.body(piece, task)
      }, context)
    precondition(hasRun, "the pool is in use")
  }
}
