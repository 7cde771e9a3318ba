import CTuskKernels
import TuskFormat

extension Session {
  /// Encodes one source and, if there is a decoder, prepares its cross-attention to it. S tokens, D dModel.
  ///
  /// Each source is encoded by itself, without padding, so it gets the same answer in any batch.
  /// - Parameters:
  ///   - ids: token ids, end-of-sequence or whatever else the model takes around a text included.
  ///   - types: the type of each token; nil for type 0. A backbone without a table of types takes no notice.
  /// - Throws: `emptySource`, `sourceTooLong`, `idOutOfRange`, `typeOutOfRange`.
  /// - Precondition: as many types as ids.
  public func encode(
    _ ids: UnsafeBufferPointer<Int32>, types: UnsafeBufferPointer<Int32>? = nil, source: Int = 0
  ) throws(EngineError) {
    try encode(ids, types: types, source: source) { _, _ in }
  }

  /// Encodes one source as the other form does.
  /// - Parameter observe: called with 0 and the embeddings, then with 1 ... L and the stream behind each block: [S, D] with a
  ///   prompt's rows.
  package func encode(
    _ ids: UnsafeBufferPointer<Int32>, types: UnsafeBufferPointer<Int32>?, source: Int,
    observe: (_ blocks: Int, _ stream: UnsafePointer<Float>) -> Void
  ) throws(EngineError) {
    try requireIds(ids, atMost: sourceLimit(source: source), .sourceTooLong, source: source)
    try requireTypes(types, count: ids.count)
    let stream = workspace.arena.floats(plan.regions.source)
    texts[0] = embedSource(ids, types, into: stream, source)
    textCount = 1
    encodeRows(stream, count: texts[0].count, source, observe: observe)
    encodedSources[source] = texts[0]
    if config.hasDecoder { prepareCrossAttention(stream, count: texts[0].count, source) }
  }

  /// Texts that `encode(together:)` takes at most.
  public static let textLimit = 32

  /// Encodes several texts in one pass, for an encoder: the weights are read once for all of them. Each gets the bits that it
  /// gets alone. What the head makes of text i says `headOutput(text: i)`.
  /// - Parameters:
  ///   - ids: of all texts, one behind the other.
  ///   - types: of all tokens; nil for type 0.
  ///   - counts: tokens of each text.
  /// - Throws: as `encode` for the first text that cannot be encoded.
  /// - Precondition: no decoder; `fitsTogether(counts)`; as many ids as are counted, of each text at least one, and as many
  ///   types.
  public func encode(
    together ids: UnsafeBufferPointer<Int32>, types: UnsafeBufferPointer<Int32>?, counts: [Int]
  ) throws(EngineError) {
    precondition(fitsTogether(counts), "texts that cannot be encoded together")
    let stream = workspace.arena.floats(plan.regions.source)
    var token = 0
    var row = 0
    for index in 0..<counts.count {
      precondition(counts[index] > 0 && token + counts[index] <= ids.count, "the ids of each text")
      let own = UnsafeBufferPointer(start: ids.baseAddress! + token, count: counts[index])
      var ownTypes: UnsafeBufferPointer<Int32>?
      if let types { ownTypes = UnsafeBufferPointer(start: types.baseAddress! + token, count: own.count) }
      try requireIds(own, atMost: sourceLimit(), .sourceTooLong, source: 0)
      try requireTypes(ownTypes, count: own.count)
      var rows = embedSource(own, ownTypes, into: stream + row * config.dModel, 0)
      rows.firstRow = row
      texts[index] = rows
      token += own.count
      row += rows.count
    }
    textCount = counts.count
    encodeRows(stream, count: row, 0) { _, _ in }
    encodedSources[0] = texts[0]
  }

  /// Whether texts of these lengths can be encoded together: as many rows as are planned, at most `textLimit` texts, none of
  /// them empty, and no task mounted that looks at a whole source, which a gate does.
  public func fitsTogether(_ counts: [Int]) -> Bool {
    guard (1...Self.textLimit).contains(counts.count), !config.hasDecoder else { return false }
    var rows = 0
    for index in 0..<counts.count {
      guard counts[index] > 0 else { return counts.count == 1 }
      rows += counts[index] + promptRows
    }
    return counts.count == 1 || (rows <= plan.request.encoderRows && !runners[0].gatesAdapters)
  }

