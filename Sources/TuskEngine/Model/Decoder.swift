import CTuskKernels
import TuskFormat

/// One step of the decoder for all rows of the batch. R rows = batch x beams, row = source x beams + beam; T positions.
extension Session {
  /// Forgets the tokens decoded so far.
  public func startDecoding() { position = 0 }

  /// Feeds one token per row and computes the logits of the next: [R, V].
  ///
  /// - Parameters:
  ///   - ids: [R], each below the backbone's vocabulary size.
  ///   - cacheRows: nil, or [R, T]: the row whose cache holds position t of row r's history (beam search).
  /// - Precondition: every source has been encoded; fewer than T positions have been decoded.
  package func step(_ ids: UnsafePointer<Int32>, cacheRows: UnsafePointer<Int32>? = nil) {
    precondition(config.hasDecoder, "an encoder does not decode")
    precondition(position < plan.request.targetTokens, "more positions than planned")
    let rows = rowCount
    workspace.beginDecoding()
    let target = workspace.arena.floats(plan.regions.target)
    for row in 0..<rows { embed(ids[row], into: target + row * config.dModel) }
    residency.beginStep(
      isFirst: position == 0, blockCount: config.decoderLayerCount,
      blockBytes: weights.file.weights(group: 1 + config.layerCount).count)
    for layer in 0..<config.decoderLayerCount {
      residency.beginBlock(layer, weights)
      decoderSelfAttention(layer, target, cacheRows)
      decoderCrossAttention(layer, target)
      let slot = config.slots.slot(.decoder, .feedForward, layer: layer)
      normalize(target, slot, weights.matrix(.feedForwardNorm, .decoder, layer: layer))
      feedForward(workspace.normed, .decoder, layer: layer, rowGroups)
      finish(slot, target)
      residency.endBlock(layer, weights)
    }
    normalize(target, config.slots.decoderEnd, weights.matrix(.finalNorm, .decoder))
    if config.logitScale != 1 {
      workspace.kernels.scale_f32(workspace.normed, config.logitScale, rows * config.dModel)
    }
    let input = workspace.setInput(workspace.normed, rows: rows, columns: config.dModel)
    multiply(
      input, weights.head, workspace.arena.floats(plan.regions.logits), yStride: config.vocabularySize,
      ProductSite(slot: config.slots.decoderEnd, target: .head), rowGroups)
    position += 1
  }

  package var rowCount: Int { plan.request.batch * plan.request.beams }

  private var rowGroups: RowGroups { RowGroups(sources: plan.request.batch, rowsPerSource: plan.request.beams) }

  /// Logits of row `row` after a step: [V].
  package func logits(row: Int) -> UnsafePointer<Float> {
    UnsafePointer(workspace.arena.floats(plan.regions.logits) + row * config.vocabularySize)
  }

  private func decoderSelfAttention(
    _ layer: Int, _ target: UnsafeMutablePointer<Float>, _ cacheRows: UnsafePointer<Int32>?
  ) {
    let rows = rowCount
    let inner = config.innerWidth
    let slot = config.slots.slot(.decoder, .selfAttention, layer: layer)
    normalize(target, slot, weights.matrix(.selfAttentionNorm, .decoder, layer: layer))
    let input = workspace.setInput(workspace.normed, rows: rows, columns: config.dModel)
    let targetTokens = plan.request.targetTokens
    // Position t of row r is row t R + r of this block.
    let keys = KeyValueRows(plan.regions.selfKeys, workspace.arena, block: layer, rows: targetTokens * rows)
    let values = KeyValueRows(plan.regions.selfValues, workspace.arena, block: layer, rows: targetTokens * rows)
    multiply(
      input, weights.matrix(.selfAttentionQ, .decoder, layer: layer), workspace.queries, yStride: inner,
      ProductSite(slot: slot, target: .q), rowGroups)
    multiply(
      input, weights.matrix(.selfAttentionK, .decoder, layer: layer), into: keys.from(row: position * rows),
      ProductSite(slot: slot, target: .k), rowGroups)
    multiply(
      input, weights.matrix(.selfAttentionV, .decoder, layer: layer), into: values.from(row: position * rows),
      ProductSite(slot: slot, target: .v), rowGroups)
    // Distance 0; the columns behind it are met by keys behind a prefix.
    let bias = workspace.arena.floats(plan.regions.decoderBias) + plan.request.decoderDistancesBehind
    for row in 0..<rows {
      // With a history of cache rows, key t lies at row t R + cacheRows[t]; those products are formed by the search.
      let own = cacheRows == nil ? row : 0
      var heads = AttentionHeads(
        queries: workspace.queries + row * inner, context: workspace.context + row * inner, queryCount: 1,
        keys: keys.from(row: own), values: values.from(row: own), keyCount: position + 1,
        rowStep: cacheRows == nil ? rows : 1, rowIndex: cacheRows.map { $0 + row * targetTokens },
        bias: bias, biasStride: plan.request.decoderDistances, firstQueryIndex: position)
      heads.setPrefix(runners[row / plan.request.beams].prefix(slot), width: inner)
      workspace.attend(heads)
    }
    attentionOutput(.decoder, .selfAttention, layer: layer, rowGroups)
    finish(slot, target)
  }

  private func decoderCrossAttention(_ layer: Int, _ target: UnsafeMutablePointer<Float>) {
    let inner = config.innerWidth
    let beams = plan.request.beams
    let slot = config.slots.slot(.decoder, .crossAttention, layer: layer)
    normalize(target, slot, weights.matrix(.crossAttentionNorm, .decoder, layer: layer))
    let input = workspace.setInput(workspace.normed, rows: rowCount, columns: config.dModel)
    multiply(
      input, weights.matrix(.crossAttentionQ, .decoder, layer: layer), workspace.queries, yStride: inner,
      ProductSite(slot: slot, target: .q), rowGroups)
    if plan.crossAttention == .absorbed {
      attendAbsorbed(layer)
    } else {
      for source in 0..<plan.request.batch {
        let rows = crossKeyValues(layer, source)
        let first = source * beams * inner
        var heads = AttentionHeads(
          queries: workspace.queries + first, context: workspace.context + first, queryCount: beams, keys: rows.keys,
          values: rows.values, keyCount: encodedSources[source].count)
        heads.setPrefix(runners[source].prefix(slot), width: inner)
        workspace.attend(heads)
      }
    }
    attentionOutput(.decoder, .crossAttention, layer: layer, rowGroups)
    finish(slot, target)
  }

  /// normed = norm(target), with each source's own norm.
  private func normalize(_ target: UnsafePointer<Float>, _ slot: Int, _ backbone: WeightMatrix) {
    let beams = plan.request.beams
    for source in 0..<plan.request.batch {
      let first = source * beams * config.dModel
      workspace.normalize(
        target + first, rows: beams, runners[source].norm(slot, backbone, config.normKind),
        into: workspace.normed + first)
    }
  }

  /// The sub-layer's output joins the stream, through each source's own adapter.
  private func finish(_ slot: Int, _ target: UnsafeMutablePointer<Float>) {
    let beams = plan.request.beams
    var gates = GateMeans.none
    for source in 0..<plan.request.batch {
      let first = source * beams * config.dModel
      runners[source].finish(
        slot, subLayer: workspace.subLayer + first, stream: target + first, rows: beams, norm: nil, gates: &gates,
        workspace)
    }
  }
}
