import CTuskSystem
import TuskEngine
import TuskFormat
import TuskTokenizer

/// A training run: epochs over a set of examples, each with an evaluation, the best task kept; saved so often that nothing
/// more than `saveSeconds` of work is ever lost.
///
/// Everything that decides the result follows from settings, data and step: a run that goes on from its state file gives the
/// bits that it would have given without a stop.
public final class Trainer {
  public let settings: TrainingSettings
  public let plan: TrainingPlan
  public let task: TrainableTask
  private let file: PackedFile
  private let tokenizer: Tokenizer?
  private let training: ExampleSet
  private let validation: ExampleSet?
  private let metrics: [Metric]
  private let countsQuestionsOnce: Bool
  private let statePath: String
  private let identity: [String: String]
  private let runner: StepRunner
  private var order: [Int] = []

  private(set) public var step = 0
  private(set) public var bestEpoch: Int?
  private(set) public var bestValue: Double?
  /// The section of the best epoch; of the last one without validation data.
  private(set) public var best: [UInt8]
  private var epochLoss = 0.0

  /// How long work may go on unsaved.
  public var saveSeconds = 30.0

  /// - Parameters:
  ///   - section: the task before its first step.
  ///   - tokenizer: of an encoder-decoder's answers; an encoder needs none.
  ///   - metrics: of the evaluations; the mean of their values decides which epoch is the best.
  ///   - dataIdentity: what tells the data from other data, for the state file.
  /// - Throws: `unavailable`, `budgetTooSmall`, `mismatch`, `unsupported`.
  public init(
    _ file: PackedFile, section: [UInt8], settings: TrainingSettings, request: TrainingRequest, tokenizer: Tokenizer?,
    training: ExampleSet, validation: ExampleSet?, metrics: [Metric], countsQuestionsOnce: Bool = false,
    dataIdentity: [String: String] = [:], statePath: String
  ) throws(TrainingError) {
    guard let config = file.config else { throw TrainingError(.mismatch, "the file has no backbone") }
    self.file = file
    self.settings = settings
    self.tokenizer = tokenizer
    self.training = training
    self.validation = validation
    self.metrics = metrics
    self.countsQuestionsOnce = countsQuestionsOnce
    self.statePath = statePath
    task = try TrainableTask(section, config: config)
    plan = try TrainingPlan(config: config, task: task.section, request: request)
    runner = try StepRunner(file, task: task, plan: plan, settings: settings.optimizer, seed: settings.seed)
    best = section
    order.reserveCapacity(training.count)
    identity = dataIdentity.merging(settings.identity.map { ($0.name, $0.value) }) { $1 }
      .merging(["backbone": String(config.fingerprint, radix: 16), "examples": "\(training.count)"]) { $1 }
  }

  public var stepsPerEpoch: Int { (training.count + settings.batch - 1) / settings.batch }

  /// Takes up the run whose state is at `statePath`.
  /// - Throws: `cannotOpen`, `malformed`; `mismatch` if it is a run of other settings, data or backbone.
  public func resume() throws(TrainingError) {
    let state = try StateFile.read(path: statePath)
    for (name, required) in identity.sorted(by: { $0.key < $1.key }) where state.identity[name] != required {
      throw TrainingError(
        .mismatch, file: statePath,
        "the state is of another run: its \(name) is \(state.identity[name] ?? "not there"), required \(required)")
    }
    guard state.section.count == best.count, state.firstMoments.count == task.count,
      state.section.prefix(task.section.dataOffset) == best.prefix(task.section.dataOffset)
    else { throw TrainingError(.mismatch, file: statePath, "the state is of a task with other parts") }
    task.restore(state.section, firstMoments: state.firstMoments, secondMoments: state.secondMoments)
    best = state.best
    step = state.step
    bestEpoch = state.bestEpoch
    bestValue = state.bestValue
    epochLoss = state.epochLoss
  }

