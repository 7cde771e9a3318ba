import TuskFormat

/// A product of the backbone, where a task can change it.
struct ProductPlace: Hashable {
  let slot: Int
  let target: ProductTarget
  let inWidth: Int
  let outWidth: Int
}

/// The linears and norms of a backbone by what Hugging Face calls their modules, without the prefix of a wrapping class.
struct BackboneModules {
  private(set) var products: [String: ProductPlace] = [:]
  private var names: [ProductPlace: String] = [:]
  /// Slots of the norms.
  private(set) var norms: [String: Int] = [:]
  let hasNormBiases: Bool

  /// - Parameter family: whose backbone `config` is.
  init(_ family: ModelFamily, _ config: BackboneConfig) {
    hasNormBiases = config.normKind == .layer
    for position in 0..<config.tensorCount {
      let spec = config.tensorSpec(at: position)
      let name = String(family.name(of: spec).dropLast(".weight".count))
      if let place = spec.role.product.map({ (target, subLayer) in
        ProductPlace(
          slot: subLayer.map { config.slots.slot(spec.stack, $0, layer: spec.layer) } ?? config.slots.encoderEnd,
          target: target, inWidth: spec.columns, outWidth: spec.rows)
      }) {
        products[name] = place
      } else if spec.role.isNorm {
        norms[name] = config.slots.slot(ofNorm: spec)
      }
    }
    if config.hasDecoder {
      products[T5Names.headModule] = ProductPlace(
        slot: config.slots.decoderEnd, target: .head, inWidth: config.dModel, outWidth: config.vocabularySize)
    }
    names = Dictionary(uniqueKeysWithValues: products.map { ($1, $0) })
  }

  /// Name and place of a product.
  /// - Precondition: the backbone has it.
  func product(_ target: ProductTarget, slot: Int) -> (name: String, place: ProductPlace) {
    let entry = names.first { $0.key.slot == slot && $0.key.target == target }!
    return (entry.value, entry.key)
  }

  /// Name of the norm at `slot`.
  /// - Precondition: the backbone has it.
  func norm(slot: Int) -> String { norms.first { $0.value == slot }!.key }
}

extension TensorRole {
  var isNorm: Bool {
    switch self {
    case .selfAttentionNorm, .crossAttentionNorm, .feedForwardNorm, .finalNorm, .embeddingNorm: true
    default: false
    }
  }

  /// The product whose matrix this is, and its sub-layer, nil for the pooler's; nil for what is no such matrix.
  fileprivate var product: (target: ProductTarget, subLayer: SubLayer?)? {
    switch self {
    case .selfAttentionQ: (.q, .selfAttention)
    case .selfAttentionK: (.k, .selfAttention)
    case .selfAttentionV: (.v, .selfAttention)
    case .selfAttentionO: (.o, .selfAttention)
    case .crossAttentionQ: (.q, .crossAttention)
    case .crossAttentionK: (.k, .crossAttention)
    case .crossAttentionV: (.v, .crossAttention)
    case .crossAttentionO: (.o, .crossAttention)
    case .wi: (.wi, .feedForward)
    case .wi0: (.wi0, .feedForward)
    case .wi1: (.wi1, .feedForward)
    case .wo: (.wo, .feedForward)
    case .pooler: (.pooler, nil)
    default: nil
    }
  }
}

extension SlotLayout {
  /// The slot whose norm `spec` is.
  func slot(ofNorm spec: TensorSpec) -> Int {
    switch spec.role {
    case .selfAttentionNorm: slot(spec.stack, .selfAttention, layer: spec.layer)
    case .crossAttentionNorm: slot(spec.stack, .crossAttention, layer: spec.layer)
    case .feedForwardNorm: slot(spec.stack, .feedForward, layer: spec.layer)
    case .finalNorm: spec.stack == .encoder ? encoderEnd : decoderEnd
    case .embeddingNorm: encoderStart
    default: preconditionFailure("not a norm")
    }
  }
}