  /// Rows of each source that are not of its tokens.
  private var promptRows: Int { runners[0].prompt?.prompt.tokenCount ?? 0 }

  /// Runs the blocks over the embeddings of all texts, and the norm behind them.
  private func encodeRows(
    _ stream: UnsafeMutablePointer<Float>, count: Int, _ source: Int,
    observe: (_ blocks: Int, _ stream: UnsafePointer<Float>) -> Void
  ) {
    workspace.beginEncoding()
    observe(0, stream)
    for layer in 0..<config.layerCount {
      encoderSelfAttention(layer, stream, count: count, source)
      encoderFeedForward(layer, stream, count: count, source)
      observe(layer + 1, stream)
    }
    guard config.normPlacement == .before else { return }
    let norm = runners[source].norm(
      config.slots.encoderEnd, weights.matrix(.finalNorm, .encoder), config.normKind)
    workspace.normalize(stream, rows: count, norm, into: stream)
  }

  /// [`encodedRowCount`, D] of the source encoded last; valid until the next one is encoded or decoding begins.
  public var encoderOutput: UnsafePointer<Float> { UnsafePointer(workspace.arena.floats(plan.regions.source)) }

  private func encoderSelfAttention(
    _ layer: Int, _ stream: UnsafeMutablePointer<Float>, count: Int, _ source: Int
  ) {
    let runner = runners[source]
    let slot = config.slots.slot(.encoder, .selfAttention, layer: layer)
    let norm = runner.norm(slot, weights.matrix(.selfAttentionNorm, .encoder, layer: layer), config.normKind)
    let inner = config.innerWidth
    let keys = KeyValueRows(plan.regions.encoderKeys, workspace.arena)
    let values = KeyValueRows(plan.regions.encoderValues, workspace.arena)
    for tile in tiles(count) {
      let input = productInput(stream, tile, norm)
      let groups = RowGroups(source: source, rows: tile.count)
      multiply(
        input, weights.matrix(.selfAttentionK, .encoder, layer: layer), into: keys.from(row: tile.lowerBound),
        ProductSite(slot: slot, target: .k), groups)
      multiply(
        input, weights.matrix(.selfAttentionV, .encoder, layer: layer), into: values.from(row: tile.lowerBound),
        ProductSite(slot: slot, target: .v), groups)
    }
    let biasStride = plan.request.encoderDistances
    let bias =
      config.positionScheme == .relativeBias
      ? workspace.arena.floats(plan.regions.encoderBias) + plan.request.encoderDistancesBehind : nil
    var gates = GateMeans(count: runner.gateCount(slot))
    repeat {
      for tile in tiles(count) {
        let groups = RowGroups(source: source, rows: tile.count)
        let input = productInput(stream, tile, norm)
        multiply(
          input, weights.matrix(.selfAttentionQ, .encoder, layer: layer), workspace.queries, yStride: inner,
          ProductSite(slot: slot, target: .q), groups)
        for text in 0..<textCount {
          let own = texts[text].rows
          let queries = own.clamped(to: tile)
          guard !queries.isEmpty else { continue }
          let first = (queries.lowerBound - tile.lowerBound) * inner
          var heads = AttentionHeads(
            queries: workspace.queries + first, context: workspace.context + first, queryCount: queries.count,
            keys: keys.from(row: own.lowerBound), values: values.from(row: own.lowerBound), keyCount: own.count,
            bias: bias, biasStride: biasStride, firstQueryIndex: queries.lowerBound - own.lowerBound)
          heads.setPrefix(runner.prefix(slot), width: inner)
          workspace.attend(heads)
        }
        attentionOutput(.encoder, .selfAttention, layer: layer, groups)
        runner.finish(
          slot, subLayer: workspace.subLayer, stream: stream + tile.lowerBound * config.dModel, rows: tile.count,
          norm: config.normPlacement == .behind ? norm : nil, gates: &gates, workspace)
      }
    } while gates.endPass()
  }

