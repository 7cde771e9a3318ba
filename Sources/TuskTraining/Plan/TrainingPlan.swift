import TuskEngine
import TuskFormat

/// Every byte a training run uses, computed before its first step.
///
/// A batch passes the model in packs of as many rows as `rows` says, without padding, and gradients add up. Blocks keep what
/// their backward pass needs, or compute it again. The planner takes the fastest choice that fits.
public struct TrainingPlan: Sendable {
  public let request: TrainingRequest
  public let rows: TrainingRows
  /// Whether blocks keep their activations; else their forward pass is repeated.
  public let keepsActivations: Bool
  let demands: TaskDemands
  private(set) var regions: TrainingRegions
  /// Of the session that answers validation data, in the memory of the activations; nil if there are none.
  let evaluation: MemoryPlan?
  /// The task, its gradient and its moments, and the best task so far.
  public let taskBytes: Int
  /// The same of the backbone, if it is trained.
  public let backboneBytes: Int

  /// Private memory of a training process beside its arena, task and data: program, libraries, their buffers.
  static let runtimeFloorBytes = 5 << 19
  /// Of each thread: its stack, and what OpenBLAS packs its products into.
  static let threadBytes = 1 << 20
  /// What a plan without a budget stays below if it can: half of what an int8 backbone has on disk, and never so little that
  /// few rows pass together.
  static func comfortableBytes(_ config: BackboneConfig) -> Int { max(38 << 20, config.parameterCount / 2) }

  /// What the planner stayed below: the budget, or a default without one; nil if nothing is small enough for that default.
  public private(set) var limitBytes: Int?
  public var activationBytes: Int { regions.byteCount }
  /// Bytes beside activations, task, backbone and data.
  public var runtimeBytes: Int { Self.runtimeFloorBytes + request.threads * Self.threadBytes }
  /// All of it.
  public var privateBytes: Int { activationBytes + taskBytes + backboneBytes + request.dataBytes + runtimeBytes }

  /// The fastest plan within the budget.
  /// - Throws: `budgetTooSmall`, which names the smallest budget that can be met.
  public init(
    config: BackboneConfig, task: TaskSection, request: TrainingRequest
  ) throws(TrainingError) {
    let choices = try Self.choices(config: config, task: task, request: request)
    let limit = request.budgetBytes ?? Self.comfortableBytes(config) + choices[0].backboneBytes
    if let fitting = choices.first(where: { $0.privateBytes <= limit }) {
      self = fitting
      limitBytes = limit
      return
    }
    let smallest = choices[choices.count - 1]
    if let budget = request.budgetBytes {
      throw TrainingError(
        .budgetTooSmall,
        "the memory budget cannot be met (found \(budget) bytes, required \(smallest.privateBytes))")
    }
    self = smallest
  }

  /// Every plan that some budget leads to, fastest and largest first: none is both slower and larger than another. The
  /// budget of `request` does not matter.
  /// - Throws: `tooLong` for sources that no plan holds.
  public static func choices(
    config: BackboneConfig, task: TaskSection, request: TrainingRequest
  ) throws(TrainingError) -> [TrainingPlan] {
    let sessions = try sessionPlans(config, task, request)
    var plans: [TrainingPlan] = []
    for examples in packSizes(request.batch) {
      for keeps in [true, false] {
        plans.append(TrainingPlan(config, task, request, sessions, examples: examples, keeps: keeps))
      }
    }
    plans.sort { ($0.cost, $0.privateBytes) < ($1.cost, $1.privateBytes) }
    var useful: [TrainingPlan] = []
    for plan in plans where plan.privateBytes < useful.last?.privateBytes ?? .max { useful.append(plan) }
    guard useful[0].privateBytes < Int.max / 4 else {
      throw TrainingError(.tooLong, "found \(request.sourceTokens) source tokens, which no plan has room for")
    }
    return useful
  }

  /// How many of the longest examples a pack may have room for: 1 and up by a quarter.
  private static func packSizes(_ batch: Int) -> [Int] {
    var sizes = [1]
    while let last = sizes.last, last < batch { sizes.append(min(last + (last + 3) / 4, batch)) }
    return sizes
  }

  /// The plan of packs as long as `examples` of the longest examples.
  init(
    _ config: BackboneConfig, _ task: TaskSection, _ request: TrainingRequest, _ sessions: [MemoryPlan], examples: Int,
    keeps: Bool
  ) {
    self.request = request
    rows = TrainingRows(config, request, promptTokens: task.prompt?.tokenCount ?? 0, longest: examples)
    keepsActivations = keeps
    demands = TaskDemands(of: task)
    regions = TrainingRegions(
      config: config, rows: rows, demands: demands, keepsActivations: keeps, trainsBackbone: request.trainsBackbone,
      threads: request.threads)
    let room = regions.byteCount
    let fitting = sessions.first { $0.arenaBytes <= room }
    evaluation = fitting ?? sessions.min { $0.arenaBytes < $1.arenaBytes }
    regions.byteCount = max(room, evaluation?.arenaBytes ?? 0)
    taskBytes = TrainableTask.plannedBytes(sectionBytes: task.bytes.count) + task.bytes.count
    backboneBytes = request.trainsBackbone ? TrainableBackbone.plannedBytes(config) : 0
  }

  /// Plans of sessions that answer validation data, the best first: several sources together where that costs no precision.
  private static func sessionPlans(
    _ config: BackboneConfig, _ task: TaskSection, _ request: TrainingRequest
  ) throws(TrainingError) -> [MemoryPlan] {
    guard let evaluation = request.evaluation else { return [] }
    func plans(batch: Int) throws(TrainingError) -> [MemoryPlan] {
      var session = PlanRequest(
        sourceTokens: evaluation.sourceTokens, targetTokens: evaluation.targetTokens, batch: batch,
        threads: request.threads)
      session.reserve(for: task)
      do throws(EngineError) { return try MemoryPlan.choices(config: config, request: session) } catch {
        throw TrainingError(.tooLong, "\(error.summary)")
      }
    }
    let alone = try plans(batch: 1)
    guard config.hasDecoder else { return alone }
    let together = try plans(batch: evaluationBatch)
    return together.filter { $0.keyValuePrecision == alone[0].keyValuePrecision } + alone
  }

  /// Sources that a decoder answers together, if there is room.
  private static let evaluationBatch = 8

  /// Time of a source row in multiples of its forward pass: backward is twice as long, weights are dequantized once for all
  /// rows of a pack, which costs as much as 24 rows, and a repeated forward pass costs one more.
  private var cost: Double { (keepsActivations ? 3 : 4) * (1 + 24 / Double(rows.source)) }

  /// Estimate of the time of a step, beside that of `other`.
  public func relativeTime(to other: TrainingPlan) -> Double { cost / other.cost }
}
