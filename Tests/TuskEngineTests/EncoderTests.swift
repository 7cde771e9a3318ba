import CTuskAllocationCounter
import Testing
import TuskEngine
import TuskFormat

/// What must hold bit for bit for encoders of any kind, and what they refuse.
@Suite struct EncoderTests {
  private static let classifier = TaskHead(
    input: .firstToken, output: .exclusiveLabels, first: 0, firstActivation: .tanh, second: 0, outWidth: 3)
  private static let pooled = TaskHead(input: .pooler, output: .numbers, first: 0, outWidth: 1)
  private static let embedding = TaskHead(input: .mean, output: .embedding, outWidth: 36, hasUnitLength: true)

  private let ids = randomIds(150, below: 53, seed: 1)
  private let types: [Int32] = (0..<150).map { $0 < 70 ? 0 : 1 }

  struct Kind: Sendable {
    let config: BackboneConfig
    let head: TaskHead
    let inputRule: InputRule
  }

  private static let kinds = [WeightEncoding.int8Rows, .float32].flatMap { encoding in
    [
      Kind(config: RandomEncoder.bert(encoding), head: pooled, inputRule: .normOfSubLayerPlusStream),
      Kind(config: RandomEncoder.bert(encoding), head: embedding, inputRule: .subLayer),
      Kind(config: RandomEncoder.mixed(encoding), head: classifier, inputRule: .subLayerPlusStream),
    ]
  }

