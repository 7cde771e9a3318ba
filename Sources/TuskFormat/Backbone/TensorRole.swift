/// The registry of tensors: `formats/tensors.md`. D dModel, F dFF, K dKV, H headCount, V vocabularySize,
/// P maxPositions, Y tokenTypeCount.
public enum TensorRole: UInt16, CaseIterable, Sendable {
  /// [V, D]
  case embedding = 1
  /// [bucketCount, H]
  case relativeBias = 2
  /// [1, D]
  case finalNorm = 3
  /// [V, D]
  case head = 4
  /// [P, D]
  case positionEmbedding = 5
  /// [Y, D]
  case tokenTypeEmbedding = 6
  /// [1, D]
  case embeddingNorm = 7
  case embeddingNormBias = 8
  case finalNormBias = 9

  /// [1, D]
  case selfAttentionNorm = 10
  /// [H K, D]
  case selfAttentionQ = 11
  case selfAttentionK = 12
  case selfAttentionV = 13
  /// [D, H K]
  case selfAttentionO = 14
  /// [1, D]
  case selfAttentionNormBias = 15
  /// [1, H K]
  case selfAttentionQBias = 16
  case selfAttentionKBias = 17
  case selfAttentionVBias = 18
  /// [1, D]
  case selfAttentionOBias = 19

  case crossAttentionNorm = 20
  case crossAttentionQ = 21
  case crossAttentionK = 22
  case crossAttentionV = 23
  case crossAttentionO = 24

  case feedForwardNorm = 30
  /// [F, D]
  case wi = 31
  case wi0 = 32
  case wi1 = 33
  /// [D, F]
  case wo = 34
  /// [1, D]
  case feedForwardNormBias = 35
  /// [1, F]
  case wiBias = 36
  case wi0Bias = 37
  case wi1Bias = 38
  /// [1, D]
  case woBias = 39

  /// [D, D]
  case pooler = 40
  /// [1, D]
  case poolerBias = 41

  public var name: StaticString {
    switch self {
    case .embedding: "embedding"
    case .relativeBias: "relativeBias"
    case .finalNorm: "finalNorm"
    case .head: "head"
    case .positionEmbedding: "positionEmbedding"
    case .tokenTypeEmbedding: "tokenTypeEmbedding"
    case .embeddingNorm: "embeddingNorm"
    case .embeddingNormBias: "embeddingNormBias"
    case .finalNormBias: "finalNormBias"
    case .selfAttentionNorm: "selfAttentionNorm"
    case .selfAttentionQ: "selfAttentionQ"
    case .selfAttentionK: "selfAttentionK"
    case .selfAttentionV: "selfAttentionV"
    case .selfAttentionO: "selfAttentionO"
    case .selfAttentionNormBias: "selfAttentionNormBias"
    case .selfAttentionQBias: "selfAttentionQBias"
    case .selfAttentionKBias: "selfAttentionKBias"
    case .selfAttentionVBias: "selfAttentionVBias"
    case .selfAttentionOBias: "selfAttentionOBias"
    case .crossAttentionNorm: "crossAttentionNorm"
    case .crossAttentionQ: "crossAttentionQ"
    case .crossAttentionK: "crossAttentionK"
    case .crossAttentionV: "crossAttentionV"
    case .crossAttentionO: "crossAttentionO"
    case .feedForwardNorm: "feedForwardNorm"
    case .wi: "wi"
    case .wi0: "wi0"
    case .wi1: "wi1"
    case .wo: "wo"
    case .feedForwardNormBias: "feedForwardNormBias"
    case .wiBias: "wiBias"
    case .wi0Bias: "wi0Bias"
    case .wi1Bias: "wi1Bias"
    case .woBias: "woBias"
    case .pooler: "pooler"
    case .poolerBias: "poolerBias"
    }
  }

  /// Whether the tensor takes the backbone's weight encoding; the others are always float32.
  public var isMatrix: Bool {
    switch self {
    case .embedding, .head, .selfAttentionQ, .selfAttentionK, .selfAttentionV, .selfAttentionO, .crossAttentionQ,
      .crossAttentionK, .crossAttentionV, .crossAttentionO, .wi, .wi0, .wi1, .wo, .pooler:
      true
    default: false
    }
  }
}

/// Which half of the model a tensor belongs to.
public enum Stack: UInt8, Sendable {
  case shared = 0
  case encoder = 1
  case decoder = 2
}

public enum WeightEncoding: UInt8, Sendable {
  case float32 = 1
  /// int8 codes with one float32 scale per row.
  case int8Rows = 2
}

/// A tensor the configuration demands.
public struct TensorSpec: Equatable, Sendable {
  public let role: TensorRole
  public let stack: Stack
  /// The block; 0 outside blocks.
  public let layer: Int
  public let rows: Int
  public let columns: Int
  public let encoding: WeightEncoding
  /// Ordinal of the `weights` section that holds it.
  public let group: Int

  /// Bytes from one row to the next.
  public var rowStrideBytes: Int {
    (columns * (encoding == .float32 ? 4 : 1)).roundedUp(to: Container.rowAlignment)
  }

  /// Bytes of all rows, without scales.
  public var dataByteCount: Int { rows * rowStrideBytes }

  /// Bytes of the per-row scales: 0 for float32.
  public var scalesByteCount: Int { encoding == .int8Rows ? rows * 4 : 0 }
}
