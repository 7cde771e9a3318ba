import CTuskBackward
import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

extension TrainingModel {
  /// The sum of cross-entropies of all target tokens; leaves the gradient of `factor` times it, of the stream behind the last
  /// block, in `streamGradient`. Logits exist for a few rows at a time.
  func decoderLoss(factor: Float) -> Double {
    let rows = examples.targetRows
    let width = config.dModel
    let normed = normedTargets()
    let dNormed = arena.floats(regions.normedGradient)
    let streamGradient = arena.floats(regions.streamGradient)
    var loss = 0.0
    for first in stride(from: 0, to: rows, by: TrainingRegions.logitRows) {
      let count = min(TrainingRegions.logitRows, rows - first)
      let logits = targetLogits(normed, first, count)
      let losses = arena.pointer(regions.losses, to: Double.self)
      pool.run(
        count, CrossEntropy(model: self, logits: logits, first: first, factor: factor, losses: losses))
      for row in 0..<count { loss += losses[row] }
      multiplyBackward(
        normed + first * width, rows: count, headProduct, logits, into: dNormed + first * width)
    }
    if config.logitScale != 1 { kernels.scale_f32(dNormed, config.logitScale, rows * width) }
    drop(dNormed, count: rows * width, .end, slot: config.slots.decoderEnd)
    streamGradient.update(repeating: 0, count: rows * width)
    normalizeBackward(decoderExit, rows: rows, decoderNorm, dNormed, into: streamGradient)
    return loss
  }

  private var decoderNorm: TrainedNorm { norm(config.slots.decoderEnd, .finalNorm, .decoder) }

  /// [Q, D] that enters the decoder's last product.
  func normedTargets() -> UnsafeMutablePointer<Float> {
    let count = examples.targetRows * config.dModel
    let normed = arena.floats(regions.normed)
    normalize(decoderExit, rows: examples.targetRows, decoderNorm, into: normed)
    drop(normed, count: count, .end, slot: config.slots.decoderEnd)
    if config.logitScale != 1 { kernels.scale_f32(normed, config.logitScale, count) }
    return normed
  }

  /// The logits [count, V] of the rows from `first` on of `normed`, at most `logitRows` of them.
  func targetLogits(_ normed: UnsafePointer<Float>, _ first: Int, _ count: Int) -> UnsafeMutablePointer<Float> {
    let logits = arena.floats(regions.logits)
    multiply(setInput(normed + first * config.dModel, rows: count, columns: config.dModel), headProduct, logits)
    return logits
  }

  private struct CrossEntropy: PieceWork {
    unowned(unsafe) let model: TrainingModel
    let logits: UnsafeMutablePointer<Float>
    let first: Int
    let factor: Float
    let losses: UnsafeMutablePointer<Double>

    static let body: tusk_pool_body = { context, piece, worker in
      context!.assumingMemoryBound(to: CrossEntropy.self).pointee.run(piece, worker: Int(worker))
    }

    func run(_ piece: Int, worker: Int) {
      let size = model.task.section.vocabularySize
      losses[piece] = model.back.cross_entropy(
        logits + piece * size, size, Int(model.examples.labelIds[first + piece]), factor)
    }
  }
}
