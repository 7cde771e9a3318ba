import COpenBLAS
import CTuskBackward
import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

/// Attention of every example over itself, or of a target over its source: context = P v, P = softmax(scale q k^T + bias).
/// Rows of all are [rows, H K].
struct TrainedAttention {
  let queries: UnsafePointer<Float>
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
  /// Rows of each example among the queries, and among the keys.
  let querySegments: [Segment]
  let keySegments: [Segment]
  let isCausal: Bool
  /// Distance 0 of head 0 in a table [H, biasStride], or nil.
  let bias: UnsafePointer<Float>?
  let biasStride: Int
  /// The gradient of the table, in its places, where the backbone is trained.
  var biasGradient: UnsafeMutablePointer<Float>?
  /// Key of dropout.
  let dropoutKey: UInt64
}

/// Gradients of an attention, each [rows, H K] like what it is the gradient of.
struct AttentionGradients {
  let queries: UnsafeMutablePointer<Float>
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
}

extension TrainingModel {
  /// context [rows of queries, H K]. Without dropout by the kernel of inference.
  func attend(_ attention: TrainedAttention, into context: UnsafeMutablePointer<Float>) {
    pool.run(
      attention.querySegments.count * config.headCount,
      AttentionForward(model: self, attention: attention, context: context))
  }

  /// The gradients of q, k and v from that of the context: probabilities are formed again, a tile of queries at a time.
  /// - Source: Dao et al. 2022, appendix B.2
  func attendBackward(
    _ attention: TrainedAttention, _ contextGradient: UnsafePointer<Float>, into gradients: AttentionGradients
  ) {
    let work = AttentionBackward(
      model: self, attention: attention, contextGradient: contextGradient, gradients: gradients)
    // All examples add to a head's gradient of the bias, so they are one piece.
    pool.run(config.headCount * (attention.biasGradient == nil ? attention.querySegments.count : 1), work)
  }
}

/// One head of one example, cut into tiles of queries.
private struct HeadTiles {
  unowned(unsafe) let model: TrainingModel
  let attention: TrainedAttention
  let head: Int
  let queryRows: Segment
  let keyRows: Segment

  init(_ model: TrainingModel, _ attention: TrainedAttention, _ piece: Int) {
    self.model = model
    self.attention = attention
    head = piece % model.config.headCount
    queryRows = attention.querySegments[piece / model.config.headCount]
    keyRows = attention.keySegments[piece / model.config.headCount]
  }

  var inner: Int { model.config.innerWidth }
  var width: Int { model.config.dKV }
  /// Where this head of the first query and of the first key lies among rows of H K.
  var queryOffset: Int { queryRows.start * inner + head * width }
  var keyOffset: Int { keyRows.start * inner + head * width }
  var queries: UnsafePointer<Float> { attention.queries + queryOffset }
  var keys: UnsafePointer<Float> { attention.keys + keyOffset }
  var values: UnsafePointer<Float> { attention.values + keyOffset }
  /// Floats from one row of scores to the next.
  var stride: Int { keyRows.count.roundedUp(to: 4) }

  var tiles: StrideTo<Int> { Swift.stride(from: 0, to: queryRows.count, by: TrainingRegions.queryTile) }

  func tileCount(_ first: Int) -> Int { min(TrainingRegions.queryTile, queryRows.count - first) }

  /// p [tile, keys] = the probabilities of the queries from `first` on.
  func probabilities(_ first: Int, into p: UnsafeMutablePointer<Float>) {
    let count = tileCount(first)
    tusk_blas_sgemm(
      false, true, count, keyRows.count, width, model.config.attentionScale, queries + first * inner, inner, keys,
      inner,
      0, p, stride)
    for row in 0..<count {
      let seen = attention.isCausal ? min(first + row + 1, keyRows.count) : keyRows.count
      let bias = attention.bias.map { $0 + head * attention.biasStride - (first + row) }
      model.back.softmax_forward(p + row * stride, bias, seen)
      (p + row * stride + seen).update(repeating: 0, count: keyRows.count - seen)
    }
  }

