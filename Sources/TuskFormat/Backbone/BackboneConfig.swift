public enum Activation: UInt32, CaseIterable, Sendable {
  case identity = 0
  case relu = 1
  /// Exact: with the error function.
  case gelu = 2
  /// The approximation with tanh; differs from `gelu` by up to 4.7e-4.
  case geluNew = 3
  case silu = 4
  case tanh = 5
  case sigmoid = 6
  /// Slope 0.01 below zero.
  case leakyRelu = 7

  public var name: StaticString {
    switch self {
    case .identity: "identity"
    case .relu: "relu"
    case .gelu: "gelu"
    case .geluNew: "gelu_new"
    case .silu: "silu"
    case .tanh: "tanh"
    case .sigmoid: "sigmoid"
    case .leakyRelu: "leaky_relu"
    }
  }
}

/// Everything about a backbone that is not a weight: the config record of `formats/packed-file.md`.
public struct BackboneConfig: Equatable, Sendable {
  /// Identity of the checkpoint, the same for its int8 and its float32 pack.
  public var fingerprint: UInt64 = 0
  public var dModel: Int
  public var dFF: Int
  public var dKV: Int
  public var headCount: Int
  public var layerCount: Int
  public var decoderLayerCount: Int
  public var vocabularySize: Int
  public var bucketCount: Int
  public var maxDistance: Int
  public var normEpsilon: Float
  public var activation: Activation
  public var isGated: Bool
  public var hasTiedHead: Bool
  /// Multiplies the decoder output before the head.
  public var logitScale: Float
  public var attentionScale: Float
  public var padId: Int
  public var eosId: Int
  public var decoderStartId: Int
  public var weightEncoding: WeightEncoding

  /// Width of all heads together, H K; it need not equal `dModel`.
  public var innerWidth: Int { headCount * dKV }

  /// The slots of a task for this backbone.
  public var slots: SlotLayout { SlotLayout(layerCount: layerCount, decoderLayerCount: decoderLayerCount) }

  public init(
    dModel: Int, dFF: Int, dKV: Int, headCount: Int, layerCount: Int, decoderLayerCount: Int, vocabularySize: Int,
    bucketCount: Int, maxDistance: Int, normEpsilon: Float, activation: Activation, isGated: Bool, hasTiedHead: Bool,
    logitScale: Float, attentionScale: Float = 1, padId: Int, eosId: Int, decoderStartId: Int,
    weightEncoding: WeightEncoding
  ) {
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
}

extension BackboneConfig {
  package static let recordBytes = 192

  private enum Offset {
    static let reserved = 100
  }

  /// Reads and checks a config record.
  package init(parsing record: MappedBytes) throws(FormatError) {
    guard record.count == Self.recordBytes else {
      throw FormatError(
        .wrongSectionLength, at: record.offset, found: UInt64(record.count), required: UInt64(Self.recordBytes))
    }
    fingerprint = record.load(0)
    _ = try record.field(8, in: 1...1)
    dModel = try record.field(12, in: 1...65_536)
    dFF = try record.field(16, in: 1...1_048_576)
    dKV = try record.field(20, in: 1...4096)
    headCount = try record.field(24, in: 1...1024)
    layerCount = try record.field(28, in: 1...1024)
    decoderLayerCount = try record.field(32, in: 1...1024)
    vocabularySize = try record.field(36, in: 1...16_777_216)
    bucketCount = try record.field(40, in: 4...4096)
    guard bucketCount % 2 == 0 else {
      throw FormatError(.invalidField, at: record.offset + 40, found: UInt64(bucketCount), required: 4)
    }
    maxDistance = try record.field(44, in: UInt32(bucketCount / 2 + 1)...1_048_576)
    normEpsilon = try record.positive(48)
    activation = try Activation(parsing: record, at: 52)
    isGated = try record.flag(56)
    hasTiedHead = try record.flag(60)
    logitScale = try record.finite(64)
    _ = try record.field(68, in: 1...1)
    _ = try record.field(72, in: 1...1)
    _ = try record.field(76, in: 1...1)
    attentionScale = try record.finite(80)
    let lastId = UInt32(vocabularySize - 1)
    padId = try record.field(84, in: 0...lastId)
    eosId = try record.field(88, in: 0...lastId)
    decoderStartId = try record.field(92, in: 0...lastId)
    weightEncoding = try record.field(96, in: 1...2) == 1 ? .float32 : .int8Rows
    try record.requireZero(Offset.reserved..<Self.recordBytes)
  }

  /// The config record.
  package var record: [UInt8] {
    var bytes = LittleEndianBytes(capacity: Self.recordBytes)
    bytes.append(fingerprint)
    for value in [
      1, dModel, dFF, dKV, headCount, layerCount, decoderLayerCount, vocabularySize, bucketCount, maxDistance,
    ] {
      bytes.append(UInt32(value))
    }
    bytes.append(normEpsilon.bitPattern)
    bytes.append(activation.rawValue)
    bytes.append(UInt32(isGated ? 1 : 0))
    bytes.append(UInt32(hasTiedHead ? 1 : 0))
    bytes.append(logitScale.bitPattern)
    for value in [1, 1, 1] as [UInt32] { bytes.append(value) }
    bytes.append(attentionScale.bitPattern)
    for value in [padId, eosId, decoderStartId, Int(weightEncoding.rawValue)] { bytes.append(UInt32(value)) }
    bytes.pad(to: Self.recordBytes)
    return bytes.bytes
  }

  /// The fingerprint's state after the part of it that the record stands for.
  package var fingerprintBasis: Fingerprint {
    var basis = Fingerprint()
    for (position, byte) in record.enumerated() {
      let isExcluded = position < 8 || (96..<100).contains(position)
      basis.combine(isExcluded ? 0 : byte)
    }
    return basis
  }
}

extension Activation {
  /// The u32 at `position` of `record`.
  init(parsing record: MappedBytes, at position: Int) throws(FormatError) {
    let value = try record.field(position, in: 0...UInt32(Activation.allCases.count - 1))
    self = Activation(rawValue: UInt32(value))!
  }
}
