import CTuskKernels
import TuskFormat

/// Cross-attention without keys and values: they are W_k h and W_v h of the encoder's output h, so that
///
///     q . (W_k h) = (W_k^T q) . h        sum_s p_s (W_v h_s) + b_v = W_v (sum_s p_s h_s) + b_v
///
/// and every block reads the same h. A bias of the keys adds the same to all scores of a query, which softmax does not
/// see; the weights p of a query sum to 1, so that the bias of the values is added once.
extension Session {
  /// context [R, H K] of queries [R, H K] in block `layer`. The vectors of D in between are [batch, H, beams, D].
  func attendAbsorbed(_ layer: Int) {
    let arena = workspace.arena
    let regions = plan.regions.absorbed
    let job = AbsorbedJob(
      workspace: workspace, keyWeight: weights.matrix(.crossAttentionK, .decoder, layer: layer),
      valueWeight: weights.matrix(.crossAttentionV, .decoder, layer: layer), batch: plan.request.batch,
      beams: plan.request.beams, queries: arena.floats(regions.queries), contexts: arena.floats(regions.contexts),
      codes: arena.pointer(regions.codes, to: Int16.self), codeScales: arena.floats(regions.codeScales))
    workspace.pool.run(config.headCount, job) { context, head, _ in
      context!.assumingMemoryBound(to: AbsorbedJob.self).pointee.formQueries(head)
    }
    let count = config.headCount * plan.request.beams
    for source in 0..<plan.request.batch {
      let rows = absorbedRows(source)
      let first = source * count * config.dModel
      workspace.attend(
        AttentionHeads(
          queries: job.queries + first, context: job.contexts + first, queryCount: count, keys: rows, values: rows,
          keyCount: encodedSources[source].count, queryTile: workspace.pool.threadCount == 1 ? count : 4))
    }
    workspace.pool.run(config.headCount, job) { context, head, _ in
      context!.assumingMemoryBound(to: AbsorbedJob.self).pointee.formContext(head)
    }
  }
}

/// The products of one head with its rows of W_k and W_v.
private struct AbsorbedJob {
  unowned(unsafe) let workspace: Workspace
  let keyWeight: WeightMatrix
  let valueWeight: WeightMatrix
  let batch: Int
  let beams: Int
  /// [batch, H, beams, D]
  let queries: UnsafeMutablePointer<Float>
  let contexts: UnsafeMutablePointer<Float>
  /// Of the contexts, [batch, H, beams, D rounded up to 64] and [batch, H, beams].
  let codes: UnsafeMutablePointer<Int16>
  let codeScales: UnsafeMutablePointer<Float>

  /// W_k^T q for all rows.
  func formQueries(_ head: Int) {
    let config = workspace.config
    let firstRow = head * config.dKV
    let isQuantized = keyWeight.encoding == .int8Rows
    for source in 0..<batch {
      var product = TuskCombine(
        x: workspace.queries + source * beams * config.innerWidth + firstRow, xStride: config.innerWidth, M: beams,
        rows: keyWeight.data + firstRow * keyWeight.stride * (isQuantized ? 1 : 4),
        element: isQuantized ? TuskElementI8 : TuskElementF32, rowStride: keyWeight.stride,
        scales: isQuantized ? keyWeight.scales + firstRow : nil, N: config.dKV, K: config.dModel,
        y: queries + vector(source, head) * config.dModel, yStride: config.dModel)
      workspace.kernels.combine_f32(&product)
    }
  }

  /// W_v (sum p h) + b_v for all rows.
  func formContext(_ head: Int) {
    let config = workspace.config
    let columns = head * config.dKV..<(head + 1) * config.dKV
    for source in 0..<batch {
      let first = vector(source, head)
      let input = ProductInput(
        x: contexts + first * config.dModel, rows: beams, columns: config.dModel,
        codes: codes + first * config.dModel.roundedUp(to: 64), codesStride: config.dModel.roundedUp(to: 64),
        scales: codeScales + first)
      if valueWeight.encoding == .int8Rows {
        workspace.kernels.quantize_i16_f32(
          input.x, config.dModel, beams, config.dModel, input.codes, input.codesStride, input.scales)
      }
      input.multiply(
        valueWeight, columns, workspace.context + source * beams * config.innerWidth, yStride: config.innerWidth,
        workspace.kernels)
    }
  }

  private func vector(_ source: Int, _ head: Int) -> Int { (source * workspace.config.headCount + head) * beams }
}
