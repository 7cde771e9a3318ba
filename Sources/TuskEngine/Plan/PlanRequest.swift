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
  /// Rows that the longest prompt of a task puts among those of a source.
  public var promptTokens: Int
  /// Upper bound on private memory; nil leaves the planner free.
  public var budgetBytes: Int?
  /// Widest adapter that can be mounted, W.
  public private(set) var bottleneckWidth: Int
  /// Largest working memory of a mounted linear.
  public private(set) var linearScratchFloats: Int
  /// Widest vector of a head.
  public private(set) var headWidth: Int
  /// Whether a task may act on the keys and values of cross-attention, which absorbed cross-attention never forms.
  public var changesCrossKeyValues: Bool

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
    promptTokens = 0
    changesCrossKeyValues = false
  }

  /// Makes room for mounting `task`, alone or in a stack, or for the backbone's own head. Tasks of usual size without prompt
  /// and prefix need no call: 128 wide, linears that work in 4,096 floats, heads up to 1,024 wide.
  public mutating func reserve(for task: TaskSection) {
    let needs = AdapterNeeds(of: task)
    bottleneckWidth = max(bottleneckWidth, needs.bottleneckWidth)
    linearScratchFloats = max(linearScratchFloats, needs.linearScratchFloats)
    headWidth = max(headWidth, needs.headWidth)
    prefixTokens = max(prefixTokens, needs.prefixTokens)
    promptTokens = max(promptTokens, needs.promptTokens)
    changesCrossKeyValues = changesCrossKeyValues || needs.changesCrossKeyValues
  }

  /// Rows of a source in the encoder: its tokens and a prompt.
  var encoderRows: Int { sourceTokens + promptTokens }

  /// Distances from a query to a key, of 2 (S + P) - 1 and T + 2 P: a prefix lengthens both sides, since queries may count
  /// from its first row or from behind its last.
  var encoderDistances: Int { 2 * (encoderRows + prefixTokens) - 1 }
  var decoderDistances: Int { targetTokens + 2 * prefixTokens }
  /// How many of them are below 0.
  var encoderDistancesBehind: Int { encoderRows + prefixTokens - 1 }
  var decoderDistancesBehind: Int { targetTokens + prefixTokens - 1 }

  /// The first thing a task needs more of than is planned; nil if there is room.
  func shortage(for needs: AdapterNeeds) -> (found: Int, required: Int)? {
    if needs.bottleneckWidth > bottleneckWidth { return (needs.bottleneckWidth, bottleneckWidth) }
    if needs.linearScratchFloats > linearScratchFloats { return (needs.linearScratchFloats, linearScratchFloats) }
    if needs.headWidth > headWidth { return (needs.headWidth, headWidth) }
    if needs.prefixTokens > prefixTokens { return (needs.prefixTokens, prefixTokens) }
    if needs.promptTokens > promptTokens { return (needs.promptTokens, promptTokens) }
    return nil
  }
}

/// What mounting a task takes of a session's working memory.
struct AdapterNeeds {
  private(set) var bottleneckWidth = 0
  private(set) var linearScratchFloats = 0
  private(set) var headWidth = 0
  private(set) var prefixTokens = 0
  private(set) var promptTokens = 0
  private(set) var changesCrossKeyValues = false
  private(set) var changesProducts = false
  private(set) var gatesAdapters = false

  init(of task: TaskSection) {
    for position in 0..<task.attachmentCount {
      switch task.attachment(at: position) {
      case .adapter(let adapter):
        bottleneckWidth = max(bottleneckWidth, adapter.bottleneckWidth)
        gatesAdapters = gatesAdapters || adapter.gateWeight != nil
      case .prefix(let prefix): prefixTokens = max(prefixTokens, prefix.tokenCount)
      case .prompt(let prompt): promptTokens = max(promptTokens, prompt.tokenCount)
      case .product: changesProducts = true
      }
    }
    for layer in 0..<(changesProducts || prefixTokens > 0 ? task.slots.decoderLayerCount : 0) {
      let slot = task.slots.slot(.decoder, .crossAttention, layer: layer)
      let changes = task.product(.k, slot: slot) != nil || task.product(.v, slot: slot) != nil
      changesCrossKeyValues = changesCrossKeyValues || changes || task.prefix(slot: slot) != nil
    }
    // Down and up alternate, most of them alike.
    for position in 0..<task.linearCount where position < 2 || !task.linear(position, hasShapeOf: position - 2) {
      linearScratchFloats = max(linearScratchFloats, MountedLinear.scratchFloats(task.linear(at: position)))
    }
    if let head = task.head {
      headWidth = max(head.outWidth, head.first.map { task.linear(at: $0).outWidth } ?? 0)
    }
  }
}
