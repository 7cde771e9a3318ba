/// Which tensors a configuration demands, in index order: the tables of `formats/tensors.md`, without the rows the
/// configuration has no use for. Nothing is searched in the index: a position follows from counting rows.
extension BackboneConfig {
  public var tensorCount: Int {
    sharedCount + layerCount * count(of: Self.blockRows, .encoder)
      + decoderLayerCount * count(of: Self.blockRows, .decoder) + headGroupCount
  }

  /// Numbers in the backbone; a tied head counts once.
  public var parameterCount: Int {
    var sum = 0
    forEachTensor { sum += $0.rows * $0.columns }
    return sum
  }

  /// Number of `weights` sections: shared, each block, and the head group if it holds anything.
  public var groupCount: Int { 1 + layerCount + decoderLayerCount + (headGroupCount > 0 ? 1 : 0) }

  /// All tensors in index order, without counting from the first row for each.
  package func forEachTensor<Failure: Error>(_ body: (TensorSpec) throws(Failure) -> Void) throws(Failure) {
    for (role, stack) in Self.sharedRows where has(role, stack) { try body(spec(role, stack, layer: 0, group: 0)) }
    for (stack, layers, firstGroup) in [(Stack.encoder, layerCount, 1), (.decoder, decoderLayerCount, 1 + layerCount)] {
      let rows = Self.blockRows.filter { has($0, stack) }
      for layer in 0..<layers {
        for role in rows { try body(spec(role, stack, layer: layer, group: firstGroup + layer)) }
      }
    }
    for role in Self.headRows where has(role, .shared) {
      try body(spec(role, .shared, layer: 0, group: 1 + layerCount + decoderLayerCount))
    }
  }

  /// The tensor at `position` of the index.
  /// - Precondition: `position` is below `tensorCount`.
  public func tensorSpec(at position: Int) -> TensorSpec {
    precondition(position >= 0 && position < tensorCount, "no such tensor")
    var rest = position
    for (role, stack) in Self.sharedRows where has(role, stack) {
      if rest == 0 { return spec(role, stack, layer: 0, group: 0) }
      rest -= 1
    }
    for (stack, layers, firstGroup) in [(Stack.encoder, layerCount, 1), (.decoder, decoderLayerCount, 1 + layerCount)] {
      let size = count(of: Self.blockRows, stack)
      guard rest >= layers * size else {
        let layer = rest / size
        return spec(row(rest % size, of: Self.blockRows, stack), stack, layer: layer, group: firstGroup + layer)
      }
      rest -= layers * size
    }
    return spec(row(rest, of: Self.headRows, .shared), .shared, layer: 0, group: groupCount - 1)
  }

