import COpenBLAS
import CTuskBackward
import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

/// A product of the backbone where a task may change it.
struct TrainedProduct {
  let weight: WeightMatrix
  let slot: Int
  let target: ProductTarget
  /// Rows of the weight that count: of a head, the words that the task has.
  let width: Int
  /// Gradients of the weight, in its rows, and of its bias, where the backbone is trained.
  var weightGradient: UnsafeMutablePointer<Float>?
  var biasGradient: UnsafeMutablePointer<Float>?
}

extension TrainingModel {
  func product(
    _ role: TensorRole, _ stack: Stack, layer: Int, _ target: ProductTarget, _ subLayer: SubLayer
  ) -> TrainedProduct {
    let weight = weights.matrix(role, stack, layer: layer)
    return TrainedProduct(
      weight: weight, slot: config.slots.slot(stack, subLayer, layer: layer), target: target, width: weight.rows,
      weightGradient: backbone?.gradient(role, stack, layer: layer),
      biasGradient: role.bias.flatMap { backbone?.gradient($0, stack, layer: layer) })
  }

  /// The decoder's last product.
  var headProduct: TrainedProduct {
    TrainedProduct(
      weight: weights.head, slot: config.slots.decoderEnd, target: .head, width: task.section.vocabularySize,
      weightGradient: backbone?.gradient(config.hasTiedHead ? .embedding : .head, .shared))
  }

  /// Declares `x` [rows, columns] the input of the products that follow: quantizes it if weights are int8.
  func setInput(_ x: UnsafePointer<Float>, rows: Int, columns: Int) -> ProductInput {
    let input = ProductInput(
      x: x, rows: rows, columns: columns, codes: arena.pointer(regions.codes, to: Int16.self),
      codesStride: columns.roundedUp(to: 64), scales: arena.floats(regions.codeScales))
    if config.weightEncoding == .int8Rows {
      pool.run((rows + Quantization.rows - 1) / Quantization.rows, Quantization(model: self, input: input))
    }
    return input
  }

  /// y [rows, out] = product of `input` [rows, in] as the task has it: `x W^T + bias + scaling * linear(x)`.
  func multiply(_ input: ProductInput, _ product: TrainedProduct, _ y: UnsafeMutablePointer<Float>) {
    let change = task.section.product(product.target, slot: product.slot)
    var weight = product.weight
    let bias = task.section.floats(change?.bias)
    if bias != nil { weight.bias = nil }
    let pieces = (product.width + ProductForward.columns - 1) / ProductForward.columns
    pool.run(pieces, ProductForward(model: self, input: input, weight: weight, width: product.width, y: y))
    guard let change, bias != nil || change.linear != nil else { return }
    let work = ProductChange(model: self, input: input, change: change, bias: bias, y: y, width: product.width)
    pool.run((input.rows + ProductChange.rows - 1) / ProductChange.rows, work)
  }

  /// dx [rows, in] = the gradient of x, or on top of what dx holds with `accumulates`; and the gradients of what the task adds.
  func multiplyBackward(
    _ x: UnsafePointer<Float>, rows: Int, _ product: TrainedProduct, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, accumulates: Bool = false
  ) {
    let weight = product.weight
    let columns = TrainingRegions.weightColumns
    pool.run(
      (weight.columns + columns - 1) / columns,
      ProductBackward(
        model: self, rows: rows, weight: weight, width: product.width, dy: dy, dx: dx, accumulates: accumulates))
    if let gradient = product.weightGradient {
      let pieces = (product.width + TrainingRegions.weightRows - 1) / TrainingRegions.weightRows
      pool.run(pieces, WeightGradient(x: x, rows: rows, product: product, dy: dy, gradient: gradient))
    }
    if let bias = product.biasGradient { back.add_rows(dy, product.width, rows, product.width, bias) }
    guard let change = task.section.product(product.target, slot: product.slot) else { return }
    if let bias = task.gradient(change.bias) { back.add_rows(dy, product.width, rows, product.width, bias) }
    if let linear = change.linear {
      var gradient = task.kroneckerGradient(linear, scaling: change.scaling)
      back.kronecker(&gradient, x, weight.columns, rows, dy, product.width, dx, weight.columns, linearScratch(0))
    }
  }
}

