import TuskFormat

/// Multiply-adds: one for every product that is added to a sum.
public struct MultiplyAdds: Equatable, Sendable {
  /// As the engine applies a task, from its factors.
  public var factored: UInt64 = 0
  /// As it would be with the matrix of every linear formed.
  public var dense: UInt64 = 0

  static func += (sum: inout MultiplyAdds, term: MultiplyAdds) {
    sum.factored += term.factored
    sum.dense += term.dense
  }
}

/// What the attachments of one kind cost beside the backbone.
public struct TaskCost: Sendable {
  public let kind: StaticString
  public internal(set) var attachmentCount = 0
  /// Per source token.
  public internal(set) var encoder = MultiplyAdds()
  /// Per target token.
  public internal(set) var decoder = MultiplyAdds()
}

extension TaskSection {
  /// The costs of each kind of attachment the task has. Sums over D numbers, such as norms and scales, do not count: they
  /// have no products worth naming. A prompt costs what its tokens cost the backbone.
  public var costs: [TaskCost] {
    var costs = [
      TaskCost(kind: "adapter"), TaskCost(kind: "product"), TaskCost(kind: "prefix"), TaskCost(kind: "prompt"),
    ]
    for position in 0..<slots.count {
      for index in slot(at: position).attachments {
        var isOfSource = slots.stack(ofSlot: position) == .encoder
        var cost = MultiplyAdds()
        let kind: Int
        switch attachment(at: index) {
        case .adapter(let adapter):
          kind = 0
          cost += multiplyAdds(ofLinear: adapter.down)
          cost += multiplyAdds(ofLinear: adapter.up)
        case .product(let product):
          kind = 1
          if let linear = product.linear { cost += multiplyAdds(ofLinear: linear) }
          let isCross = slots.subLayer(ofSlot: position).map { $0.subLayer == .crossAttention } ?? false
          if isCross && (product.target == .k || product.target == .v) { isOfSource = true }
        case .prefix(let prefix):
          kind = 2
          // Scores and sums over the prefix's positions.
          let products = UInt64(2 * prefix.tokenCount * innerWidth)
          cost += MultiplyAdds(factored: products, dense: products)
        case .prompt: kind = 3
        }
        costs[kind].attachmentCount += 1
        if isOfSource { costs[kind].encoder += cost } else { costs[kind].decoder += cost }
      }
    }
    return costs.filter { $0.attachmentCount > 0 }
  }

  /// Of the head's layers, per text.
  public var headCost: MultiplyAdds {
    var sum = MultiplyAdds()
    for linear in [head?.first, head?.second] {
      if let linear { sum += multiplyAdds(ofLinear: linear) }
    }
    return sum
  }

  private func multiplyAdds(ofLinear position: Int) -> MultiplyAdds {
    let linear = linear(at: position)
    return MultiplyAdds(
      factored: MountedLinear.multiplyAdds(linear),
      dense: UInt64(linear.inWidth) * UInt64(linear.outWidth))
  }
}

extension SlotLayout {
  /// The stack whose tokens pass a slot.
  func stack(ofSlot position: Int) -> Stack {
    (2 * layerCount..<encoderEnd).contains(position) || position == decoderEnd ? .decoder : .encoder
  }
}

extension BackboneConfig {
  /// Multiply-adds of the products with weights: per source token, cross-attention's keys and values included, and per
  /// target token, the head included. Attention's own grow with the text and do not count.
  public var multiplyAddsPerToken: (encoder: UInt64, decoder: UInt64) {
    var sums = (encoder: UInt64(0), decoder: UInt64(0))
    for position in 0..<tensorCount {
      let spec = tensorSpec(at: position)
      guard spec.role.isMatrix else { continue }
      let count = UInt64(spec.rows) * UInt64(spec.columns)
      switch spec.role {
      case .crossAttentionK, .crossAttentionV: sums.encoder += count
      case .embedding: sums.decoder += hasTiedHead ? count : 0
      case .pooler: break
      case .head: sums.decoder += count
      default:
        if spec.stack == .decoder { sums.decoder += count } else { sums.encoder += count }
      }
    }
    return sums
  }
}
