import CTuskKernels
import TuskEngine
import TuskFormat

/// A block of one stack while examples pass it. M rows.
struct BlockPass {
  let stack: Stack
  let layer: Int
  let rows: Int
  let regions: BlockRegions
  /// [M, D] that enters the block.
  let entry: UnsafeMutablePointer<Float>
  /// [M, D] that leaves it.
  let exit: UnsafeMutablePointer<Float>
}

extension TrainingModel {
  /// What a sub-layer takes of the stream's rows [M, D]: their norm, or on a post-norm backbone the rows themselves.
  func subLayerInput(
    _ stream: UnsafePointer<Float>, _ role: TensorRole, _ subLayer: SubLayer, _ block: BlockPass
  ) -> UnsafePointer<Float> {
    guard config.normPlacement == .before else { return stream }
    normalize(stream, rows: block.rows, subLayerNorm(role, subLayer, block), into: arena.floats(regions.normed))
    return UnsafePointer(arena.floats(regions.normed))
  }

  /// The gradient of the stream takes in `normedGradient`, that of what `subLayerInput` gave.
  func subLayerInputBackward(
    _ stream: UnsafePointer<Float>, _ role: TensorRole, _ subLayer: SubLayer, _ block: BlockPass,
    into streamGradient: UnsafeMutablePointer<Float>
  ) {
    let dNormed = arena.floats(regions.normedGradient)
    if config.normPlacement == .before {
      normalizeBackward(
        stream, rows: block.rows, subLayerNorm(role, subLayer, block), dNormed, into: streamGradient)
    } else {
      kernels.add_f32(streamGradient, dNormed, block.rows * config.dModel)
    }
  }

  private func subLayerNorm(_ role: TensorRole, _ subLayer: SubLayer, _ block: BlockPass) -> TrainedNorm {
    norm(config.slots.slot(block.stack, subLayer, layer: block.layer), role, block.stack, layer: block.layer)
  }

  /// Where sub-layer `subLayer` ends.
  private func site(_ subLayer: SubLayer, _ block: BlockPass, _ stream: UnsafePointer<Float>) -> AdapterSite {
    let kept: Region
    let sum: Region
    switch subLayer {
    case .selfAttention: (kept, sum) = (block.regions.subLayers.0, block.regions.sums.0)
    case .crossAttention: (kept, sum) = (block.regions.subLayers.1, block.regions.sums.0)
    case .feedForward: (kept, sum) = (block.regions.subLayers.2, block.regions.sums.1)
    }
    return site(
      block.stack, subLayer, layer: block.layer, rows: block.rows, stream: stream,
      output: arena.floats(kept.byteCount > 0 ? kept : regions.subLayer), sum: arena.floats(sum))
  }

  // MARK: Self-attention

  private func selfProducts(_ block: BlockPass) -> (
    q: TrainedProduct, k: TrainedProduct, v: TrainedProduct, o: TrainedProduct
  ) {
    func product(_ role: TensorRole, _ target: ProductTarget) -> TrainedProduct {
      self.product(role, block.stack, layer: block.layer, target, .selfAttention)
    }
    return (
      product(.selfAttentionQ, .q), product(.selfAttentionK, .k), product(.selfAttentionV, .v),
      product(.selfAttentionO, .o)
    )
  }

  private func selfAttention(_ block: BlockPass) -> TrainedAttention {
    let isDecoder = block.stack == .decoder
    let segments = isDecoder ? examples.targets : examples.sources
    let hasBias = config.positionScheme == .relativeBias
    let distances = isDecoder ? plan.rows.longestTarget : 2 * plan.rows.longestSource - 1
    let behind = (isDecoder ? plan.rows.longestTarget : plan.rows.longestSource) - 1
    let table = arena.floats(isDecoder ? regions.decoderBias : regions.encoderBias)
    let gradient = arena.floats(isDecoder ? regions.decoderBiasGradient : regions.encoderBiasGradient)
    return TrainedAttention(
      queries: arena.floats(block.regions.queries), keys: arena.floats(block.regions.keys),
      values: arena.floats(block.regions.values), querySegments: segments, keySegments: segments, isCausal: isDecoder,
      bias: hasBias ? UnsafePointer(table + behind) : nil, biasStride: distances,
      biasGradient: hasBias && backbone != nil ? gradient + behind : nil,
      dropoutKey: dropout.key(
        .attention, slot: config.slots.slot(block.stack, .selfAttention, layer: block.layer)))
  }

  /// joined [M, D] = the stream behind self-attention.
  func selfAttend(_ stream: UnsafePointer<Float>, _ block: BlockPass, into joined: UnsafeMutablePointer<Float>) {
    let site = site(.selfAttention, block, stream)
    let products = selfProducts(block)
    let context = arena.floats(regions.context)
    let input = setInput(
      subLayerInput(stream, .selfAttentionNorm, .selfAttention, block), rows: block.rows, columns: config.dModel)
    multiply(input, products.q, arena.floats(block.regions.queries))
    multiply(input, products.k, arena.floats(block.regions.keys))
    multiply(input, products.v, arena.floats(block.regions.values))
    attend(selfAttention(block), into: context)
    multiply(setInput(context, rows: block.rows, columns: config.innerWidth), products.o, site.subLayer)
    join(site, into: joined)
  }

