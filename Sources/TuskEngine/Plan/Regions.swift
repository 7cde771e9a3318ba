import CTuskKernels
import TuskFormat

/// A stretch of the arena.
package struct Region: Sendable {
  package let offset: Int
  package let byteCount: Int
}

/// The arena's map. S source with a prompt, T target positions, P prefix, D dModel, F dFF, H heads, K dKV, V vocabulary, L decoder
/// blocks, R decoder rows = batch x beams. Row-major, float32 unless said.
///
/// What encoding and what decoding need beside the first part lies in the same bytes: each source is encoded before any
/// is decoded.
struct Regions: Sendable {
  // Kept from encoding to the end of decoding.
  /// Relative bias by distance: encoder [H, 2 (S + P) - 1], decoder [H, T + 2 P].
  let encoderBias: Region
  let decoderBias: Region
  /// Per worker: adapter rows [chunk, 2 D + W], scratch of a linear, scratch of attention.
  let workers: Region
  /// What cross-attention reads: cached [batch, L, 2, H, S, K], absorbed [batch, S, D], in the plan's precision.
  let cross: KeyValueRegion

  // Encoding.
  /// Residual stream of the encoder, at the end its output: [S, D].
  let source: Region
  let encodingTile: TileRegions
  /// [S, H K]
  let encoderKeys: KeyValueRegion
  let encoderValues: KeyValueRegion
  /// Two vectors of a head, of an encoder only: [2, max(D, widest layer of a head)].
  let headVectors: Region
  let headWidth: Int

  // Decoding.
  let decodingTile: TileRegions
  /// [L, H, T, R, K]
  let selfKeys: KeyValueRegion
  let selfValues: KeyValueRegion
  /// [R, D]
  let target: Region
  /// [R, V]
  let logits: Region
  let generation: GenerationRegions
  /// Of absorbed cross-attention.
  let absorbed: AbsorbedRegions

  let arenaBytes: Int
  let keyValueCacheBytes: Int
  let workerBytes: Int

  /// Rows an adapter handles at a time.
  static let adapterChunkRows = 8

  init(config: BackboneConfig, request: PlanRequest, _ choice: PlanChoice) {
    var map = ArenaMap()
    let rows = config.hasDecoder ? request.batch.saturatingProduct(request.beams) : 0
    let targetTokens = config.hasDecoder ? request.targetTokens : 0
    let inner = config.innerWidth
    let layers = config.decoderLayerCount
    let isAbsorbed = config.hasDecoder && choice.crossAttention == .absorbed

    encoderBias = map.floats(
      config.positionScheme == .relativeBias ? config.headCount : 0, request.encoderDistances)
    decoderBias = map.floats(config.headCount, config.hasDecoder ? request.decoderDistances : 0)
    workerBytes = Self.workerBytes(config, request, isAbsorbed: isAbsorbed)
    workers = map.take(request.threads, workerBytes, elementBytes: 1)
    let kept = map
    cross =
      isAbsorbed
      ? KeyValueRegion(
        &map, count: request.batch.saturatingProduct(request.encoderRows), width: config.dModel,
        groupWidth: config.dModel, choice.precision)
      : KeyValueRegion(
        &map, count: request.batch.saturatingProduct(layers, 2, request.encoderRows), width: inner,
        groupWidth: config.dKV, choice.precision)

    var encoding = map
    source = encoding.floats(request.encoderRows, config.dModel)
    encodingTile = TileRegions(&encoding, config, rows: choice.tileTokens)
    // Cached keys and values of a source are written when the encoder has ended, so its own may lie in their place: the
    // values at the first multiple of 64 behind the keys.
    let keyBytes = request.encoderRows.saturatingProduct(inner, 4)
    let fits = !isAbsorbed && request.batch == 1 && cross.byteCount >= keyBytes + keyBytes.roundedUp(to: 64)
    var encoderRows = fits ? kept : encoding
    let precision = isAbsorbed || !config.hasDecoder ? choice.precision : .float32
    encoderKeys = KeyValueRegion(
      &encoderRows, count: request.encoderRows, width: inner, groupWidth: config.dKV, precision)
    encoderValues = KeyValueRegion(
      &encoderRows, count: request.encoderRows, width: inner, groupWidth: config.dKV, precision)
    // A head begins when the encoder has ended.
    headWidth = max(config.dModel, request.headWidth)
    headVectors = encoding.floats(config.hasDecoder ? 0 : 2, headWidth)

    decodingTile = TileRegions(&map, config, rows: rows)
    selfKeys = KeyValueRegion(
      &map, count: layers.saturatingProduct(targetTokens, rows), width: inner, groupWidth: config.dKV, choice.precision)
    selfValues = KeyValueRegion(
      &map, count: layers.saturatingProduct(targetTokens, rows), width: inner, groupWidth: config.dKV, choice.precision)
    target = map.floats(rows, config.dModel)
    logits = map.floats(rows, config.vocabularySize)
    generation = GenerationRegions(&map, request, rows: rows)
    absorbed = AbsorbedRegions(&map, config, rows: isAbsorbed ? rows : 0)

    arenaBytes = max(encoding.end, encoderRows.end, map.end)
    keyValueCacheBytes = cross.byteCount + selfKeys.byteCount + selfValues.byteCount
  }

