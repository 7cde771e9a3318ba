import CTuskAllocationCounter
import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

@Suite struct TrainingAllocationTests {
  /// With one thread the thread that counts does all the work. Some steps have more packs than others, and other examples.
  @Test(arguments: TrainingCase.everything(.float32) + TrainingCase.everything(.int8Rows).prefix(1), [1, 2])
  func stepsAllocateNothing(example: TrainingCase, threads: Int) throws {
    let file = try MethodBackbones.file(example.config)
    let set = try example.examples()
    let rates = DropoutRates(hidden: 0.1, attention: 0.1, precedesAdapter: true)
    for keeps in [true, false] {
      let task = try example.task(file)
      let plan = TrainingPlan(
        file.config!, task.section, example.request(set, threads: threads, dropout: rates), [], examples: 2,
        keeps: keeps)
      let runner = try StepRunner(file, task: task, plan: plan, settings: TrainingGradientTests.settings)
      let order = Array(0..<set.count) + [1, 1, 3, 2]
      var counts: [UInt64] = []
      for (step, range) in [0..<6, 4..<10, 2..<3, 0..<6].enumerated() {
        let batch = order[range]
        let before = allocation_count()
        _ = try runner.run(set, batch, step: step)
        counts.append(allocation_count() - before)
      }
      #expect(counts.dropFirst().allSatisfy { $0 == 0 }, "keeps \(keeps): \(counts)")
    }
  }

  @Test func theCounterCounts() {
    let before = allocation_count()
    let kept = [Int](repeating: 0, count: 100)
    #expect(allocation_count() > before && kept.count == 100)
  }
}
