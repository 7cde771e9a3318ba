import CTuskBackward
import CTuskKernels
import TuskEngine
import TuskFormat

/// What a task needs of the working memory.
struct TaskDemands: Equatable, Sendable {
  /// Widest bottleneck, W.
  private(set) var bottleneckWidth = 0
  private(set) var linearScratchFloats = 0
  private(set) var headWidth = 0
  /// Sub-layers with an adapter somewhere: their outputs are kept.
  private(set) var encoderAdapters = SubLayerSet()
  private(set) var decoderAdapters = SubLayerSet()

  struct SubLayerSet: OptionSet, Sendable {
    let rawValue: Int
    init(rawValue: Int) { self.rawValue = rawValue }
    init(_ subLayer: SubLayer) { rawValue = 1 << Int(subLayer.rawValue) }
  }

  init(of task: TaskSection) {
    for position in 0..<task.slots.count {
      guard let adapter = task.adapter(slot: position),
        let place = task.slots.subLayer(ofSlot: position)
      else { continue }
      bottleneckWidth = max(bottleneckWidth, adapter.bottleneckWidth)
      if place.stack == .encoder { encoderAdapters.insert(.init(place.subLayer)) }
      if place.stack == .decoder { decoderAdapters.insert(.init(place.subLayer)) }
    }
    for position in 0..<task.linearCount {
      let linear = task.linear(at: position)
      var shape = task.kronecker(position, scaling: 1)
      let backward = tusk_kronecker_backward_scratch_floats(&shape)
      linearScratchFloats = max(linearScratchFloats, MountedLinear.scratchFloats(linear), backward)
    }
    if let head = task.head {
      headWidth = max(head.outWidth, head.first.map { task.linear(at: $0).outWidth } ?? 0)
    }
  }
}

/// What one block keeps from the forward to the backward pass. M rows of its stack, R source rows.
struct BlockRegions: Sendable {
  /// [M, H K] of self-attention.
  let queries: Region
  let keys: Region
  let values: Region
  /// The stream behind self-attention, and of a decoder behind cross-attention: [M, D].
  let afterSelf: Region
  let afterCross: Region
  /// [M, H K]; of the source [R, H K].
  let crossQueries: Region
  let crossKeys: Region
  let crossValues: Region
  /// What enters the activation: [M, F], the second only if gated.
  let hidden: Region
  let gate: Region
  /// What the sub-layers' adapters take: [M, D], where there are any.
  let subLayers: (Region, Region, Region)
  /// What enters a norm behind self-attention and feed-forward: [M, D].
  let sums: (Region, Region)

  init(
    _ map: inout ArenaMap, _ config: BackboneConfig, rows: Int, sourceRows: Int, isDecoder: Bool,
    _ adapters: TaskDemands.SubLayerSet
  ) {
    let inner = config.innerWidth
    let crossRows = isDecoder ? rows : 0
    queries = map.floats(rows, inner)
    keys = map.floats(rows, inner)
    values = map.floats(rows, inner)
    afterSelf = map.floats(rows, config.dModel)
    afterCross = map.floats(crossRows, config.dModel)
    crossQueries = map.floats(crossRows, inner)
    crossKeys = map.floats(isDecoder ? sourceRows : 0, inner)
    crossValues = map.floats(isDecoder ? sourceRows : 0, inner)
    hidden = map.floats(rows, config.dFF)
    gate = map.floats(config.isGated ? rows : 0, config.dFF)
    func subLayer(_ subLayer: SubLayer) -> Region {
      map.floats(adapters.contains(.init(subLayer)) ? rows : 0, config.dModel)
    }
    subLayers = (subLayer(.selfAttention), subLayer(.crossAttention), subLayer(.feedForward))
    let summed = config.normPlacement == .behind ? rows : 0
    sums = (map.floats(summed, config.dModel), map.floats(summed, config.dModel))
  }
}

/// The arena of training. D dModel, F dFF, H heads, K dKV, L and L' blocks, M the larger of R and Q.
struct TrainingRegions: Sendable {
  /// Relative bias by distance: [H, 2 S - 1] and [H, T].
  let encoderBias: Region
  let decoderBias: Region
  /// Their gradients, where the backbone is trained.
  let encoderBiasGradient: Region
  let decoderBiasGradient: Region
  let workers: Region
  let workerBytes: Int
  /// The streams that enter the blocks, and behind the last one: [L + 1, R, D] and [L' + 1, Q, D].
  let encoderEntries: Region
  let decoderEntries: Region
  /// [R, D] behind the final norm, and its gradient.
  let encoded: Region
  let encodedGradient: Region
  /// Of each block, or of one that all use in turn.
  let encoderBlocks: [BlockRegions]
  let decoderBlocks: [BlockRegions]
  /// [M, D] each: what enters products, what leaves a sub-layer, gradients of both and of the stream.
  let normed: Region
  let subLayer: Region
  let normedGradient: Region
  let subLayerGradient: Region
  let streamGradient: Region
  /// [M, H K]
  let context: Region
  let contextGradient: Region
  /// [M, max(F, or 2 F if gated, 3 H K)]: activated rows, and gradients of what enters the activation, or of q, k and v.
  let wide: Region
  /// [M, F]: activated rows once more, where the backbone is trained.
  let activated: Region
  /// [R, 2 H K]: gradients of the keys and values of cross-attention.
  let crossGradient: Region
  /// Codes of what enters a product, int16 [M, widest input rounded up to 64], and [M].
  let codes: Region
  let codeScales: Region
  /// [`logitRows`, V]
  let logits: Region
  /// Double: [`logitRows`]
  let losses: Region
  /// Vectors of the head, [examples, widest] each: see `HeadVectors`.
  let head: Region
  let headWidth: Int
  /// More than the regions take, if the session that answers validation data needs it.
  var byteCount: Int

