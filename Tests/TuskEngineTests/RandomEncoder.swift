import Foundation
import TuskFormat

/// Random encoders of every kind the config record can name, and tasks with heads for them.
enum RandomEncoder {
  /// A BERT.
  static func bert(_ encoding: WeightEncoding = .int8Rows) -> BackboneConfig {
    BackboneConfig(
      encoderWith: 36, dFF: 72, headCount: 3, layerCount: 2, vocabularySize: 53, maxPositions: 152, positionOffset: 2,
      tokenTypeCount: 2, normEpsilon: 1e-12, activation: .gelu, hasPooler: true, padId: 0, separatorId: 3,
      weightEncoding: encoding)
  }

  /// What no known model is: pre-norm LayerNorms in front of a gated feed-forward with biases.
  static func mixed(_ encoding: WeightEncoding) -> BackboneConfig {
    var config = bert(encoding)
    config.normPlacement = .before
    config.isGated = true
    return config
  }

  /// The encoder of `t5` by itself.
  static func encoder(of t5: BackboneConfig) -> BackboneConfig {
    var config = t5
    config.architecture = .encoder
    config.decoderLayerCount = 0
    config.hasTiedHead = false
    config.logitScale = 0
    config.decoderStartId = 0
    return config
  }

  /// An adapter and norms of its own in every slot, and a head.
  static func task(
    _ config: BackboneConfig, head: TaskHead, inputRule: InputRule, size: Float = 0.3, seed: UInt64 = 3
  ) throws -> TaskSection {
    var parts = Parts(config, size: size, seed: seed)
    for layer in 0..<config.layerCount {
      for subLayer in [SubLayer.selfAttention, .feedForward] {
        let slot = config.slots.slot(.encoder, subLayer, layer: layer)
        parts.builder.setNorm(parts.tensor(.taskNorm, TensorShape(config.dModel)), slot: slot)
        if config.normKind == .layer {
          parts.builder.setNormBias(parts.tensor(.taskNormBias, TensorShape(config.dModel)), slot: slot)
        }
        let adapter = TaskAdapter(
          activation: .gelu, inputRule: inputRule, skipRule: .subLayer, addsStream: true, bottleneckWidth: 6,
          scaling: 1, normEpsilon: 1e-5, down: parts.dense(config.dModel, 6), up: parts.dense(6, config.dModel))
        parts.builder.attach(.adapter(adapter), slot: slot)
      }
    }
    let section = parts.section(head)
    let path = GoldenFixtures.temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskWriter.write(section, provenance: nil, path: path)
    return try PackedFile(path: path).task(at: 0)
  }

  /// A section that is nothing but `head`, for a backbone of `config`.
  static func headSection(_ config: BackboneConfig, _ head: TaskHead) -> [UInt8] {
    var parts = Parts(config, size: 1, seed: 4)
    return parts.section(head)
  }

  private struct Parts {
    var builder: TaskBuilder
    private let width: Int
    private let size: Float
    private var random: SystemlessRandom

    init(_ config: BackboneConfig, size: Float, seed: UInt64) {
      builder = TaskBuilder(
        config: config, name: Array("random".utf8), vocabularySize: config.vocabularySize, origin: .adapters)
      width = config.dModel
      self.size = size
      random = SystemlessRandom(seed: seed)
    }

    mutating func tensor(_ kind: TaskTensorKind, _ shape: TensorShape) -> Int {
      var values: [Float] = []
      for _ in 0..<shape.elementCount { values.append(random.normal() * size) }
      return builder.addTensor(kind, shape, values)
    }

    mutating func dense(_ inWidth: Int, _ outWidth: Int) -> Int {
      let full = tensor(.full, TensorShape(1, inWidth, outWidth))
      let bias = tensor(.bias, TensorShape(outWidth))
      return builder.addLinear(
        TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, full: full, bias: bias))
    }

    /// `head` with random layers of its widths in place of the linears it names.
    mutating func section(_ head: TaskHead) -> [UInt8] {
      var head = head
      let hidden = head.second == nil ? head.outWidth : width
      if head.first != nil { head.first = dense(width, hidden) }
      if head.second != nil { head.second = dense(hidden, head.outWidth) }
      builder.setHead(head)
      return builder.sectionBytes()
    }
  }
}
