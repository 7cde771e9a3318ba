import CTuskAllocationCounter
import Foundation
import Testing
import TuskFormat

@testable import TuskTraining

/// Runs that are stopped and go on, bit for bit, and what they keep.
@Suite struct TrainerTests {
  private let folder: StateFolder

  init() throws { folder = try StateFolder() }

  /// A run without a stop: what happened, and the last state.
  private func whole(
    _ tiny: TinyTraining, _ settings: TrainingSettings = TinyTraining.settings(), isEvaluated: Bool = true,
    threads: Int = 1
  ) throws -> (record: RunRecord, state: [UInt8], best: [UInt8], outcome: TrainingOutcome) {
    let trainer = try tiny.trainer(
      settings, statePath: folder.path("whole.state"), isEvaluated: isEvaluated, threads: threads)
    var record = RunRecord()
    let outcome = try trainer.record(into: &record)
    return (record, try folder.bytes("whole.state"), trainer.best, outcome)
  }

  @Test(
    arguments: ["encoder", "encoder-decoder"], [true, false])
  func goingOnAfterAnyStepGivesTheSameBits(name: String, isEvaluated: Bool) throws {
    let tiny = try TinyTraining.named(name)
    let expected = try whole(tiny, isEvaluated: isEvaluated)
    #expect(expected.record.losses.count == 12 && expected.record.evaluations.count == 3)
    #expect(expected.outcome.isFinished && expected.outcome.steps == 12 && expected.outcome.epochs == 3)
    // In the midst of an epoch, before its last step, after it, and after the very last one.
    for stop in [1, 3, 4, 6, 8, 11, 12] {
      let path = folder.path("\(stop).state")
      var record = RunRecord()
      let stopped = try tiny.trainer(statePath: path, isEvaluated: isEvaluated).record(into: &record) { event in
        if case .step(let step) = event { step.step == stop } else { false }
      }
      #expect(!stopped.isFinished && stopped.steps == stop)
      #expect(record.saves == Array(stride(from: 4, to: stop, by: 4)) + [stop])
      let trainer = try tiny.trainer(statePath: path, isEvaluated: isEvaluated)
      try trainer.resume()
      #expect(trainer.step == stop && !trainer.hasOtherPacks)
      let outcome = try trainer.record(into: &record)
      #expect(outcome == expected.outcome)
      #expect(record.losses == expected.record.losses && record.evaluations == expected.record.evaluations)
      #expect(try folder.bytes("\(stop).state") == expected.state, "stopped after step \(stop)")
      #expect(trainer.best == expected.best)
    }
  }

  @Test func anEvaluationThatIsStoppedIsMadeAgain() throws {
    let tiny = try TinyTraining.encoder.get()
    let expected = try whole(tiny)
    var record = RunRecord()
    let stopped = try tiny.trainer(statePath: folder.path()).record(into: &record) { $0 == .answers(done: 2, count: 4) }
    #expect(stopped.steps == 4 && stopped.epochs == 0 && !stopped.isFinished && record.evaluations.isEmpty)
    let trainer = try tiny.trainer(statePath: folder.path())
    try trainer.resume()
    #expect(try trainer.record(into: &record) == expected.outcome)
    #expect(record.evaluations == expected.record.evaluations)
    #expect(try folder.bytes() == expected.state)
  }

  @Test(arguments: ["encoder", "encoder-decoder"])
  func theSeedDecidesAndTheThreadsDoNot(name: String) throws {
    let tiny = try TinyTraining.named(name)
    let expected = try whole(tiny)
    #expect(try whole(tiny, threads: 2).state == expected.state)
    #expect(try whole(tiny, TinyTraining.settings { $0.seed = 8 }).best != expected.best)
    #expect(try whole(tiny, TinyTraining.settings { $0.dropout = 0 }).best != expected.best)
  }

  @Test func theBestEpochIsKeptAndPatienceEndsTheRun() throws {
    let tiny = try TinyTraining.encoder.get()
    let settings = TinyTraining.settings {
      $0.epochs = 12
      $0.optimizer.totalSteps = 48
      $0.dropout = 0
    }
    var sections: [[UInt8]] = []
    func train(_ settings: TrainingSettings) throws -> (Trainer, RunRecord, TrainingOutcome) {
      let trainer = try tiny.trainer(settings, statePath: folder.path())
      var record = RunRecord()
      sections = []
      let outcome = try trainer.record(into: &record) { event in
        if case .evaluation = event { sections.append(trainer.task.bytes) }
        return false
      }
      return (trainer, record, outcome)
    }
    let (trainer, record, outcome) = try train(settings)
    // The better the task knows the examples, the fewer of the others, which are turned round, it answers.
    let values = record.evaluations.compactMap { $0 }
    #expect(values.last! < values.max()!)
    let bestEpoch = values.firstIndex(of: values.max()!)! + 1
    #expect(outcome.bestEpoch == bestEpoch && outcome.bestValue == values.max()! && record.bestEpochs.last == bestEpoch)
    #expect(trainer.bestMetrics == ["accuracy": values.max()!])
    #expect(trainer.best == sections[bestEpoch - 1] && trainer.best != sections.last)
    let (_, _, ended) = try train(
      TinyTraining.settings {
        $0 = settings
        $0.patience = 2
      })
    #expect(ended.isFinished && ended.epochs == bestEpoch + 2 && ended.epochs < 12)
  }

