import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// A backbone of random numbers with a task of random numbers on it, none of them where methods begin.
struct TrainingCase: CustomTestStringConvertible, Sendable {
  enum Parts: Sendable {
    case method(MethodSettings, HeadTemplate?)
    /// Something of all that can be trained, everywhere it can be.
    case everything(TaskPrompt.Stage, HeadInput?)
  }

  let name: String
  var config: BackboneConfig
  let parts: Parts
  /// Whether no activation has a kink.
  var isSmooth = false

  var testDescription: String { "\(name) \(config.weightEncoding)" }

  /// Every method in every dialect that has it, and tasks of everything, on every kind of backbone.
  static func all(_ encoding: WeightEncoding) -> [TrainingCase] {
    let t5 = MethodBackbones.tinyT5(encoding)
    let gated = MethodBackbones.tinyT5(encoding, isGated: true)
    let bert = bert(encoding)
    var cases: [TrainingCase] = []
    for dialect in TrainingDialect.allCases {
      for method in TrainingMethod.allCases where !method.trainsBackbone {
        let settings = MethodSettings(method, dialect: dialect).with {
          $0.reductionFactor = 4
          $0.phmDim = 4
          $0.factorRank = method == .compacterPlusPlus ? 2 : 1
          $0.factorizesRule = method == .compacter && dialect == .authors
          $0.loraRank = 3
          $0.promptTokens = 4
        }
        let name = "\(method.rawValue) \(dialect.rawValue)"
        if method != .prompt || dialect == .authors {
          cases.append(TrainingCase(name: "t5 \(name)", config: t5, parts: .method(settings, nil)))
          cases.append(TrainingCase(name: "gated t5 \(name)", config: gated, parts: .method(settings, nil)))
        }
        let head =
          dialect == .authors
          ? HeadTemplate(.regression, layers: .onPooler) : HeadTemplate(.classification(labels: ["a", "b", "c"]))
        cases.append(TrainingCase(name: "bert \(name)", config: bert, parts: .method(settings, head)))
      }
    }
    return cases + everything(encoding)
  }

  static func everything(_ encoding: WeightEncoding) -> [TrainingCase] {
    [
      TrainingCase(
        name: "t5", config: MethodBackbones.tinyT5(encoding), parts: .everything(.wordEmbeddings, nil)),
      TrainingCase(
        name: "gated t5", config: MethodBackbones.tinyT5(encoding, isGated: true), parts: .everything(.embeddings, nil)),
      TrainingCase(name: "wide t5", config: wide(encoding), parts: .everything(.wordEmbeddings, nil)),
      TrainingCase(name: "bert", config: bert(encoding), parts: .everything(.wordEmbeddings, .pooler)),
      TrainingCase(name: "bert", config: bert(encoding), parts: .everything(.embeddings, .mean)),
      TrainingCase(
        name: "encoder of t5", config: encoder(of: MethodBackbones.tinyT5(encoding)),
        parts: .everything(.embeddings, .firstToken)),
    ]
  }

  /// Tasks of everything, without kinks, which differences would step over.
  static func smooth(_ encoding: WeightEncoding) -> [TrainingCase] {
    everything(encoding).map { example in
      var example = example
      example.isSmooth = true
      if example.config.activation == .relu { example.config.activation = .silu }
      return example
    }
  }

  private static func bert(_ encoding: WeightEncoding) -> BackboneConfig {
    MethodBackbones.encoder(48, dFF: 72, heads: 3, layers: 2, vocabulary: 53, positions: 80, encoding)
  }

  /// Wider than what is dequantized together.
  private static func wide(_ encoding: WeightEncoding) -> BackboneConfig {
    MethodBackbones.t5(200, dFF: 272, heads: 3, layers: 1, vocabulary: 150, dKV: 52, isGated: true, encoding)
  }

  private static func encoder(of t5: BackboneConfig) -> BackboneConfig {
    var config = t5
    config.architecture = .encoder
    config.decoderLayerCount = 0
    config.hasTiedHead = false
    config.logitScale = 0
    return config
  }

  // MARK: Task

