import CTuskKernels
import TuskFormat

/// Attention of M query rows, all heads: context[m] = softmax(scale q k^T + bias) v, head by head.
struct AttentionHeads {
  /// [M, H K] and the same for the result.
  let queries: UnsafePointer<Float>
  let context: UnsafeMutablePointer<Float>
  let queryCount: Int
  /// Key and value j are row j `rowStep`; head h is group h of a row.
  let keys: KeyValueRows
  let values: KeyValueRows
  let keyCount: Int
  var rowStep = 1
  /// Row of key j, if keys of one sequence are scattered.
  var rowIndex: UnsafePointer<Int32>?
  /// Distance 0 of head 0 in a table [H, biasStride], or nil.
  var bias: UnsafePointer<Float>?
  var biasStride = 0
  var firstQueryIndex = 0
  /// A task's rows in front of the keys, [P, H K] each, `prefixStride` floats apart; nil and 0 without. Distances of the
  /// bias count them: key j is at position P + j, query m at firstQueryIndex + m with firstQueryIndex in 0 ... P more.
  var prefixKeys: UnsafePointer<Float>?
  var prefixValues: UnsafePointer<Float>?
  var prefixStride = 0
  var prefixCount = 0
  /// Queries of one piece of work: they share the transposed keys.
  var queryTile = 64

  /// Puts a task's rows of `width` in front of the keys.
  mutating func setPrefix(_ found: (prefix: TaskPrefix, task: TaskSection)?, width: Int) {
    guard let (prefix, task) = found else { return }
    prefixKeys = task.floats(prefix.keys)
    prefixValues = task.floats(prefix.values)
    prefixStride = width
    prefixCount = prefix.tokenCount
    firstQueryIndex += prefix.queryOffset
  }

  var headCount: Int { keys.width / keys.groupWidth }
}

extension Workspace {
  /// Runs all heads of `heads`.
  func attend(_ heads: AttentionHeads) {
    let tiles = (heads.queryCount + heads.queryTile - 1) / heads.queryTile
    pool.run(heads.headCount * tiles, AttentionJob(workspace: self, heads: heads, tiles: tiles)) {
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
    let head = index / tiles
    let first = index % tiles * heads.queryTile
    let width = heads.keys.width
    let headWidth = heads.keys.groupWidth
    let offset = first * width + head * headWidth
    let keys = heads.keys.from(row: 0, group: head)
    let values = heads.values.from(row: 0, group: head)
    let rowStride = keys.rowStep * heads.rowStep
    var attention = TuskAttention(
      queries: heads.queries + offset, queryStride: width, queryCount: min(heads.queryTile, heads.queryCount - first),
      element: keys.precision.element, keys: keys.base, keyStride: rowStride * headWidth,
      values: values.base, valueStride: rowStride * headWidth, keyScales: keys.scales, valueScales: values.scales,
      scaleStride: rowStride, keyCount: heads.keyCount, rowIndex: heads.rowIndex,
      prefixKeys: heads.prefixKeys.map { $0 + head * headWidth },
      prefixValues: heads.prefixValues.map { $0 + head * headWidth }, prefixStride: heads.prefixStride,
      prefixCount: heads.prefixCount, dKV: headWidth, scale: workspace.config.attentionScale,
      relativeBias: heads.bias.map { $0 + head * heads.biasStride }, firstQueryIndex: heads.firstQueryIndex + first,
      causal: false, out: heads.context + offset, outStride: width)
    workspace.kernels.attend_f32(&attention, workspace.workerScratch(worker))
  }
}
