import Foundation

@testable import TuskFormat

/// Encoders of every kind the config record can name, as small as can be, and tasks with heads for them.
enum EncoderFiles {
  /// Post-norm, biases, learned positions, token types, pooler: all that a T5 has not.
  static let bert = BackboneConfig(
    encoderWith: 4, dFF: 6, headCount: 2, layerCount: 1, vocabularySize: 5, maxPositions: 7, positionOffset: 2,
    tokenTypeCount: 2, normEpsilon: 1e-12, activation: .gelu, hasPooler: true, padId: 0, separatorId: 3,
    weightEncoding: .int8Rows)

  /// The encoder of a T5 by itself.
  static let relative: BackboneConfig = {
    var config = bert
    config.normKind = .rms
    config.normPlacement = .before
    config.positionScheme = .relativeBias
    config.bucketCount = 4
    config.maxDistance = 8
    config.maxPositions = 0
    config.positionOffset = 0
    config.tokenTypeCount = 0
    config.hasBiases = false
    config.hasEmbeddingNorm = false
    config.hasPooler = false
    config.attentionScale = 1
    return config
  }()

  /// What no known model is, but the record can say: pre-norm LayerNorms, gated, with biases.
  static let mixed: BackboneConfig = {
    var config = bert
    config.normPlacement = .before
    config.isGated = true
    config.layerCount = 2
    config.weightEncoding = .float32
    return config
  }()

  static let all = [bert, relative, mixed]

  /// A task that is nothing but a head of two layers and two labels.
  static func headSection(_ config: BackboneConfig, input: HeadInput = .firstToken) -> [UInt8] {
    var builder = TaskBuilder(config: config, name: Array("head".utf8), vocabularySize: 5, origin: .adapters)
    setHead(&builder, input)
    return builder.sectionBytes()
  }

  /// A task with a head, a norm with its bias, and an adapter behind the norm of its sub-layer.
  static func taskSection(_ config: BackboneConfig) -> [UInt8] {
    var builder = TaskBuilder(config: config, name: Array("task".utf8), vocabularySize: 5, origin: .adapters)
    let slot = builder.layout.slot(.encoder, .feedForward, layer: 0)
    builder.setNorm(builder.addTensor(.taskNorm, TensorShape(4), [1, 1, 1, 2]), slot: slot)
    if config.normKind == .layer {
      builder.setNormBias(builder.addTensor(.taskNormBias, TensorShape(4), [0, 0, 0, 1]), slot: slot)
    }
    let adapter = TaskAdapter(
      activation: .gelu,
      inputRule: config.normPlacement == .behind ? .normOfSubLayerPlusStream : .subLayerPlusStream,
      skipRule: .subLayer, addsStream: true, bottleneckWidth: 2, scaling: 1, normEpsilon: 1e-5,
      down: dense(4, 2, &builder), up: dense(2, 4, &builder))
    builder.attach(.adapter(adapter), slot: slot)
    setHead(&builder, .mean)
    return builder.sectionBytes()
  }

  /// A task with an attachment of every kind: LoKr, int8 rows, scales, a bias, a gate, a prefix, a prompt.
  static func everyKindSection(_ config: BackboneConfig) -> [UInt8] {
    var builder = TaskBuilder(config: config, name: Array("all".utf8), vocabularySize: 5, origin: .peft)
    func tensor(_ kind: TaskTensorKind, _ rows: Int, _ columns: Int = 1, _ last: Int = 1) -> Int {
      builder.addTensor(
        kind, TensorShape(rows, columns, last), (0..<rows * columns * last).map { Float($0 + 1) / 8 })
    }
    let attention = builder.layout.slot(.encoder, .selfAttention, layer: 0)
    let lokr = builder.addLinear(
      TaskLinear(
        inWidth: 4, outWidth: config.innerWidth, phmDim: 1, inBlocks: 2, outBlocks: 1, factorRank: 1,
        rule: tensor(.rule, 1, 2, 1), leftFactor: tensor(.leftFactor, 1, 2, 1),
        rightFactor: tensor(.rightFactor, 1, 1, config.innerWidth)))
    builder.attach(
      .product(TaskProduct(target: .v, linear: lokr, scaling: 0.5, bias: tensor(.bias, config.innerWidth))),
      slot: attention)
    builder.attach(
      .product(TaskProduct(target: .o, inputScale: tensor(.inputScale, config.innerWidth))), slot: attention)
    builder.attach(
      .prefix(
        TaskPrefix(
          tokenCount: 3, keys: tensor(.prefixKeys, 3, config.innerWidth),
          values: tensor(.prefixValues, 3, config.innerWidth), queryOffset: 1)), slot: attention)
    let feedForward = builder.layout.slot(.encoder, .feedForward, layer: 0)
    let codes = builder.addLinear(
      TaskLinear(
        inWidth: 4, outWidth: 2, phmDim: 1, factorRank: 0,
        codes: builder.addCodes(rows: 2, columns: 4, [1, -2, 3, -4, 127, -127, 0, 5]), scales: tensor(.scales, 2)))
    builder.attach(
      .adapter(
        TaskAdapter(
          activation: .relu, inputRule: .stream, skipRule: .subLayer, addsStream: true, normsSkip: true,
          bottleneckWidth: 2, scaling: 2, normEpsilon: 1e-5, down: codes, up: dense(2, 4, &builder),
          normAfterWeight: tensor(.adapterNormWeight, 4), normAfterBias: tensor(.adapterNormBias, 4),
          gateWeight: tensor(.gateWeight, 4), gateBias: tensor(.gateBias, 1))), slot: feedForward)
    builder.attach(
      .product(TaskProduct(target: .wo, outputScale: tensor(.outputScale, 4))), slot: feedForward)
    builder.attach(
      .prompt(
        TaskPrompt(
          tokenCount: 2, embeddings: tensor(.prompt, 2, 4), place: .behindFirstToken, stage: .embeddings,
          firstToken: 0)), slot: builder.layout.encoderStart)
    return builder.sectionBytes()
  }

  private static func setHead(_ builder: inout TaskBuilder, _ input: HeadInput) {
    let head = TaskHead(
      input: input, output: .exclusiveLabels, first: dense(4, 3, &builder), firstActivation: .tanh,
      second: dense(3, 2, &builder), outWidth: 2)
    builder.setHead(head, labels: [Array("no".utf8), Array("yes".utf8)])
  }

  private static func dense(_ inWidth: Int, _ outWidth: Int, _ builder: inout TaskBuilder) -> Int {
    let full = builder.addTensor(
      .full, TensorShape(1, inWidth, outWidth), (0..<inWidth * outWidth).map { Float($0) })
    let bias = builder.addTensor(.bias, TensorShape(outWidth), [Float](repeating: 0.5, count: outWidth))
    return builder.addLinear(
      TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, full: full, bias: bias))
  }

  /// A bundle of a backbone with a head and a task with another.
  static func bundleBytes(
    _ config: BackboneConfig, section: (BackboneConfig) -> [UInt8] = taskSection
  ) throws -> [UInt8] {
    let backbone = try NanoFiles.open(NanoFiles.backboneBytes(config, head: headSection(config)))
    let section = section(backbone.config!)
    let task = try NanoFiles.open(NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
    return try NanoFiles.written { try TaskWriter.writeBundle(backbone, tasks: [task.task(at: 0)], path: $0) }
  }
}
