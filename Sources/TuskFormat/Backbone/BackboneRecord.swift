extension BackboneConfig {
  package static let recordBytes = 192

  private enum Offset {
    static let weightEncoding = 96
    static let reserved = 124
  }

  /// Reads and checks a config record.
  package init(parsing record: MappedBytes) throws(FormatError) {
    guard record.count == Self.recordBytes else {
      throw FormatError(
        .wrongSectionLength, at: record.offset, found: UInt64(record.count), required: UInt64(Self.recordBytes))
    }
    fingerprint = record.load(0)
    architecture = Architecture(rawValue: UInt32(try record.field(8, in: 1...2)))!
    let isEncoder = architecture == .encoder
    dModel = try record.field(12, in: 1...65_536)
    dFF = try record.field(16, in: 1...1_048_576)
    dKV = try record.field(20, in: 1...4096)
    headCount = try record.field(24, in: 1...1024)
    layerCount = try record.field(28, in: 1...1024)
    decoderLayerCount = try record.field(32, in: isEncoder ? 0...0 : 1...1024)
    vocabularySize = try record.field(36, in: 1...16_777_216)
    normEpsilon = try record.positive(48)
    activation = try Activation(parsing: record, at: 52)
    isGated = try record.flag(56)
    hasTiedHead = try record.field(60, in: isEncoder ? 0...0 : 0...1) == 1
    logitScale = try record.finite(64)
    if isEncoder { try record.requireZero(64..<68) }
    normKind = NormKind(rawValue: UInt32(try record.field(68, in: isEncoder ? 1...2 : 1...1)))!
    normPlacement = NormPlacement(rawValue: UInt32(try record.field(72, in: isEncoder ? 1...2 : 1...1)))!
    positionScheme = PositionScheme(rawValue: UInt32(try record.field(76, in: isEncoder ? 1...2 : 1...1)))!
    let isRelative = positionScheme == .relativeBias
    bucketCount = try record.field(40, in: isRelative ? 4...4096 : 0...0)
    guard bucketCount % 2 == 0 else {
      throw FormatError(.invalidField, at: record.offset + 40, found: UInt64(bucketCount), required: 4)
    }
    maxDistance = try record.field(44, in: isRelative ? UInt32(bucketCount / 2 + 1)...1_048_576 : 0...0)
    attentionScale = try record.finite(80)
    let lastId = UInt32(vocabularySize - 1)
    padId = try record.field(84, in: 0...lastId)
    eosId = try record.field(88, in: 0...lastId)
    decoderStartId = try record.field(92, in: isEncoder ? 0...0 : 0...lastId)
    weightEncoding = try record.field(Offset.weightEncoding, in: 1...2) == 1 ? .float32 : .int8Rows
    maxPositions = try record.field(100, in: isRelative ? 0...0 : 1...1_048_576)
    positionOffset = try record.field(104, in: 0...UInt32(max(maxPositions - 1, 0)))
    tokenTypeCount = try record.field(108, in: 0...(isEncoder ? 256 : 0))
    hasBiases = try record.field(112, in: 0...(isEncoder ? 1 : 0)) == 1
    hasEmbeddingNorm = try record.field(116, in: 0...(isEncoder ? 1 : 0)) == 1
    hasPooler = try record.field(120, in: 0...(isEncoder ? 1 : 0)) == 1
    try record.requireZero(Offset.reserved..<Self.recordBytes)
  }

  /// The config record.
  package var record: [UInt8] {
    var bytes = LittleEndianBytes(capacity: Self.recordBytes)
    bytes.append(fingerprint)
    bytes.append(architecture.rawValue)
    for value in [
      dModel, dFF, dKV, headCount, layerCount, decoderLayerCount, vocabularySize, bucketCount, maxDistance,
    ] {
      bytes.append(UInt32(value))
    }
    bytes.append(normEpsilon.bitPattern)
    bytes.append(activation.rawValue)
    bytes.append(UInt32(isGated ? 1 : 0))
    bytes.append(UInt32(hasTiedHead ? 1 : 0))
    bytes.append(logitScale.bitPattern)
    for value in [normKind.rawValue, normPlacement.rawValue, positionScheme.rawValue] { bytes.append(value) }
    bytes.append(attentionScale.bitPattern)
    for value in [padId, eosId, decoderStartId, Int(weightEncoding.rawValue)] { bytes.append(UInt32(value)) }
    for value in [maxPositions, positionOffset, tokenTypeCount] { bytes.append(UInt32(value)) }
    for flag in [hasBiases, hasEmbeddingNorm, hasPooler] { bytes.append(UInt32(flag ? 1 : 0)) }
    bytes.pad(to: Self.recordBytes)
    return bytes.bytes
  }

  /// The fingerprint's state after the part of it that the record stands for.
  package var fingerprintBasis: Fingerprint {
    var basis = Fingerprint()
    for (position, byte) in record.enumerated() {
      let isExcluded = position < 8 || (Offset.weightEncoding..<Offset.weightEncoding + 4).contains(position)
      basis.combine(isExcluded ? 0 : byte)
    }
    return basis
  }
}
