import CTuskKernels
import TuskFormat

/// Where memory goes. The same words in code, report and documentation.
public enum MemoryCategory: UInt8, CaseIterable, Sendable {
  /// The backbone file: mapped read-only, shared by all processes, droppable by the kernel.
  case mappedBackbone
  /// Task files and sections: mapped likewise.
  case mappedTasks
  /// Keys and values of the decoder's self-attention and cross-attention.
  case keyValueCache
  /// Residual stream, projections, codes, logits, beams.
  case activations
  /// Working memory of the tokenizer for one source.
  case tokenizer
  /// Program, C library, thread stacks, resolved weight table.
  case runtimeFloor

  public var isPrivate: Bool { self != .mappedBackbone && self != .mappedTasks }

  public var name: StaticString {
    switch self {
    case .mappedBackbone: "mappedBackbone"
    case .mappedTasks: "mappedTasks"
    case .keyValueCache: "keyValueCache"
    case .activations: "activations"
    case .tokenizer: "tokenizer"
    case .runtimeFloor: "runtimeFloor"
    }
  }
}

/// Every byte a session will use, computed before anything runs.
///
/// Of all tiles, precisions and forms of cross-attention the planner takes the fastest that fit the budget, and of equally
/// fast ones the most precise.
public struct MemoryPlan: Sendable {
  public let request: PlanRequest
  /// Tokens of a source that pass through a sub-layer together.
  public let tileTokens: Int
  /// What the decoder's keys and values, or the encoder's output that stands for them, are kept as. An encoder's own keys
  /// and values are float32, unless it has to save memory: absorbed, or without a decoder.
  public let keyValuePrecision: KeyValuePrecision
  public let crossAttention: CrossAttention
  let regions: Regions
  private let keyValueCacheBytes: Int
  private let activationBytes: Int

  /// Private memory of an engine process beside its session, in bytes: program, C library, stack, heap. Measured by
  /// `tusk-nano --measure` on x86-64.
  #if hasFeature(Embedded)
    public static let runtimeFloorBytes = 112 << 10
  #else
    public static let runtimeFloorBytes = 672 << 10
  #endif
  /// Stack and bookkeeping of each thread beyond the first, as far as it is touched.
  static let threadBytes = 16 << 10
  /// Working memory of the tokenizer per token of the source, in bytes.
  static let tokenizerBytesPerToken = 64

  /// The fastest plan for `request` that fits its budget; with as many source tokens as the backbone has positions for.
  /// - Throws: `budgetTooSmall` with the smallest budget that can be met, `planTooLarge`.
  public init(config: BackboneConfig, request: PlanRequest) throws(EngineError) {
    let plans = try Self.choices(config: config, request: request)
    for plan in plans where plan.privateBytes <= request.budgetBytes ?? Int.max {
      self = plan
      return
    }
    throw EngineError(.budgetTooSmall, found: request.budgetBytes ?? 0, required: plans[plans.count - 1].privateBytes)
  }

  /// Every plan that some budget leads to, fastest and largest first: none is both slower and larger than another. The
  /// budget of `request` does not matter.
  /// - Throws: `planTooLarge`.
  public static func choices(config: BackboneConfig, request: PlanRequest) throws(EngineError) -> [MemoryPlan] {
    precondition(
      request.sourceTokens > 0 && request.targetTokens > 0 && request.batch > 0 && request.beams > 0
        && request.threads > 0, "a plan needs at least one of each")
    var request = request
    request.sourceTokens = min(request.sourceTokens, config.maxSourceTokens ?? Int.max)
    var plans: [MemoryPlan] = []
    for choice in PlanChoice.ordered(config: config, request: request) {
      let plan = try MemoryPlan(config: config, request: request, choice)
      if plan.privateBytes < plans.last?.privateBytes ?? Int.max { plans.append(plan) }
    }
    return plans
  }

  /// The plan of one choice, whatever its use.
  package init(config: BackboneConfig, request: PlanRequest, _ choice: PlanChoice) throws(EngineError) {
    self.request = request
    tileTokens = choice.tileTokens
    keyValuePrecision = choice.precision
    crossAttention = choice.crossAttention
    regions = Regions(config: config, request: request, choice)
    guard regions.arenaBytes < Int.max / 4 else { throw EngineError(.planTooLarge) }
    keyValueCacheBytes = regions.keyValueCacheBytes
    activationBytes = regions.arenaBytes - regions.keyValueCacheBytes
  }

  /// What a task of these `needs` takes more of than is planned; nil if there is room. Keys and values that are never
  /// formed cannot be changed: the task needs a plan that caches them.
  func shortage(for needs: AdapterNeeds) -> (found: Int, required: Int)? {
    if crossAttention == .absorbed && needs.changesCrossKeyValues { return (1, 0) }
    return request.shortage(for: needs)
  }

  /// Bytes of the one allocation a session works in, for callers that make it themselves.
  public var arenaBytes: Int { regions.arenaBytes }
  /// Where that allocation may begin.
  public static let alignment = 64

  /// Planned bytes of a private category. The mapped ones are properties of the files.
  public func bytes(_ category: MemoryCategory) -> Int {
    switch category {
    case .mappedBackbone, .mappedTasks: 0
    case .keyValueCache: keyValueCacheBytes
    case .activations: activationBytes
    case .tokenizer: request.sourceTokens * Self.tokenizerBytesPerToken
    case .runtimeFloor: Self.runtimeFloorBytes + (request.threads - 1) * Self.threadBytes
    }
  }

  /// Planned private memory.
  public var privateBytes: Int {
    var sum = 0
    for category in MemoryCategory.allCases where category.isPrivate { sum += bytes(category) }
    return sum
  }
}
