import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// The gradient of the whole loss against its differences.
@Suite struct TrainingDifferenceTests {
  /// Along a direction for each kind of tensor, that of its gradient with random numbers of half the length on top; with int8
  /// weights along one of all tensors.
  ///
  /// Differences are fitted by a x + b x^3 at some distances on both sides. A step changes the loss by at most 0.004, of which
  /// float32 loses less than 1e-6: 1e-3 of the slope. Int8 weights have activations rounded to 14 bits in front of them, so
  /// that the loss is a staircase: more and longer steps, 1e-2 of the slope.
  @Test(arguments: [WeightEncoding.float32, .int8Rows].flatMap(TrainingCase.smooth))
  func slopesEqualDifferences(example: TrainingCase) throws {
    let file = try MethodBackbones.file(example.config)
    let task = try example.task(file)
    let set = try example.examples()
    let plan = try TrainingPlan(config: file.config!, task: task.section, request: example.request(set))
    let model = try TrainingModel(file, task: task, plan: plan)
    for position in 2..<6 { model.examples.append(set, position) }
    task.clearGradients()
    _ = model.run(divisor: 10)
    let gradients = Array(UnsafeBufferPointer(start: task.gradients, count: task.count))
    let values = Array(UnsafeBufferPointer(start: task.values, count: task.count))
    let isFloat = file.config!.weightEncoding == .float32
    let (change, farthest, steps) = isFloat ? (0.004, 0.015, 2) : (0.008, 0.02, 5)
    let groups = isFloat ? TaskTensorKind.allCases.map { [$0] } : [TaskTensorKind.allCases]
    for kinds in groups {
      let direction = direction(of: kinds, task, gradients)
      guard !direction.isEmpty else { continue }
      let expected = direction.reduce(0) { $0 + Double(gradients[$1.index]) * $1.number }
      let step = min(change / expected, farthest)
      func loss(at distance: Double) -> Double {
        for (index, number) in direction {
          task.values[index] = Float(Double(values[index]) + distance * step * number)
        }
        return sumOfLosses(model) / 10
      }
      let found = slope((1...steps).map { (loss(at: Double($0)) - loss(at: -Double($0))) / 2 }) / step
      #expect(
        abs(found - expected) < (isFloat ? 1e-3 : 1e-2) * expected, "\(kinds): \(found), expected \(expected)")
      task.values.update(from: values, count: task.count)
    }
  }

  /// a of the least squares fit a x + b x^3 to values at x = 1, 2, ...
  private func slope(_ values: [Double]) -> Double {
    var (squares, fourths, sixths, first, third) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for (index, value) in values.enumerated() {
      let x = Double(index + 1)
      squares += x * x
      fourths += x * x * x * x
      sixths += x * x * x * x * x * x
      first += x * value
      third += x * x * x * value
    }
    return (first * sixths - third * fourths) / (squares * sixths - fourths * fourths)
  }

  /// The sum of the losses of the packed examples, forward alone.
  private func sumOfLosses(_ model: TrainingModel) -> Double {
    model.encode()
    guard model.config.hasDecoder else { return model.headLoss(factor: 1) }
    model.decode()
    return model.decoderLoss(factor: 1)
  }

  /// Numbers of the task and how far each moves; empty without tensors of `kinds`.
  private func direction(
    of kinds: [TaskTensorKind], _ task: TrainableTask, _ gradients: [Float]
  ) -> [(index: Int, number: Double)] {
    let section = task.section
    let tensors = (0..<section.tensorCount).filter { kinds.contains(section.tensor(at: $0).kind) }
    let indices = tensors.flatMap { position in
      let first = task.gradient(position) - task.gradients
      return first..<first + section.tensor(at: position).shape.elementCount
    }
    var random = SplitMix64(seed: 12)
    let noise = indices.map { _ in random.normal() }
    func length(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let slopes = indices.map { Double(gradients[$0]) }
    let (slopeLength, noiseLength) = (length(slopes), 2 * length(noise))
    return indices.enumerated().map { ($1, slopes[$0] / slopeLength + noise[$0] / noiseLength) }
  }
}
