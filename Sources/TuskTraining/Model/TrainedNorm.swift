import CTuskBackward
import CTuskSystem
import TuskEngine
import TuskFormat

/// A norm with the gradients of what a task trains of it: [D] each, or nil.
struct TrainedNorm {
  let norm: Norm
  let weightGradient: UnsafeMutablePointer<Float>?
  let biasGradient: UnsafeMutablePointer<Float>?

  var isTrained: Bool { weightGradient != nil || biasGradient != nil }
}

extension TrainingModel {
  /// Rows of a norm that one piece of work has.
  private static let normRows = 16

  /// y [rows, D] = norm(x), x [rows, D].
  func normalize(_ x: UnsafePointer<Float>, rows: Int, _ norm: TrainedNorm, into y: UnsafeMutablePointer<Float>) {
    let pieces = (rows + Self.normRows - 1) / Self.normRows
    pool.run(pieces, NormForward(model: self, x: x, rows: rows, norm: norm.norm, y: y))
  }

  /// dx [rows, D] += the gradient of x, and those of the norm if it is trained.
  func normalizeBackward(
    _ x: UnsafePointer<Float>, rows: Int, _ norm: TrainedNorm, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) {
    let work = NormBackward(model: self, x: x, rows: rows, norm: norm, dy: dy, dx: dx)
    // What is trained is summed over all rows, so those are one piece.
    if norm.isTrained {
      work.run(0..<rows)
    } else {
      pool.run((rows + Self.normRows - 1) / Self.normRows, work)
    }
  }

  private struct NormForward: PieceWork {
    unowned(unsafe) let model: TrainingModel
    let x: UnsafePointer<Float>
    let rows: Int
    let norm: Norm
    let y: UnsafeMutablePointer<Float>

    static let body: tusk_pool_body = { context, piece, worker in
      context!.assumingMemoryBound(to: NormForward.self).pointee.run(piece, worker: Int(worker))
    }

    func run(_ piece: Int, worker: Int) {
      let width = model.config.dModel
      let first = piece * TrainingModel.normRows
      norm.apply(
        x + first * width, rows: min(TrainingModel.normRows, rows - first), width: width,
        epsilon: model.config.normEpsilon, model.kernels, into: y + first * width)
    }
  }

  private struct NormBackward: PieceWork {
    unowned(unsafe) let model: TrainingModel
    let x: UnsafePointer<Float>
    let rows: Int
    let norm: TrainedNorm
    let dy: UnsafePointer<Float>
    let dx: UnsafeMutablePointer<Float>

    static let body: tusk_pool_body = { context, piece, worker in
      context!.assumingMemoryBound(to: NormBackward.self).pointee.run(piece, worker: Int(worker))
    }

    func run(_ piece: Int, worker: Int) {
      let first = piece * TrainingModel.normRows
      run(first..<min(first + TrainingModel.normRows, rows))
    }

    func run(_ range: Range<Int>) {
      let width = model.config.dModel
      let first = range.lowerBound * width
      let backward = norm.norm.kind == .layer ? model.back.layernorm : model.back.rmsnorm
      backward(
        x + first, width, range.count, width, norm.norm.weight, model.config.normEpsilon, dy + first, width, dx + first,
        width, norm.weightGradient, norm.biasGradient)
    }
  }
}
