import CTuskKernels
import TuskFormat

/// A linear of a task with the addresses of its factors, or of its int8 rows.
package struct MountedLinear {
  private let kronecker: TuskKronecker
  /// [out, in] rows of a dense layer, `codesStride` apart, and [out]; nil if there are factors.
  private let codes: UnsafePointer<Int8>?
  private let codesStride: Int
  private let scales: UnsafePointer<Float>?

  package init(_ linear: Int, of task: TaskSection) {
    let record = task.linear(at: linear)
    kronecker = TuskKronecker(
      n: record.phmDim, in: record.inWidth, out: record.outWidth, inBlocks: record.inBlocks,
      outBlocks: record.outBlocks, rank: record.factorRank, rule: task.floats(record.rule),
      ruleLeft: task.floats(record.ruleLeft), ruleRight: task.floats(record.ruleRight),
      left: task.floats(record.leftFactor), right: task.floats(record.rightFactor), full: task.floats(record.full),
      bias: task.floats(record.bias), scaling: 1, accumulates: false)
    codes = record.codes.map { task.tensor(at: $0).data.address.assumingMemoryBound(to: Int8.self) }
    codesStride = record.inWidth.roundedUp(to: 64)
    scales = task.floats(record.scales)
  }

  /// Outputs of int8 rows that are formed together where they are added to something.
  private static let blockColumns = 64

  /// Floats of scratch that `apply` needs for `linear`.
  package static func scratchFloats(_ linear: TaskLinear) -> Int {
    guard linear.codes != nil else {
      var shape = TuskKronecker(shapeOf: linear)
      return tusk_kronecker_scratch_floats(&shape)
    }
    // Rows of int16 on a cache line, their scales, and a block of outputs.
    return 16 + Regions.adapterChunkRows * (linear.inWidth.roundedUp(to: 64) / 2 + 1 + blockColumns)
  }

  /// Multiply-adds of `linear` for one row.
  static func multiplyAdds(_ linear: TaskLinear) -> UInt64 {
    guard linear.codes != nil else {
      var shape = TuskKronecker(shapeOf: linear)
      return tusk_kronecker_multiply_adds(&shape)
    }
    return UInt64(linear.inWidth) * UInt64(linear.outWidth)
  }

  /// y [rows, out] = scaling * linear(x), x [rows, in], or y += that.
  /// - Precondition: `scratch` has `scratchFloats`; y and x do not overlap.
  package func apply(
    _ x: UnsafePointer<Float>, _ xStride: Int, rows: Int, _ y: UnsafeMutablePointer<Float>, _ yStride: Int,
    scaling: Float = 1, accumulates: Bool = false, scratch: UnsafeMutablePointer<Float>, _ kernels: TuskKernels
  ) {
    guard let codes, let scales else {
      var layer = kronecker
      layer.scaling = scaling
      layer.accumulates = accumulates
      kernels.kronecker_f32(&layer, x, xStride, rows, y, yStride, scratch, nil)
      return
    }
    let inputs = UnsafeMutableRawPointer(scratch).alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Int16.self)
    let chunk = Regions.adapterChunkRows
    let inputScales = UnsafeMutableRawPointer(inputs + chunk * codesStride).assumingMemoryBound(to: Float.self)
    let block = inputScales + chunk
    for first in stride(from: 0, to: rows, by: chunk) {
      let count = min(chunk, rows - first)
      kernels.quantize_i16_f32(
        x + first * xStride, xStride, count, kronecker.in, inputs, codesStride, inputScales)
      for column in stride(from: 0, to: kronecker.out, by: Self.blockColumns) {
        let columns = min(Self.blockColumns, kronecker.out - column)
        var product = TuskMatmulI16(
          codes: inputs, codesStride: codesStride, activationScales: inputScales, M: count,
          weights: codes + column * codesStride, weightsStride: codesStride, weightScales: scales + column,
          K: kronecker.in, bias: kronecker.bias.map { $0 + column }, y: block, yStride: Self.blockColumns)
        kernels.matmul_f32_i16_i8(&product, 0, columns)
        for row in 0..<count {
          let out = y + (first + row) * yStride + column
          if !accumulates { out.update(repeating: 0, count: columns) }
          kernels.axpy_f32(out, scaling, block + row * Self.blockColumns, columns)
        }
      }
    }
  }
}

extension TuskKronecker {
  /// What can be told of a layer without its factors: any address stands for one that is there.
  fileprivate init(shapeOf linear: TaskLinear) {
    func present(_ tensor: Int?) -> UnsafePointer<Float>? {
      tensor == nil ? nil : UnsafePointer(bitPattern: MemoryLayout<Float>.alignment)
    }
    self.init(
      n: linear.phmDim, in: linear.inWidth, out: linear.outWidth, inBlocks: linear.inBlocks,
      outBlocks: linear.outBlocks, rank: linear.factorRank, rule: present(linear.rule),
      ruleLeft: present(linear.ruleLeft), ruleRight: present(linear.ruleRight), left: present(linear.leftFactor),
      right: present(linear.rightFactor), full: present(linear.full), bias: present(linear.bias), scaling: 1,
      accumulates: false)
  }
}
