/// What a training run tells while it goes on.
public enum TrainingEvent: Equatable, Sendable {
  case step(StepReport)
  case evaluation(EvaluationReport)
  /// The state has been saved.
  case saved(step: Int)

  public struct StepReport: Equatable, Sendable {
    /// From 1 on.
    public var step: Int
    public var epoch: Int
    public var loss: Double
    public var gradientNorm: Double
    public var learningRate: Double
    /// Source and target tokens.
    public var tokens: Int
    public var milliseconds: Double
  }

  public struct EvaluationReport: Equatable, Sendable {
    /// From 1 on.
    public var epoch: Int
    public var step: Int
    /// Mean of the epoch's steps.
    public var trainingLoss: Double
    /// Of the validation data; nil without.
    public var evaluation: Evaluation?
    /// Whether this is the best epoch so far.
    public var isBest: Bool
    public var milliseconds: Double
  }
}

/// How a training run ended.
public struct TrainingOutcome: Equatable, Sendable {
  public var steps: Int
  public var epochs: Int
  /// The epoch whose task was kept, from 1 on, and its evaluation's mean; nil without validation data.
  public var bestEpoch: Int?
  public var bestValue: Double?
  /// Whether all steps were done, or patience ended the run; else it was stopped and can go on.
  public var isFinished: Bool
}
