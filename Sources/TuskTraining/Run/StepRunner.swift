import TuskFormat

/// What came of a step.
public struct StepResult: Equatable, Sendable {
  /// Mean over target tokens, or examples of an encoder, before the step.
  public var loss: Double
  /// Norm of all gradients before it was bounded.
  public var gradientNorm: Double
}

/// Trains a task step by step: a batch passes the model in packs, and AdamW changes the task by the sum of their gradients.
///
/// Everything is allocated by the initializer; steps allocate nothing.
public final class StepRunner {
  public let task: TrainableTask
  public let settings: OptimizerSettings
  public let plan: TrainingPlan
  let model: TrainingModel

  /// - Parameter seed: of dropout.
  /// - Throws: `unavailable`, `mismatch`.
  public init(
    _ file: PackedFile, task: TrainableTask, plan: TrainingPlan, settings: OptimizerSettings, seed: UInt64 = 0
  ) throws(TrainingError) {
    self.task = task
    self.settings = settings
    self.plan = plan
    model = try TrainingModel(file, task: task, plan: plan)
    model.dropout.seed = seed
  }

  /// One step on `batch`.
  /// - Parameter step: from 0 on; decides the rate and what is dropped.
  /// - Throws: `notFinite`, and the task is as it was.
  /// - Precondition: no example is longer than planned.
  public func run(_ batch: some Collection<TokenizedExample>, step: Int) throws(TrainingError) -> StepResult {
    let loss = computeGradients(batch, step: step)
    let norm = task.gradientNorm()
    guard loss.isFinite, norm.isFinite else {
      let lines = batch.isEmpty ? "" : ", lines from \(batch.first!.line) on"
      throw TrainingError(
        .notFinite, "step \(step)\(lines): the loss is \(loss) and the norm of its gradient \(norm)")
    }
    task.update(step: step, norm: norm, settings)
    return StepResult(loss: loss, gradientNorm: norm)
  }

  /// The loss of `batch`, and its gradients in the task.
  func computeGradients(_ batch: some Collection<TokenizedExample>, step: Int) -> Double {
    var divisor = 0
    for example in batch { divisor += max(example.targetCount, 1) }
    var loss = 0.0
    var pack: UInt64 = 0
    func runPack() {
      model.dropout.pass = UInt64(step) << 20 | pack
      loss += model.run(divisor: divisor)
      model.examples.removeAll()
      pack += 1
    }
    task.clearGradients()
    model.examples.removeAll()
    for example in batch {
      if !model.hasRoom(for: example) { runPack() }
      model.examples.append(example)
    }
    if model.examples.count > 0 { runPack() }
    task.clearFrozenGradients()
    return loss
  }
}
