import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// What the planner chooses from and by, and that every plan trains.
@Suite struct TrainerPlanTests {
  private let folder: StateFolder

  init() throws { folder = try StateFolder() }

  private func task(_ tiny: TinyTraining) throws -> TrainableTask {
    let section = try MethodTask.section(
      TinyTraining.settings().method, backbone: tiny.file, name: "tiny",
      head: tiny.file.config!.hasDecoder ? nil : HeadTemplate(.classification(labels: ["even", "odd"])))
    return try TrainableTask(section, config: tiny.file.config!)
  }

  /// The task's section in memory of its own.
  private func ownedSection(_ tiny: TinyTraining) throws -> TaskSection {
    try TaskSection(validating: Mapping(copying: task(tiny).bytes).bytes, for: tiny.file.config!)
  }

  private func request(_ tiny: TinyTraining, budgetBytes: Int? = nil) -> TrainingRequest {
    TrainingRequest(
      training: tiny.training, validation: tiny.validation, batch: 5, seed: 7, budgetBytes: budgetBytes)
  }

  @Test(arguments: ["encoder", "encoder-decoder"])
  func everyBudgetGetsTheFastestPlanThatFits(name: String) throws {
    let tiny = try TinyTraining.named(name)
    let config = tiny.file.config!
    let section = try ownedSection(tiny)
    let choices = try TrainingPlan.choices(config: config, task: section, request: request(tiny))
    #expect(choices.count > 2)
    for (fast, slow) in zip(choices, choices.dropFirst()) {
      #expect(fast.privateBytes > slow.privateBytes && slow.relativeTime(to: fast) > 1)
    }
    let sizes = choices.map(\.privateBytes)
    for budget in sizes + sizes.map({ $0 + 1 }) + [Int.max] {
      let plan = try TrainingPlan(config: config, task: section, request: request(tiny, budgetBytes: budget))
      #expect(plan.privateBytes == sizes.first { $0 <= budget } && plan.limitBytes == budget)
    }
    let smallest = sizes.last!
    let error = #expect(throws: TrainingError.self) {
      try TrainingPlan(config: config, task: section, request: request(tiny, budgetBytes: smallest - 1))
    }
    #expect(error?.kind == .budgetTooSmall && error?.exitCode == 75)
    #expect(
      error?.sentence == "the memory budget cannot be met (found \(smallest - 1) bytes, required \(smallest))")
  }

  @Test(arguments: ["encoder", "encoder-decoder"])
  func everyPlanTrainsTheSame(name: String) throws {
    let tiny = try TinyTraining.named(name)
    let config = tiny.file.config!
    let choices = try TrainingPlan.choices(config: config, task: try ownedSection(tiny), request: request(tiny))
    let positions = Array(0..<5)[...]
    var expected: [Float]?
    for plan in choices {
      let task = try task(tiny)
      let runner = try StepRunner(
        tiny.file, task: task, plan: plan, settings: OptimizerSettings(learningRate: 0.1, warmupSteps: 0, totalSteps: 4)
      )
      let loss = runner.computeGradients(tiny.training, positions, step: 0)
      #expect(loss.isFinite)
      let gradients = Array(UnsafeBufferPointer(start: task.gradients, count: task.count))
      let norm = task.sumOfSquares(runner.model.back).squareRoot()
      guard let first = expected else {
        #expect(norm > 0)
        expected = gradients
        continue
      }
      // Packs add the same numbers up in another order: a few units in the last place of float32 each.
      let difference = zip(gradients, first).map { abs($0 - $1) }.max()!
      #expect(Double(difference) <= 1e-5 * norm, "\(plan.rows)")
    }
  }

  @Test func theSmallestBudgetTrainsToTheEnd() throws {
    for name in ["encoder", "encoder-decoder"] {
      let tiny = try TinyTraining.named(name)
      let request = TrainingRequest(
        training: tiny.training, validation: tiny.validation, batch: 3, seed: 7,
        dropout: TinyTraining.settings().dropoutRates)
      let choices = try TrainingPlan.choices(
        config: tiny.file.config!, task: try ownedSection(tiny), request: request)
      let trainer = try tiny.trainer(
        statePath: folder.path("\(name).state"), budgetBytes: choices.last!.privateBytes)
      #expect(trainer.plan.rows == choices.last!.rows)
      #expect(try trainer.run { _ in true }.isFinished)
    }
  }

  @Test func goingOnWithOtherPacksIsTold() throws {
    let tiny = try TinyTraining.encoder.get()
    _ = try tiny.trainer(statePath: folder.path()).run { $0 != .saved(step: 4) }
    let choices = try TrainingPlan.choices(
      config: tiny.file.config!, task: try ownedSection(tiny),
      request: TrainingRequest(training: tiny.training, validation: tiny.validation, batch: 3, seed: 7))
    let trainer = try tiny.trainer(statePath: folder.path(), budgetBytes: choices.last!.privateBytes)
    try trainer.resume()
    #expect(trainer.hasOtherPacks)
    #expect(try trainer.run { _ in true }.isFinished)
  }

  @Test func theRequestKnowsTheDataAndTheFirstEpoch() throws {
    let tiny = try TinyTraining.encoderDecoder.get()
    let request = request(tiny)
    #expect(request.sourceTokens == tiny.training.longestSource && request.batch == 5)
    #expect(request.targetTokens == tiny.training.longestTarget)
    #expect(request.evaluation?.sourceTokens == tiny.validation.longestSource)
    var order: [Int] = []
    EpochOrder.permutation(of: 11, seed: 7, epoch: 0, into: &order)
    #expect(order.sorted() == Array(0..<11) && order != Array(0..<11))
    let sizes = [order[0..<5], order[5..<10], order[10..<11]].map {
      $0.reduce(0) { $0 + tiny.training.sourceCount($1) }
    }
    #expect(request.stepSourceTokens == sizes.max())
    #expect(request.dataBytes > 4 * sizes.reduce(0, +))
    let large = TrainingRequest(training: tiny.training, validation: nil, batch: 100, seed: 7)
    #expect(large.batch == 11 && large.stepSourceTokens == sizes.reduce(0, +) && large.evaluation == nil)
  }

  @Test func rowsAreTheLongestExamplesOrAllOfAStep() {
    let config = TinyTraining.encoderDecoderConfig
    var request = TrainingRequest(sourceTokens: 10, targetTokens: 4, batch: 8)
    func rows(_ count: Int, promptTokens: Int = 0) -> [Int] {
      let rows = TrainingRows(config, request, promptTokens: promptTokens, longest: count)
      return [rows.source, rows.target, rows.longestSource, rows.longestTarget, rows.examples]
    }
    #expect(rows(1) == [10, 4, 10, 4, 8] && rows(3) == [30, 12, 10, 4, 8] && rows(8) == [80, 32, 10, 4, 8])
    #expect(rows(2, promptTokens: 5) == [30, 8, 15, 4, 8])
    (request.stepSourceTokens, request.stepTargetTokens) = (40, 20)
    #expect(rows(1) == [10, 5, 10, 4, 8] && rows(4) == [40, 20, 10, 4, 8] && rows(8) == [40, 20, 10, 4, 8])
  }

  @Test func validationDataLongerThanTheExamplesArePlannedFor() throws {
    let tiny = try TinyTraining.encoderDecoder.get()
    let section = try ownedSection(tiny)
    var request = request(tiny)
    for tokens in [1, 400] {
      request.evaluation = TrainingRequest.Evaluation(sourceTokens: tokens, targetTokens: tokens)
      for plan in try TrainingPlan.choices(config: tiny.file.config!, task: section, request: request) {
        let session = try #require(plan.evaluation)
        #expect(session.request.sourceTokens == tokens && session.arenaBytes <= plan.activationBytes)
      }
    }
  }
}