  func task(_ file: PackedFile) throws -> TrainableTask {
    let config = file.config!
    let section: [UInt8]
    switch parts {
    case .method(let settings, let head):
      section = try MethodTask.section(settings, backbone: file, name: "random", head: head)
    case .everything(let stage, let input): section = RandomParts(config, isSmooth: isSmooth).section(stage, input)
    }
    let task = try TrainableTask(section, config: config)
    var random = SplitMix64(seed: 5)
    let scale = 0.25 * (48 / Double(config.dModel)).squareRoot()
    for position in 0..<task.section.tensorCount {
      let tensor = task.section.tensor(at: position)
      let values = random.floats(tensor.shape.elementCount, scale: scale)
      let place = task.values + (task.gradient(position) - task.gradients)
      for (index, value) in values.enumerated() { place[index] = tensor.kind == .taskNorm ? 1 + value : value }
    }
    return task
  }

  /// Examples with more and fewer tokens than tiles have.
  func examples() throws -> ExampleSet {
    let head: HeadTemplate.Kind? = if case .method(_, let head) = parts { head?.kind } else { nil }
    var set = ExampleSet(
      config.hasDecoder ? .texts : head == .regression ? .numbers : .labels(LabelSet(["a", "b", "c"])), file: "examples"
    )
    var random = SplitMix64(seed: 6)
    func ids(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32(2 + random.integer(below: 48)) } }
    for (index, (source, target)) in [(5, 3), (70, 17), (1, 1), (33, 9), (17, 2), (12, 5)].enumerated() {
      let sourceIds = ids(source)
      let answer: TokenizedExample.Target =
        switch set.answers {
        case .texts: .tokens(ids(target))
        case .labels: .label(index % 3)
        case .numbers: .number(Float(index) - 2.5)
        }
      let types = config.tokenTypeCount > 1 && index % 2 == 1 ? (0..<source).map { Int32($0 * 2 / source) } : []
      try set.append(
        TokenizedExample(sourceIds: sourceIds, typeIds: types, target: answer, line: index + 1), isTruncated: false,
        gold: nil)
    }
    return set
  }

  func request(_ set: ExampleSet, threads: Int = 1, dropout: DropoutRates = .none) -> TrainingRequest {
    TrainingRequest(
      sourceTokens: set.longestSource, targetTokens: set.longestTarget, batch: set.count, threads: threads,
      dropout: dropout)
  }
}

/// A task in the making that has something of everything.
private struct RandomParts {
  let config: BackboneConfig
  let isSmooth: Bool
  var builder: TaskBuilder
  private var linearCount = 0

  init(_ config: BackboneConfig, isSmooth: Bool) {
    self.config = config
    self.isSmooth = isSmooth
    // Fewer words than the backbone has.
    builder = TaskBuilder(
      config: config, name: Array("everything".utf8), vocabularySize: config.vocabularySize - 3, origin: .training)
  }

  /// The numbers are drawn afterwards.
  private mutating func tensor(_ kind: TaskTensorKind, _ shape: TensorShape) -> Int {
    builder.addTensor(kind, shape, [Float](repeating: 1, count: shape.elementCount))
  }

  /// A linear of the next form.
  private mutating func linear(_ inWidth: Int, _ outWidth: Int, hasBias: Bool) -> Int {
    linearCount += 1
    let isKronecker = linearCount % 4 > 1
    let isFull = linearCount % 2 == 0
    func blocks(_ width: Int) -> Int { isKronecker ? [4, 3, 2, 1].first { width % $0 == 0 }! : 1 }
    let (rows, columns) = (blocks(inWidth), blocks(outWidth))
    let terms = isKronecker && rows == columns ? rows : 1
    let rank = isFull ? 0 : 2
    var linear = TaskLinear(
      inWidth: inWidth, outWidth: outWidth, phmDim: terms, inBlocks: rows, outBlocks: columns, factorRank: rank)
    if isKronecker && linearCount % 8 > 4 {
      linear.ruleLeft = tensor(.ruleLeft, TensorShape(terms, rows, 1))
      linear.ruleRight = tensor(.ruleRight, TensorShape(terms, 1, columns))
    } else if isKronecker {
      linear.rule = tensor(.rule, TensorShape(terms, rows, columns))
    }
    if isFull {
      linear.full = tensor(.full, TensorShape(terms, inWidth / rows, outWidth / columns))
    } else {
      linear.leftFactor = tensor(.leftFactor, TensorShape(terms, inWidth / rows, rank))
      linear.rightFactor = tensor(.rightFactor, TensorShape(terms, rank, outWidth / columns))
    }
    if hasBias { linear.bias = tensor(.bias, TensorShape(outWidth)) }
    return builder.addLinear(linear)
  }

