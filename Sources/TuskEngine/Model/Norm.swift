import CTuskKernels
import TuskFormat

/// A norm of the backbone, or the task's in its place.
package struct Norm {
  package let kind: NormKind
  /// [D]
  package var weight: UnsafePointer<Float>
  /// [D] of a LayerNorm; behind a RMSNorm only if a task adds one.
  package var bias: UnsafePointer<Float>?

  package init(kind: NormKind, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
    self.kind = kind
    self.weight = weight
    self.bias = bias
  }

  /// y [rows, D] = norm(x), x [rows, D]; y may be x.
  package func apply(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, epsilon: Float, _ kernels: TuskKernels,
    into y: UnsafeMutablePointer<Float>
  ) {
    if let bias, kind == .layer {
      kernels.layernorm_f32(x, width, rows, width, weight, bias, epsilon, y, width)
      return
    }
    kernels.rmsnorm_f32(x, width, rows, width, weight, epsilon, y, width)
    guard let bias else { return }
    for row in 0..<rows { kernels.add_f32(y + row * width, bias, width) }
  }
}
