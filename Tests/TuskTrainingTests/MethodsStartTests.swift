import Testing
import TuskFormat

@testable import TuskTraining

/// How the numbers of a task begin.
@Suite struct MethodsStartTests {
  /// Root mean square about 0 within 5 % of `deviation`, and the mean no larger than chance allows.
  private func expectSpread(
    _ values: [Float], _ deviation: Double, largest: Double? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let count = Double(values.count)
    let square = values.reduce(0.0) { $0 + Double($1) * Double($1) } / count
    let mean = values.reduce(0.0) { $0 + Double($1) } / count
    #expect(abs(square.squareRoot() / deviation - 1) < 0.05, sourceLocation: sourceLocation)
    #expect(abs(mean) < 4 * deviation / count.squareRoot(), sourceLocation: sourceLocation)
    guard let largest else {
      #expect(Double(values.map { abs($0) }.max()!) > 2.5 * deviation, sourceLocation: sourceLocation)
      return
    }
    let found = Double(values.map { abs($0) }.max()!)
    #expect(found <= largest && found > 0.98 * largest, sourceLocation: sourceLocation)
  }

  @Test(arguments: TrainingDialect.allCases) func factorsOfCompacter(dialect: TrainingDialect) throws {
    let task = try startedTask(MethodSettings(.compacter, dialect: dialect), MethodBackbones.t5Base())
    let factors: [(TaskTensorKind, TensorShape, Int)] = [
      (.leftFactor, TensorShape(4, 192, 1), 193), (.rightFactor, TensorShape(4, 1, 6), 7),
      (.leftFactor, TensorShape(4, 6, 1), 7), (.rightFactor, TensorShape(4, 1, 192), 193),
    ]
    for (kind, shape, fans) in factors {
      let values = task.floats(kind, shape)
      #expect(values.count == 48 * shape.elementCount)
      let gain = dialect == .authors ? 2.0.squareRoot() : 1
      let deviation = gain * (2 / Double(fans)).squareRoot()
      expectSpread(values, deviation, largest: dialect == .authors ? 3.0.squareRoot() * deviation : nil)
    }
    #expect(task.floats(.bias).allSatisfy { $0 == 0 })
    // 12 terms, so that there are enough numbers to tell their spread.
    let settings = MethodSettings(.compacter, dialect: dialect).with { $0.phmDim = 12 }
    expectSpread(try startedTask(settings, MethodBackbones.t5Base()).floats(.rule), 1e-4)
  }

  /// A rule of a layer's own is a hundred times as large as a shared one.
  @Test(arguments: TrainingDialect.allCases) func phmLayers(dialect: TrainingDialect) throws {
    let settings = MethodSettings(.phm, dialect: dialect).with { $0.phmDim = 12 }
    let task = try startedTask(settings, MethodBackbones.t5Base())
    expectSpread(task.floats(.rule), 0.01)
    let deviation = ((dialect == .authors ? 4 : 2) / 66.0).squareRoot()
    expectSpread(task.floats(.full), deviation, largest: dialect == .authors ? 3.0.squareRoot() * deviation : nil)
  }

  @Test func factorizedRules() throws {
    let settings = MethodSettings(.compacter).with {
      $0.factorizesRule = true
      $0.sharesRule = false
    }
    let task = try startedTask(settings, MethodBackbones.t5Base())
    expectSpread(task.floats(.ruleLeft, TensorShape(4, 4, 1)), 0.01)
    expectSpread(task.floats(.ruleRight, TensorShape(4, 1, 4)), 0.01)
  }

  @Test(arguments: [TrainingMethod.adapter, .pfeiffer, .adapterDrop], TrainingDialect.allCases)
  func denseAdapters(method: TrainingMethod, dialect: TrainingDialect) throws {
    let task = try startedTask(MethodSettings(method, dialect: dialect), MethodBackbones.t5Small())
    expectSpread(task.floats(.full), dialect == .authors ? 0.01 : 0.02)
    #expect(task.floats(.bias).allSatisfy { $0 == 0 })
  }

  @Test func lowRankLayers() throws {
    let authors = try startedTask(MethodSettings(.lowRank), MethodBackbones.t5Base())
    let (wide, narrow) = ((4 / 769.0).squareRoot(), (4 / 25.0).squareRoot())
    expectSpread(authors.floats(.leftFactor, TensorShape(1, 768, 1)), wide, largest: 3.0.squareRoot() * wide)
    expectSpread(authors.floats(.rightFactor, TensorShape(1, 1, 24)), narrow, largest: 3.0.squareRoot() * narrow)
    let library = try startedTask(MethodSettings(.lowRank, dialect: .adapterhub), MethodBackbones.t5Base())
    expectSpread(library.floats(.rightFactor, TensorShape(1, 1, 768)), (2 / 769.0).squareRoot())
  }

  @Test(arguments: TrainingDialect.allCases) func lora(dialect: TrainingDialect) throws {
    let task = try startedTask(MethodSettings(.lora, dialect: dialect), MethodBackbones.bertBase())
    let bound = 1 / 768.0.squareRoot()
    expectSpread(task.floats(.leftFactor), bound / 3.0.squareRoot(), largest: bound)
    #expect(task.floats(.rightFactor).allSatisfy { $0 == 0 })
    let change = try #require(task.product(.v, slot: 0))
    #expect(change.scaling == (dialect == .authors ? 2 : 1))
    #expect(task.product(.k, slot: 0) == nil && task.product(.o, slot: 0) == nil)
  }