  /// Where the index holds `role` of block `layer`.
  /// - Precondition: the configuration has such a tensor.
  public func tensorPosition(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> Int {
    precondition(has(role, stack), "no such tensor")
    var position = 0
    for (shared, of) in Self.sharedRows where has(shared, of) {
      if shared == role && of == stack { return position }
      position += 1
    }
    for (block, layers) in [(Stack.encoder, layerCount), (.decoder, decoderLayerCount)] {
      let size = count(of: Self.blockRows, block)
      if block == stack {
        precondition(layer >= 0 && layer < layers, "no such block")
        return position + layer * size + offset(of: role, in: Self.blockRows, stack)
      }
      position += layers * size
    }
    return position + offset(of: role, in: Self.headRows, .shared)
  }

  /// Whether the configuration has `role` in `stack`.
  public func has(_ role: TensorRole, _ stack: Stack) -> Bool {
    let isStackThere = stack == .encoder || (stack == .decoder && hasDecoder)
    return switch role {
    case .embedding: stack == .shared
    case .positionEmbedding: stack == .shared && positionScheme == .learned
    case .tokenTypeEmbedding: stack == .shared && tokenTypeCount > 0
    case .embeddingNorm: stack == .shared && hasEmbeddingNorm
    case .embeddingNormBias: stack == .shared && hasEmbeddingNorm && normKind == .layer
    case .relativeBias: isStackThere && positionScheme == .relativeBias
    case .finalNorm: isStackThere && normPlacement == .before
    case .finalNormBias: isStackThere && normPlacement == .before && normKind == .layer
    case .head: stack == .shared && hasDecoder && !hasTiedHead
    case .pooler, .poolerBias: stack == .shared && hasPooler
    case .crossAttentionNorm, .crossAttentionQ, .crossAttentionK, .crossAttentionV, .crossAttentionO:
      stack == .decoder && hasDecoder
    case .selfAttentionNorm, .selfAttentionQ, .selfAttentionK, .selfAttentionV, .selfAttentionO, .feedForwardNorm, .wo:
      isStackThere
    case .selfAttentionNormBias, .feedForwardNormBias: isStackThere && normKind == .layer
    case .selfAttentionQBias, .selfAttentionKBias, .selfAttentionVBias, .selfAttentionOBias, .woBias:
      isStackThere && hasBiases
    case .wi: isStackThere && !isGated
    case .wiBias: isStackThere && !isGated && hasBiases
    case .wi0, .wi1: isStackThere && isGated
    case .wi0Bias, .wi1Bias: isStackThere && isGated && hasBiases
    }
  }

  private static let sharedRows: [(TensorRole, Stack)] = [
    (.embedding, .shared), (.tokenTypeEmbedding, .shared), (.positionEmbedding, .shared), (.embeddingNorm, .shared),
    (.embeddingNormBias, .shared), (.relativeBias, .encoder), (.finalNorm, .encoder), (.finalNormBias, .encoder),
    (.relativeBias, .decoder), (.finalNorm, .decoder),
  ]

  private static let blockRows: [TensorRole] = [
    .selfAttentionNorm, .selfAttentionNormBias, .selfAttentionQ, .selfAttentionQBias, .selfAttentionK,
    .selfAttentionKBias, .selfAttentionV, .selfAttentionVBias, .selfAttentionO, .selfAttentionOBias,
    .crossAttentionNorm, .crossAttentionQ, .crossAttentionK, .crossAttentionV, .crossAttentionO, .feedForwardNorm,
    .feedForwardNormBias, .wi, .wiBias, .wi0, .wi0Bias, .wi1, .wi1Bias, .wo, .woBias,
  ]

  private static let headRows: [TensorRole] = [.head, .pooler, .poolerBias]

  private var sharedCount: Int {
    var count = 0
    for (role, stack) in Self.sharedRows where has(role, stack) { count += 1 }
    return count
  }

  private var headGroupCount: Int { count(of: Self.headRows, .shared) }

  private func count(of rows: [TensorRole], _ stack: Stack) -> Int {
    var count = 0
    for role in rows where has(role, stack) { count += 1 }
    return count
  }

  /// Row `position` of those that the configuration has.
  private func row(_ position: Int, of rows: [TensorRole], _ stack: Stack) -> TensorRole {
    var rest = position
    for role in rows where has(role, stack) {
      if rest == 0 { return role }
      rest -= 1
    }
    preconditionFailure("no such tensor")
  }

  private func offset(of role: TensorRole, in rows: [TensorRole], _ stack: Stack) -> Int {
    var offset = 0
    for other in rows where has(other, stack) {
      if other == role { return offset }
      offset += 1
    }
    preconditionFailure("no such tensor")
  }

  private func spec(_ role: TensorRole, _ stack: Stack, layer: Int, group: Int) -> TensorSpec {
    let shape: (rows: Int, columns: Int) =
      switch role {
      case .embedding, .head: (vocabularySize, dModel)
      case .positionEmbedding: (maxPositions, dModel)
      case .tokenTypeEmbedding: (tokenTypeCount, dModel)
      case .relativeBias: (bucketCount, headCount)
      case .embeddingNorm, .embeddingNormBias, .finalNorm, .finalNormBias, .selfAttentionNorm, .selfAttentionNormBias,
        .crossAttentionNorm, .feedForwardNorm, .feedForwardNormBias, .selfAttentionOBias, .woBias, .poolerBias:
        (1, dModel)
      case .selfAttentionQ, .selfAttentionK, .selfAttentionV, .crossAttentionQ, .crossAttentionK, .crossAttentionV:
        (innerWidth, dModel)
      case .selfAttentionQBias, .selfAttentionKBias, .selfAttentionVBias: (1, innerWidth)
      case .selfAttentionO, .crossAttentionO: (dModel, innerWidth)
      case .wi, .wi0, .wi1: (dFF, dModel)
      case .wiBias, .wi0Bias, .wi1Bias: (1, dFF)
      case .wo: (dModel, dFF)
      case .pooler: (dModel, dModel)
      }
    return TensorSpec(
      role: role, stack: stack, layer: layer, rows: shape.rows, columns: shape.columns,
      encoding: role.isMatrix ? weightEncoding : .float32, group: group)
  }
}
