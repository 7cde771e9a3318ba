import Foundation
import TuskFormat

/// Random packs of any shape, and random tasks for them, so that properties need no recorded files.
enum RandomModel {
  static func config(
    _ encoding: WeightEncoding = .int8Rows, isGated: Bool = false, dModel: Int = 40, layers: Int = 2
  ) -> BackboneConfig {
    BackboneConfig(
      dModel: dModel, dFF: 72, dKV: 9, headCount: 3, layerCount: layers, decoderLayerCount: layers + 1,
      vocabularySize: 53, bucketCount: 8, maxDistance: 16, normEpsilon: 1e-6, activation: isGated ? .geluNew : .relu,
      isGated: isGated, hasTiedHead: !isGated, logitScale: isGated ? 1 : 1 / Float(dModel).squareRoot(), padId: 0,
      eosId: 1, decoderStartId: 0, weightEncoding: encoding)
  }

  /// A pack whose tensors depend on nothing but their role, stack, block and shape; `damaged` ones are not numbers.
  /// - Parameter change: of a row of a tensor.
  static func backbone(
    _ config: BackboneConfig, head: [UInt8]? = nil, tokenizer: [UInt8]? = nil, damaged: TensorRole? = nil,
    change: (_ spec: TensorSpec, _ row: Int, _ values: inout [Float]) -> Void = { _, _, _ in }
  ) throws -> PackedFile {
    let path = GoldenFixtures.temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try BackboneWriter(path: path, config: config, tokenizer: tokenizer, provenance: nil, head: head)
    while let spec = writer.currentTensor {
      var scales: [Float] = []
      var random = SystemlessRandom(
        seed: UInt64(spec.role.rawValue) << 32 | UInt64(spec.stack.rawValue) << 16 | UInt64(spec.layer))
      for index in 0..<spec.rows {
        var row = (0..<spec.columns).map { _ in
          spec.role.isNorm ? 1 : random.normal() / Float(spec.columns).squareRoot()
        }
        change(spec, index, &row)
        try encoded(spec.role == damaged ? row.map { _ in .nan } : row, spec, &scales).withUnsafeBytes {
          try writer.append($0)
        }
      }
      if spec.encoding == .int8Rows { try scales.withUnsafeBytes { try writer.append($0) } }
      try writer.finishTensor(sourceChecksum: 1)
    }
    try writer.finish()
    return try PackedFile(path: path)
  }

  private static func encoded(_ row: [Float], _ spec: TensorSpec, _ scales: inout [Float]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: spec.rowStrideBytes)
    if spec.encoding == .float32 {
      row.withUnsafeBytes { source in bytes.replaceSubrange(0..<source.count, with: source) }
      return bytes
    }
    let scale = row.map { abs($0) }.max()! / 127
    for (column, value) in row.enumerated() { bytes[column] = UInt8(bitPattern: Int8((value / scale).rounded())) }
    scales.append(scale)
    return bytes
  }

  /// A Compacter in every slot that is not cross-attention, factors times `size`.
  static func task(
    _ config: BackboneConfig, size: Float = 1, phmDim: Int = 4, bottleneckWidth: Int = 8, seed: UInt64 = 3
  ) throws -> TaskSection {
    var random = SystemlessRandom(seed: seed)
    var builder = TaskBuilder(
      config: config, name: Array("random".utf8), vocabularySize: config.vocabularySize, origin: .adapters)
    func tensor(_ kind: TaskTensorKind, _ shape: TensorShape) -> Int {
      builder.addTensor(kind, shape, (0..<shape.elementCount).map { _ in random.normal() * size })
    }
    let rule = tensor(.rule, TensorShape(phmDim, phmDim, phmDim))
    func linear(_ inWidth: Int, _ outWidth: Int) -> Int {
      let left = tensor(.leftFactor, TensorShape(phmDim, inWidth / phmDim, 1))
      let right = tensor(.rightFactor, TensorShape(phmDim, 1, outWidth / phmDim))
      let bias = tensor(.bias, TensorShape(outWidth))
      var linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: phmDim, factorRank: 1)
      linear.rule = rule
      linear.leftFactor = left
      linear.rightFactor = right
      linear.bias = bias
      return builder.addLinear(linear)
    }
    for (stack, layers) in [(Stack.encoder, config.layerCount), (.decoder, config.decoderLayerCount)] {
      for layer in 0..<layers {
        for subLayer in [SubLayer.selfAttention, .feedForward] {
          let adapter = TaskAdapter(
            activation: .gelu, inputRule: .subLayer, skipRule: .subLayer, addsStream: true,
            bottleneckWidth: bottleneckWidth, scaling: 1, normEpsilon: 1e-5,
            down: linear(config.dModel, bottleneckWidth), up: linear(bottleneckWidth, config.dModel))
          builder.attach(.adapter(adapter), slot: builder.layout.slot(stack, subLayer, layer: layer))
        }
      }
    }
    let path = GoldenFixtures.temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: path)
    return try PackedFile(path: path).task(at: 0)
  }
}

extension TensorRole {
  fileprivate var isNorm: Bool {
    switch self {
    case .embeddingNorm, .finalNorm, .selfAttentionNorm, .crossAttentionNorm, .feedForwardNorm: true
    default: false
    }
  }
}

/// A generator whose numbers are the same everywhere.
struct SystemlessRandom {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Uniform in 0 ..< 1.
  mutating func uniform() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / Float(1 << 24)
  }

  /// Normal, mean 0 and variance 1, within 6 standard deviations.
  mutating func normal() -> Float { (0..<12).reduce(-6) { sum, _ in sum + uniform() } }
}
