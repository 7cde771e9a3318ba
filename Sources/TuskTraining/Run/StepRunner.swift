import TuskEngine
import TuskFormat

/// What came of a step.
public struct StepResult: Equatable, Sendable {
  /// Mean over target tokens, or examples of an encoder, before the step.
  public var loss: Double
  /// Norm of all gradients before it was bounded.
  public var gradientNorm: Double
}

/// Trains a task, or a backbone with it, step by step: a batch passes the model in packs, and AdamW changes the task by the sum of their gradients.
///
/// Everything is allocated by the initializer; steps allocate nothing.
public final class StepRunner {
  public let task: TrainableTask
  public let backbone: TrainableBackbone?
  private let subspace: IntrinsicSubspace?
  public let settings: OptimizerSettings
  public let plan: TrainingPlan
  let model: TrainingModel

  /// - Parameters:
  ///   - file: the backbone; where it is trained, `backbone.file`.
  ///   - subspace: in which it is trained, if not as a whole.
  ///   - seed: of dropout.
  ///   - isaCap: name of the best instruction set that may be used; nil for no cap.
  /// - Throws: `unavailable`, `mismatch`.
  public init(
    _ file: PackedFile, task: TrainableTask, backbone: TrainableBackbone? = nil,
    subspace: IntrinsicSubspace? = nil, plan: TrainingPlan, settings: OptimizerSettings, seed: UInt64 = 0,
    isaCap: UnsafePointer<CChar>? = nil
  ) throws(TrainingError) {
    self.task = task
    self.backbone = backbone
    self.subspace = subspace
    self.settings = settings
    self.plan = plan
    model = try TrainingModel(file, task: task, backbone: backbone, plan: plan, isaCap: isaCap)
    model.dropout.seed = seed
  }

  /// One step on the examples of `set` at `positions`.
  /// - Parameter step: from 0 on; decides the rate and what is dropped.
  /// - Throws: `notFinite` with the step, from 1 on, and the lines of its examples; the task is as it was.
  /// - Precondition: no example is longer than planned.
  public func run(_ set: ExampleSet, _ positions: ArraySlice<Int>, step: Int) throws(TrainingError) -> StepResult {
    let loss = computeGradients(set, positions, step: step)
    subspace?.takeGradients()
    let ofBackbone = subspace?.sumOfSquares(model.back) ?? backbone?.sumOfSquares(model.back) ?? 0
    let norm = (task.sumOfSquares(model.back) + ofBackbone).squareRoot()
    guard loss.isFinite, norm.isFinite else {
      let lines = positions.prefix(8).map { "\(set.line($0))" }.joined(separator: ", ")
      let rest = positions.count > 8 ? " and \(positions.count - 8) more" : ""
      throw TrainingError(
        .notFinite, file: set.file,
        "step \(step + 1), line\(positions.count == 1 ? "" : "s") \(lines)\(rest): found a loss of \(loss) and a gradient "
          + "of norm \(norm), required finite ones; a lower learning rate may help")
    }
    let adamw = settings.adamw(step: step, norm: norm)
    task.update(adamw, model.back)
    if let subspace { subspace.update(adamw, model.back) } else { backbone?.update(adamw, model.back) }
    if backbone != nil { model.fillBiases() }
    return StepResult(loss: loss, gradientNorm: norm)
  }

  /// The loss of examples, and its gradients in the task.
  func computeGradients(_ set: ExampleSet, _ positions: ArraySlice<Int>, step: Int) -> Double {
    var divisor = 0
    for index in positions.indices { divisor += max(set.targetCount(positions[index]), 1) }
    var loss = 0.0
    var pack: UInt64 = 0
    task.clearGradients()
    backbone?.clearGradients()
    model.examples.removeAll()
    for index in positions.indices {
      let position = positions[index]
      if !model.hasRoom(source: set.sourceCount(position), target: set.targetCount(position)) {
        loss += runPack(&pack, step: step, divisor: divisor)
      }
      model.examples.append(set, position)
    }
    if model.examples.count > 0 { loss += runPack(&pack, step: step, divisor: divisor) }
    task.clearFrozenGradients()
    return loss
  }

  /// Calls `body` with the session that the plan has for answering validation data, with the task mounted as it is now. It
  /// works in the memory of the activations, which between two steps hold nothing.
  /// - Throws: `unavailable`, `mismatch`, what `body` throws.
  /// - Precondition: such data were planned for.
  func withSession<Result>(_ body: (Session) throws(TrainingError) -> Result) throws(TrainingError) -> Result {
    defer { model.fillBiases() }
    let session: Session
    do throws(EngineError) {
      session = try Session(model.weights.file, plan: plan.evaluation!, memory: model.arena.memory)
    } catch { throw TrainingError(.unavailable, "\(error.summary)") }
    for source in 0..<session.plan.request.batch {
      do throws(FormatError) { try session.setTask(task.section, source: source) } catch {
        throw TrainingError(.mismatch, "\(error.summary)")
      }
    }
    return try body(session)
  }

  /// Takes up weights of the backbone that others have changed.
  func readBackboneAgain() { model.fillBiases() }

  private func runPack(_ pack: inout UInt64, step: Int, divisor: Int) -> Double {
    model.dropout.pass = UInt64(step) << 20 | pack
    pack += 1
    defer { model.examples.removeAll() }
    return model.run(divisor: divisor)
  }
}