  func section(_ stage: TaskPrompt.Stage, _ input: HeadInput?) -> [UInt8] {
    var parts = self
    parts.addAdapters()
    parts.addProducts(withPooler: input == .pooler)
    for norm in BackboneNorm.all(in: config) {
      parts.builder.setNorm(parts.tensor(.taskNorm, TensorShape(config.dModel)), slot: norm.slot)
      parts.builder.setNormBias(parts.tensor(.taskNormBias, TensorShape(config.dModel)), slot: norm.slot)
    }
    let prompt = TaskPrompt(
      tokenCount: 3, embeddings: parts.tensor(.prompt, TensorShape(3, config.dModel)), place: .front, stage: stage,
      firstToken: input == .firstToken ? 3 : 0)
    parts.builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
    if let input {
      let first = parts.linear(config.dModel, 24, hasBias: true)
      let second = parts.linear(24, 3, hasBias: true)
      parts.builder.setHead(
        TaskHead(
          input: input, output: .exclusiveLabels, first: first, firstActivation: .tanh, second: second,
          secondActivation: .gelu, outWidth: 3))
    }
    return parts.builder.sectionBytes()
  }

  private mutating func addAdapters() {
    let all: [(input: InputRule, skip: SkipRule)] = [
      (.normOfSubLayerPlusStream, .subLayer), (.stream, .subLayer), (.subLayerPlusStream, .input), (.subLayer, .none),
      (.normOfSubLayerPlusStream, .input), (.subLayer, .subLayerPlusStream), (.stream, .subLayerPlusStream),
      (.subLayerPlusStream, .subLayer),
    ]
    let rules = all.filter { $0.input != .normOfSubLayerPlusStream || config.normPlacement == .behind }
    let activations: [Activation] = [.gelu, .silu, isSmooth ? .mish : .relu, .geluNew, .tanh]
    for (index, site) in SubLayerSite.all(in: config).enumerated() {
      let adapter = TaskAdapter(
        activation: activations[index % 5], inputRule: rules[index % rules.count].input,
        skipRule: rules[index % rules.count].skip, addsStream: true, bottleneckWidth: 12,
        scaling: index % 2 == 0 ? 1 : 0.75, normEpsilon: 1e-5, down: linear(config.dModel, 12, hasBias: true),
        up: linear(12, config.dModel, hasBias: index % 3 > 0))
      builder.attach(.adapter(adapter), slot: site.slot)
    }
  }

  private mutating func addProducts(withPooler: Bool) {
    for (index, product) in BackboneProduct.all(in: config).enumerated() {
      var change = TaskProduct(target: product.target)
      if product.target != .wo && index % 3 != 0 {
        change.linear = linear(product.inWidth, product.outWidth, hasBias: false)
        change.scaling = 0.5
      }
      if change.linear == nil || index % 2 == 0 {
        change.bias = tensor(.bias, TensorShape(product.outWidth))
      }
      builder.attach(.product(change), slot: product.slot)
    }
    if config.hasDecoder {
      let bias = tensor(.bias, TensorShape(config.vocabularySize - 3))
      builder.attach(.product(TaskProduct(target: .head, bias: bias)), slot: config.slots.decoderEnd)
    }
    if withPooler {
      let bias = tensor(.bias, TensorShape(config.dModel))
      builder.attach(.product(TaskProduct(target: .pooler, bias: bias)), slot: config.slots.encoderEnd)
    }
  }
}