  func selfAttendBackward(
    _ stream: UnsafePointer<Float>, _ block: BlockPass, into streamGradient: UnsafeMutablePointer<Float>
  ) {
    let site = site(.selfAttention, block, stream)
    let products = selfProducts(block)
    let attention = selfAttention(block)
    let context = arena.floats(regions.context)
    let dSubLayer = arena.floats(regions.subLayerGradient)
    let dContext = arena.floats(regions.contextGradient)
    let dNormed = arena.floats(regions.normedGradient)
    let size = block.rows * config.innerWidth
    let dQueries = arena.floats(regions.wide)
    let gradients = AttentionGradients(queries: dQueries, keys: dQueries + size, values: dQueries + 2 * size)
    joinBackward(site, streamGradient, into: dSubLayer)
    if needsInput(products.o) { attend(attention, into: context) }
    multiplyBackward(context, rows: block.rows, products.o, dSubLayer, into: dContext)
    attendBackward(attention, dContext, into: gradients)
    var input = stream
    if needsInput(products.q) || needsInput(products.k) || needsInput(products.v) {
      input = subLayerInput(stream, .selfAttentionNorm, .selfAttention, block)
    }
    multiplyBackward(input, rows: block.rows, products.q, gradients.queries, into: dNormed)
    multiplyBackward(input, rows: block.rows, products.k, gradients.keys, into: dNormed, accumulates: true)
    multiplyBackward(input, rows: block.rows, products.v, gradients.values, into: dNormed, accumulates: true)
    subLayerInputBackward(stream, .selfAttentionNorm, .selfAttention, block, into: streamGradient)
  }

  /// Whether gradients ask for the product's input: those of its weight, or of a linear that the task has there.
  func needsInput(_ product: TrainedProduct) -> Bool {
    backbone != nil || task.section.product(product.target, slot: product.slot)?.linear != nil
  }

  // MARK: Cross-attention

  private func crossProducts(_ block: BlockPass) -> (
    q: TrainedProduct, k: TrainedProduct, v: TrainedProduct, o: TrainedProduct
  ) {
    func product(_ role: TensorRole, _ target: ProductTarget) -> TrainedProduct {
      self.product(role, .decoder, layer: block.layer, target, .crossAttention)
    }
    return (
      product(.crossAttentionQ, .q), product(.crossAttentionK, .k), product(.crossAttentionV, .v),
      product(.crossAttentionO, .o)
    )
  }

  private func crossAttention(_ block: BlockPass) -> TrainedAttention {
    TrainedAttention(
      queries: arena.floats(block.regions.crossQueries), keys: arena.floats(block.regions.crossKeys),
      values: arena.floats(block.regions.crossValues), querySegments: examples.targets, keySegments: examples.sources,
      isCausal: false, bias: nil, biasStride: 0,
      dropoutKey: dropout.key(.attention, slot: config.slots.slot(.decoder, .crossAttention, layer: block.layer)))
  }

  /// joined [Q, D] = the stream behind cross-attention to the encoder's output.
  func crossAttend(_ stream: UnsafePointer<Float>, _ block: BlockPass, into joined: UnsafeMutablePointer<Float>) {
    let site = site(.crossAttention, block, stream)
    let products = crossProducts(block)
    let context = arena.floats(regions.context)
    let source = setInput(arena.floats(regions.encoded), rows: examples.sourceRows, columns: config.dModel)
    multiply(source, products.k, arena.floats(block.regions.crossKeys))
    multiply(source, products.v, arena.floats(block.regions.crossValues))
    let input = setInput(
      subLayerInput(stream, .crossAttentionNorm, .crossAttention, block), rows: block.rows, columns: config.dModel)
    multiply(input, products.q, arena.floats(block.regions.crossQueries))
    attend(crossAttention(block), into: context)
    multiply(setInput(context, rows: block.rows, columns: config.innerWidth), products.o, site.subLayer)
    join(site, into: joined)
  }