  private static func workerBytes(_ config: BackboneConfig, _ request: PlanRequest, isAbsorbed: Bool) -> Int {
    let adapterRows = adapterChunkRows * (2 * config.dModel + request.bottleneckWidth)
    let attention = tusk_attention_scratch_floats(isAbsorbed ? config.dModel : config.dKV)
    return (4 * max(adapterRows + request.linearScratchFloats, attention)).roundedUp(to: 64)
  }
}

/// The rows that pass a sub-layer together, M of them.
struct TileRegions: Sendable {
  /// [M, D]
  let normed: Region
  let subLayer: Region
  /// [M, H K]
  let queries: Region
  let context: Region
  /// [M', F] of the M' rows that are in a feed-forward together, the second only if gated.
  let hidden: Region
  let gate: Region
  /// Codes of what enters a product, int16: [M, max(D, H K)] or [M', F], rows rounded up to 64.
  let codes: Region
  /// [M]
  let codeScales: Region
  /// M'
  let feedForwardRows: Int

  /// A feed-forward reads its weights once for this many rows; more rows take memory and gain no time.
  static let mostFeedForwardRows = 64

  init(_ map: inout ArenaMap, _ config: BackboneConfig, rows: Int) {
    feedForwardRows = min(rows, Self.mostFeedForwardRows)
    normed = map.floats(rows, config.dModel)
    subLayer = map.floats(rows, config.dModel)
    queries = map.floats(rows, config.innerWidth)
    context = map.floats(rows, config.innerWidth)
    hidden = map.floats(feedForwardRows, config.dFF)
    gate = map.floats(config.isGated ? feedForwardRows : 0, config.dFF)
    let isQuantized = config.weightEncoding == .int8Rows
    let codeCount = max(
      rows.saturatingProduct(max(config.dModel, config.innerWidth).roundedUp(to: 64)),
      feedForwardRows.saturatingProduct(config.dFF.roundedUp(to: 64)))
    codes = map.take(isQuantized ? codeCount : 0, 2, elementBytes: 1)
    codeScales = map.floats(rows, 1)
  }
}

/// The vectors of all heads of R rows in absorbed cross-attention: [R / beams, H, beams] of them.
struct AbsorbedRegions: Sendable {
  /// W_k^T q, and later sum p h: [R H, D] each.
  let queries: Region
  let contexts: Region
  /// Codes of the contexts, int16 [R H, D] rounded up to 64, and their scales.
  let codes: Region
  let codeScales: Region

  init(_ map: inout ArenaMap, _ config: BackboneConfig, rows: Int) {
    let count = rows.saturatingProduct(config.headCount)
    queries = map.floats(count, config.dModel)
    contexts = map.floats(count, config.dModel)
    codes = map.take(
      count, config.weightEncoding == .int8Rows ? config.dModel.roundedUp(to: 64) : 0, elementBytes: 2)
    codeScales = map.floats(count, 1)
  }
}

/// The book-keeping of decoding. Int32 and Float of 4 bytes each.
struct GenerationRegions: Sendable {
  /// Two of each, exchanged after every step of a beam search: [2, R, T + 1] tokens, [2, R, T] cache rows, [2, R] sums.
  let tokens: Region
  let cacheRows: Region
  let sums: Region
  /// Finished hypotheses: [batch, beams, T + 1] tokens, [batch, beams] scores and lengths.
  let finishedTokens: Region
  let finishedScores: Region
  let finishedLengths: Region
  /// [batch, 2 beams] best continuations: score, row, token.
  let candidates: Region
  /// [R] ids that enter the next step.
  let inputs: Region

  init(_ map: inout ArenaMap, _ request: PlanRequest, rows: Int) {
    let length = request.targetTokens + 1
    tokens = map.floats(2 * rows, length)
    cacheRows = map.floats(2 * rows, request.targetTokens)
    sums = map.floats(2 * rows, 1)
    finishedTokens = map.floats(rows, length)
    finishedScores = map.floats(rows, 1)
    finishedLengths = map.floats(rows, 1)
    candidates = map.floats(2 * rows, 3)
    inputs = map.floats(rows, 1)
  }
}
