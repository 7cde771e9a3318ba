import CTuskBackward
import CTuskSystem
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer

/// A training run: epochs over a set of examples, each with an evaluation, the best task kept; saved so often that no more
/// than `saveSeconds` of steps are ever lost.
///
/// Everything that decides the result follows from settings, data and step: a run that goes on from its state file gives the
/// bits that it would have given without a stop, with the same plan on a processor of the same kind. The number of threads
/// changes no bit.
public final class Trainer {
  public let settings: TrainingSettings
  public let plan: TrainingPlan
  public let task: TrainableTask
  public let stepsPerEpoch: Int
  /// The section of the best epoch; of the last one without validation data; of the task's beginning before there is one.
  public private(set) var best: [UInt8]
  /// How long steps may go on unsaved.
  public var saveSeconds = 30.0

  private let tokenizer: Tokenizer?
  private let training: ExampleSet
  private let validation: ExampleSet?
  private let metrics: [Metric]
  private let countsQuestionsOnce: Bool
  private let statePath: String
  private let runner: StepRunner
  private let backbone: TrainableBackbone?
  private let subspace: IntrinsicSubspace?
  private var state: TrainingState
  private var order: [Int] = []

  /// - Parameters:
  ///   - section: the task before its first step.
  ///   - tokenizer: of an encoder-decoder's answers; an encoder needs none.
  ///   - metrics: of the evaluations; the mean of their values decides which epoch is the best.
  ///   - countsQuestionsOnce: see `Evaluation`.
  ///   - dataIdentity: what tells the data from other data, for the state file: names and values for people.
  ///   - backbone: of a method that trains it, with `file` its file; `section` then is a head, or nothing.
  ///   - subspace: of the method that trains it there.
  ///   - statePath: of the state file, which the run writes.
  ///   - budgetBytes: upper bound on private memory; nil leaves the planner free.
  /// - Throws: `unavailable`, `budgetTooSmall`, `mismatch`, `unsupported`, `tooLong`.
  /// - Precondition: at least one example; with validation data a metric that suits them, and their right answers.
  public init(
    _ file: PackedFile, section: [UInt8], settings: TrainingSettings, tokenizer: Tokenizer?, training: ExampleSet,
    validation: ExampleSet?, metrics: [Metric], countsQuestionsOnce: Bool = false,
    dataIdentity: [String: String] = [:], backbone: TrainableBackbone? = nil, subspace: IntrinsicSubspace? = nil,
    statePath: String, threads: Int = 1, budgetBytes: Int? = nil
  ) throws(TrainingError) {
    guard let config = file.config else { throw TrainingError(.mismatch, "found a task file; a backbone is required") }
    precondition(training.count > 0 && settings.batch > 0, "nothing to learn from")
    precondition(validation.map { !$0.golds.isEmpty && !metrics.isEmpty } ?? true, "validation data to judge by")
    self.settings = settings
    self.tokenizer = tokenizer
    self.training = training
    self.validation = validation
    self.metrics = metrics
    self.countsQuestionsOnce = countsQuestionsOnce
    self.statePath = statePath
    stepsPerEpoch = (training.count + settings.batch - 1) / settings.batch
    task = try TrainableTask(section, config: config)
    self.backbone = backbone
    self.subspace = subspace
    var request = TrainingRequest(
      training: training, validation: validation, batch: settings.batch, seed: settings.seed, threads: threads,
      dropout: settings.dropoutRates, budgetBytes: budgetBytes)
    request.trainsBackbone = backbone != nil
    plan = try TrainingPlan(config: config, task: task.section, request: request)
    runner = try StepRunner(
      file, task: task, backbone: backbone, subspace: subspace, plan: plan, settings: settings.optimizer,
      seed: settings.seed)
    best = section
    order.reserveCapacity(training.count)
    let identity = settings.identity.merging([
      "backbone": String(config.fingerprint, radix: 16),
      "weights": config.weightEncoding == .int8Rows ? "int8" : "float32",
      "examples": "\(training.count)", "validation examples": "\(validation?.count ?? 0)",
      "metrics": metrics.map(\.rawValue).joined(separator: ", "),
    ]) { $1 }
    state = TrainingState(
      identity: identity.merging(dataIdentity) { $1 }, packRows: plan.rows.source, step: 0)
  }