  /// The gradient of the encoder's output grows by what this block read of it.
  func crossAttendBackward(
    _ stream: UnsafePointer<Float>, _ block: BlockPass, into streamGradient: UnsafeMutablePointer<Float>
  ) {
    let site = site(.crossAttention, block, stream)
    let products = crossProducts(block)
    let attention = crossAttention(block)
    let context = arena.floats(regions.context)
    let dSubLayer = arena.floats(regions.subLayerGradient)
    let dContext = arena.floats(regions.contextGradient)
    let dNormed = arena.floats(regions.normedGradient)
    let encoded = arena.floats(regions.encoded)
    let dEncoded = arena.floats(regions.encodedGradient)
    let sourceRows = examples.sourceRows
    let dKeys = arena.floats(regions.crossGradient)
    let gradients = AttentionGradients(
      queries: arena.floats(regions.wide), keys: dKeys, values: dKeys + sourceRows * config.innerWidth)
    joinBackward(site, streamGradient, into: dSubLayer)
    if needsInput(products.o) { attend(attention, into: context) }
    multiplyBackward(context, rows: block.rows, products.o, dSubLayer, into: dContext)
    attendBackward(attention, dContext, into: gradients)
    multiplyBackward(encoded, rows: sourceRows, products.k, gradients.keys, into: dEncoded, accumulates: true)
    multiplyBackward(encoded, rows: sourceRows, products.v, gradients.values, into: dEncoded, accumulates: true)
    let input =
      needsInput(products.q) ? subLayerInput(stream, .crossAttentionNorm, .crossAttention, block) : stream
    multiplyBackward(input, rows: block.rows, products.q, gradients.queries, into: dNormed)
    subLayerInputBackward(stream, .crossAttentionNorm, .crossAttention, block, into: streamGradient)
  }

  // MARK: Feed-forward

  /// joined [M, D] = the stream behind feed-forward.
  func feedForward(_ stream: UnsafePointer<Float>, _ block: BlockPass, into joined: UnsafeMutablePointer<Float>) {
    let site = site(.feedForward, block, stream)
    let hidden = arena.floats(block.regions.hidden)
    let gate = config.isGated ? arena.floats(block.regions.gate) : nil
    let activated = arena.floats(regions.wide)
    let count = block.rows * config.dFF
    let input = setInput(
      subLayerInput(stream, .feedForwardNorm, .feedForward, block), rows: block.rows, columns: config.dModel)
    multiply(input, feedForwardProduct(config.isGated ? .wi0 : .wi, block), hidden)
    if let gate { multiply(input, feedForwardProduct(.wi1, block), gate) }
    activate(hidden, gate, count: count, into: activated)
    dropActivated(activated, count: count, site)
    multiply(
      setInput(activated, rows: block.rows, columns: config.dFF), feedForwardProduct(.wo, block), site.subLayer)
    join(site, into: joined)
  }

  func feedForwardBackward(
    _ stream: UnsafePointer<Float>, _ block: BlockPass, into streamGradient: UnsafeMutablePointer<Float>
  ) {
    let site = site(.feedForward, block, stream)
    let hidden = arena.floats(block.regions.hidden)
    let gate = config.isGated ? UnsafePointer(arena.floats(block.regions.gate)) : nil
    let dSubLayer = arena.floats(regions.subLayerGradient)
    let dNormed = arena.floats(regions.normedGradient)
    let dHidden = arena.floats(regions.wide)
    let count = block.rows * config.dFF
    let dGate = dHidden + count
    joinBackward(site, streamGradient, into: dSubLayer)
    var activated = hidden
    // Tasks that are trained have no linear at wo, so that only the gradient of its weight asks for what enters it.
    if backbone != nil {
      activated = arena.floats(regions.activated)
      activate(hidden, gate, count: count, into: activated)
      dropActivated(activated, count: count, site)
    }
    multiplyBackward(activated, rows: block.rows, feedForwardProduct(.wo, block), dSubLayer, into: dHidden)
    dropActivated(dHidden, count: count, site)
    activateBackward(hidden, gate, count: count, dHidden, gateGradient: config.isGated ? dGate : nil)
    let first = feedForwardProduct(config.isGated ? .wi0 : .wi, block)
    var input = stream
    if needsInput(first) || (config.isGated && needsInput(feedForwardProduct(.wi1, block))) {
      input = subLayerInput(stream, .feedForwardNorm, .feedForward, block)
    }
    multiplyBackward(input, rows: block.rows, first, dHidden, into: dNormed)
    if config.isGated {
      multiplyBackward(
        input, rows: block.rows, feedForwardProduct(.wi1, block), dGate, into: dNormed, accumulates: true)
    }
    subLayerInputBackward(stream, .feedForwardNorm, .feedForward, block, into: streamGradient)
  }

  private func feedForwardProduct(_ target: ProductTarget, _ block: BlockPass) -> TrainedProduct {
    let role: TensorRole =
      switch target {
      case .wi: .wi
      case .wi0: .wi0
      case .wi1: .wi1
      default: .wo
      }
    return product(role, block.stack, layer: block.layer, target, .feedForward)
  }

  /// T5 drops numbers behind the activation, BERT does not.
  private func dropActivated(_ x: UnsafeMutablePointer<Float>, count: Int, _ site: AdapterSite) {
    if config.normPlacement == .before { drop(x, count: count, .activation, slot: site.slot) }
  }
}