private struct Quantization: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let input: ProductInput

  static let rows = 16
  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: Quantization.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * Self.rows
    model.kernels.quantize_i16_f32(
      input.x + first * input.columns, input.columns, min(Self.rows, input.rows - first), input.columns,
      input.codes + first * input.codesStride, input.codesStride, input.scales + first)
  }
}

private struct ProductForward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let input: ProductInput
  let weight: WeightMatrix
  let width: Int
  let y: UnsafeMutablePointer<Float>

  static let columns = 96
  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: ProductForward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * Self.columns
    input.multiply(weight, first..<min(first + Self.columns, width), y, yStride: width, model.kernels)
  }
}

/// What a task adds to a product.
private struct ProductChange: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let input: ProductInput
  let change: TaskProduct
  let bias: UnsafePointer<Float>?
  let y: UnsafeMutablePointer<Float>
  let width: Int

  static let rows = 8
  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: ProductChange.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * Self.rows
    let count = min(Self.rows, input.rows - first)
    let y = y + first * width
    if let bias {
      for row in 0..<count { model.kernels.add_f32(y + row * width, bias, width) }
    }
    guard let linear = change.linear else { return }
    MountedLinear(linear, of: model.task.section).apply(
      input.x + first * input.columns, input.columns, rows: count, y, width, scaling: change.scaling,
      accumulates: true, scratch: model.linearScratch(worker), model.kernels)
  }
}

/// Columns of dx = dy W: weights are dequantized block by block, as many of them at once as a worker's scratch holds.
private struct ProductBackward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let rows: Int
  let weight: WeightMatrix
  let width: Int
  let dy: UnsafePointer<Float>
  let dx: UnsafeMutablePointer<Float>
  let accumulates: Bool

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: ProductBackward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let firstColumn = piece * TrainingRegions.weightColumns
    let columns = min(TrainingRegions.weightColumns, weight.columns - firstColumn)
    for first in stride(from: 0, to: width, by: TrainingRegions.weightRows) {
      let count = min(TrainingRegions.weightRows, width - first)
      let block = floats(first, count, firstColumn, columns, model.workerScratch(worker))
      tusk_blas_sgemm(
        false, false, rows, columns, count, 1, dy + first, width, block.address, block.stride,
        first > 0 || accumulates ? 1 : 0, dx + firstColumn, weight.columns)
    }
  }

  /// A block of the weight as floats: in place, or dequantized into `scratch`.
  private func floats(
    _ first: Int, _ count: Int, _ firstColumn: Int, _ columns: Int, _ scratch: UnsafeMutablePointer<Float>
  ) -> (address: UnsafePointer<Float>, stride: Int) {
    guard weight.encoding == .int8Rows else {
      return (weight.data.assumingMemoryBound(to: Float.self) + first * weight.stride + firstColumn, weight.stride)
    }
    let codes = weight.data.assumingMemoryBound(to: Int8.self) + firstColumn
    for row in 0..<count {
      model.kernels.gather_f32_i8(
        codes + (first + row) * weight.stride, weight.scales[first + row], columns, scratch + row * columns)
    }
    return (UnsafePointer(scratch), columns)
  }
}

/// Rows of the gradient of a weight: dW += dy^T x.
private struct WeightGradient: PieceWork {
  let x: UnsafePointer<Float>
  let rows: Int
  let product: TrainedProduct
  let dy: UnsafePointer<Float>
  let gradient: UnsafeMutablePointer<Float>

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: WeightGradient.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * TrainingRegions.weightRows
    let weight = product.weight
    tusk_blas_sgemm(
      true, false, min(TrainingRegions.weightRows, product.width - first), weight.columns, rows, 1, dy + first,
      product.width, x, weight.columns, 1, gradient + first * weight.stride, weight.stride)
  }
}
