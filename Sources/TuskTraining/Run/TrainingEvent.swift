/// What a training run tells while it goes on.
public enum TrainingEvent: Equatable, Sendable {
  case step(StepReport)
  /// `done` of the `count` validation examples have been answered.
  case answers(done: Int, count: Int)
  case evaluation(EvaluationReport)
  /// The state has been saved.
  case saved(step: Int)

  public struct StepReport: Equatable, Sendable {
    /// From 1 on.
    public var step: Int
    /// From 1 on.
    public var epoch: Int
    /// Before the step: mean over target tokens, or examples of an encoder.
    public var loss: Double
    /// Before it was bounded.
    public var gradientNorm: Double
    public var learningRate: Double
    /// Source and target tokens.
    public var tokens: Int
    public var milliseconds: Double
  }

  public struct EvaluationReport: Equatable, Sendable {
    /// From 1 on.
    public var epoch: Int
    /// Steps done.
    public var step: Int
    /// Mean of the epoch's steps.
    public var trainingLoss: Double
    /// Of the validation data; nil without.
    public var evaluation: Evaluation?
    /// Whether this is the best epoch so far; without validation data the last one is.
    public var isBest: Bool
    public var milliseconds: Double
  }
}

/// How a training run ended.
public struct TrainingOutcome: Equatable, Sendable {
  public var steps: Int
  /// Epochs done and evaluated.
  public var epochs: Int
  /// The epoch whose task was kept, from 1 on: the best, or without validation data the last one; nil before the first ended.
  public var bestEpoch: Int?
  /// Mean of the metrics of that epoch; nil without validation data.
  public var bestValue: Double?
  /// Whether all steps were done, or patience ended the run; else it was stopped and can go on.
  public var isFinished: Bool
}
