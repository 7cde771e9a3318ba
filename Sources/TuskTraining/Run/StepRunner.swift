import TuskEngine
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

  /// - Parameters:
  ///   - seed: of dropout.
  ///   - isaCap: name of the best instruction set that may be used; nil for no cap.
  /// - Throws: `unavailable`, `mismatch`.
  public init(
    _ file: PackedFile, task: TrainableTask, plan: TrainingPlan, settings: OptimizerSettings, seed: UInt64 = 0,
    isaCap: UnsafePointer<CChar>? = nil
  ) throws(TrainingError) {
    self.task = task
    self.settings = settings
    self.plan = plan
    model = try TrainingModel(file, task: task, plan: plan, isaCap: isaCap)
    model.dropout.seed = seed
  }

  /// One step on the examples of `set` at `positions`.
  /// - Parameter step: from 0 on; decides the rate and what is dropped.
  /// - Throws: `notFinite`, and the task is as it was.
  /// - Precondition: no example is longer than planned.
  public func run(_ set: ExampleSet, _ positions: ArraySlice<Int>, step: Int) throws(TrainingError) -> StepResult {
    let loss = computeGradients(set, positions, step: step)
    let norm = task.gradientNorm(model.back)
    guard loss.isFinite, norm.isFinite else {
      let lines = positions.prefix(8).map { "\(set.line($0))" }.joined(separator: ", ")
      let rest = positions.count > 8 ? " and \(positions.count - 8) more" : ""
      throw TrainingError(
        .notFinite,
        "step \(step), lines \(lines)\(rest): found a loss of \(loss) and a gradient of norm \(norm), required finite "
          + "ones; a lower --learning-rate may help")
    }
    task.update(step: step, norm: norm, settings, model.back)
    return StepResult(loss: loss, gradientNorm: norm)
  }

  /// The loss of examples, and its gradients in the task.
  func computeGradients(_ set: ExampleSet, _ positions: ArraySlice<Int>, step: Int) -> Double {
    var divisor = 0
    for position in positions { divisor += max(set.targetCount(position), 1) }
    var loss = 0.0
    var pack: UInt64 = 0
    task.clearGradients()
    model.examples.removeAll()
    for position in positions {
      if !model.hasRoom(source: set.sourceCount(position), target: set.targetCount(position)) {
        loss += runPack(&pack, step: step, divisor: divisor)
      }
      model.examples.append(set, position)
    }
    if model.examples.count > 0 { loss += runPack(&pack, step: step, divisor: divisor) }
    task.clearFrozenGradients()
    return loss
  }

  /// Calls `body` with a session that has the task mounted as it is now. It works in the memory of the activations, if that is
  /// large enough: between two steps they hold nothing.
  func withSession<Result>(
    _ request: PlanRequest, _ body: (Session) throws(TrainingError) -> Result
  ) throws(TrainingError) -> Result {
    defer { model.fillBiases() }
    let session: Session
    do {
      var request = request
      request.reserve(for: task.section)
      request.budgetBytes = plan.request.budgetBytes
      let sessionPlan = try MemoryPlan(config: model.config, request: request)
      let memory = model.arena.memory
      session = try Session(
        model.weights.file, plan: sessionPlan, memory: memory.count >= sessionPlan.arenaBytes ? memory : nil)
      try session.setTask(task.section)
    } catch { throw Self.failure(error) }
    return try body(session)
  }

  private static func failure(_ error: any Error) -> TrainingError {
    switch error {
    case let error as EngineError where error.kind == .budgetTooSmall:
      TrainingError(.budgetTooSmall, "\(error.summary): found \(error.found), required \(error.required)")
    case let error as EngineError: TrainingError(.unavailable, "\(error.summary)")
    case let error as FormatError: TrainingError(.mismatch, "\(error.summary)")
    default: TrainingError(.unavailable, "\(error)")
    }
  }

  private func runPack(_ pack: inout UInt64, step: Int, divisor: Int) -> Double {
    model.dropout.pass = UInt64(step) << 20 | pack
    pack += 1
    defer { model.examples.removeAll() }
    return model.run(divisor: divisor)
  }
}
