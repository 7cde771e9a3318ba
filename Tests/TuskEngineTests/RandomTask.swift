import Foundation
import TuskFormat

/// Builds tasks of any kind of attachment out of random numbers.
struct RandomTask {
  var builder: TaskBuilder
  let config: BackboneConfig
  /// Factors are normal times this.
  private let size: Float
  private var random: SystemlessRandom

  init(_ config: BackboneConfig, size: Float = 0.3, seed: UInt64 = 7) {
    builder = TaskBuilder(
      config: config, name: Array("random".utf8), vocabularySize: config.vocabularySize, origin: .peft)
    self.config = config
    self.size = size
    random = SystemlessRandom(seed: seed)
  }

  mutating func values(_ count: Int, around centre: Float = 0) -> [Float] {
    (0..<count).map { _ in centre + random.normal() * size }
  }

  mutating func tensor(_ kind: TaskTensorKind, _ shape: TensorShape, around centre: Float = 0) -> Int {
    builder.addTensor(kind, shape, values(shape.elementCount, around: centre))
  }

  mutating func lowRank(_ inWidth: Int, _ outWidth: Int, rank: Int = 2) -> Int {
    let left = tensor(.leftFactor, TensorShape(1, inWidth, rank))
    let right = tensor(.rightFactor, TensorShape(1, rank, outWidth))
    return builder.addLinear(
      TaskLinear(
        inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: rank, leftFactor: left, rightFactor: right))
  }

  /// A Kronecker product of two full matrices.
  mutating func kronecker(_ inWidth: Int, _ outWidth: Int, inBlocks: Int, outBlocks: Int) -> Int {
    let rule = tensor(.rule, TensorShape(1, inBlocks, outBlocks))
    let full = tensor(.full, TensorShape(1, inWidth / inBlocks, outWidth / outBlocks))
    return builder.addLinear(
      TaskLinear(
        inWidth: inWidth, outWidth: outWidth, phmDim: 1, inBlocks: inBlocks, outBlocks: outBlocks, factorRank: 0,
        rule: rule, full: full))
  }

  mutating func dense(_ inWidth: Int, _ outWidth: Int) -> Int {
    let full = tensor(.full, TensorShape(1, inWidth, outWidth))
    let bias = tensor(.bias, TensorShape(outWidth))
    return builder.addLinear(
      TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, full: full, bias: bias))
  }

  mutating func denseCodes(_ inWidth: Int, _ outWidth: Int) -> Int {
    let codes = (0..<inWidth * outWidth).map { _ in Int8(random.uniform() * 254 - 127) }
    let tensor = builder.addCodes(rows: outWidth, columns: inWidth, codes)
    let scales = builder.addTensor(.scales, TensorShape(outWidth), values(outWidth).map { abs($0) / 127 })
    return builder.addLinear(
      TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, codes: tensor, scales: scales))
  }

  mutating func adapter(_ inputRule: InputRule, isGated: Bool = false, isQuantized: Bool = false) -> TaskAdapter {
    let width = config.dModel
    var adapter = TaskAdapter(
      activation: .gelu, inputRule: inputRule, skipRule: .subLayer, addsStream: true, normsSkip: isGated,
      bottleneckWidth: 6, scaling: 0.75, normEpsilon: 1e-5,
      down: isQuantized ? denseCodes(width, 6) : dense(width, 6),
      up: isQuantized ? denseCodes(6, width) : dense(6, width)
    )
    if isGated {
      adapter.normAfterWeight = tensor(.adapterNormWeight, TensorShape(width), around: 1)
      adapter.normAfterBias = tensor(.adapterNormBias, TensorShape(width))
      adapter.gateWeight = tensor(.gateWeight, TensorShape(width))
      adapter.gateBias = tensor(.gateBias, TensorShape(1))
    }
    return adapter
  }

  mutating func attachPrefix(_ slot: Int, count: Int, queryOffset: Int = 0) {
    let shape = TensorShape(count, config.innerWidth)
    let prefix = TaskPrefix(
      tokenCount: count, keys: tensor(.prefixKeys, shape), values: tensor(.prefixValues, shape),
      queryOffset: queryOffset)
    builder.attach(.prefix(prefix), slot: slot)
  }

  func section() throws -> TaskSection { try Self.open(builder.sectionBytes()) }

  /// The task that `bytes` are the section of.
  static func open(_ bytes: [UInt8]) throws -> TaskSection {
    let path = GoldenFixtures.temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskWriter.write(bytes, provenance: nil, path: path)
    return try PackedFile(path: path).task(at: 0)
  }
}

/// The changes of products that `RandomTask` knows, each at any product it fits.
enum ProductKind: CaseIterable, Sendable {
  case lowRank, kronecker, codes, scales, bias
}

