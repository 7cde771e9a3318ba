import CTuskAllocationCounter
import Testing
import TuskEngine
import TuskFormat

/// What plans may change of an answer: tiles and threads nothing, what keys and values are kept as a little.
@Suite struct PlanTests {
  private let source = randomIds(150, below: 53, seed: 1)
  private let target: [Int32] = [0] + randomIds(9, below: 53, seed: 2)
  private let request = PlanRequest(sourceTokens: 150, targetTokens: 10)

  /// Plans that keep the same numbers compute the same bits.
  private struct Arithmetic: Hashable {
    let precision: KeyValuePrecision
    let crossAttention: CrossAttention

    init(_ plan: MemoryPlan) { (precision, crossAttention) = (plan.keyValuePrecision, plan.crossAttention) }
  }

  @Test(arguments: [WeightEncoding.int8Rows, .float32], [true, false])
  func neitherThreadsNorTilesNorKernelsChangeABit(encoding: WeightEncoding, isGated: Bool) throws {
    let config = RandomModel.config(encoding, isGated: isGated)
    let file = try RandomModel.backbone(config)
    let task = try RandomModel.task(try #require(file.config), size: 0.3)
    var expected: [Arithmetic: ForcedRun] = [:]
    var tiles: Set<Int> = []
    for threads in 1...3 {
      var request = request
      request.threads = threads
      for plan in try MemoryPlan.choices(config: config, request: request) {
        let session = try Session(file, plan: plan, isaCap: threads == 1 ? "portable" : nil)
        try session.setTask(task)
        let run = try session.forced(source, target)
        #expect(run.logits.allSatisfy { $0.isFinite })
        let arithmetic = Arithmetic(plan)
        tiles.insert(plan.tileTokens)
        #expect(run == expected[arithmetic, default: run], "\(arithmetic), tile \(plan.tileTokens), \(threads) threads")
        expected[arithmetic] = run
      }
    }
    #expect(tiles.count > 1 && expected.keys.contains { $0.crossAttention == .absorbed })
  }

  /// Halves round by 2^-12 and codes by 1/254 of the largest number of a head; absorbed, other vectors are rounded to 14 bits.
  @Test(arguments: [WeightEncoding.int8Rows, .float32])
  func lessPreciseKeysAndValuesStayClose(encoding: WeightEncoding) throws {
    let config = RandomModel.config(encoding)
    let file = try RandomModel.backbone(config)
    func run(_ precision: KeyValuePrecision, _ crossAttention: CrossAttention) throws -> [Float] {
      let choice = PlanChoice(tileTokens: 16, precision: precision, crossAttention: crossAttention)
      let plan = try MemoryPlan(config: config, request: request, choice)
      return try Session(file, plan: plan).forced(source, target).logits
    }
    let exact = try run(.float32, .cached)
    for crossAttention in CrossAttention.allCases {
      for (precision, limit) in [(KeyValuePrecision.float32, 5e-4), (.float16, 1e-3), (.int8, 1e-2)] {
        let error = relativeError(try run(precision, crossAttention), exact)
        #expect(error <= limit, "\(precision.name) \(crossAttention.name): \(error)")
      }
    }
  }

  /// In every plan: a batch of different sources, and a beam search over scattered cache rows.
  @Test func aBatchGivesEachSourceTheAnswerItGetsAloneInEveryPlan() throws {
    let config = RandomModel.config()
    let file = try RandomModel.backbone(config)
    let sources = [31, 40].enumerated().map { randomIds($1, below: 53, seed: 30 + UInt64($0)) }
    let request = PlanRequest(sourceTokens: 40, targetTokens: 9, batch: 2, beams: 3, threads: 2)
    for plan in try MemoryPlan.choices(config: config, request: request) {
      let batch = try Session(file, plan: plan)
      for (index, ids) in sources.enumerated() {
        try ids.withUnsafeBufferPointer { try batch.encode($0, source: index) }
      }
      try batch.generateByBeams(maxNewTokens: 9)
      let alone = PlanRequest(sourceTokens: 40, targetTokens: 9, beams: 3)
      let same = try MemoryPlan.choices(config: config, request: alone).first { Arithmetic($0) == Arithmetic(plan) }
      let single = try Session(file, plan: try #require(same))
      for (index, ids) in sources.enumerated() {
        _ = try single.generate(ids, maxNewTokens: 9)
        for rank in 0..<3 {
          #expect(Array(single.hypothesis(rank).ids) == Array(batch.hypothesis(rank, source: index).ids))
          #expect(single.hypothesis(rank).score == batch.hypothesis(rank, source: index).score)
        }
      }
    }
  }

  @Test func nothingIsAllocatedInAnyPlan() throws {
    let config = RandomModel.config()
    let file = try RandomModel.backbone(config)
    for plan in try MemoryPlan.choices(config: config, request: request) {
      let session = try Session(file, plan: plan)
      func decode() throws -> UInt64 {
        let before = allocation_count()
        try source.withUnsafeBufferPointer { try session.encode($0) }
        try session.generateGreedily(maxNewTokens: 10) { _, _ in true }
        return allocation_count() - before
      }
      _ = try decode()
      #expect(try decode() == 0)
    }
  }

  @Test func aBudgetGetsTheBestPlanThatFitsAndTheSmallestIsNamed() throws {
    let config = RandomModel.config()
    let plans = try MemoryPlan.choices(config: config, request: request)
    #expect(plans[0].crossAttention == .cached && plans[0].keyValuePrecision == .float16)
    var previous = Int.max
    for plan in plans {
      #expect(plan.privateBytes < previous)
      previous = plan.privateBytes
      var request = request
      request.budgetBytes = plan.privateBytes
      let chosen = try MemoryPlan(config: config, request: request)
      #expect(Arithmetic(chosen) == Arithmetic(plan) && chosen.tileTokens == plan.tileTokens)
    }
    #expect(try smallestBudget(config, request) == previous)
  }

  /// What each choice errs by on the recorded models, relative root mean square of the logits against PyTorch's, beside
  /// float32 weights so that nothing else rounds. The tasks were trained on a handful of pairs, whose logits hang on single
  /// keys: int8 weights move them by 5 to 20 %, the base models' by 2 %.
  @Test(arguments: GoldenCase.base + GoldenCase.tasks)
  func keysAndValuesOfRecordedModels(golden: GoldenCase) throws {
    let (file, task) = try golden.opened(.float32)
    let config = try #require(file.config)
    let inputs = try golden.array("input_ids")
    let targets = try golden.array("decoder_input_ids")
    let mask = try golden.array("attention_mask")
    let expected = try golden.array("logits").floats
    for crossAttention in CrossAttention.allCases {
      for precision in KeyValuePrecision.allCases {
        let choice = PlanChoice(tileTokens: 16, precision: precision, crossAttention: crossAttention)
        let request = PlanRequest(sourceTokens: inputs.shape[1], targetTokens: targets.shape[1])
        let session = try Session(file, plan: MemoryPlan(config: config, request: request, choice))
        try session.setTask(task)
        var logits: [Float] = []
        for item in 0..<inputs.shape[0] {
          let length = Int(mask[item].reduce(0, +))
          let ids = inputs[item].prefix(length).map { Int32($0) }
          logits += try session.forced(ids, targets[item].map { Int32($0) }).logits
        }
        let error = relativeError(logits, expected)
        let limit: Double
        switch precision {
        case .float32: limit = 2e-5
        case .float16: limit = golden.isTask ? 0.004 : 0.0005
        case .int8: limit = golden.isTask ? (crossAttention == .cached ? 0.06 : 0.09) : 0.01
        }
        #expect(error <= limit, "\(precision.name) \(crossAttention.name): \(error)")
      }
    }
  }

  private func relativeError(_ values: [Float], _ reference: [Float]) -> Double {
    var error = 0.0
    var total = 0.0
    for (value, exact) in zip(values, reference) {
      error += Double((value - exact) * (value - exact))
      total += Double(exact * exact)
    }
    return (error / total).squareRoot()
  }
}
