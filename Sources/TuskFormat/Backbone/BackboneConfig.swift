import CTuskSystem

/// The halves a backbone has.
public enum Architecture: UInt32, Sendable {
  case encoderDecoder = 1
  case encoder = 2
}

public enum NormKind: UInt32, CaseIterable, Sendable {
  /// No mean, no bias.
  case rms = 1
  case layer = 2
}

public enum NormPlacement: UInt32, CaseIterable, Sendable {
  /// `stream += sub(norm(stream))`, and a final norm at the end of the stack.
  case before = 1
  /// `stream = norm(stream + sub(stream))`, without a final norm.
  case behind = 2
}

public enum PositionScheme: UInt32, CaseIterable, Sendable {
  /// A number per head and distance, added to attention scores.
  case relativeBias = 1
  /// A vector per position, added to embeddings.
  case learned = 2
}

/// Everything about a backbone that is not a weight: the config record of `formats/packed-file.md`.
public struct BackboneConfig: Equatable, Sendable {
  /// Identity of the checkpoint, the same for its int8 and its float32 pack.
  public var fingerprint: UInt64 = 0
  public var architecture: Architecture
  public var dModel: Int
  public var dFF: Int
  public var dKV: Int
  public var headCount: Int
  public var layerCount: Int
  /// 0 in an encoder.
  public var decoderLayerCount: Int
  public var vocabularySize: Int
  /// 0 without a relative bias.
  public var bucketCount: Int
  public var maxDistance: Int
  public var normEpsilon: Float
  public var activation: Activation
  public var isGated: Bool
  /// Of the decoder, as the logit scale and the start token are.
  public var hasTiedHead: Bool
  /// Multiplies the decoder output before the head.
  public var logitScale: Float
  public var normKind: NormKind = .rms
  public var normPlacement: NormPlacement = .before
  public var positionScheme: PositionScheme = .relativeBias
  /// Multiplies q . k.
  public var attentionScale: Float
  public var padId: Int
  public var eosId: Int
  public var decoderStartId: Int
  public var weightEncoding: WeightEncoding
  /// Rows of the table of learned positions; 0 without one.
  public var maxPositions = 0
  /// Row of the first token's position.
  public var positionOffset = 0
  /// Rows of the table of token types; 0 without one.
  public var tokenTypeCount = 0
  /// Whether the products of a block have biases.
  public var hasBiases = false
  public var hasEmbeddingNorm = false
  public var hasPooler = false

  /// A T5.
  public init(
    dModel: Int, dFF: Int, dKV: Int, headCount: Int, layerCount: Int, decoderLayerCount: Int, vocabularySize: Int,
    bucketCount: Int, maxDistance: Int, normEpsilon: Float, activation: Activation, isGated: Bool, hasTiedHead: Bool,
    logitScale: Float, attentionScale: Float = 1, padId: Int, eosId: Int, decoderStartId: Int,
    weightEncoding: WeightEncoding
  ) {
    architecture = .encoderDecoder
    self.dModel = dModel
    self.dFF = dFF
    self.dKV = dKV
    self.headCount = headCount
    self.layerCount = layerCount
    self.decoderLayerCount = decoderLayerCount
    self.vocabularySize = vocabularySize
    self.bucketCount = bucketCount
    self.maxDistance = maxDistance
    self.normEpsilon = normEpsilon
    self.activation = activation
    self.isGated = isGated
    self.hasTiedHead = hasTiedHead
    self.logitScale = logitScale
    self.attentionScale = attentionScale
    self.padId = padId
    self.eosId = eosId
    self.decoderStartId = decoderStartId
    self.weightEncoding = weightEncoding
  }

  /// A BERT: post-norm LayerNorms, biases, learned positions. What another encoder does otherwise is set afterwards.
  /// - Parameter separatorId: stands in `eosId`.
  public init(
    encoderWith dModel: Int, dFF: Int, headCount: Int, layerCount: Int, vocabularySize: Int, maxPositions: Int,
    positionOffset: Int, tokenTypeCount: Int, normEpsilon: Float, activation: Activation, hasPooler: Bool, padId: Int,
    separatorId: Int, weightEncoding: WeightEncoding
  ) {
    precondition(headCount > 0 && dModel % headCount == 0, "heads share the width evenly")
    let dKV = dModel / headCount
    self.init(
      dModel: dModel, dFF: dFF, dKV: dKV, headCount: headCount, layerCount: layerCount, decoderLayerCount: 0,
      vocabularySize: vocabularySize, bucketCount: 0, maxDistance: 0, normEpsilon: normEpsilon, activation: activation,
      isGated: false, hasTiedHead: false, logitScale: 0, attentionScale: 1 / tusk_square_root_f32(Float(dKV)),
      padId: padId,
      eosId: separatorId, decoderStartId: 0, weightEncoding: weightEncoding)
    architecture = .encoder
    normKind = .layer
    normPlacement = .behind
    positionScheme = .learned
    self.maxPositions = maxPositions
    self.positionOffset = positionOffset
    self.tokenTypeCount = tokenTypeCount
    hasBiases = true
    hasEmbeddingNorm = true
    self.hasPooler = hasPooler
  }

  /// Width of all heads together, H K; it need not equal `dModel`.
  public var innerWidth: Int { headCount * dKV }

  public var hasDecoder: Bool { architecture == .encoderDecoder }

  /// Most tokens of a source that have a position; nil for no bound.
  public var maxSourceTokens: Int? { positionScheme == .learned ? maxPositions - positionOffset : nil }

  /// The slots of a task for this backbone.
  public var slots: SlotLayout { SlotLayout(layerCount: layerCount, decoderLayerCount: decoderLayerCount) }
}
