import TuskEngine
import TuskFormat

/// What a training run asks of the planner.
public struct TrainingRequest: Equatable, Sendable {
  /// Most tokens of a source, without a prompt.
  public var sourceTokens: Int
  /// Most tokens of a target, end-of-sequence included; 0 of an encoder.
  public var targetTokens: Int
  /// Examples of one step.
  public var batch: Int
  public var threads: Int
  public var dropout: DropoutRates
  /// Upper bound on private memory; nil leaves the planner free.
  public var budgetBytes: Int?
  /// Whether the backbone's own weights are trained.
  public var trainsBackbone: Bool

  public init(
    sourceTokens: Int, targetTokens: Int, batch: Int, threads: Int = 1, dropout: DropoutRates = .none,
    budgetBytes: Int? = nil, trainsBackbone: Bool = false
  ) {
    self.trainsBackbone = trainsBackbone
    self.sourceTokens = sourceTokens
    self.targetTokens = targetTokens
    self.batch = batch
    self.threads = threads
    self.dropout = dropout
    self.budgetBytes = budgetBytes
  }
}

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
  let regions: TrainingRegions
  /// The task, its gradient and its moments.
  public let taskBytes: Int
  /// The same of the backbone, if it is trained.
  public let backboneBytes: Int

  /// Private memory of a training process beside its arena and task: program, libraries, packing buffers of OpenBLAS for each
  /// thread, as measured by `tusk train`.
  static let runtimeFloorBytes = 10 << 20
  static let threadBytes = 1 << 20
  /// What a plan without a budget stays below if it can: half of what an int8 backbone has on disk, and never so little that
  /// few rows pass together.
  static func comfortableBytes(_ config: BackboneConfig) -> Int { max(38 << 20, config.parameterCount / 2) }

  public var activationBytes: Int { regions.byteCount }
  public var privateBytes: Int {
    regions.byteCount + taskBytes + backboneBytes + Self.runtimeFloorBytes + request.threads * Self.threadBytes
  }

  /// The fastest plan within the budget.
  /// - Throws: `budgetTooSmall`, which names the smallest budget that can be met.
  public init(
    config: BackboneConfig, task: TaskSection, request: TrainingRequest
  ) throws(TrainingError) {
    let choices = Self.choices(config: config, task: task, request: request)
    let limit = request.budgetBytes ?? Self.comfortableBytes(config) + choices[0].backboneBytes
    if let fitting = choices.filter({ $0.privateBytes <= limit }).min(by: { $0.cost < $1.cost }) {
      self = fitting
      return
    }
    let smallest = choices.min { $0.privateBytes < $1.privateBytes }!
    if let budget = request.budgetBytes {
      throw TrainingError(
        .budgetTooSmall,
        "the memory budget cannot be met (bytes: found \(budget), required \(smallest.privateBytes))")
    }
    self = smallest
  }

  /// Every plan there is.
  public static func choices(config: BackboneConfig, task: TaskSection, request: TrainingRequest) -> [TrainingPlan] {
    var plans: [TrainingPlan] = []
    var examples = 1
    while true {
      for keeps in [true, false] {
        plans.append(TrainingPlan(config, task, request, examples: examples, keeps: keeps))
      }
      if examples >= request.batch { return plans }
      examples = min(examples + (examples + 3) / 4, request.batch)
    }
  }

  private init(_ config: BackboneConfig, _ task: TaskSection, _ request: TrainingRequest, examples: Int, keeps: Bool) {
    self.request = request
    let longest = request.sourceTokens + (task.prompt?.tokenCount ?? 0)
    let targets = config.hasDecoder ? request.targetTokens : 0
    // Short examples fill the rows that few long ones would.
    rows = TrainingRows(
      source: longest.multipliedSaturating(by: examples), target: targets.multipliedSaturating(by: examples),
      longestSource: longest, longestTarget: max(targets, 1), examples: request.batch)
    keepsActivations = keeps
    demands = TaskDemands(of: task)
    regions = TrainingRegions(
      config: config, rows: rows, demands: demands, keepsActivations: keeps, trainsBackbone: request.trainsBackbone,
      threads: request.threads)
    backboneBytes = request.trainsBackbone ? TrainableBackbone.plannedBytes(config) : 0
    taskBytes = TrainableTask.plannedBytes(sectionBytes: task.bytes.count)
  }

  /// Time of a row of a source in multiples of a forward pass: backward is twice as long in float32, weights are dequantized
  /// once for all rows of a pack, which costs as much as 24 rows, and a repeated forward pass costs one more.
  private var cost: Double { (keepsActivations ? 3 : 4) * (1 + 24 / Double(rows.source)) }
}

extension Int {
  fileprivate func multipliedSaturating(by factor: Int) -> Int {
    let product = multipliedReportingOverflow(by: factor)
    return product.overflow ? Int.max / 2 : product.partialValue
  }
}
