import CTuskKernels
import TuskFormat

/// Attention of M query rows, all heads: context[m] = softmax(scale q k^T + bias) v, head by head.
struct AttentionHeads {
  /// [M, H K] and the same for the result.
  let queries: UnsafePointer<Float>
  let context: UnsafeMutablePointer<Float>
  let queryCount: Int
  /// Rows of keys and values, `rowStride` floats apart; head h begins at h * K.
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
  let keyCount: Int
  let rowStride: Int
  /// Row of key j, if keys of one sequence are scattered.
  var rowIndex: UnsafePointer<Int32>?
  /// Distance 0 of head 0 in a table [H, biasStride], or nil.
  var bias: UnsafePointer<Float>?
  var biasStride = 0
  var firstQueryIndex = 0
  /// A task's rows in front of the keys, [P, H K] each, `prefixStride` floats apart; nil and 0 without. Distances of the
  /// bias count them: key j is at position P + j, query m at position firstQueryIndex + m.
  var prefixKeys: UnsafePointer<Float>?
  var prefixValues: UnsafePointer<Float>?
  var prefixStride = 0
  var prefixCount = 0

  /// Queries of one piece of work.
  static let queryTile = 16
}

extension Workspace {
  /// Runs all heads of `heads`.
  func attend(_ heads: AttentionHeads) {
    let tiles = (heads.queryCount + AttentionHeads.queryTile - 1) / AttentionHeads.queryTile
    pool.run(config.headCount * tiles, AttentionJob(workspace: self, heads: heads, tiles: tiles)) {
      context, index, worker in
      let job = context!.assumingMemoryBound(to: AttentionJob.self)
      job.pointee.run(index, worker: Int(worker))
    }
  }
}

private struct AttentionJob {
  unowned(unsafe) let workspace: Workspace
  let heads: AttentionHeads
  let tiles: Int

  func run(_ index: Int, worker: Int) {
    let config = workspace.config
    let head = index / tiles
    let first = index % tiles * AttentionHeads.queryTile
    let offset = first * config.innerWidth + head * config.dKV
    var attention = TuskAttention(
      queries: heads.queries + offset, queryStride: config.innerWidth,
      queryCount: min(AttentionHeads.queryTile, heads.queryCount - first), keys: heads.keys + head * config.dKV,
      keyStride: heads.rowStride, values: heads.values + head * config.dKV, valueStride: heads.rowStride,
      keyCount: heads.keyCount, rowIndex: heads.rowIndex, prefixKeys: heads.prefixKeys.map { $0 + head * config.dKV },
      prefixValues: heads.prefixValues.map { $0 + head * config.dKV }, prefixStride: heads.prefixStride,
      prefixCount: heads.prefixCount, dKV: config.dKV, scale: config.attentionScale,
      relativeBias: heads.bias.map { $0 + head * heads.biasStride }, firstQueryIndex: heads.firstQueryIndex + first,
      causal: false, out: heads.context + offset, outStride: config.innerWidth)
    workspace.kernels.attend_f32(&attention, workspace.workerScratch(worker))
  }
}
