import CTuskKernels
import TuskFormat

/// A stretch of the arena.
struct Region: Sendable {
  let offset: Int
  let byteCount: Int
}

/// The arena's map. S source, T target positions, P prefix, D dModel, F dFF, H heads, K dKV, V vocabulary, L decoder
/// blocks, M rows that pass a sub-layer together, R decoder rows = batch x beams. Row-major, float32 unless said.
struct Regions: Sendable {
  // Kept from encoding to the end of decoding.
  /// Cross-attention keys and values: [batch, L, 2, S, H K].
  let crossKeyValues: Region
  /// Residual stream of the encoder, at the end its output: [S, D].
  let source: Region
  /// Relative bias by distance: encoder [H, 2 S - 1 + P] from 1 - S on, decoder [H, T + P] from 1 - T on.
  let encoderBias: Region
  let decoderBias: Region

  // The tile that passes a sub-layer.
  /// [M, D]
  let normed: Region
  let subLayer: Region
  /// [M, H K]
  let queries: Region
  let context: Region
  /// [M, F], the second only if gated.
  let hidden: Region
  let gate: Region
  /// int16 [M, max(D, F, H K)] rounded up to 64.
  let codes: Region
  /// [M]
  let codeScales: Region
  /// Per worker: adapter rows [chunk, 2 D + W], scratch of a linear, scratch of attention.
  let workers: Region

  // One of: encoder scratch; decoder state.
  /// [S, H K]
  let encoderKeys: Region
  let encoderValues: Region
  /// [L, T, R, H K]
  let selfKeys: Region
  let selfValues: Region
  /// [R, D]
  let target: Region
  /// [R, V]
  let logits: Region
  let generation: GenerationRegions
  /// Two vectors of a head, of an encoder only: [2, max(D, widest layer of a head)].
  let headVectors: Region
  let headWidth: Int

  let arenaBytes: Int
  let keyValueCacheBytes: Int
  let workerBytes: Int
  let codesStride: Int

  /// Rows an adapter handles at a time.
  static let adapterChunkRows = 8

  init(config: BackboneConfig, request: PlanRequest, tileTokens: Int) {
    var map = ArenaMap()
    let rows = config.hasDecoder ? request.batch * request.beams : 0
    let targetTokens = config.hasDecoder ? request.targetTokens : 0
    let tile = max(tileTokens, rows)
    let inner = config.innerWidth
    let widest = max(config.dModel, config.dFF, inner)
    let layers = config.decoderLayerCount

    source = map.floats(request.sourceTokens, config.dModel)
    encoderBias = map.floats(
      config.positionScheme == .relativeBias ? config.headCount : 0, request.encoderDistances)
    decoderBias = map.floats(config.headCount, config.hasDecoder ? request.decoderDistances : 0)
    normed = map.floats(tile, config.dModel)
    subLayer = map.floats(tile, config.dModel)
    queries = map.floats(tile, inner)
    context = map.floats(tile, inner)
    hidden = map.floats(tile, config.dFF)
    gate = config.isGated ? map.floats(tile, config.dFF) : Region(offset: 0, byteCount: 0)
    codesStride = config.weightEncoding == .int8Rows ? widest.roundedUp(to: 64) : 0
    codes = map.take(tile, codesStride, elementBytes: 2)
    codeScales = map.floats(tile, 1)
    workerBytes = Self.workerBytes(config, request)
    workers = map.take(request.threads, workerBytes, elementBytes: 1)
    crossKeyValues = map.floats(request.batch * layers * 2 * request.sourceTokens, inner)

    // Encoding ends before decoding begins, so both use the same bytes.
    var encoding = map
    encoderKeys = encoding.floats(request.sourceTokens, inner)
    encoderValues = encoding.floats(request.sourceTokens, inner)
    selfKeys = map.floats(layers * targetTokens * rows, inner)
    selfValues = map.floats(layers * targetTokens * rows, inner)
    target = map.floats(rows, config.dModel)
    logits = map.floats(rows, config.vocabularySize)
    generation = GenerationRegions(&map, request, rows: rows)
    // A head begins when the encoder has ended.
    headWidth = max(config.dModel, request.headWidth)
    headVectors = map.floats(config.hasDecoder ? 0 : 2, headWidth)
    arenaBytes = max(encoding.end, map.end)
    keyValueCacheBytes = crossKeyValues.byteCount + selfKeys.byteCount + selfValues.byteCount
  }

  private static func workerBytes(_ config: BackboneConfig, _ request: PlanRequest) -> Int {
    let adapterRows = adapterChunkRows * (2 * config.dModel + request.bottleneckWidth)
    let floats = adapterRows + request.linearScratchFloats + tusk_attention_scratch_floats(config.dKV)
    return (4 * floats).roundedUp(to: 64)
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

/// Lays regions one behind another, each 64-byte aligned. Sizes saturate: an impossible plan is refused by its total.
struct ArenaMap {
  private(set) var end = 0

  mutating func floats(_ rows: Int, _ columns: Int) -> Region { take(rows, columns, elementBytes: 4) }

  mutating func take(_ rows: Int, _ columns: Int, elementBytes: Int) -> Region {
    let elements = rows.multipliedReportingOverflow(by: columns)
    let bytes = elements.partialValue.multipliedReportingOverflow(by: elementBytes)
    let region = Region(offset: end, byteCount: bytes.partialValue)
    let next = end.addingReportingOverflow(bytes.partialValue)
    let isTooLarge = elements.overflow || bytes.overflow || next.overflow || next.partialValue > Int.max / 2
    end = isTooLarge ? Int.max / 2 : next.partialValue.roundedUp(to: 64)
    return region
  }
}
