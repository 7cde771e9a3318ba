import CTuskKernels

/// A norm of the backbone, or the task's in its place.
struct Norm {
  /// [D]
  let weight: UnsafePointer<Float>
  /// [D] of a LayerNorm; nil for a RMSNorm.
  let bias: UnsafePointer<Float>?

  /// y [rows, D] = norm(x), x [rows, D]; y may be x.
  func apply(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, epsilon: Float, _ kernels: TuskKernels,
    into y: UnsafeMutablePointer<Float>
  ) {
    if let bias {
      kernels.layernorm_f32(x, width, rows, width, weight, bias, epsilon, y, width)
    } else {
      kernels.rmsnorm_f32(x, width, rows, width, weight, epsilon, y, width)
    }
  }
}
