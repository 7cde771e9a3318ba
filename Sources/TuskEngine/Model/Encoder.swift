import CTuskKernels
import TuskFormat

extension Session {
  /// Encodes one source and prepares the decoder's cross-attention to it. S tokens, D dModel.
  ///
  /// Each source is encoded by itself, without padding, so it gets the same answer in any batch.
  /// - Parameter ids: token ids, end-of-sequence included.
  /// - Throws: `emptySource`, `sourceTooLong`, `idOutOfRange`.
  public func encode(_ ids: UnsafeBufferPointer<Int32>, source: Int = 0) throws(EngineError) {
    try requireIds(ids, atMost: plan.request.sourceTokens, .sourceTooLong, source: source)
    let stream = workspace.arena.floats(plan.regions.source)
    for (row, id) in ids.enumerated() { embed(id, into: stream + row * config.dModel) }
    for layer in 0..<config.layerCount {
      encoderSelfAttention(layer, stream, count: ids.count, source)
      encoderFeedForward(layer, stream, count: ids.count, source)
    }
    let norm = runners[source].norm(config.slots.encoderEnd, weights.matrix(.finalNorm, .encoder))
    workspace.kernels.rmsnorm_f32(
      stream, config.dModel, ids.count, config.dModel, norm, config.normEpsilon, stream, config.dModel)
    sourceLengths[source] = ids.count
    prepareCrossAttention(stream, count: ids.count, source)
  }

  /// [S, D] of the source encoded last; valid until the next one is encoded.
  public var encoderOutput: UnsafePointer<Float> { UnsafePointer(workspace.arena.floats(plan.regions.source)) }

  private func encoderSelfAttention(
    _ layer: Int, _ stream: UnsafeMutablePointer<Float>, count: Int, _ source: Int
  ) {
    let runner = runners[source]
    let slot = config.slots.slot(.encoder, .selfAttention, layer: layer)
    let norm = runner.norm(slot, weights.matrix(.selfAttentionNorm, .encoder, layer: layer))
    let inner = config.innerWidth
    let keys = workspace.arena.floats(plan.regions.encoderKeys)
    let values = workspace.arena.floats(plan.regions.encoderValues)
    for tile in tiles(count) {
      let input = normalizedInput(stream, tile, norm)
      workspace.multiply(
        input, weights.matrix(.selfAttentionK, .encoder, layer: layer), keys + tile.lowerBound * inner, yStride: inner)
      workspace.multiply(
        input, weights.matrix(.selfAttentionV, .encoder, layer: layer), values + tile.lowerBound * inner,
        yStride: inner)
    }
    let biasStride = 2 * plan.request.sourceTokens - 1
    let bias = workspace.arena.floats(plan.regions.encoderBias) + (plan.request.sourceTokens - 1)
    for tile in tiles(count) {
      let input = normalizedInput(stream, tile, norm)
      workspace.multiply(
        input, weights.matrix(.selfAttentionQ, .encoder, layer: layer), workspace.queries, yStride: inner)
      workspace.attend(
        AttentionHeads(
          queries: workspace.queries, context: workspace.context, queryCount: tile.count, keys: keys, values: values,
          keyCount: count, rowStride: inner, bias: bias, biasStride: biasStride, firstQueryIndex: tile.lowerBound))
      let context = workspace.setInput(workspace.context, rows: tile.count, columns: inner)
      workspace.multiply(
        context, weights.matrix(.selfAttentionO, .encoder, layer: layer), workspace.subLayer, yStride: config.dModel)
      runner.finish(
        slot, subLayer: workspace.subLayer, stream: stream + tile.lowerBound * config.dModel, rows: tile.count,
        workspace)
    }
  }

  private func encoderFeedForward(_ layer: Int, _ stream: UnsafeMutablePointer<Float>, count: Int, _ source: Int) {
    let runner = runners[source]
    let slot = config.slots.slot(.encoder, .feedForward, layer: layer)
    let norm = runner.norm(slot, weights.matrix(.feedForwardNorm, .encoder, layer: layer))
    for tile in tiles(count) {
      let rows = stream + tile.lowerBound * config.dModel
      workspace.normalize(rows, rows: tile.count, norm)
      workspace.feedForward(weights, .encoder, layer: layer, rows: tile.count)
      runner.finish(slot, subLayer: workspace.subLayer, stream: rows, rows: tile.count, workspace)
    }
  }

  /// Keys and values of the decoder's cross-attention, all blocks: [L, 2, S, H K] of this source.
  private func prepareCrossAttention(_ output: UnsafePointer<Float>, count: Int, _ source: Int) {
    let inner = config.innerWidth
    for tile in tiles(count) {
      let input = workspace.setInput(
        output + tile.lowerBound * config.dModel, rows: tile.count, columns: config.dModel)
      for layer in 0..<config.decoderLayerCount {
        let rows = crossKeyValues(layer, source)
        workspace.multiply(
          input, weights.matrix(.crossAttentionK, .decoder, layer: layer), rows.keys + tile.lowerBound * inner,
          yStride: inner)
        workspace.multiply(
          input, weights.matrix(.crossAttentionV, .decoder, layer: layer), rows.values + tile.lowerBound * inner,
          yStride: inner)
      }
    }
  }

  /// Cross-attention keys and values of block `layer` for `source`: [S, H K] each.
  func crossKeyValues(
    _ layer: Int, _ source: Int
  ) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>) {
    let size = plan.request.sourceTokens * config.innerWidth
    let start =
      workspace.arena.floats(plan.regions.crossKeyValues) + (source * config.decoderLayerCount + layer) * 2 * size
    return (start, start + size)
  }

  private func normalizedInput(
    _ stream: UnsafePointer<Float>, _ tile: Range<Int>, _ norm: UnsafePointer<Float>
  ) -> ProductInput {
    workspace.normalize(stream + tile.lowerBound * config.dModel, rows: tile.count, norm)
    return workspace.setInput(workspace.normed, rows: tile.count, columns: config.dModel)
  }

  private func tiles(_ count: Int) -> Tiles { Tiles(count: count, tileTokens: plan.tileTokens) }
}

/// Ranges of at most `tileTokens` rows.
private struct Tiles: Sequence, IteratorProtocol {
  let count: Int
  let tileTokens: Int
  private var start = 0

  init(count: Int, tileTokens: Int) {
    self.count = count
    self.tileTokens = tileTokens
  }

  mutating func next() -> Range<Int>? {
    guard start < count else { return nil }
    defer { start += tileTokens }
    return start..<Swift.min(start + tileTokens, count)
  }
}
