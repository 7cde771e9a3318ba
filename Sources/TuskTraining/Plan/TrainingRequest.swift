/// What a training run asks of the planner.
public struct TrainingRequest: Equatable, Sendable {
  /// Most tokens of a source, without a prompt.
  public var sourceTokens: Int
  /// Most tokens of a target, end-of-sequence included; 0 of an encoder.
  public var targetTokens: Int
  /// Examples of one step.
  public var batch: Int
  /// Source and target tokens that the examples of one step usually have together at most: more of them pass the model in
  /// another pack. nil for those of `batch` of the longest.
  public var stepSourceTokens: Int?
  public var stepTargetTokens: Int?
  public var threads: Int
  public var dropout: DropoutRates
  /// Of the answers to validation data between two epochs; nil if there are none.
  public var evaluation: Evaluation?
  /// What the examples take in memory, in bytes.
  public var dataBytes = 0
  /// Upper bound on private memory; nil leaves the planner free.
  public var budgetBytes: Int?
  /// Whether the backbone's own weights are trained.
  public var trainsBackbone = false

  /// What answering validation data takes.
  public struct Evaluation: Equatable, Sendable {
    /// Most tokens of a source, without a prompt.
    public var sourceTokens: Int
    /// Most tokens of an answer, end-of-sequence included; unused by an encoder.
    public var targetTokens: Int

    public init(sourceTokens: Int, targetTokens: Int) {
      self.sourceTokens = sourceTokens
      self.targetTokens = targetTokens
    }
  }

  public init(
    sourceTokens: Int, targetTokens: Int, batch: Int, threads: Int = 1, dropout: DropoutRates = .none,
    budgetBytes: Int? = nil
  ) {
    self.sourceTokens = sourceTokens
    self.targetTokens = targetTokens
    self.batch = batch
    self.threads = threads
    self.dropout = dropout
    self.budgetBytes = budgetBytes
  }

  /// The request for `training` in steps of `batch` examples, which epoch 0 of `seed` tells the sizes of, and for `validation`
  /// between epochs.
  public init(
    training: ExampleSet, validation: ExampleSet?, batch: Int, seed: UInt64, threads: Int = 1,
    dropout: DropoutRates = .none, budgetBytes: Int? = nil
  ) {
    self.init(
      sourceTokens: training.longestSource, targetTokens: training.longestTarget, batch: min(batch, training.count),
      threads: threads, dropout: dropout, budgetBytes: budgetBytes)
    var order: [Int] = []
    EpochOrder.permutation(of: training.count, seed: seed, epoch: 0, into: &order)
    var most = (source: 0, target: 0)
    for first in stride(from: 0, to: order.count, by: batch) {
      let positions = order[first..<min(first + batch, order.count)]
      most.source = max(most.source, positions.reduce(0) { $0 + training.sourceCount($1) })
      most.target = max(most.target, positions.reduce(0) { $0 + training.targetCount($1) })
    }
    (stepSourceTokens, stepTargetTokens) = (most.source, most.target)
    evaluation = validation.map {
      Evaluation(sourceTokens: $0.longestSource, targetTokens: max($0.longestTarget, 1))
    }
    dataBytes = training.byteCount + (validation?.byteCount ?? 0) + training.count * MemoryLayout<Int>.stride
  }
}
