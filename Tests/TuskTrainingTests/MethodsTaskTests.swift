import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// Tasks that begin: of the form that conversion gives trained ones, and harmless where they are mounted.
@Suite struct MethodsTaskTests {
  struct Recorded: Sendable, CustomTestStringConvertible {
    let backbone: String
    let task: String
    let settings: MethodSettings
    var head: HeadTemplate?

    var testDescription: String { task }
  }

  private static func library(
    _ name: String, _ backbone: String, _ method: TrainingMethod, head: HeadTemplate? = nil,
    _ change: (inout MethodSettings) -> Void = { _ in }
  ) -> Recorded {
    let settings = MethodSettings(method, dialect: .adapterhub).with {
      $0.reductionFactor = 4
      change(&$0)
    }
    return Recorded(
      backbone: "backbones/\(backbone)", task: "hub/\(name)/adapter", settings: settings, head: head)
  }

  private static let labels = HeadTemplate.Kind.classification(labels: ["LABEL_0", "LABEL_1", "LABEL_2"])

  static let recorded = [
    library("t5_v10_compacter", "t5_v10", .compacter), library("t5_v10_compacterpp", "t5_v10", .compacterPlusPlus),
    library("t5_v10_compacter_factorized_rule", "t5_v10", .compacter) { $0.factorizesRule = true },
    library("t5_v10_compacter_shared_W", "t5_v10", .compacter) { $0.sharesFactors = true },
    library("t5_v10_compacter_n8_rank2_gelu_new", "t5_v10", .compacter) {
      ($0.phmDim, $0.factorRank, $0.reductionFactor, $0.activation) = (8, 2, 2, .geluNew)
    },
    library("t5_v10_phm_unshared", "t5_v10", .phm),
    library("t5_v11_compacter", "t5_v11", .compacter) { $0.reductionFactor = 3 },
    library("t5_v11_compacterpp_n12", "t5_v11", .compacterPlusPlus) { ($0.phmDim, $0.reductionFactor) = (12, 3) },
    library("bert_compacter_static_head", "bert", .compacter, head: HeadTemplate(labels, layers: .onPooler)),
    library("bert_compacterpp_flex_head", "bert", .compacterPlusPlus, head: HeadTemplate(labels)),
    Recorded(
      backbone: "backbones/t5_v10", task: "orig/t5_v10_compacter/output_dir",
      settings: MethodSettings(.compacter).with { $0.reductionFactor = 4 }),
    Recorded(
      backbone: "orig/t5_small48_compacterpp_n12/output_dir", task: "orig/t5_small48_compacterpp_n12/output_dir",
      settings: MethodSettings(.compacterPlusPlus).with { ($0.phmDim, $0.reductionFactor) = (12, 4) }),
  ]

  /// Slots, activations, rules, linears, tensors, labels: what was trained elsewhere and converted differs in numbers alone.
  @Test(arguments: recorded) func formOfConvertedTasks(item: Recorded) throws {
    let backbone = try MethodBackbones.recorded(item.backbone)
    let converted = try MethodBackbones.converted(item.task, backbone)
    let task = try openedTask(
      MethodTask.section(item.settings, backbone: backbone, name: "started", head: item.head))
    try task.requireSameStructure(as: converted)
    #expect(task.head == converted.head)
    #expect(task.origin == .training)
    #expect(TrainedCounts(task) == TrainedCounts(converted))
  }

  struct Start: Sendable, CustomTestStringConvertible {
    let method: TrainingMethod
    let dialect: TrainingDialect
    /// Largest change of logits of unit size.
    let bound: Float

    var testDescription: String { "\(method.rawValue) \(dialect.rawValue)" }
  }