  /// Steps done.
  public var step: Int { state.step }
  /// The epoch whose task `best` is, from 1 on; nil before the first ended.
  public var bestEpoch: Int? { state.bestEpoch }
  /// Its evaluation: the mean of the metrics, and each by its name; nil and none without validation data.
  public var bestValue: Double? { state.bestValue }
  public var bestMetrics: [String: Double] { state.bestMetrics }
  /// Whether the state that was taken up had other packs: results differ then in their last bits.
  public private(set) var hasOtherPacks = false

  /// Takes up the run whose state is at `statePath`.
  /// - Throws: `cannotOpen`, `malformed`; `mismatch` if it is a run of other settings, data or backbone.
  public func resume() throws(TrainingError) {
    let file = try StateFile(path: statePath)
    for (name, required) in state.identity.sorted(by: { $0.key < $1.key }) {
      let found = file.state.identity[name] ?? "unknown"
      guard found == required else {
        throw TrainingError(
          .mismatch, file: statePath.printable,
          "the state is of another run (\(name): found \(found), required \(required))")
      }
    }
    let structure = 0..<task.section.dataOffset
    guard file.section.count == best.count, 4 * task.count == file.firstMoments.count,
      file.backbone.count == backboneState.reduce(0, { $0 + $1.count }),
      file.section.copied(structure).elementsEqual(best[structure]),
      file.best.copied(structure).elementsEqual(best[structure])
    else { throw TrainingError(.mismatch, file: statePath.printable, "the state is of a task with other parts") }
    guard file.state.isConsistent(epochs: settings.epochs, stepsPerEpoch: stepsPerEpoch) else {
      throw TrainingError(
        .malformed, file: statePath.printable,
        "found step \(file.state.step) with \(file.state.epochsDone) epochs done, which no run of \(settings.epochs) epochs "
          + "of \(stepsPerEpoch) steps comes to")
    }
    task.restore(
      file.section.copied(0..<best.count), firstMoments: file.firstMoments.floats,
      secondMoments: file.secondMoments.floats)
    var offset = 0
    for bytes in backboneState {
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: file.backbone.address + offset, count: bytes.count))
      offset += bytes.count
    }
    subspace?.moveWeights()
    runner.readBackboneAgain()
    best = file.best.copied(0..<best.count)
    hasOtherPacks = file.state.packRows != plan.rows.source
    state = file.state
    state.packRows = plan.rows.source
  }

  /// Trains to the end, or until `onEvent` returns false: then the step at hand is finished, the state is saved, and the run
  /// can go on. The state is saved before the first step, too, which shows whether it can be.
  /// - Throws: `notFinite` with the step and its lines, the state on disk being that of before; `cannotWrite` if the state
  ///   cannot be saved, the one on disk staying as it was; what evaluations throw.
  public func run(onEvent: (TrainingEvent) -> Bool) throws(TrainingError) -> TrainingOutcome {
    if step == 0 { try save() }
    var saved = tusk_monotonic_nanoseconds()
    var goesOn = true
    while goesOn && !isFinished {
      let epoch = state.epochsDone
      if step < (epoch + 1) * stepsPerEpoch {
        goesOn = onEvent(.step(try runStep(epoch)))
      } else {
        goesOn = try endEpoch(epoch, onEvent)
      }
      let seconds = Double(tusk_monotonic_nanoseconds() - saved) / 1e9
      if !goesOn || state.epochsDone > epoch || seconds >= saveSeconds {
        try save()
        saved = tusk_monotonic_nanoseconds()
        goesOn = onEvent(.saved(step: step)) && goesOn
      }
    }
    return TrainingOutcome(
      steps: step, epochs: state.epochsDone, bestEpoch: bestEpoch, bestValue: bestValue, isFinished: isFinished)
  }

  private var isFinished: Bool {
    if state.epochsDone == settings.epochs { return true }
    guard let patience = settings.patience, bestValue != nil, let bestEpoch else { return false }
    return state.epochsDone - bestEpoch >= patience
  }

  private func runStep(_ epoch: Int) throws(TrainingError) -> TrainingEvent.StepReport {
    let start = tusk_monotonic_nanoseconds()
    let first = (step - epoch * stepsPerEpoch) * settings.batch
    if first == 0 { state.epochLoss = 0 }
    if first == 0 || order.isEmpty {
      EpochOrder.permutation(of: training.count, seed: settings.seed, epoch: epoch, into: &order)
    }
    let batch = order[first..<min(first + settings.batch, order.count)]
    let result = try runner.run(training, batch, step: step)
    var tokens = 0
    for position in batch { tokens += training.sourceCount(position) + training.targetCount(position) }
    state.epochLoss += result.loss
    state.step += 1
    return TrainingEvent.StepReport(
      step: step, epoch: epoch + 1, loss: result.loss, gradientNorm: result.gradientNorm,
      learningRate: settings.optimizer.rate(step: step - 1), tokens: tokens, milliseconds: milliseconds(since: start))
  }

  /// Evaluates the task as it is, and keeps it if it is the best. Stopped on the way, the epoch is not over.
  /// - Returns: whether to go on.
  private func endEpoch(_ epoch: Int, _ onEvent: (TrainingEvent) -> Bool) throws(TrainingError) -> Bool {
    let start = tusk_monotonic_nanoseconds()
    guard tusk_backward_select(nil).pointee.sum_of_squares(task.values, task.count).isFinite else {
      throw TrainingError(
        .notFinite, file: training.file,
        "step \(step), the last of epoch \(epoch + 1): found numbers in the task that are not finite; a lower learning rate "
          + "may help")
    }
    let evaluation: Evaluation?
    do throws(TrainingError) { evaluation = try evaluate(onEvent) } catch {
      if error.kind == .cancelled { return false }
      throw error
    }
    let isBest = evaluation.map { $0.average > bestValue ?? -.infinity } ?? true
    if isBest {
      best.withUnsafeMutableBytes {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: task.section.bytes.address, count: $0.count))
      }
      state.bestEpoch = epoch + 1
      state.bestValue = evaluation?.average
      for value in evaluation?.values ?? [] { state.bestMetrics[value.metric.rawValue] = value.value }
    }
    state.epochsDone = epoch + 1
    return onEvent(
      .evaluation(
        TrainingEvent.EvaluationReport(
          epoch: epoch + 1, step: step, trainingLoss: state.epochLoss / Double(stepsPerEpoch), evaluation: evaluation,
          isBest: isBest, milliseconds: milliseconds(since: start))))
  }

  /// How the task as it is now answers the validation examples, in a session that mounts it where it lies.
  /// - Throws: `cancelled` when `onEvent` returns false; what the session throws.
  private func evaluate(_ onEvent: (TrainingEvent) -> Bool) throws(TrainingError) -> Evaluation? {
    guard let validation else { return nil }
    let predictions = try runner.withSession { session throws(TrainingError) in
      try Predictor(session, tokenizer: tokenizer, maxNewTokens: max(validation.longestTarget, 1)).predict(validation) {
        onEvent(.answers(done: $0, count: validation.count))
      }
    }
    return try Evaluation(
      predictions, validation.golds, answers: validation.answers, metrics: metrics,
      countsQuestionsOnce: countsQuestionsOnce)
  }

  /// Writes the state file.
  /// - Throws: `cannotWrite`; the one on disk stays as it was.
  public func save() throws(TrainingError) {
    try StateFile.write(state, task, best: best, backbone: backboneState, path: statePath)
  }

  private var backboneState: [UnsafeMutableRawBufferPointer] { subspace?.stateBytes ?? backbone?.stateBytes ?? [] }

  private func milliseconds(since start: UInt64) -> Double { Double(tusk_monotonic_nanoseconds() - start) / 1e6 }
}

extension MappedBytes {
  fileprivate var floats: [Float] { (0..<count / 4).map { load(4 * $0) } }
}
