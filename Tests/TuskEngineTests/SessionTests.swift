import CTuskAllocationCounter
import Testing
import TuskEngine
import TuskFormat

/// What must hold bit for bit whatever the machine does: threads, tiles, batches, instruction sets, switched tasks.
@Suite struct SessionTests {
  private let source = randomIds(150, below: 53, seed: 1)
  private let target: [Int32] = [0] + randomIds(9, below: 53, seed: 2)
  private let request = PlanRequest(sourceTokens: 150, targetTokens: 10)

  @Test func aBatchGivesEachSourceTheAnswerItGetsAlone() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let config = try #require(file.config)
    let tasks = try (0..<3).map { try RandomModel.task(config, size: 0.4, seed: 10 + UInt64($0)) }
    let sources = [3, 31, 17, 64].enumerated().map { randomIds($1, below: 53, seed: UInt64($0)) }
    let mounted: [TaskSection?] = [tasks[0], nil, tasks[1], tasks[2]]
    let batch = try Session(file, PlanRequest(sourceTokens: 64, targetTokens: 12, batch: 4))
    for (index, task) in mounted.enumerated() { try batch.setTask(task, source: index) }
    let together = try batch.answers(sources, maxNewTokens: 12)
    let single = try Session(file, PlanRequest(sourceTokens: 64, targetTokens: 12))
    for (index, ids) in sources.enumerated() {
      try single.setTask(mounted[index])
      for (session, source) in [(batch, index), (single, 0)] {
        try ids.withUnsafeBufferPointer { try session.encode($0, source: source) }
      }
      let count = ids.count * config.dModel
      #expect(
        Array(UnsafeBufferPointer(start: batch.encoderOutput, count: count))
          == Array(UnsafeBufferPointer(start: single.encoderOutput, count: count)))
      #expect(try single.answers([ids], maxNewTokens: 12)[0] == together[index])
    }
    #expect(Set(together).count > 1, "the sources must differ for this to say anything")
  }

  @Test func beamsOfABatchEqualThoseOfEachSourceAlone() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let sources = [5, 23].enumerated().map { randomIds($1, below: 53, seed: 30 + UInt64($0)) }
    let batch = try Session(file, PlanRequest(sourceTokens: 23, targetTokens: 9, batch: 2, beams: 3))
    for (index, ids) in sources.enumerated() {
      try ids.withUnsafeBufferPointer { try batch.encode($0, source: index) }
    }
    try batch.generateByBeams(maxNewTokens: 9)
    let single = try Session(file, PlanRequest(sourceTokens: 23, targetTokens: 9, beams: 3))
    for (index, ids) in sources.enumerated() {
      _ = try single.generate(ids, maxNewTokens: 9)
      for rank in 0..<3 {
        #expect(Array(single.hypothesis(rank).ids) == Array(batch.hypothesis(rank, source: index).ids))
        #expect(single.hypothesis(rank).score == batch.hypothesis(rank, source: index).score)
      }
    }
  }

  @Test func oneBeamIsGreedy() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let session = try Session(file, PlanRequest(sourceTokens: 20, targetTokens: 8))
    let ids = randomIds(20, below: 53, seed: 5)
    let greedy = try session.generate(ids, maxNewTokens: 8)
    try ids.withUnsafeBufferPointer { try session.encode($0) }
    try session.generateByBeams(maxNewTokens: 8)
    #expect(Array(session.hypothesis(0).ids) == greedy)
  }

  @Test func switchingBackRestoresATaskBitForBitAndAZeroAdapterIsTheBackbone() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let config = try #require(file.config)
    let first = try RandomModel.task(config, size: 0.4, seed: 1)
    let second = try RandomModel.task(config, size: 0.4, seed: 2)
    let zero = try RandomModel.task(config, size: 0)
    let session = try Session(file, request)
    func run(_ task: TaskSection?) throws -> ForcedRun {
      try session.setTask(task)
      return try session.forced(source, target)
    }
    let bare = try run(nil)
    let before = try run(first)
    let other = try run(second)
    #expect(before != other && before != bare)
    #expect(try run(first) == before)
    #expect(try run(zero) == bare)
    #expect(try run(nil) == bare)
  }

  @Test func nothingIsAllocatedByEncodingDecodingAndSwitching() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let config = try #require(file.config)
    let tasks = [try RandomModel.task(config, seed: 1), try RandomModel.task(config, seed: 2)]
    for beams in [1, 4] {
      let session = try Session(file, PlanRequest(sourceTokens: 150, targetTokens: 10, beams: beams))
      func decode(_ task: TaskSection) throws -> UInt64 {
        let before = allocation_count()
        try session.setTask(task)
        try source.withUnsafeBufferPointer { try session.encode($0) }
        if beams == 1 {
          try session.generateGreedily(maxNewTokens: 10) { _, _ in true }
        } else {
          try session.generateByBeams(maxNewTokens: 10)
        }
        return allocation_count() - before
      }
      _ = try decode(tasks[0])
      #expect(try decode(tasks[1]) == 0)
    }
    let before = allocation_count()
    let kept = [Int](repeating: 0, count: 100)
    #expect(allocation_count() > before && kept.count == 100, "the counter counts")
  }

  @Test func sourcesThatCannotBeEncodedAreRefused() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let session = try Session(file, PlanRequest(sourceTokens: 4, targetTokens: 2))
    func encode(_ ids: [Int32]) throws { try ids.withUnsafeBufferPointer { try session.encode($0) } }
    #expect(throws: EngineError(.emptySource, found: 0, required: 1)) { try encode([]) }
    #expect(throws: EngineError(.sourceTooLong, found: 5, required: 4)) { try encode([2, 2, 2, 2, 2]) }
    #expect(throws: EngineError(.idOutOfRange, found: 53, required: 53)) { try encode([53]) }
    #expect(throws: EngineError(.idOutOfRange, found: -1, required: 53)) { try encode([-1]) }
    try encode([2, 1])
    #expect(throws: EngineError(.targetTooLong, found: 3, required: 2)) {
      try session.generateGreedily(maxNewTokens: 3) { _, _ in true }
    }
  }

  /// Opening does not read weights, so a damaged one is met here first.
  @Test func weightsThatAreNoNumbersGiveAnAnswerWithoutSense() throws {
    let file = try RandomModel.backbone(RandomModel.config(), damaged: .finalNorm)
    let greedy = try Session(file, PlanRequest(sourceTokens: 4, targetTokens: 3))
    #expect(try greedy.generate([5, 6, 1], maxNewTokens: 3) == [0, 0, 0, 0])
    let search = try Session(file, PlanRequest(sourceTokens: 4, targetTokens: 3, beams: 2))
    #expect(try search.generate([5, 6, 1], maxNewTokens: 3) == [0, 1])
  }

  @Test func aTaskWiderThanThePlanIsNotMounted() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let task = try RandomModel.task(try #require(file.config), bottleneckWidth: 400)
    var request = request
    #expect(throws: FormatError.self) { try Session(file, request).setTask(task) }
    request.reserve(for: task)
    #expect(throws: Never.self) { try Session(file, request).setTask(task) }
  }

  @Test func aTaskOfAnotherBackboneIsNotMounted() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let other = try RandomModel.backbone(RandomModel.config(layers: 1))
    let task = try RandomModel.task(try #require(other.config))
    let session = try Session(file, request)
    #expect(throws: FormatError.self) { try session.setTask(task) }
  }
}