  /// subLayer [M, D] = o(context).
  func attentionOutput(_ stack: Stack, _ subLayer: SubLayer, layer: Int, _ groups: RowGroups) {
    let inner = config.innerWidth
    let role = subLayer == .crossAttention ? TensorRole.crossAttentionO : .selfAttentionO
    let site = ProductSite(slot: config.slots.slot(stack, subLayer, layer: layer), target: .o)
    scaleInput(workspace.context, columns: inner, site, groups)
    let input = workspace.setInput(workspace.context, rows: groups.rows.count, columns: inner)
    multiply(
      input, weights.matrix(role, stack, layer: layer), workspace.subLayer, yStride: config.dModel, site, groups)
  }

  private func encoderFeedForward(_ layer: Int, _ stream: UnsafeMutablePointer<Float>, count: Int, _ source: Int) {
    let runner = runners[source]
    let slot = config.slots.slot(.encoder, .feedForward, layer: layer)
    let norm = runner.norm(slot, weights.matrix(.feedForwardNorm, .encoder, layer: layer), config.normKind)
    var gates = GateMeans(count: runner.gateCount(slot))
    repeat {
      for tile in tiles(count) {
        let rows = stream + tile.lowerBound * config.dModel
        let input = subLayerInput(rows, count: tile.count, norm)
        feedForward(input, .encoder, layer: layer, RowGroups(source: source, rows: tile.count))
        runner.finish(
          slot, subLayer: workspace.subLayer, stream: rows, rows: tile.count,
          norm: config.normPlacement == .behind ? norm : nil, gates: &gates, workspace)
      }
    } while gates.endPass()
  }

  /// What the decoder's cross-attention reads of this source: keys and values of all blocks, or the output itself.
  private func prepareCrossAttention(_ output: UnsafePointer<Float>, count: Int, _ source: Int) {
    guard plan.crossAttention == .cached else {
      workspace.store(output, count: count, absorbedRows(source))
      return
    }
    for tile in tiles(count) {
      let input = workspace.setInput(
        output + tile.lowerBound * config.dModel, rows: tile.count, columns: config.dModel)
      let groups = RowGroups(source: source, rows: tile.count)
      for layer in 0..<config.decoderLayerCount {
        let rows = crossKeyValues(layer, source)
        let slot = config.slots.slot(.decoder, .crossAttention, layer: layer)
        multiply(
          input, weights.matrix(.crossAttentionK, .decoder, layer: layer), into: rows.keys.from(row: tile.lowerBound),
          ProductSite(slot: slot, target: .k), groups)
        multiply(
          input, weights.matrix(.crossAttentionV, .decoder, layer: layer),
          into: rows.values.from(row: tile.lowerBound), ProductSite(slot: slot, target: .v), groups)
      }
    }
  }

  /// Cached keys and values of cross-attention in block `layer` for `source`: S rows each.
  func crossKeyValues(_ layer: Int, _ source: Int) -> (keys: KeyValueRows, values: KeyValueRows) {
    let first = 2 * (source * config.decoderLayerCount + layer)
    func rows(_ block: Int) -> KeyValueRows {
      KeyValueRows(plan.regions.cross, workspace.arena, block: block, rows: plan.request.encoderRows)
    }
    return (rows(first), rows(first + 1))
  }

  /// The output of the encoder for `source`, from which absorbed cross-attention computes: [S, D].
  func absorbedRows(_ source: Int) -> KeyValueRows {
    KeyValueRows(plan.regions.cross, workspace.arena).from(row: source * plan.request.encoderRows)
  }

  /// What a sub-layer takes of the stream's rows: their norm, or with a norm behind it the rows themselves.
  private func subLayerInput(_ rows: UnsafePointer<Float>, count: Int, _ norm: Norm) -> UnsafePointer<Float> {
    guard config.normPlacement == .before else { return rows }
    workspace.normalize(rows, rows: count, norm, into: workspace.normed)
    return UnsafePointer(workspace.normed)
  }

  private func productInput(_ stream: UnsafePointer<Float>, _ tile: Range<Int>, _ norm: Norm) -> ProductInput {
    let rows = subLayerInput(stream + tile.lowerBound * config.dModel, count: tile.count, norm)
    return workspace.setInput(rows, rows: tile.count, columns: config.dModel)
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
