import CTuskBackward
import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

extension TrainingModel {
  /// y [count] = activation(x), times `gate` if there is one.
  func activate(
    _ x: UnsafePointer<Float>, _ gate: UnsafePointer<Float>?, count: Int, into y: UnsafeMutablePointer<Float>
  ) {
    let pieces = (count + ActivationForward.elements - 1) / ActivationForward.elements
    pool.run(pieces, ActivationForward(model: self, x: x, gate: gate, count: count, y: y))
  }

  /// dy [count], the gradient of y, becomes that of x, and `gateGradient` that of the gate.
  func activateBackward(
    _ x: UnsafePointer<Float>, _ gate: UnsafePointer<Float>?, count: Int, _ dy: UnsafeMutablePointer<Float>,
    gateGradient: UnsafeMutablePointer<Float>?
  ) {
    let pieces = (count + ActivationForward.elements - 1) / ActivationForward.elements
    pool.run(
      pieces,
      ActivationBackward(model: self, x: x, gate: gate, count: count, dy: dy, gateGradient: gateGradient))
  }
}

private struct ActivationForward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let x: UnsafePointer<Float>
  let gate: UnsafePointer<Float>?
  let count: Int
  let y: UnsafeMutablePointer<Float>

  static let elements = 1 << 14
  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: ActivationForward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * Self.elements
    let count = min(Self.elements, count - first)
    let kind = TuskActivation(model.config.activation.rawValue)
    (y + first).update(from: x + first, count: count)
    model.kernels.activate_f32(kind, y + first, count)
    if let gate { model.kernels.multiply_f32(y + first, gate + first, count) }
  }
}

private struct ActivationBackward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let x: UnsafePointer<Float>
  let gate: UnsafePointer<Float>?
  let count: Int
  let dy: UnsafeMutablePointer<Float>
  let gateGradient: UnsafeMutablePointer<Float>?

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: ActivationBackward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * ActivationForward.elements
    let count = min(ActivationForward.elements, count - first)
    let kind = TuskActivation(model.config.activation.rawValue)
    if let gate, let gateGradient {
      (gateGradient + first).update(from: x + first, count: count)
      model.kernels.activate_f32(kind, gateGradient + first, count)
      model.kernels.multiply_f32(gateGradient + first, dy + first, count)
      model.kernels.multiply_f32(dy + first, gate + first, count)
    }
    model.back.activate(kind, x + first, dy + first, count)
  }
}
