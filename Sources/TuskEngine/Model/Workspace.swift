import CTuskKernels
import TuskFormat

/// The tile of rows that is passing a sub-layer, and the operations on it. M rows, D dModel, F dFF, H heads, K dKV.
///
/// Every operation splits its work over the pool; results do not depend on how.
final class Workspace {
  let config: BackboneConfig
  let kernels: TuskKernels
  let pool: ThreadPool
  let arena: Arena
  let regions: Regions

  private let encodingTile: TileRows
  private let decodingTile: TileRows
  /// The tile in use: encoding and decoding have each their own, in the same bytes.
  private var tile: TileRows
  private let workers: UnsafeMutableRawPointer

  init(_ config: BackboneConfig, _ kernels: TuskKernels, _ pool: ThreadPool, _ arena: Arena, _ regions: Regions) {
    self.config = config
    self.kernels = kernels
    self.pool = pool
    self.arena = arena
    self.regions = regions
    encodingTile = TileRows(regions.encodingTile, arena)
    decodingTile = TileRows(regions.decodingTile, arena)
    tile = encodingTile
    workers = UnsafeMutableRawPointer(arena.pointer(regions.workers, to: UInt8.self))
  }

  func beginEncoding() { tile = encodingTile }
  func beginDecoding() { tile = decodingTile }

  /// [M, D]
  var normed: UnsafeMutablePointer<Float> { tile.normed }
  var subLayer: UnsafeMutablePointer<Float> { tile.subLayer }
  /// [M, H K]
  var queries: UnsafeMutablePointer<Float> { tile.queries }
  var context: UnsafeMutablePointer<Float> { tile.context }
  /// [M', F] of the rows that are in a feed-forward together.
  var hidden: UnsafeMutablePointer<Float> { tile.hidden }
  var gate: UnsafeMutablePointer<Float> { tile.gate }
  var feedForwardRows: Int { tile.feedForwardRows }
  /// [M]: what rows say of an adapter's gate. Between products, the scales of their inputs are free.
  var rowGates: UnsafeMutablePointer<Float> { tile.codeScales }

  /// Working memory of worker `worker`: [workerBytes / 4].
  func workerScratch(_ worker: Int) -> UnsafeMutablePointer<Float> {
    (workers + worker * regions.workerBytes).assumingMemoryBound(to: Float.self)
  }

  /// Declares `x` [M, columns] the input of the products that follow: quantizes it if weights are int8.
  func setInput(_ x: UnsafePointer<Float>, rows: Int, columns: Int) -> ProductInput {
    let input = ProductInput(
      x: x, rows: rows, columns: columns, codes: tile.codes, codesStride: columns.roundedUp(to: 64),
      scales: tile.codeScales)
    guard config.weightEncoding == .int8Rows else { return input }
    if rows == 1 || pool.threadCount == 1 {
      kernels.quantize_i16_f32(x, columns, rows, columns, input.codes, input.codesStride, input.scales)
      return input
    }
    let pieces = pool.pieces(rows, atLeast: 4)
    pool.run(pieces, QuantizeJob(kernels: kernels, input: input, pieces: pieces)) { context, index, _ in
      let job = context!.assumingMemoryBound(to: QuantizeJob.self).pointee
      let range = piece(index, of: job.pieces, count: job.input.rows, granularity: 1)
      let columns = job.input.columns
      job.kernels.quantize_i16_f32(
        job.input.x + range.lowerBound * columns, columns, range.count, columns,
        job.input.codes + range.lowerBound * job.input.codesStride, job.input.codesStride,
        job.input.scales + range.lowerBound)
    }
    return input
  }

  /// y [M, rows of weight] = input weight^T, with the weight's bias if it has one; rows of `y` are `yStride` floats apart.
  func multiply(
    _ input: ProductInput, _ weight: WeightMatrix, _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) {
    precondition(input.columns == weight.columns, "widths differ")
    let pieces = pool.pieces(weight.rows, atLeast: 16)
    let job = ProductJob(kernels: kernels, input: input, weight: weight, y: y, yStride: yStride, pieces: pieces)
    if pieces == 1 {
      job.run(0..<weight.rows)
      return
    }
    pool.run(pieces, job) { context, index, _ in
      let job = context!.assumingMemoryBound(to: ProductJob.self).pointee
      job.run(piece(index, of: job.pieces, count: job.weight.rows, granularity: 16))
    }
  }

  /// y [M, D] = norm(x), x [M, D]; y may be x.
  func normalize(_ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, into y: UnsafeMutablePointer<Float>) {
    norm.apply(x, rows: rows, width: config.dModel, epsilon: config.normEpsilon, kernels, into: y)
  }

  /// hidden [M', F] = activation(hidden), times `gate` if the feed-forward is gated.
  func activate(rows: Int) {
    let pieces = pool.pieces(rows * config.dFF, atLeast: 4096)
    let job = ActivationJob(
      kernels: kernels, activation: config.activation, x: hidden, gate: config.isGated ? gate : nil,
      count: rows * config.dFF, pieces: pieces)
    pool.run(pieces, job) { context, index, _ in
      context!.assumingMemoryBound(to: ActivationJob.self).pointee.run(index)
    }
  }

