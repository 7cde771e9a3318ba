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

  /// [M, D]
  let normed: UnsafeMutablePointer<Float>
  let subLayer: UnsafeMutablePointer<Float>
  /// [M, H K]
  let queries: UnsafeMutablePointer<Float>
  let context: UnsafeMutablePointer<Float>
  /// [M, F]
  let hidden: UnsafeMutablePointer<Float>
  let gate: UnsafeMutablePointer<Float>
  /// Codes of the activations that enter the next products, [M, up to max(D, F, H K)], and a scale per row.
  private let codes: UnsafeMutablePointer<Int16>
  private let codeScales: UnsafeMutablePointer<Float>
  private let workers: UnsafeMutableRawPointer

  init(_ config: BackboneConfig, _ kernels: TuskKernels, _ pool: ThreadPool, _ arena: Arena, _ regions: Regions) {
    self.config = config
    self.kernels = kernels
    self.pool = pool
    self.arena = arena
    self.regions = regions
    normed = arena.floats(regions.normed)
    subLayer = arena.floats(regions.subLayer)
    queries = arena.floats(regions.queries)
    context = arena.floats(regions.context)
    hidden = arena.floats(regions.hidden)
    gate = arena.floats(regions.gate)
    codes = arena.pointer(regions.codes, to: Int16.self)
    codeScales = arena.floats(regions.codeScales)
    workers = UnsafeMutableRawPointer(arena.pointer(regions.workers, to: UInt8.self))
  }

  /// Working memory of worker `worker`: [workerBytes / 4].
  func workerScratch(_ worker: Int) -> UnsafeMutablePointer<Float> {
    (workers + worker * regions.workerBytes).assumingMemoryBound(to: Float.self)
  }

  /// Declares `x` [M, columns] the input of the products that follow: quantizes it if weights are int8.
  func setInput(_ x: UnsafePointer<Float>, rows: Int, columns: Int) -> ProductInput {
    let input = ProductInput(
      x: x, rows: rows, columns: columns, codes: codes, codesStride: columns.roundedUp(to: 64), scales: codeScales)
    guard config.weightEncoding == .int8Rows else { return input }
    if rows == 1 || pool.threadCount == 1 {
      kernels.quantize_i16_f32(x, columns, rows, columns, codes, input.codesStride, codeScales)
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
      job.run(piece(index, of: job.pieces, count: job.weight.rows, granularity: 4))
    }
  }

  /// y [M, D] = norm(x), x [M, D]; y may be x.
  func normalize(_ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, into y: UnsafeMutablePointer<Float>) {
    norm.apply(x, rows: rows, width: config.dModel, epsilon: config.normEpsilon, kernels, into: y)
  }

  /// hidden [M, F] = activation(wi x), or activation(wi0 x) * (wi1 x); subLayer [M, D] = wo hidden. x [M, D].
  func feedForward(
    _ x: UnsafePointer<Float>, _ weights: BackboneWeights, _ stack: Stack, layer: Int, rows: Int
  ) {
    let input = setInput(x, rows: rows, columns: config.dModel)
    if config.isGated {
      multiply(input, weights.matrix(.wi0, stack, layer: layer), hidden, yStride: config.dFF)
      multiply(input, weights.matrix(.wi1, stack, layer: layer), gate, yStride: config.dFF)
    } else {
      multiply(input, weights.matrix(.wi, stack, layer: layer), hidden, yStride: config.dFF)
    }
    let pieces = pool.pieces(rows * config.dFF, atLeast: 4096)
    let job = ActivationJob(
      kernels: kernels, activation: config.activation, x: hidden, gate: config.isGated ? gate : nil,
      count: rows * config.dFF, pieces: pieces)
    pool.run(pieces, job) { context, index, _ in
      context!.assumingMemoryBound(to: ActivationJob.self).pointee.run(index)
    }
    let inner = setInput(hidden, rows: rows, columns: config.dFF)
    multiply(inner, weights.matrix(.wo, stack, layer: layer), subLayer, yStride: config.dModel)
  }
}

/// Rows that enter products: floats, and their codes for int8 weights.
struct ProductInput {
  /// [rows, columns]
  let x: UnsafePointer<Float>
  let rows: Int
  let columns: Int
  let codes: UnsafeMutablePointer<Int16>
  let codesStride: Int
  let scales: UnsafeMutablePointer<Float>
}

private struct QuantizeJob {
  let kernels: TuskKernels
  let input: ProductInput
  let pieces: Int
}

private struct ProductJob {
  let kernels: TuskKernels
  let input: ProductInput
  let weight: WeightMatrix
  let y: UnsafeMutablePointer<Float>
  let yStride: Int
  let pieces: Int

  func run(_ range: Range<Int>) {
    if weight.encoding == .int8Rows {
      var product = TuskMatmulI16(
        codes: input.codes, codesStride: input.codesStride, activationScales: input.scales, M: input.rows,
        weights: weight.data.assumingMemoryBound(to: Int8.self), weightsStride: weight.stride,
        weightScales: weight.scales, K: weight.columns, bias: weight.bias, y: y, yStride: yStride)
      kernels.matmul_f32_i16_i8(&product, range.lowerBound, range.upperBound)
    } else {
      var product = TuskMatmulF32(
        x: input.x, xStride: input.columns, M: input.rows, weights: weight.data.assumingMemoryBound(to: Float.self),
        weightsStride: weight.stride, K: weight.columns, bias: weight.bias, y: y, yStride: yStride)
      kernels.matmul_f32_f32_f32(&product, range.lowerBound, range.upperBound)
    }
  }
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
