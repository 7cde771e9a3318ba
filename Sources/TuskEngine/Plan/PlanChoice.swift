import TuskFormat

/// What the planner is free to decide.
package struct PlanChoice {
  let tileTokens: Int
  let precision: KeyValuePrecision
  let crossAttention: CrossAttention

  package init(tileTokens: Int, precision: KeyValuePrecision, crossAttention: CrossAttention) {
    self.tileTokens = tileTokens
    self.precision = precision
    self.crossAttention = crossAttention
  }

  /// Token tiles to choose from, best first.
  private static let tileChoices = [128, 64, 32, 16]

  /// What keys and values are kept as where memory does not matter: precise enough that answers do not depend on it.
  /// Halves beside int8 weights err by less than a tenth of what the weights do; float32 weights are kept for exactness.
  static func finestPrecision(_ config: BackboneConfig) -> KeyValuePrecision {
    config.weightEncoding == .int8Rows && config.hasDecoder ? .float16 : .float32
  }

  /// All choices, the best first: the fastest, where a loss of precision counts as a tenth of the time; of equally good
  /// ones those with larger tiles.
  static func ordered(config: BackboneConfig, request: PlanRequest) -> [PlanChoice] {
    let finest = finestPrecision(config)
    let canAbsorb = config.hasDecoder && !request.changesCrossKeyValues
    var choices: [(choice: PlanChoice, cost: Int)] = []
    for crossAttention in CrossAttention.allCases where crossAttention == .cached || canAbsorb {
      for precision in KeyValuePrecision.allCases where precision.rawValue >= finest.rawValue {
        // Codes for what passes through a whole encoder, or stands for the keys of all blocks, would err too much.
        if precision == .int8 && (crossAttention == .absorbed || !config.hasDecoder) { continue }
        var previousTile = Int.max
        for tileTokens in tileChoices {
          let tile = min(tileTokens, request.encoderRows)
          guard tile < previousTile else { continue }
          previousTile = tile
          let choice = PlanChoice(tileTokens: tile, precision: precision, crossAttention: crossAttention)
          // Less precise keys and values are read faster, but are taken for their size: they count as the finest.
          let counted = PlanChoice(tileTokens: tile, precision: finest, crossAttention: crossAttention)
          let loss = Int(precision.rawValue - finest.rawValue)
          let cost = counted.cost(config, request)
          let weighted = cost.addingSaturated(cost / 10 * loss)
          let place = choices.firstIndex { weighted < $0.cost } ?? choices.count
          choices.insert((choice, weighted), at: place)
        }
      }
    }
    return choices.map { $0.choice }
  }

  /// An estimate of the time of encoding and decoding everything once, in bytes read from memory: good enough to compare
  /// choices.
  private func cost(_ config: BackboneConfig, _ request: PlanRequest) -> Int {
    let block = config.dModel.saturatingProduct(4 * config.innerWidth + (config.isGated ? 3 : 2) * config.dFF)
    let encoder = config.layerCount.saturatingProduct(block)
    let tiles = (request.sourceTokens + tileTokens - 1) / tileTokens
    let read = encoder.saturatingProduct(request.batch, tiles)
    // Products of many rows do about 5 multiply-adds in the time of a byte.
    let encode = read.addingSaturated(encoder.saturatingProduct(request.batch, request.sourceTokens) / 5)
    guard config.hasDecoder else { return encode }
    let decoder = config.decoderLayerCount.saturatingProduct(
      block.addingSaturated(config.dModel.saturatingProduct(2, config.innerWidth)))
    let step = decoder.addingSaturated(config.vocabularySize.saturatingProduct(config.dModel))
      .addingSaturated(crossCost(config, request))
    return encode.addingSaturated(step.saturatingProduct(request.targetTokens))
  }

  /// The part of a decoder step that depends on the form of cross-attention. It does 3 multiply-adds in the time of a byte:
  /// measured on T5-base with 512 source tokens, where the absorbed form takes 1.2 times as long per token.
  private func crossCost(_ config: BackboneConfig, _ request: PlanRequest) -> Int {
    let rows = request.batch.saturatingProduct(request.beams)
    let numbers = config.decoderLayerCount.saturatingProduct(2, request.sourceTokens, config.innerWidth)
    let bytes = numbers.saturatingProduct(request.batch, precision.elementBytes)
    let cached = bytes.addingSaturated(numbers.saturatingProduct(rows) / 3)
    if crossAttention == .cached { return cached }
    // All blocks read the same rows, which stay in a cache; W_k and W_v are read besides.
    let weights = config.decoderLayerCount.saturatingProduct(2, config.innerWidth, config.dModel)
    let multiplyAdds = rows.saturatingProduct(
      config.decoderLayerCount, 2, request.sourceTokens, config.headCount, config.dModel)
    // It is taken for its size; where it would be faster, narrow models on short sources, that is nothing to gain.
    return max(cached, weights.addingSaturated(multiplyAdds / 3))
  }
}

extension Int {
  fileprivate func addingSaturated(_ other: Int) -> Int {
    let sum = addingReportingOverflow(other)
    return sum.overflow ? Int.max / 2 : Swift.min(sum.partialValue, Int.max / 2)
  }
}