  @Test func withoutValidationDataTheLastTaskIsKept() throws {
    let trainer = try TinyTraining.encoder.get().trainer(statePath: folder.path(), isEvaluated: false)
    var record = RunRecord()
    let outcome = try trainer.record(into: &record)
    #expect(trainer.best == trainer.task.bytes)
    #expect(outcome.bestEpoch == 3 && outcome.bestValue == nil && record.evaluations == [nil, nil, nil])
  }

  @Test func aLossThatIsNotFiniteStopsWithItsStepAndLines() throws {
    let tiny = try TinyTraining.encoderDecoder.get()
    // The rate is 0 in the first step of the warm-up, and all that follow destroy the task.
    let settings = TinyTraining.settings {
      $0.batch = 11
      $0.epochs = 6
      $0.optimizer = OptimizerSettings(learningRate: 1e30, warmupSteps: 1, totalSteps: 6)
    }
    let trainer = try tiny.trainer(settings, statePath: folder.path())
    let start = trainer.best
    let error = try #require(#expect(throws: TrainingError.self) { try trainer.run { _ in true } })
    #expect(error.kind == .notFinite && error.exitCode == 65)
    let words = error.sentence
    #expect(words.contains("step 3, lines ") && words.contains(" and 3 more: found a loss of "), "\(words)")
    #expect(error.file == tiny.training.file)
    #expect(trainer.bestEpoch == 1 && trainer.best == start)
    // The state on disk is that of before.
    let again = try tiny.trainer(settings, statePath: folder.path())
    try again.resume()
    #expect(again.step == 2)
    #expect(throws: error) { try again.run { _ in true } }
  }

  @Test func aStateThatCannotBeWrittenStopsBeforeTheFirstStep() throws {
    let trainer = try TinyTraining.encoder.get().trainer(statePath: folder.path("no/folder/task.state"))
    var record = RunRecord()
    let error = #expect(throws: TrainingError.self) { try trainer.record(into: &record) }
    #expect(error?.kind == .cannotWrite && error?.exitCode == 74)
    #expect(error?.file == folder.path("no/folder/task.state"))
    #expect(record == RunRecord())
  }

  @Test func aStateThatCannotBeSavedLeavesTheOldOne() throws {
    let tiny = try TinyTraining.encoder.get()
    let trainer = try tiny.trainer(statePath: folder.path())
    var record = RunRecord()
    _ = try trainer.record(into: &record) { $0 == .saved(step: 4) }
    let before = try folder.bytes()
    try FileManager.default.createDirectory(atPath: folder.path("task.state.tmp"), withIntermediateDirectories: false)
    let error = #expect(throws: TrainingError.self) { try trainer.record(into: &record) }
    #expect(error?.kind == .cannotWrite)
    #expect(try folder.bytes() == before)
    try FileManager.default.removeItem(atPath: folder.path("task.state.tmp"))
    let again = try tiny.trainer(statePath: folder.path())
    try again.resume()
    _ = try again.run { _ in true }
    #expect(try folder.bytes() == whole(tiny).state)
    #expect(try folder.names == ["task.state", "whole.state"])
  }

  @Test func stepsAreSavedAsOftenAsAskedFor() throws {
    let trainer = try TinyTraining.encoder.get().trainer(statePath: folder.path())
    trainer.saveSeconds = 0
    var record = RunRecord()
    _ = try trainer.record(into: &record)
    // After each step, and once more where an epoch was evaluated.
    #expect(record.saves == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12])
  }

  @Test(arguments: ["encoder", "encoder-decoder"])
  func stepsAllocateNothing(name: String) throws {
    let tiny = try TinyTraining.named(name)
    let trainer = try tiny.trainer(statePath: folder.path())
    let positions = Array(0..<tiny.training.count)
    let runner = try StepRunner(
      tiny.file, task: trainer.task, plan: trainer.plan, settings: trainer.settings.optimizer)
    _ = try runner.run(tiny.training, positions[0..<3], step: 0)
    let before = allocation_count()
    for step in 1..<4 { _ = try runner.run(tiny.training, positions[3 * step - 1..<3 * step + 2], step: step) }
    #expect(allocation_count() == before)
  }
}