  /// Target rows whose logits exist at once.
  static let logitRows = 16
  /// Queries whose scores exist at once.
  static let queryTile = 64
  /// Rows of a weight that are dequantized together, and columns.
  static let weightRows = 128
  static let weightColumns = 192

  init(
    config: BackboneConfig, rows: TrainingRows, demands: TaskDemands, keepsActivations: Bool, trainsBackbone: Bool,
    threads: Int
  ) {
    var map = ArenaMap()
    let both = max(rows.source, rows.target)
    let inner = config.innerWidth
    let width = config.dModel
    let target = config.hasDecoder ? rows.target : 0
    encoderBias = map.floats(
      config.positionScheme == .relativeBias ? config.headCount : 0, 2 * rows.longestSource - 1)
    decoderBias = map.floats(config.hasDecoder ? config.headCount : 0, rows.longestTarget)
    let biasHeads = trainsBackbone && config.positionScheme == .relativeBias ? config.headCount : 0
    encoderBiasGradient = map.floats(biasHeads, 2 * rows.longestSource - 1)
    decoderBiasGradient = map.floats(config.hasDecoder ? biasHeads : 0, rows.longestTarget)
    workerBytes = Self.workerBytes(config, rows, demands)
    workers = map.take(threads, workerBytes, elementBytes: 1)
    encoderEntries = map.floats((config.layerCount + 1).saturatingProduct(rows.source), width)
    decoderEntries = map.floats(
      config.hasDecoder ? (config.decoderLayerCount + 1).saturatingProduct(target) : 0, width)
    encoded = map.floats(config.normPlacement == .before ? rows.source : 0, width)
    encodedGradient = map.floats(config.normPlacement == .before ? rows.source : 0, width)
    var encoder: [BlockRegions] = []
    var decoder: [BlockRegions] = []
    var end = map
    for layer in 0..<config.layerCount {
      if !keepsActivations && layer > 0 {
        encoder.append(encoder[0])
      } else {
        encoder.append(
          BlockRegions(
            &end, config, rows: rows.source, sourceRows: 0, isDecoder: false, demands.encoderAdapters))
      }
    }
    var decoderMap = keepsActivations ? end : map
    for layer in 0..<config.decoderLayerCount {
      if !keepsActivations && layer > 0 {
        decoder.append(decoder[0])
      } else {
        decoder.append(
          BlockRegions(
            &decoderMap, config, rows: target, sourceRows: rows.source, isDecoder: true, demands.decoderAdapters))
      }
    }
    encoderBlocks = encoder
    decoderBlocks = decoder
    map = end.end > decoderMap.end ? end : decoderMap
    normed = map.floats(both, width)
    subLayer = map.floats(both, width)
    normedGradient = map.floats(both, width)
    subLayerGradient = map.floats(both, width)
    streamGradient = map.floats(both, width)
    context = map.floats(both, inner)
    contextGradient = map.floats(both, inner)
    wide = map.floats(both, max((config.isGated ? 2 : 1) * config.dFF, 3 * inner))
    activated = map.floats(trainsBackbone ? both : 0, config.dFF)
    crossGradient = map.floats(config.hasDecoder ? rows.source : 0, 2 * inner)
    let widest = max(width, inner, config.dFF).roundedUp(to: 64)
    codes = map.take(config.weightEncoding == .int8Rows ? both : 0, widest, elementBytes: 2)
    codeScales = map.floats(both, 1)
    logits = map.floats(config.hasDecoder ? min(target, Self.logitRows) : 0, config.vocabularySize)
    losses = map.take(Self.logitRows, 1, elementBytes: 8)
    headWidth = max(width, demands.headWidth)
    head = map.floats(config.hasDecoder ? 0 : rows.examples.saturatingProduct(HeadVectors.count), headWidth)
    byteCount = map.end
  }

  /// Of one worker: rows of an adapter, the scores of a tile and their gradients, or a block of a weight; and of the linears.
  private static func workerBytes(_ config: BackboneConfig, _ rows: TrainingRows, _ demands: TaskDemands) -> Int {
    let adapter = AdapterSite.chunkRows * (3 * config.dModel + 3 * demands.bottleneckWidth)
    let keys = max(rows.longestSource, rows.longestTarget).roundedUp(to: 4)
    let attention = max(2 * queryTile * keys, tusk_attention_scratch_floats(config.dKV))
    let weight = weightRows * weightColumns
    return (4 * (max(adapter, attention, weight) + demands.linearScratchFloats)).roundedUp(to: 64)
  }
}