extension RandomTask {
  /// in and out of a product of the backbone.
  func widths(_ target: ProductTarget) -> (in: Int, out: Int) {
    switch target {
    case .q, .k, .v: (config.dModel, config.innerWidth)
    case .o: (config.innerWidth, config.dModel)
    case .wi, .wi0, .wi1: (config.dModel, config.dFF)
    case .wo: (config.dFF, config.dModel)
    case .pooler: (config.dModel, config.dModel)
    case .head: (config.dModel, config.vocabularySize)
    }
  }

  /// Every product of the backbone, with its slot.
  var products: [(target: ProductTarget, slot: Int)] {
    var found: [(ProductTarget, Int)] = []
    let into: [ProductTarget] = config.isGated ? [.wi0, .wi1] : [.wi]
    for slot in 0..<config.slots.count {
      guard let site = config.slots.subLayer(ofSlot: slot) else { continue }
      found += (site.subLayer == .feedForward ? into + [.wo] : [.q, .k, .v, .o]).map { ($0, slot) }
    }
    if config.hasPooler { found.append((.pooler, config.slots.encoderEnd)) }
    if config.hasDecoder { found.append((.head, config.slots.decoderEnd)) }
    return found
  }

  /// Changes a product; scales and biases are near those that change nothing.
  mutating func change(_ target: ProductTarget, slot: Int, _ kind: ProductKind) {
    let (inWidth, outWidth) = widths(target)
    var product = TaskProduct(target: target)
    switch kind {
    case .lowRank: product.linear = lowRank(inWidth, outWidth)
    case .kronecker:
      let inBlocks = [8, 4, 3, 1].first { inWidth % $0 == 0 }!
      let outBlocks = [3, 4, 1].first { outWidth % $0 == 0 }!
      product.linear = kronecker(inWidth, outWidth, inBlocks: inBlocks, outBlocks: outBlocks)
    case .codes: product.linear = denseCodes(inWidth, outWidth)
    case .scales:
      product.outputScale = tensor(.outputScale, TensorShape(outWidth), around: 1)
      if target == .o || target == .wo { product.inputScale = tensor(.inputScale, TensorShape(inWidth), around: 1) }
    case .bias: product.bias = tensor(.bias, TensorShape(outWidth))
    }
    if product.linear != nil { product.scaling = 0.5 }
    builder.attach(.product(product), slot: slot)
  }

  /// Something of every kind, everywhere it may be.
  static func everything(_ config: BackboneConfig, size: Float = 0.2, seed: UInt64 = 7) throws -> TaskSection {
    try open(everythingBytes(config, size: size, seed: seed))
  }

  static func everythingBytes(_ config: BackboneConfig, size: Float = 0.2, seed: UInt64 = 7) -> [UInt8] {
    var task = RandomTask(config, size: size, seed: seed)
    for (index, product) in task.products.enumerated() {
      task.change(product.target, slot: product.slot, ProductKind.allCases[(index + Int(seed)) % 5])
    }
    for slot in 0..<config.slots.count {
      let site = config.slots.subLayer(ofSlot: slot)
      if let site {
        let isInEncoder = site.stack == .encoder
        let rules: [InputRule] = [.subLayer, .stream, .subLayerPlusStream]
        task.builder.attach(
          .adapter(task.adapter(rules[slot % 3], isGated: isInEncoder, isQuantized: slot % 2 == 1)), slot: slot)
        if site.subLayer != .feedForward { task.attachPrefix(slot, count: 2 + slot % 3, queryOffset: slot % 2) }
      }
      let hasNorm = site != nil || config.normPlacement == .before || slot == config.slots.encoderStart
      guard hasNorm && (slot != config.slots.encoderStart || config.hasEmbeddingNorm) else { continue }
      guard slot != config.slots.decoderEnd || config.hasDecoder else { continue }
      task.builder.setNorm(task.tensor(.taskNorm, TensorShape(config.dModel), around: 1), slot: slot)
      task.builder.setNormBias(task.tensor(.taskNormBias, TensorShape(config.dModel)), slot: slot)
    }
    let prompt = TaskPrompt(
      tokenCount: 3, embeddings: task.tensor(.prompt, TensorShape(3, config.dModel)), place: .behindFirstToken,
      stage: seed % 2 == 0 ? .wordEmbeddings : .embeddings, firstToken: 0)
    task.builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
    if !config.hasDecoder {
      let head = task.dense(config.dModel, 3)
      task.builder.setHead(TaskHead(input: .pooler, output: .numbers, first: head, outWidth: 3))
    }
    return task.builder.sectionBytes()
  }
}