  /// Drops numbers of x [tile, keys] as the forward pass does.
  func drop(_ x: UnsafeMutablePointer<Float>, _ first: Int) {
    let rate = model.dropout.rates.attention
    guard rate > 0 else { return }
    for row in 0..<tileCount(first) {
      let position = UInt64(((queryRows.start + first + row) * model.config.headCount + head) * stride)
      model.back.dropout(x + row * stride, keyRows.count, attention.dropoutKey, position, rate)
    }
  }
}

private struct AttentionForward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let attention: TrainedAttention
  let context: UnsafeMutablePointer<Float>

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: AttentionForward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let head = HeadTiles(model, attention, piece)
    let out = context + head.queryOffset
    let scratch = model.workerScratch(worker)
    guard model.dropout.rates.attention > 0 else {
      var kernel = TuskAttention(
        queries: head.queries, queryStride: head.inner, queryCount: head.queryRows.count, element: TuskElementF32,
        keys: head.keys, keyStride: head.inner, values: head.values, valueStride: head.inner, keyScales: nil,
        valueScales: nil, scaleStride: 0, keyCount: head.keyRows.count, rowIndex: nil, prefixKeys: nil,
        prefixValues: nil, prefixStride: 0, prefixCount: 0, dKV: head.width, scale: model.config.attentionScale,
        relativeBias: attention.bias.map { $0 + head.head * attention.biasStride }, firstQueryIndex: 0,
        causal: attention.isCausal, out: out, outStride: head.inner)
      model.kernels.attend_f32(&kernel, scratch)
      return
    }
    for first in head.tiles {
      head.probabilities(first, into: scratch)
      head.drop(scratch, first)
      tusk_blas_sgemm(
        false, false, head.tileCount(first), head.width, head.keyRows.count, 1, scratch, head.stride, head.values,
        head.inner, 0, out + first * head.inner, head.inner)
    }
  }
}

private struct AttentionBackward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let attention: TrainedAttention
  let contextGradient: UnsafePointer<Float>
  let gradients: AttentionGradients

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: AttentionBackward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    guard attention.biasGradient != nil else { return runHead(piece, worker: worker) }
    for example in attention.querySegments.indices {
      runHead(example * model.config.headCount + piece, worker: worker)
    }
  }

  private func runHead(_ piece: Int, worker: Int) {
    let head = HeadTiles(model, attention, piece)
    let inner = head.inner
    let width = head.width
    let keyCount = head.keyRows.count
    let stride = head.stride
    let p = model.workerScratch(worker)
    let dp = p + TrainingRegions.queryTile * stride
    let dContext = contextGradient + head.queryOffset
    let dQueries = gradients.queries + head.queryOffset
    let dKeys = gradients.keys + head.keyOffset
    let dValues = gradients.values + head.keyOffset
    for first in head.tiles {
      let count = head.tileCount(first)
      let beta: Float = first == 0 ? 0 : 1
      head.probabilities(first, into: p)
      tusk_blas_sgemm(
        false, true, count, keyCount, width, 1, dContext + first * inner, inner, head.values, inner, 0, dp, stride)
      head.drop(dp, first)
      for row in 0..<count {
        model.back.softmax(p + row * stride, dp + row * stride, keyCount, model.config.attentionScale)
      }
      if let table = attention.biasGradient {
        // Scores take the bias unscaled.
        let factor = 1 / model.config.attentionScale
        for row in 0..<count {
          let distances = table + head.head * attention.biasStride - (first + row)
          let seen = attention.isCausal ? min(first + row + 1, keyCount) : keyCount
          model.kernels.axpy_f32(distances, factor, dp + row * stride, seen)
        }
      }
      tusk_blas_sgemm(
        false, false, count, width, keyCount, 1, dp, stride, head.keys, inner, 0, dQueries + first * inner, inner)
      tusk_blas_sgemm(
        true, false, keyCount, width, count, 1, dp, stride, head.queries + first * inner, inner, beta, dKeys, inner)
      head.drop(p, first)
      tusk_blas_sgemm(
        true, false, keyCount, width, count, 1, p, stride, dContext + first * inner, inner, beta, dValues, inner)
    }
  }
}