  /// LoRA and biases change nothing at all, and Compacter nothing that counts. Dense, PHM and low-rank layers begin with
  /// what their authors draw; a low-rank layer of so small a model is no small change.
  static let starts = TrainingDialect.allCases.flatMap { dialect in
    [
      Start(method: .compacter, dialect: dialect, bound: 1e-3),
      Start(method: .compacterPlusPlus, dialect: dialect, bound: 1e-3),
      Start(method: .phm, dialect: dialect, bound: 0.2), Start(method: .adapter, dialect: dialect, bound: 0.05),
      Start(method: .pfeiffer, dialect: dialect, bound: 0.05),
      Start(method: .adapterDrop, dialect: dialect, bound: 0.05),
      Start(method: .lowRank, dialect: dialect, bound: 5), Start(method: .lora, dialect: dialect, bound: 0),
      Start(method: .bitfit, dialect: dialect, bound: 0),
    ]
  }

  private static let backbones: [BackboneConfig] = [
    MethodBackbones.tinyT5(), MethodBackbones.tinyT5(.int8Rows, isGated: true), MethodBackbones.tinyBERT(),
    MethodBackbones.tinyBERT(.int8Rows),
  ]

  private static let files = Result { try backbones.map { try MethodBackbones.file($0) } }

  private static let source: [Int32] = [5, 17, 9, 44, 23, 1]

  /// Logits of a T5, the output of an encoder.
  private func numbers(_ session: Session) throws -> [Float] {
    try Self.source.withUnsafeBufferPointer { try session.encode($0) }
    guard session.config.hasDecoder else {
      return Array(UnsafeBufferPointer(start: session.encoderOutput, count: Self.source.count * session.config.dModel))
    }
    var logits: [Float] = []
    try ([0, 7, 30] as [Int32]).withUnsafeBufferPointer { ids in
      try session.teacherForce(ids) { _, row in logits += row }
    }
    return logits
  }

  private func settings(_ method: TrainingMethod, _ dialect: TrainingDialect) -> MethodSettings {
    MethodSettings(method, dialect: dialect).with { $0.reductionFactor = 4 }
  }

  private func session(_ file: PackedFile, _ task: TaskSection) throws -> Session {
    var request = PlanRequest(sourceTokens: Self.source.count, targetTokens: 3)
    request.reserve(for: task)
    return try Session(file, plan: MemoryPlan(config: file.config!, request: request))
  }

  private func start(_ item: Start, _ file: PackedFile) throws -> TaskSection {
    let head = file.config!.hasDecoder ? nil : HeadTemplate(Self.labels)
    return try openedTask(
      MethodTask.section(settings(item.method, item.dialect), backbone: file, name: "started", head: head))
  }

  @Test(arguments: starts) func mountedTasksChangeNothingYet(item: Start) throws {
    for file in try Self.files.get() {
      let task = try start(item, file)
      let session = try session(file, task)
      let before = try numbers(session)
      try session.setTask(task)
      let after = try numbers(session)
      let size = (before.reduce(0) { $0 + $1 * $1 } / Float(before.count)).squareRoot()
      let change = zip(before, after).map { abs($0 - $1) }.max()! / size
      #expect(change <= item.bound, "\(session.config.architecture) \(session.config.weightEncoding)")
      #expect(item.bound == 0 || change > 0, "the adapters are there")
    }
  }

  /// Norms of the task's own, as they begin, are those of the backbone.
  @Test func normsBeginWithoutEffect() throws {
    for file in try Self.files.get() {
      let head = file.config!.hasDecoder ? nil : HeadTemplate(Self.labels)
      var outputs: [[Float]] = []
      for trainsNorms in [true, false] {
        let settings = settings(.compacter, .authors).with { $0.trainsNorms = trainsNorms }
        let task = try openedTask(MethodTask.section(settings, backbone: file, name: "started", head: head))
        let session = try session(file, task)
        try session.setTask(task)
        outputs.append(try numbers(session))
      }
      #expect(outputs[0] == outputs[1])
    }
  }

