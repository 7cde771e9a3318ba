import CTuskAllocationCounter
import Testing
import TuskEngine
import TuskFormat

/// What must hold bit for bit for tasks of every kind of attachment.
@Suite struct AttachmentKindTests {
  private static let configs = [WeightEncoding.int8Rows, .float32].flatMap { encoding in
    [RandomModel.config(encoding), RandomModel.config(encoding, isGated: true), RandomEncoder.bert(encoding)]
  }

  private let ids = randomIds(70, below: 53, seed: 1)
  private let target: [Int32] = [0] + randomIds(5, below: 53, seed: 2)

  private func request(for tasks: [TaskSection], batch: Int = 1, beams: Int = 1) -> PlanRequest {
    var request = PlanRequest(sourceTokens: 70, targetTokens: 6, batch: batch, beams: beams)
    for task in tasks { request.reserve(for: task) }
    return request
  }

  /// The output of the encoder, and the logits or what the head makes.
  private func numbers(_ session: Session) throws -> [Float] {
    if session.config.hasDecoder {
      var numbers: [Float] = []
      try ids.withUnsafeBufferPointer { try session.encode($0) }
      try target.withUnsafeBufferPointer { try session.teacherForce($0) { _, logits in numbers += logits } }
      return numbers
    }
    try ids.withUnsafeBufferPointer { try session.encode($0) }
    let count = session.encodedRowCount() * session.config.dModel
    return Array(UnsafeBufferPointer(start: session.encoderOutput, count: count))
      + (session.headSection() == nil ? [] : Array(try session.headOutput()))
  }

  @Test(arguments: configs)
  func neitherThreadsNorTilesNorKernelsChangeABit(config: BackboneConfig) throws {
    let file = try RandomModel.backbone(config)
    let task = try RandomTask.everything(try #require(file.config))
    let reference = try Session(file, request(for: [task]), isaCap: "portable")
    try reference.setTask(task)
    let expected = try numbers(reference)
    #expect(expected.allSatisfy { $0.isFinite })
    for threads in 1...3 {
      var request = request(for: [task])
      request.threads = threads
      let plans = try MemoryPlan.choices(config: config, request: request)
      let smallest = try #require(plans.last { $0.keyValuePrecision == reference.plan.keyValuePrecision })
      let session = try Session(file, plan: smallest)
      try session.setTask(task)
      #expect(session.plan.tileTokens < reference.plan.tileTokens)
      #expect(try numbers(session) == expected, "\(threads) threads, \(session.isaName)")
    }
  }

  @Test(arguments: configs)
  func switchingRestoresEveryBit(config: BackboneConfig) throws {
    let file = try RandomModel.backbone(config)
    let config = try #require(file.config)
    let tasks = try [1, 2].map { try RandomTask.everything(config, seed: $0) }
    let session = try Session(file, request(for: tasks))
    func run(_ tasks: [TaskSection]) throws -> [Float] {
      try session.setTasks(tasks)
      return try numbers(session)
    }
    let bare = try run([])
    let first = try run([tasks[0]])
    let second = try run([tasks[1]])
    #expect(first != second && first != bare)
    #expect(try run([tasks[0]]) == first)
    #expect(try run([]) == bare)
  }

  /// Factors of zero, scales of one, and the backbone's own biases change no bit.
  @Test(arguments: configs, ProductKind.allCases)
  func changesThatChangeNothingAreTheBackbone(config: BackboneConfig, kind: ProductKind) throws {
    let file = try RandomModel.backbone(config)
    var task = RandomTask(try #require(file.config), size: 0)
    for product in task.products {
      // A bias of zero is the backbone's only where it has none.
      guard kind != .bias || !config.hasBiases else { continue }
      task.change(product.target, slot: product.slot, kind)
    }
    let section = try task.section()
    let session = try Session(file, request(for: [section]))
    let bare = try numbers(session)
    try session.setTask(section)
    #expect(try numbers(session) == bare)
  }

  @Test(arguments: [WeightEncoding.int8Rows, .float32], [1, 3])
  func aBatchGivesEachSourceTheAnswerItGetsAlone(encoding: WeightEncoding, beams: Int) throws {
    let file = try RandomModel.backbone(RandomModel.config(encoding, isGated: true))
    let config = try #require(file.config)
    let tasks = try [1, 2].map { try RandomTask.everything(config, seed: $0) }
    let mounted = [[tasks[0]], [], [try RandomModel.task(config, size: 0.4)], [tasks[1]]]
    let sources = [3, 31, 17, 64].enumerated().map { randomIds($1, below: 53, seed: UInt64($0)) }
    let batch = try Session(file, request(for: tasks, batch: 4, beams: beams))
    let single = try Session(file, request(for: tasks, beams: beams))
    for (index, task) in mounted.enumerated() {
      try batch.setTasks(task, source: index)
      try sources[index].withUnsafeBufferPointer { try batch.encode($0, source: index) }
    }
    try batch.generateByBeams(maxNewTokens: 6)
    for (index, task) in mounted.enumerated() {
      try single.setTasks(task)
      try sources[index].withUnsafeBufferPointer { try single.encode($0) }
      try single.generateByBeams(maxNewTokens: 6)
      #expect(Array(single.hypothesis(0).ids) == Array(batch.hypothesis(0, source: index).ids))
      #expect(single.hypothesis(0).score == batch.hypothesis(0, source: index).score)
    }
  }

  /// A task whose tables are damaged does not open, is not mounted, or runs: it never traps.
  @Test(arguments: [RandomModel.config(), RandomEncoder.bert()])
  func damagedTablesNeverTrap(config: BackboneConfig) throws {
    let file = try RandomModel.backbone(config)
    let bytes = RandomTask.everythingBytes(try #require(file.config))
    var random = SystemlessRandom(seed: 11)
    let interesting: [UInt8] = [0, 1, 2, 3, 4, 7, 8, 16, 40, 127, 255]
    var refused = 0
    var run = 0
    // Header, slots, attachments, linears, head and tensors; the data behind them is numbers.
    for position in stride(from: 8, to: 8000, by: 29) {
      var damaged = bytes
      damaged[position] = interesting[Int(random.uniform() * Float(interesting.count))]
      do {
        let task = try RandomTask.open(damaged)
        let session = try Session(file, request(for: [task]))
        try session.setTask(task)
        try ids[..<5].withUnsafeBufferPointer { try session.encode($0) }
        if config.hasDecoder { try session.generateGreedily(maxNewTokens: 2) { _, _ in true } }
        run += 1
      } catch {
        refused += 1
      }
    }
    #expect(refused > 20 && run > 20, "\(refused) refused, \(run) run")
  }

  @Test(arguments: configs)
  func nothingIsAllocated(config: BackboneConfig) throws {
    let file = try RandomModel.backbone(config)
    let config = try #require(file.config)
    let task = try RandomTask.everything(config)
    var adapters = RandomTask(config, seed: 9)
    adapters.builder.attach(.adapter(adapters.adapter(.subLayer, isGated: true)), slot: 1)
    let second = try adapters.section()
    let session = try Session(file, request(for: [task, second]))
    let stack = [task, second]
    func run() throws -> UInt64 {
      let before = allocation_count()
      try session.setTasks(stack)
      try ids.withUnsafeBufferPointer { try session.encode($0) }
      if session.config.hasDecoder {
        try session.generateGreedily(maxNewTokens: 6) { _, _ in true }
      } else {
        _ = try session.headOutput()
      }
      return allocation_count() - before
    }
    _ = try run()
    #expect(try run() == 0)
  }
}
