/// Which tensors a configuration demands, in index order. The positions follow from arithmetic, so the engine finds a
/// weight without searching.
extension BackboneConfig {
  private var sharedCount: Int { 5 }
  private var encoderBlockCount: Int { isGated ? 9 : 8 }
  private var decoderBlockCount: Int { isGated ? 14 : 13 }

  public var tensorCount: Int {
    sharedCount + layerCount * encoderBlockCount + decoderLayerCount * decoderBlockCount + (hasTiedHead ? 0 : 1)
  }

  /// Numbers in the backbone; a tied head counts once.
  public var parameterCount: Int {
    var sum = 0
    for position in 0..<tensorCount {
      let spec = tensorSpec(at: position)
      sum += spec.rows * spec.columns
    }
    return sum
  }

  /// Number of `weights` sections: shared, each block, and the head if it is not tied.
  public var groupCount: Int { 1 + layerCount + decoderLayerCount + (hasTiedHead ? 0 : 1) }

  /// The tensor at `position` of the index.
  /// - Precondition: `position` is below `tensorCount`.
  public func tensorSpec(at position: Int) -> TensorSpec {
    precondition(position >= 0 && position < tensorCount, "no such tensor")
    if position < sharedCount {
      let shared: (TensorRole, Stack) =
        switch position {
        case 0: (.embedding, .shared)
        case 1: (.relativeBias, .encoder)
        case 2: (.finalNorm, .encoder)
        case 3: (.relativeBias, .decoder)
        default: (.finalNorm, .decoder)
        }
      return spec(shared.0, shared.1, layer: 0, group: 0)
    }
    var rest = position - sharedCount
    if rest < layerCount * encoderBlockCount {
      let layer = rest / encoderBlockCount
      return spec(blockRole(rest % encoderBlockCount, .encoder), .encoder, layer: layer, group: 1 + layer)
    }
    rest -= layerCount * encoderBlockCount
    if rest < decoderLayerCount * decoderBlockCount {
      let layer = rest / decoderBlockCount
      return spec(
        blockRole(rest % decoderBlockCount, .decoder), .decoder, layer: layer, group: 1 + layerCount + layer)
    }
    return spec(.head, .shared, layer: 0, group: groupCount - 1)
  }

  /// Where the index holds `role` of block `layer`.
  /// - Precondition: the configuration has such a tensor.
  public func tensorPosition(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> Int {
    switch role {
    case .embedding: return 0
    case .relativeBias: return stack == .encoder ? 1 : 3
    case .finalNorm: return stack == .encoder ? 2 : 4
    case .head:
      precondition(!hasTiedHead, "a tied head is the embedding")
      return tensorCount - 1
    default: break
    }
    precondition(layer >= 0 && layer < (stack == .encoder ? layerCount : decoderLayerCount), "no such block")
    let start =
      stack == .encoder
      ? sharedCount + layer * encoderBlockCount
      : sharedCount + layerCount * encoderBlockCount + layer * decoderBlockCount
    return start + blockOffset(role, stack)
  }

  private func blockRole(_ offset: Int, _ stack: Stack) -> TensorRole {
    switch offset {
    case 0: return .selfAttentionNorm
    case 1: return .selfAttentionQ
    case 2: return .selfAttentionK
    case 3: return .selfAttentionV
    case 4: return .selfAttentionO
    default: break
    }
    var rest = offset - 5
    if stack == .decoder {
      switch rest {
      case 0: return .crossAttentionNorm
      case 1: return .crossAttentionQ
      case 2: return .crossAttentionK
      case 3: return .crossAttentionV
      case 4: return .crossAttentionO
      default: rest -= 5
      }
    }
    switch rest {
    case 0: return .feedForwardNorm
    case 1: return isGated ? .wi0 : .wi
    case 2: return isGated ? .wi1 : .wo
    default: return .wo
    }
  }

  private func blockOffset(_ role: TensorRole, _ stack: Stack) -> Int {
    let feedForward = stack == .decoder ? 10 : 5
    switch role {
    case .selfAttentionNorm: return 0
    case .selfAttentionQ: return 1
    case .selfAttentionK: return 2
    case .selfAttentionV: return 3
    case .selfAttentionO: return 4
    case .crossAttentionNorm: return 5
    case .crossAttentionQ: return 6
    case .crossAttentionK: return 7
    case .crossAttentionV: return 8
    case .crossAttentionO: return 9
    case .feedForwardNorm: return feedForward
    case .wi, .wi0: return feedForward + 1
    case .wi1: return feedForward + 2
    case .wo: return feedForward + (isGated ? 3 : 2)
    case .embedding, .relativeBias, .finalNorm, .head: preconditionFailure("not in a block")
    }
  }

  private func spec(_ role: TensorRole, _ stack: Stack, layer: Int, group: Int) -> TensorSpec {
    let shape: (rows: Int, columns: Int) =
      switch role {
      case .embedding, .head: (vocabularySize, dModel)
      case .relativeBias: (bucketCount, headCount)
      case .finalNorm, .selfAttentionNorm, .crossAttentionNorm, .feedForwardNorm: (1, dModel)
      case .selfAttentionQ, .selfAttentionK, .selfAttentionV, .crossAttentionQ, .crossAttentionK, .crossAttentionV:
        (innerWidth, dModel)
      case .selfAttentionO, .crossAttentionO: (dModel, innerWidth)
      case .wi, .wi0, .wi1: (dFF, dModel)
      case .wo: (dModel, dFF)
      }
    return TensorSpec(
      role: role, stack: stack, layer: layer, rows: shape.rows, columns: shape.columns,
      encoding: role.isMatrix ? weightEncoding : .float32, group: group)
  }
}