  @Test func promptsStandInFrontOfTheTokens() throws {
    for (config, dialect) in [
      (MethodBackbones.tinyT5(), TrainingDialect.authors), (MethodBackbones.tinyBERT(), .adapterhub),
      (MethodBackbones.tinyBERT(.int8Rows), .authors),
    ] {
      let file = try MethodBackbones.file(config)
      let settings = MethodSettings(.prompt, dialect: dialect).with { $0.promptTokens = 9 }
      let head = config.hasDecoder ? nil : HeadTemplate(.regression)
      let task = try openedTask(MethodTask.section(settings, backbone: file, name: "started", head: head))
      let session = try session(file, task)
      try session.setTask(task)
      try Self.source.withUnsafeBufferPointer { try session.encode($0) }
      #expect(session.encodedRowCount() == Self.source.count + 9)
    }
  }

  /// Rows of an int8 table are the numbers they stand for.
  @Test func promptsOfTheVocabulary() throws {
    let file = try MethodBackbones.file(MethodBackbones.tinyT5(.int8Rows))
    let settings = MethodSettings(.prompt).with { ($0.promptTokens, $0.promptStart) = (3, .vocabulary) }
    let task = try openedTask(MethodTask.section(settings, backbone: file, name: "started"))
    let table = file.tensor(at: file.config!.tensorPosition(.embedding, .shared))
    let found = task.floats(.prompt)
    table.data.withSpan { codes in
      table.scales.withSpan { scales in
        for (row, column) in [(0, 0), (1, 7), (2, 47)] {
          let code = codes.unsafeLoad(fromByteOffset: row * table.spec.rowStrideBytes + column, as: Int8.self)
          let scale = scales.unsafeLoad(fromByteOffset: 4 * row, as: Float.self)
          #expect(found[row * 48 + column] == Float(code) * scale)
        }
      }
    }
  }

  @Test func upperBlocksOfAdapterDrop() throws {
    func layers(_ config: BackboneConfig, _ range: Range<Int>? = nil) throws -> [Int] {
      let task = try startedTask(MethodSettings(.adapterDrop).with { $0.adapterLayers = range }, config)
      return (0..<config.layerCount).filter {
        task.adapter(slot: config.slots.slot(.encoder, .selfAttention, layer: $0)) != nil
      }
    }
    #expect(try layers(MethodBackbones.t5Base()) == Array(5...11))
    #expect(try layers(MethodBackbones.t5Small()) == Array(2...5))
    #expect(try layers(MethodBackbones.t5Base(), 3..<4) == [3])
  }

  @Test func pfeifferOfBothDialects() throws {
    let config = MethodBackbones.bertBase()
    let attention = config.slots.slot(.encoder, .selfAttention, layer: 0)
    let feedForward = config.slots.slot(.encoder, .feedForward, layer: 0)
    let authors = try startedTask(MethodSettings(.pfeiffer), config)
    #expect(authors.adapter(slot: attention)?.inputRule == .subLayer && authors.adapter(slot: feedForward) == nil)
    #expect(authors.adapter(slot: attention)?.activation == .geluNew)
    let library = try startedTask(MethodSettings(.pfeiffer, dialect: .adapterhub), config)
    #expect(library.adapter(slot: attention) == nil)
    let adapter = try #require(library.adapter(slot: feedForward))
    #expect(adapter.inputRule == .normOfSubLayerPlusStream && adapter.skipRule == .subLayer && adapter.addsStream)
    #expect(adapter.activation == .relu && adapter.bottleneckWidth == 48)
    let double = try startedTask(MethodSettings(.adapter, dialect: .adapterhub), config)
    #expect(double.adapter(slot: attention)?.activation == .silu)
    let t5 = MethodBackbones.t5Base()
    let ofT5 = try startedTask(MethodSettings(.pfeiffer, dialect: .adapterhub), t5)
    #expect(ofT5.adapter(slot: t5.slots.slot(.decoder, .feedForward, layer: 0))?.inputRule == .subLayerPlusStream)
  }
}
