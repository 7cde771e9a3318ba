import TuskFormat

/// A product of a block.
struct BackboneProduct {
  let slot: Int
  let target: ProductTarget
  let stack: Stack
  let layer: Int
  let subLayer: SubLayer
  let outWidth: Int
  let inWidth: Int

  /// The products of all blocks, in the order of the slots.
  static func all(in config: BackboneConfig) -> [BackboneProduct] {
    var products: [BackboneProduct] = []
    for site in SubLayerSite.all(in: config) {
      let targets: [(ProductTarget, inWidth: Int, outWidth: Int)]
      switch site.subLayer {
      case .selfAttention, .crossAttention:
        targets = [
          (.q, config.dModel, config.innerWidth), (.k, config.dModel, config.innerWidth),
          (.v, config.dModel, config.innerWidth), (.o, config.innerWidth, config.dModel),
        ]
      case .feedForward:
        targets =
          (config.isGated ? [.wi0, .wi1] : [.wi]).map { ($0, config.dModel, config.dFF) }
          + [(.wo, config.dFF, config.dModel)]
      }
      for (target, inWidth, outWidth) in targets {
        products.append(
          BackboneProduct(
            slot: site.slot, target: target, stack: site.stack, layer: site.layer, subLayer: site.subLayer,
            outWidth: outWidth, inWidth: inWidth))
      }
    }
    return products
  }

  /// The tensor of the backbone's bias, if products have one. Those of cross-attention never do.
  var biasRole: TensorRole? {
    switch (subLayer, target) {
    case (.selfAttention, .q): .selfAttentionQBias
    case (.selfAttention, .k): .selfAttentionKBias
    case (.selfAttention, .v): .selfAttentionVBias
    case (.selfAttention, .o): .selfAttentionOBias
    case (.feedForward, .wi): .wiBias
    case (.feedForward, .wi0): .wi0Bias
    case (.feedForward, .wi1): .wi1Bias
    case (.feedForward, .wo): .woBias
    default: nil
    }
  }
}

/// A sub-layer of one block.
struct SubLayerSite {
  let stack: Stack
  let subLayer: SubLayer
  let layer: Int
  let slot: Int

  /// All of them, in the order of the slots.
  static func all(in config: BackboneConfig) -> [SubLayerSite] {
    var sites: [SubLayerSite] = []
    for (stack, count) in [(Stack.encoder, config.layerCount), (.decoder, config.decoderLayerCount)] {
      for layer in 0..<count {
        for subLayer in SubLayer.allCases where stack == .decoder || subLayer != .crossAttention {
          sites.append(
            SubLayerSite(
              stack: stack, subLayer: subLayer, layer: layer,
              slot: config.slots.slot(stack, subLayer, layer: layer)))
        }
      }
    }
    return sites
  }
}

/// A norm of the backbone: its slot, and the positions of its tensors in the index.
struct BackboneNorm {
  let slot: Int
  let weight: Int
  /// nil behind a RMSNorm.
  let bias: Int?
  let isAtSubLayer: Bool

  static func all(in config: BackboneConfig) -> [BackboneNorm] {
    var norms: [BackboneNorm] = []
    func add(
      _ weight: TensorRole, _ bias: TensorRole?, _ stack: Stack, layer: Int = 0, slot: Int, isAtSubLayer: Bool
    ) {
      guard config.has(weight, stack) else { return }
      let hasBias = bias.map { config.has($0, stack) } ?? false
      norms.append(
        BackboneNorm(
          slot: slot, weight: config.tensorPosition(weight, stack, layer: layer),
          bias: hasBias ? config.tensorPosition(bias!, stack, layer: layer) : nil, isAtSubLayer: isAtSubLayer))
    }
    for site in SubLayerSite.all(in: config) {
      let (weight, bias): (TensorRole, TensorRole?) =
        switch site.subLayer {
        case .selfAttention: (.selfAttentionNorm, .selfAttentionNormBias)
        case .crossAttention: (.crossAttentionNorm, nil)
        case .feedForward: (.feedForwardNorm, .feedForwardNormBias)
        }
      add(weight, bias, site.stack, layer: site.layer, slot: site.slot, isAtSubLayer: true)
    }
    let slots = config.slots
    add(.finalNorm, .finalNormBias, .encoder, slot: slots.encoderEnd, isAtSubLayer: false)
    add(.finalNorm, .finalNormBias, .decoder, slot: slots.decoderEnd, isAtSubLayer: false)
    add(.embeddingNorm, .embeddingNormBias, .shared, slot: slots.encoderStart, isAtSubLayer: false)
    return norms
  }
}
