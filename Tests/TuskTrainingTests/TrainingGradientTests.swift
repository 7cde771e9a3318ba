import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// What gradients depend on, and what they do not.
@Suite struct TrainingGradientTests {
  private struct Gradients: Equatable {
    var loss: Double
    /// Of each tensor.
    var tensors: [[Float]]
  }

  private func gradients(
    _ example: TrainingCase, _ file: PackedFile, threads: Int = 1, keeps: Bool = true, examples: Int? = nil,
    dropout: DropoutRates = .none, isaCap: String? = nil
  ) throws -> Gradients {
    let task = try example.task(file)
    let set = try example.examples()
    let request = example.request(set, threads: threads, dropout: dropout)
    let plan = TrainingPlan(
      file.config!, task.section, request, [], examples: examples ?? set.count, keeps: keeps)
    let runner =
      if let isaCap {
        try StepRunner(file, task: task, plan: plan, settings: Self.settings, seed: 3, isaCap: isaCap)
      } else {
        try StepRunner(file, task: task, plan: plan, settings: Self.settings, seed: 3)
      }
    let loss = runner.computeGradients(set, ArraySlice(0..<set.count), step: 2)
    return Gradients(
      loss: loss,
      tensors: (0..<task.section.tensorCount).map { position in
        let count = task.section.tensor(at: position).shape.elementCount
        return Array(UnsafeBufferPointer(start: task.gradient(position), count: count))
      })
  }

  static let settings = OptimizerSettings(learningRate: 1e-3, warmupSteps: 2, totalSteps: 10)
  private static let rates = [
    DropoutRates.none, DropoutRates(hidden: 0.1, attention: 0.2, precedesAdapter: true),
    DropoutRates(hidden: 0.2, attention: 0.1, precedesAdapter: false),
  ]
  private static let cases = [WeightEncoding.float32, .int8Rows].flatMap(TrainingCase.everything)

  @Test(arguments: cases)
  func neitherThreadsNorRepeatedPassesChangeABit(example: TrainingCase) throws {
    let file = try MethodBackbones.file(example.config)
    var losses: Set<Double> = []
    for rates in Self.rates {
      let expected = try gradients(example, file, dropout: rates)
      #expect(expected.loss.isFinite && expected.tensors.allSatisfy { $0.contains { $0 != 0 } })
      for (threads, keeps) in [(1, false), (2, true), (3, false)] {
        let found = try gradients(example, file, threads: threads, keeps: keeps, dropout: rates)
        #expect(found == expected, "\(threads) threads, keeps \(keeps), dropout \(rates)")
      }
      losses.insert(expected.loss)
    }
    #expect(losses.count == 3, "dropout must change something for this to say anything")
  }

  /// Sums of gradients over examples in another order, through three blocks: 1e-5 of the largest of a tensor, and 1e-6 of the
  /// largest of all for what almost cancels.
  private func expectClose(_ found: Gradients, _ expected: Gradients, _ what: String) {
    #expect(abs(found.loss - expected.loss) < 1e-6 * expected.loss, "\(what)")
    func largest(_ values: [Float]) -> Float { values.reduce(0) { max($0, abs($1)) } }
    let whole = largest(expected.tensors.map(largest))
    for (position, (found, expected)) in zip(found.tensors, expected.tensors).enumerated() {
      let worst = largest(zip(found, expected).map { $0 - $1 })
      #expect(worst <= max(1e-5 * largest(expected), 1e-6 * whole), "\(what), tensor \(position)")
    }
  }

  @Test(arguments: cases)
  func packsChangeNoMoreThanTheOrderOfSums(example: TrainingCase) throws {
    let file = try MethodBackbones.file(example.config)
    let expected = try gradients(example, file)
    for examples in [1, 2, 4] {
      expectClose(try gradients(example, file, examples: examples), expected, "packs of \(examples)")
    }
  }

  @Test(arguments: cases)
  func portableKernelsGiveTheSameWithinRounding(example: TrainingCase) throws {
    let file = try MethodBackbones.file(example.config)
    expectClose(try gradients(example, file, isaCap: "portable"), try gradients(example, file), "portable")
  }
}
