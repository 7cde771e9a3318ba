/// All that decides what a training run comes to, but for the data.
public struct TrainingSettings: Equatable, Sendable {
  public var method: MethodSettings
  public var optimizer: OptimizerSettings
  /// Examples of one step.
  public var batch: Int
  public var epochs: Int
  public var dropout: Double
  /// Of the order of examples and of dropout.
  public var seed: UInt64
  /// Epochs without a better evaluation after which a run ends; nil to go through all.
  public var patience: Int?

  public init(
    method: MethodSettings, optimizer: OptimizerSettings, batch: Int, epochs: Int, dropout: Double, seed: UInt64,
    patience: Int? = nil
  ) {
    self.method = method
    self.optimizer = optimizer
    self.batch = batch
    self.epochs = epochs
    self.dropout = dropout
    self.seed = seed
    self.patience = patience
  }

  /// Where the backbone's own dropout stands to adapters: see `DropoutRates`.
  public var dropoutRates: DropoutRates {
    DropoutRates(
      hidden: Float(dropout), attention: Float(dropout), precedesAdapter: method.dialect == .adapterhub)
  }

  /// Names and values, for a state file that must belong to a run of the same settings.
  var identity: [(name: String, value: String)] {
    [
      ("method", method.method.rawValue), ("dialect", method.dialect.rawValue),
      ("batch", "\(batch)"), ("epochs", "\(epochs)"), ("dropout", "\(dropout)"), ("seed", "\(seed)"),
      ("learning rate", "\(optimizer.learningRate)"), ("warm-up steps", "\(optimizer.warmupSteps)"),
      ("steps", "\(optimizer.totalSteps)"), ("clip norm", "\(optimizer.clipNorm)"),
      ("weight decay", "\(optimizer.weightDecay)"), ("patience", patience.map { "\($0)" } ?? "none"),
    ]
  }
}

/// The order in which an epoch takes its examples.
enum EpochOrder {
  /// A permutation of `0..<count` that seed and epoch decide: Fisher and Yates' shuffle.
  static func permutation(of count: Int, seed: UInt64, epoch: Int, into order: inout [Int]) {
    var random = SplitMix64(seed: seed, stream: 2 + UInt64(epoch))
    order.removeAll(keepingCapacity: true)
    for position in 0..<count { order.append(position) }
    for position in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(position, random.integer(below: position + 1))
    }
  }
}