  /// Trains to the end, or until `onEvent` returns false: then the state is saved and the run can go on.
  /// - Throws: `notFinite` with the step and its lines, the state on disk being that of before; `cannotWrite` if it cannot be
  ///   saved; what evaluations throw.
  public func run(onEvent: (TrainingEvent) -> Bool) throws(TrainingError) -> TrainingOutcome {
    var saved = tusk_monotonic_nanoseconds()
    while step < settings.optimizer.totalSteps {
      let epoch = step / stepsPerEpoch
      if epoch > 0 && step % stepsPerEpoch == 0 && isOutOfPatience(epoch) { break }
      if order.isEmpty || step % stepsPerEpoch == 0 {
        EpochOrder.permutation(of: training.count, seed: settings.seed, epoch: epoch, into: &order)
      }
      var goesOn = onEvent(.step(try runStep(epoch)))
      if step % stepsPerEpoch == 0 {
        goesOn = onEvent(.evaluation(try endEpoch(epoch))) && goesOn
      }
      let now = tusk_monotonic_nanoseconds()
      if !goesOn || step % stepsPerEpoch == 0 || Double(now - saved) >= saveSeconds * 1e9 {
        try save()
        saved = now
        goesOn = onEvent(.saved(step: step)) && goesOn
      }
      if !goesOn { return outcome(isFinished: false) }
    }
    return outcome(isFinished: true)
  }

  private func outcome(isFinished: Bool) -> TrainingOutcome {
    TrainingOutcome(
      steps: step, epochs: step / stepsPerEpoch, bestEpoch: bestEpoch, bestValue: bestValue, isFinished: isFinished)
  }

  private func isOutOfPatience(_ epochsDone: Int) -> Bool {
    guard let patience = settings.patience, let bestEpoch else { return false }
    return epochsDone - bestEpoch >= patience
  }

  private func runStep(_ epoch: Int) throws(TrainingError) -> TrainingEvent.StepReport {
    let start = tusk_monotonic_nanoseconds()
    let first = step % stepsPerEpoch * settings.batch
    let batch = order[first..<min(first + settings.batch, order.count)]
    let result = try runner.run(training, batch, step: step)
    var tokens = 0
    for position in batch { tokens += training.sourceCount(position) + training.targetCount(position) }
    epochLoss = step % stepsPerEpoch == 0 ? result.loss : epochLoss + result.loss
    step += 1
    return TrainingEvent.StepReport(
      step: step, epoch: epoch + 1, loss: result.loss, gradientNorm: result.gradientNorm,
      learningRate: settings.optimizer.rate(step: step - 1), tokens: tokens, milliseconds: milliseconds(since: start))
  }

  private func endEpoch(_ epoch: Int) throws(TrainingError) -> TrainingEvent.EvaluationReport {
    let start = tusk_monotonic_nanoseconds()
    let evaluation = try evaluate()
    let isBest = evaluation.map { value in bestValue.map { value.average > $0 } ?? true } ?? true
    if isBest {
      best = task.bytes
      bestEpoch = evaluation == nil ? nil : epoch + 1
      bestValue = evaluation?.average
    }
    return TrainingEvent.EvaluationReport(
      epoch: epoch + 1, step: step, trainingLoss: epochLoss / Double(stepsPerEpoch), evaluation: evaluation,
      isBest: isBest, milliseconds: milliseconds(since: start))
  }

  /// The validation examples answered by the task as it is now, in a session that mounts it where it lies; it works in the
  /// memory of the activations, which between two steps hold nothing.
  private func evaluate() throws(TrainingError) -> Evaluation? {
    guard let validation else { return nil }
    let predictions = try runner.withSession(
      PlanRequest(
        sourceTokens: validation.longestSource, targetTokens: max(validation.longestTarget, 1),
        threads: plan.request.threads)
    ) { session throws(TrainingError) in
      try Predictor(session, tokenizer: tokenizer, maxNewTokens: max(validation.longestTarget, 1)).predict(validation)
    }
    return try Evaluation(
      predictions, validation.golds, answers: validation.answers, metrics: metrics,
      countsQuestionsOnce: countsQuestionsOnce)
  }

  /// Writes the state file.
  public func save() throws(TrainingError) {
    try StateFile.write(
      TrainingState(
        identity: identity, step: step, bestEpoch: bestEpoch, bestValue: bestValue, epochLoss: epochLoss,
        section: task.bytes, best: best,
        firstMoments: Array(UnsafeBufferPointer(start: task.firstMoments, count: task.count)),
        secondMoments: Array(UnsafeBufferPointer(start: task.secondMoments, count: task.count))), path: statePath)
  }

  private func milliseconds(since start: UInt64) -> Double { Double(tusk_monotonic_nanoseconds() - start) / 1e6 }
}