  /// Keeps `x` [count, width] as `rows`.
  func store(_ x: UnsafePointer<Float>, count: Int, _ rows: KeyValueRows) {
    let pieces = pool.pieces(count, atLeast: 8)
    pool.run(pieces, StoreJob(kernels: kernels, x: x, count: count, rows: rows, pieces: pieces)) { context, index, _ in
      let job = context!.assumingMemoryBound(to: StoreJob.self).pointee
      let range = piece(index, of: job.pieces, count: job.count, granularity: 1)
      job.rows.from(row: range.lowerBound)
        .store(job.x + range.lowerBound * job.rows.width, count: range.count, job.kernels)
    }
  }
}

/// Addresses of a tile; see `TileRegions`.
private struct TileRows {
  let normed: UnsafeMutablePointer<Float>
  let subLayer: UnsafeMutablePointer<Float>
  let queries: UnsafeMutablePointer<Float>
  let context: UnsafeMutablePointer<Float>
  let hidden: UnsafeMutablePointer<Float>
  let gate: UnsafeMutablePointer<Float>
  let codes: UnsafeMutablePointer<Int16>
  let codeScales: UnsafeMutablePointer<Float>
  let feedForwardRows: Int

  init(_ regions: TileRegions, _ arena: Arena) {
    normed = arena.floats(regions.normed)
    subLayer = arena.floats(regions.subLayer)
    queries = arena.floats(regions.queries)
    context = arena.floats(regions.context)
    hidden = arena.floats(regions.hidden)
    gate = arena.floats(regions.gate)
    codes = arena.pointer(regions.codes, to: Int16.self)
    codeScales = arena.floats(regions.codeScales)
    feedForwardRows = regions.feedForwardRows
  }
}

/// Rows that enter products: floats, and their codes for int8 weights.
package struct ProductInput {
  /// [rows, columns]
  package let x: UnsafePointer<Float>
  package let rows: Int
  package let columns: Int
  package let codes: UnsafeMutablePointer<Int16>
  package let codesStride: Int
  package let scales: UnsafeMutablePointer<Float>

  package init(
    x: UnsafePointer<Float>, rows: Int, columns: Int, codes: UnsafeMutablePointer<Int16>, codesStride: Int,
    scales: UnsafeMutablePointer<Float>
  ) {
    self.x = x
    self.rows = rows
    self.columns = columns
    self.codes = codes
    self.codesStride = codesStride
    self.scales = scales
  }

  /// The columns `range` of y [rows, rows of weight].
  package func multiply(
    _ weight: WeightMatrix, _ range: Range<Int>, _ y: UnsafeMutablePointer<Float>, yStride: Int, _ kernels: TuskKernels
  ) {
    if weight.encoding == .int8Rows {
      var product = TuskMatmulI16(
        codes: codes, codesStride: codesStride, activationScales: scales, M: rows,
        weights: weight.data.assumingMemoryBound(to: Int8.self), weightsStride: weight.stride,
        weightScales: weight.scales, K: weight.columns, bias: weight.bias, y: y, yStride: yStride)
      kernels.matmul_f32_i16_i8(&product, range.lowerBound, range.upperBound)
    } else {
      var product = TuskMatmulF32(
        x: x, xStride: columns, M: rows, weights: weight.data.assumingMemoryBound(to: Float.self),
        weightsStride: weight.stride, K: weight.columns, bias: weight.bias, y: y, yStride: yStride)
      kernels.matmul_f32_f32_f32(&product, range.lowerBound, range.upperBound)
    }
  }
}

private struct QuantizeJob {
  let kernels: TuskKernels
  let input: ProductInput
  let pieces: Int
}

private struct StoreJob {
  let kernels: TuskKernels
  let x: UnsafePointer<Float>
  let count: Int
  let rows: KeyValueRows
  let pieces: Int
}

private struct ProductJob {
  let kernels: TuskKernels
  let input: ProductInput
  let weight: WeightMatrix
  let y: UnsafeMutablePointer<Float>
  let yStride: Int
  let pieces: Int

  func run(_ range: Range<Int>) { input.multiply(weight, range, y, yStride: yStride, kernels) }
}

private struct ActivationJob {
  let kernels: TuskKernels
  let activation: Activation
  let x: UnsafeMutablePointer<Float>
  let gate: UnsafeMutablePointer<Float>?
  let count: Int
  let pieces: Int

  func run(_ index: Int) {
    let range = piece(index, of: pieces, count: count, granularity: 64)
    kernels.activate_f32(TuskActivation(activation.rawValue), x + range.lowerBound, range.count)
    if let gate { kernels.multiply_f32(x + range.lowerBound, gate + range.lowerBound, range.count) }
  }
}
