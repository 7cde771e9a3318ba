import CTuskKernels
import TuskFormat

/// What a session is to be able to do.
public struct PlanRequest: Sendable {
  /// Longest source, S.
  public var sourceTokens: Int
  /// Most decoder positions, T: the start token and all generated ones but the last.
  public var targetTokens: Int
  /// Sources that are decoded together.
  public var batch: Int
  /// Hypotheses per source.
  public var beams: Int
  public var threads: Int
  /// Rows that the longest prefix of a task puts before the keys of an attention, P.
  public var prefixTokens: Int
  /// Upper bound on private memory; nil leaves the planner free.
  public var budgetBytes: Int?
  /// Widest adapter that can be mounted, W.
  public private(set) var bottleneckWidth: Int
  /// Largest working memory of a mounted linear.
  public private(set) var linearScratchFloats: Int
  /// Widest vector of a head.
  public private(set) var headWidth: Int

  /// - Parameter targetTokens: unused by an encoder.
  public init(
    sourceTokens: Int, targetTokens: Int = 1, batch: Int = 1, beams: Int = 1, threads: Int = 1, budgetBytes: Int? = nil
  ) {
    self.sourceTokens = sourceTokens
    self.targetTokens = targetTokens
    self.batch = batch
    self.beams = beams
    self.threads = threads
    self.budgetBytes = budgetBytes
    bottleneckWidth = 128
    linearScratchFloats = 4096
    headWidth = 1024
    prefixTokens = 0
  }

  /// Makes room for mounting `task`, or for the backbone's own head. Tasks of usual size need no call: 128 wide, 2 N N R
  /// up to 4,096, heads up to 1,024 wide.
  public mutating func reserve(for task: TaskSection) {
    let needs = AdapterNeeds(of: task)
    bottleneckWidth = max(bottleneckWidth, needs.bottleneckWidth)
    linearScratchFloats = max(linearScratchFloats, needs.linearScratchFloats)
    headWidth = max(headWidth, needs.headWidth)
  }

  /// Distances between keys and queries: from the first key and the last query to the last key and the first query. Those
  /// of a prefix come first, so that they lengthen the side of keys behind the query.
  var encoderDistances: Int { 2 * sourceTokens - 1 + prefixTokens }
  var decoderDistances: Int { targetTokens + prefixTokens }

  func hasRoom(for task: TaskSection) -> Bool {
    let needs = AdapterNeeds(of: task)
    return needs.bottleneckWidth <= bottleneckWidth && needs.linearScratchFloats <= linearScratchFloats
      && needs.headWidth <= headWidth
  }
}

/// What mounting a task takes of a session's working memory.
struct AdapterNeeds {
  private(set) var bottleneckWidth = 0
  private(set) var linearScratchFloats = 0
  private(set) var headWidth = 0

  init(of task: TaskSection) {
    for position in 0..<task.attachmentCount {
      if case .adapter(let adapter) = task.attachment(at: position) {
        bottleneckWidth = max(bottleneckWidth, adapter.bottleneckWidth)
      }
    }
    for position in 0..<task.linearCount {
      let linear = task.linear(at: position)
      let scratch =
        linear.factorRank > 0
        ? 2 * linear.phmDim * linear.phmDim * linear.factorRank
        : (linear.inWidth + linear.outWidth) / linear.phmDim
      linearScratchFloats = max(linearScratchFloats, scratch)
    }
    if let head = task.head {
      headWidth = max(head.outWidth, head.first.map { task.linear(at: $0).outWidth } ?? 0)
    }
  }
}

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
/// The planner prefers large token tiles, which read each weight fewer times per source, and takes smaller ones when a
/// budget asks for it.
public struct MemoryPlan: Sendable {
  public let request: PlanRequest
  /// Tokens of a source that pass through a sub-layer together.
  public let tileTokens: Int
  let regions: Regions
  private let keyValueCacheBytes: Int
  private let activationBytes: Int

  /// Token tiles the planner chooses from, best first.
  static let tileChoices = [128, 64, 32, 16]

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
    precondition(
      request.sourceTokens > 0 && request.targetTokens > 0 && request.batch > 0 && request.beams > 0
        && request.threads > 0, "a plan needs at least one of each")
    var smallest = Int.max
    for tileTokens in Self.tileChoices {
      let plan = try MemoryPlan(config: config, request: request, tileTokens: tileTokens)
      smallest = min(smallest, plan.privateBytes)
      if plan.privateBytes <= request.budgetBytes ?? Int.max {
        self = plan
        return
      }
    }
    throw EngineError(.budgetTooSmall, found: request.budgetBytes ?? 0, required: smallest)
  }

  private init(config: BackboneConfig, request: PlanRequest, tileTokens: Int) throws(EngineError) {
    var request = request
    request.sourceTokens = min(request.sourceTokens, config.maxSourceTokens ?? Int.max)
    self.request = request
    self.tileTokens = min(tileTokens, request.sourceTokens)
    regions = Regions(config: config, request: request, tileTokens: self.tileTokens)
    guard regions.arenaBytes < Int.max / 4 else { throw EngineError(.planTooLarge) }
    keyValueCacheBytes = regions.keyValueCacheBytes
    activationBytes = regions.arenaBytes - regions.keyValueCacheBytes
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