  @Test(arguments: kinds)
  func neitherThreadsNorTilesNorKernelsChangeABit(kind: Kind) throws {
    let file = try RandomModel.backbone(kind.config)
    let task = try RandomEncoder.task(try #require(file.config), head: kind.head, inputRule: kind.inputRule)
    let reference = try Session(file, PlanRequest(sourceTokens: 150), isaCap: "portable")
    try reference.setTask(task)
    let expected = try reference.encoded(ids, types)
    #expect(expected.output.allSatisfy { $0.isFinite } && expected.head.count == kind.head.outWidth)
    for threads in 1...3 {
      let plans = try MemoryPlan.choices(
        config: kind.config, request: PlanRequest(sourceTokens: 150, threads: threads))
      let smallest = try #require(plans.last { $0.keyValuePrecision == .float32 })
      let session = try Session(file, plan: smallest)
      try session.setTask(task)
      #expect(session.plan.tileTokens < 128)
      #expect(try session.encoded(ids, types) == expected, "\(threads) threads, \(session.isaName)")
    }
  }

  /// There is one encoder: that of a T5 gives the same bits when it stands alone.
  @Test(arguments: [WeightEncoding.int8Rows, .float32])
  func theEncoderOfAT5ByItselfIsTheEncoderOfTheT5(encoding: WeightEncoding) throws {
    let whole = try RandomModel.backbone(RandomModel.config(encoding))
    let alone = try RandomModel.backbone(RandomEncoder.encoder(of: RandomModel.config(encoding)))
    let target: [Int32] = [0]
    let expected = try Session(whole, PlanRequest(sourceTokens: 150, targetTokens: 1)).forced(ids, target)
    let session = try Session(alone, PlanRequest(sourceTokens: 150))
    try ids.withUnsafeBufferPointer { try session.encode($0) }
    let count = ids.count * session.config.dModel
    #expect(Array(UnsafeBufferPointer(start: session.encoderOutput, count: count)) == expected.encoderOutput)
  }

  @Test func nothingIsAllocatedByEncodingAndSwitching() throws {
    let file = try RandomModel.backbone(RandomEncoder.bert())
    let config = try #require(file.config)
    let tasks = try [Self.classifier, Self.pooled, Self.embedding].map {
      try RandomEncoder.task(config, head: $0, inputRule: .normOfSubLayerPlusStream)
    }
    let session = try Session(file, PlanRequest(sourceTokens: 150))
    func run(_ task: TaskSection) throws -> UInt64 {
      let before = allocation_count()
      try session.setTask(task)
      try ids.withUnsafeBufferPointer { ids in
        try types.withUnsafeBufferPointer { try session.encode(ids, types: $0) }
      }
      _ = try session.headOutput()
      return allocation_count() - before
    }
    for task in tasks { _ = try run(task) }
    for task in tasks { #expect(try run(task) == 0) }
  }

  @Test func switchingBackRestoresATaskAndAZeroAdapterIsTheBackbone() throws {
    let config = RandomEncoder.bert()
    let file = try RandomModel.backbone(config, head: RandomEncoder.headSection(config, Self.embedding))
    let session = try Session(file, PlanRequest(sourceTokens: 150))
    func run(_ task: TaskSection?) throws -> EncodedRun {
      try session.setTask(task)
      return try session.encoded(ids, types)
    }
    let bare = try run(nil)
    let task = try RandomEncoder.task(try #require(file.config), head: Self.classifier, inputRule: .subLayer)
    let tuned = try run(task)
    #expect(bare.head.count == 36 && tuned.head.count == 3 && bare.output != tuned.output)
    #expect(abs(bare.head.reduce(0) { $0 + $1 * $1 } - 1) < 1e-6, "scaled to length 1")
    #expect(try run(nil) == bare)
    #expect(try run(task) == tuned)
  }

  @Test func textsEncodedTogetherGetWhatEachGetsAlone() throws {
    let file = try RandomModel.backbone(RandomEncoder.bert())
    let config = try #require(file.config)
    let texts = [Array(ids[..<70]), [5], Array(ids[20..<61]), Array(ids[90..<120]), [7, 8]]
    let counts = texts.map(\.count)
    let (all, allTypes) = (texts.flatMap { $0 }, texts.flatMap { types[..<$0.count] })
    for threads in [1, 2] {
      let session = try Session(file, PlanRequest(sourceTokens: 150, threads: threads))
      func encodeTogether() throws {
        try all.withUnsafeBufferPointer { ids in
          try allTypes.withUnsafeBufferPointer { try session.encode(together: ids, types: $0, counts: counts) }
        }
      }
      for head in [Self.classifier, Self.pooled, Self.embedding] {
        try session.setTask(try RandomEncoder.task(config, head: head, inputRule: .normOfSubLayerPlusStream))
        let alone = try texts.map { try session.encoded($0, Array(types[..<$0.count])).head }
        #expect(session.fitsTogether(counts) && !session.fitsTogether([100, 51]) && session.fitsTogether([150]))
        try encodeTogether()
        for text in texts.indices { #expect(Array(try session.headOutput(text: text)) == alone[text]) }
        let before = allocation_count()
        try encodeTogether()
        #expect(allocation_count() == before)
      }
      _ = [Int32(2), 53].withUnsafeBufferPointer { ids in
        #expect(throws: EngineError(.idOutOfRange, found: 53, required: 53)) {
          try session.encode(together: ids, types: nil, counts: [1, 1])
        }
      }
    }
  }

  @Test func typesAndPositionsMatter() throws {
    let session = try Session(RandomModel.backbone(RandomEncoder.bert()), PlanRequest(sourceTokens: 150))
    func output(_ ids: [Int32], _ types: [Int32]?) throws -> [Float] { try session.encodedOutput(ids, types) }
    let ids: [Int32] = [2, 9, 9, 3]
    let plain = try output(ids, nil)
    #expect(try output(ids, [0, 0, 0, 0]) == plain)
    #expect(try output(ids, [0, 0, 1, 1]) != plain)
    #expect(plain[36..<72] != plain[72..<108], "one token at two positions")
  }

  @Test func sourcesThatCannotBeEncodedAreRefused() throws {
    let file = try RandomModel.backbone(RandomEncoder.bert())
    let session = try Session(file, PlanRequest(sourceTokens: 1000))
    #expect(session.plan.request.sourceTokens == 150, "as many as there are positions for")
    func encode(_ ids: [Int32], _ types: [Int32]? = nil) throws { _ = try session.encodedOutput(ids, types) }
    #expect(throws: EngineError(.sourceTooLong, found: 151, required: 150)) { try encode(ids + [3]) }
    #expect(throws: EngineError(.typeOutOfRange, found: 2, required: 2)) { try encode([2, 3], [0, 2]) }
    #expect(throws: EngineError(.typeOutOfRange, found: -1, required: 2)) { try encode([2, 3], [-1, 0]) }
    try encode([2, 3])
    #expect(throws: EngineError(.noHead)) { try session.headOutput() }
    #expect(throws: EngineError(.noDecoder)) { try session.generate([2, 3], maxNewTokens: 1) }
    #expect(throws: EngineError(.noDecoder)) { try session.generateByBeams(maxNewTokens: 1) }
  }

  @Test func aHeadWiderThanPlannedIsRefusedOrReserved() throws {
    let config = RandomEncoder.bert()
    let wide = TaskHead(input: .mean, output: .numbers, first: 0, outWidth: 1500)
    let file = try RandomModel.backbone(config, head: RandomEncoder.headSection(config, wide))
    #expect(throws: EngineError(.taskTooWide, found: 1024, required: 1500)) {
      try Session(file, PlanRequest(sourceTokens: 8))
    }
    var request = PlanRequest(sourceTokens: 8)
    request.reserve(for: try #require(file.head))
    let session = try Session(file, request)
    _ = try session.encodedOutput([2, 3], nil)
    #expect(try session.headOutput().count == 1500)
  }
}
