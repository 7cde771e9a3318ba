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
    changesCrossKeyValues = false
  }

  /// Makes room for mounting `task`, or for the backbone's own head. Tasks of usual size need no call: 128 wide, 2 N N R
  /// up to 4,096, heads up to 1,024 wide.
  public mutating func reserve(for task: TaskSection) {
    let needs = AdapterNeeds(of: task)
    bottleneckWidth = max(bottleneckWidth, needs.bottleneckWidth)
    linearScratchFloats = max(linearScratchFloats, needs.linearScratchFloats)
    headWidth = max(headWidth, needs.headWidth)
    prefixTokens = max(prefixTokens, needs.prefixTokens)
    changesCrossKeyValues = changesCrossKeyValues || needs.changesCrossKeyValues
  }

  /// Distances from a query to a key, of 2 (S + P) - 1 and T + 2 P: a prefix lengthens both sides, since queries may count
  /// from its first row or from behind its last.
  var encoderDistances: Int { 2 * (sourceTokens + prefixTokens) - 1 }
  var decoderDistances: Int { targetTokens + 2 * prefixTokens }
  /// How many of them are below 0.
  var encoderDistancesBehind: Int { sourceTokens + prefixTokens - 1 }
  var decoderDistancesBehind: Int { targetTokens + prefixTokens - 1 }

  func hasRoom(for needs: AdapterNeeds) -> Bool {
    needs.bottleneckWidth <= bottleneckWidth && needs.linearScratchFloats <= linearScratchFloats
      && needs.headWidth <= headWidth && needs.prefixTokens <= prefixTokens
  }
}

/// What mounting a task takes of a session's working memory.
struct AdapterNeeds {
  private(set) var bottleneckWidth = 0
  private(set) var linearScratchFloats = 0
  private(set) var headWidth = 0
  private(set) var prefixTokens = 0
  private(set) var changesCrossKeyValues = false

  init(of task: TaskSection) {
    for position in 0..<task.attachmentCount {
      switch task.attachment(at: position) {
      case .adapter(let adapter): bottleneckWidth = max(bottleneckWidth, adapter.bottleneckWidth)
      case .prefix(let prefix): prefixTokens = max(prefixTokens, prefix.tokenCount)
      case .product, .prompt: break
      }
    }
    for layer in 0..<task.slots.decoderLayerCount {
      let slot = task.slots.slot(.decoder, .crossAttention, layer: layer)
      let changes = task.product(.k, slot: slot) != nil || task.product(.v, slot: slot) != nil
      changesCrossKeyValues = changesCrossKeyValues || changes || task.prefix(slot: slot) != nil
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