  @Test func prompts() throws {
    let random = try startedTask(MethodSettings(.prompt), MethodBackbones.t5Base())
    expectSpread(random.floats(.prompt), 0.5 / 3.0.squareRoot(), largest: 0.5)
    let prompt = try #require(random.prompt)
    #expect(prompt.tokenCount == 100 && prompt.place == .front && prompt.stage == .wordEmbeddings)
    let settings = MethodSettings(.prompt).with { $0.promptStart = .vocabulary }
    let words = try startedTask(settings, MethodBackbones.t5Base()).floats(.prompt)
    // The row of each id, as `MethodBackbones.values` fills it.
    #expect(words == (0..<100).flatMap { [Float](repeating: Float($0) / 1024, count: 768) })
    let library = try startedTask(MethodSettings(.prompt, dialect: .adapterhub), MethodBackbones.bertBase())
    #expect(library.prompt?.stage == .embeddings && library.prompt?.tokenCount == 10)
  }

  @Test func normsAndBiasesBeginAsTheBackbones() throws {
    let config = MethodBackbones.bertBase()
    let task = try startedTask(MethodSettings(.compacter), config)
    func first(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> Float {
      Float(config.tensorPosition(role, stack, layer: layer))
    }
    let slot = task.slot(at: config.slots.slot(.encoder, .feedForward, layer: 7))
    #expect(slot.normTensor != nil)
    #expect(task.floats(slot.normTensor).allSatisfy { $0 == first(.feedForwardNorm, .encoder, layer: 7) })
    #expect(task.floats(slot.normBiasTensor).dropFirst(5).first == first(.feedForwardNormBias, .encoder, layer: 7))
    let start = task.slot(at: config.slots.encoderStart)
    #expect(task.floats(start.normTensor).first == first(.embeddingNorm, .shared))
    let t5 = MethodBackbones.t5Base()
    let ofT5 = try startedTask(MethodSettings(.adapter), t5)
    let end = ofT5.slot(at: t5.slots.decoderEnd)
    #expect(ofT5.floats(end.normTensor).first == Float(t5.tensorPosition(.finalNorm, .decoder)))
    #expect(end.normBiasTensor == nil)

    let biases = try startedTask(MethodSettings(.bitfit), config)
    let k = biases.floats(biases.product(.k, slot: config.slots.slot(.encoder, .selfAttention, layer: 3))?.bias)
    #expect(k.count == 768 && k.allSatisfy { $0 == first(.selfAttentionKBias, .encoder, layer: 3) })
    let zeros = try startedTask(MethodSettings(.bitfit), t5)
    #expect((0..<zeros.tensorCount).allSatisfy { zeros.floats($0).allSatisfy { $0 == 0 } })
    #expect(zeros.product(.head, slot: t5.slots.decoderEnd)?.bias != nil)
  }

  @Test func headsOfBothKinds() throws {
    let task = try startedTask(
      MethodSettings(.compacter, dialect: .adapterhub), MethodBackbones.bertBase(),
      head: HeadTemplate(.classification(labels: ["negative", "positive", "neither"])))
    let head = try #require(task.head)
    #expect(head.input == .firstToken && head.output == .exclusiveLabels && head.firstActivation == .tanh)
    #expect(head.secondActivation == .identity && head.labelCount == 3)
    #expect(String(decoding: task.label(at: 2).bytesOfName, as: UTF8.self) == "neither")
    let first = task.linear(at: try #require(head.first))
    let second = task.linear(at: try #require(head.second))
    expectSpread(task.floats(first.full), 0.02)
    expectSpread(task.floats(second.full), 0.02)
    #expect((task.floats(first.bias) + task.floats(second.bias)).allSatisfy { $0 == 0 })
  }

  /// A seed says everything, and methods of one seed begin with the same head.
  @Test func seeds() throws {
    let config = MethodBackbones.tinyBERT()
    let values = MethodBackbones.values(config)
    let head = HeadTemplate(.classification(labels: ["a", "b"]))
    func section(_ method: TrainingMethod, seed: UInt64) throws -> [UInt8] {
      let settings = MethodSettings(method, dialect: .adapterhub).with {
        $0.seed = seed
        $0.reductionFactor = 4
      }
      return try MethodTask.section(settings, values, name: "seeded", head: head)
    }
    for method in TrainingMethod.allCases where !method.trainsBackbone {
      #expect(try section(method, seed: 1) == section(method, seed: 1))
      #expect(try section(method, seed: 1) != section(method, seed: 2))
    }
    func headWeights(_ method: TrainingMethod) throws -> [Float] {
      let task = try openedTask(section(method, seed: 5))
      let first = try #require(task.head?.first)
      return task.floats(task.linear(at: first).full)
    }
    #expect(try headWeights(.compacter) == headWeights(.lora))
  }

  /// The first words of SplitMix64 from seed 1234567, as its reference prints them, and normals that change on no machine.
  @Test func generator() {
    var bare = SplitMix64(seed: 1_234_567)
    #expect(
      (0..<3).map { _ in bare.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
    var random = SplitMix64(seed: 42)
    let normals = (0..<4).map { _ in Float(random.normal()) }
    #expect(normals == Self.recordedNormals)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[random.integer(below: 7)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 400 })
  }

  /// Of a second implementation, in Python with the logarithm of its C library.
  static let recordedNormals: [Float] = [0.49295062, -0.6940056, -1.2810774, -0.9015572]
}

extension MappedBytes {
  fileprivate var bytesOfName: [UInt8] {
    withSpan { span in (0..<span.byteCount).map { span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
  }
}
