import TuskFormat

/// All that decides what a training run comes to, but for the data.
public struct TrainingSettings: Equatable, Sendable {
  public var method: MethodSettings
  public var optimizer: OptimizerSettings
  /// Examples of one step.
  public var batch: Int
  public var epochs: Int
  /// Share of the backbone's numbers that are dropped.
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

  /// `method` as `recipe` trains it on `exampleCount` examples.
  public init(_ method: MethodSettings, _ recipe: TrainingRecipe, exampleCount: Int, patience: Int? = nil) {
    self.init(
      method: method,
      optimizer: OptimizerSettings(
        learningRate: recipe.learningRate, warmupSteps: recipe.warmupSteps,
        totalSteps: recipe.stepCount(exampleCount: exampleCount), clipNorm: recipe.clipNorm, beta1: recipe.beta1,
        beta2: recipe.beta2, epsilon: recipe.epsilon, weightDecay: recipe.weightDecay),
      batch: recipe.batchSize, epochs: recipe.epochs, dropout: recipe.dropout, seed: recipe.seed, patience: patience)
  }

  /// Where the backbone's own dropout stands to adapters: see `DropoutRates`.
  public var dropoutRates: DropoutRates {
    DropoutRates(
      hidden: Float(dropout), attention: Float(dropout), precedesAdapter: method.dialect == .adapterhub)
  }

  /// Names and values for people, for a state file that must belong to a run of the same settings.
  var identity: [String: String] {
    [
      "method": method.method.rawValue, "dialect": method.dialect.rawValue, "terms": "\(method.phmDim)",
      "rank": "\(method.factorRank)", "reduction factor": "\(method.reductionFactor)",
      "activation": "\(method.activation.name)",
      "LoRA's rank": "\(method.loraRank)", "LoRA's alpha": "\(method.loraAlpha)",
      "prompt tokens": "\(method.promptTokens)", "prompt start": method.promptStart.rawValue,
      "seed of the first numbers": "\(method.seed)", "seed": "\(seed)", "batch": "\(batch)", "epochs": "\(epochs)",
      "dropout": "\(dropout)", "learning rate": "\(optimizer.learningRate)",
      "warm-up steps": "\(optimizer.warmupSteps)", "steps": "\(optimizer.totalSteps)",
      "clip norm": "\(optimizer.clipNorm)", "weight decay": "\(optimizer.weightDecay)",
      "betas": "\(optimizer.beta1), \(optimizer.beta2)", "epsilon": "\(optimizer.epsilon)",
      "epochs of patience": patience.map { "\($0)" } ?? "all",
    ]
  }
}

/// The order in which an epoch takes its examples.
enum EpochOrder {
  /// A permutation of `0..<count` that seed and epoch decide: Fisher and Yates' shuffle.
  static func permutation(of count: Int, seed: UInt64, epoch: Int, into order: inout [Int]) {
    // The first two streams are those of adapters and heads.
    var random = SplitMix64(seed: seed, stream: 2 + UInt64(epoch))
    order.removeAll(keepingCapacity: true)
    for position in 0..<count { order.append(position) }
    for position in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(position, random.integer(below: position + 1))
    }
  }
}
