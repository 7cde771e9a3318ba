import Testing
import TuskEngine
import TuskFormat

/// Logits of teacher-forced ids, and the encoder's output before them.
struct ForcedRun: Equatable {
  var encoderOutput: [Float] = []
  var logits: [Float] = []
}

/// An encoder's output and what the head makes of it.
struct EncodedRun: Equatable {
  var output: [Float] = []
  var head: [Float] = []
}

/// What the planner says is the least memory `request` can be met with.
func smallestBudget(_ config: BackboneConfig, _ request: PlanRequest) throws -> Int {
  var impossible = request
  impossible.budgetBytes = 1
  do {
    _ = try MemoryPlan(config: config, request: impossible)
  } catch {
    #expect(error.kind == .budgetTooSmall)
    return error.required
  }
  Issue.record("a budget of one byte was met")
  return 0
}

extension Session {
  convenience init(_ file: PackedFile, _ request: PlanRequest, isaCap: String? = nil) throws {
    let plan = try MemoryPlan(config: file.config!, request: request)
    if let isaCap {
      try self.init(file, plan: plan, isaCap: isaCap)
    } else {
      try self.init(file, plan: plan)
    }
  }

  func forced(_ source: [Int32], _ target: [Int32]) throws -> ForcedRun {
    var run = ForcedRun()
    try source.withUnsafeBufferPointer { try encode($0) }
    run.encoderOutput = Array(UnsafeBufferPointer(start: encoderOutput, count: source.count * config.dModel))
    try target.withUnsafeBufferPointer { ids in
      try teacherForce(ids) { _, logits in run.logits += logits }
    }
    return run
  }

  /// [S, D]
  func encodedOutput(_ ids: [Int32], _ types: [Int32]?) throws -> [Float] {
    try ids.withUnsafeBufferPointer { ids in
      guard let types else { return try encode(ids) }
      try types.withUnsafeBufferPointer { try encode(ids, types: $0) }
    }
    return Array(UnsafeBufferPointer(start: encoderOutput, count: ids.count * config.dModel))
  }

  func headNumbers() throws -> [Float] { Array(try headOutput()) }

  func encoded(_ ids: [Int32], _ types: [Int32]?) throws -> EncodedRun {
    EncodedRun(output: try encodedOutput(ids, types), head: Array(try headOutput()))
  }

  /// Greedy answers of a whole batch.
  func answers(_ sources: [[Int32]], maxNewTokens: Int) throws -> [[Int32]] {
    for (index, ids) in sources.enumerated() { try ids.withUnsafeBufferPointer { try encode($0, source: index) } }
    var answers = [[Int32]](repeating: [], count: sources.count)
    try generateGreedily(maxNewTokens: maxNewTokens) { source, id in
      answers[source].append(id)
      return true
    }
    return answers
  }
}

func randomIds(_ count: Int, below limit: Int, seed: UInt64) -> [Int32] {
  var random = SystemlessRandom(seed: seed)
  return (0..<count).map { _ in 2 + Int32(random.uniform() * Float(limit - 2)) }
}
