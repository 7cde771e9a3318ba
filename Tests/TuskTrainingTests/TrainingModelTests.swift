import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// What training computes forward is what a session computes, bit for bit.
@Suite struct TrainingForwardTests {
  /// What comes of one example.
  private struct Outputs: Equatable {
    /// [S, D] with a prompt's rows.
    var encoded: [Float]
    /// [T, V], or [outWidth] of a head.
    var answers: [Float]
  }

  /// By a session that keeps keys and values as float32.
  private func infer(_ file: PackedFile, _ task: TaskSection, _ set: ExampleSet) throws -> [Outputs] {
    let config = file.config!
    var request = PlanRequest(sourceTokens: set.longestSource, targetTokens: max(set.longestTarget, 1), threads: 2)
    request.reserve(for: task)
    let plan = try MemoryPlan(
      config: config, request: request,
      PlanChoice(tileTokens: 32, precision: .float32, crossAttention: .cached))
    let session = try Session(file, plan: plan)
    try session.setTask(task)
    return try (0..<set.count).map { position in
      let example = set[position]
      try example.sourceIds.withUnsafeBufferPointer { ids in
        guard !example.typeIds.isEmpty else { return try session.encode(ids) }
        try example.typeIds.withUnsafeBufferPointer { try session.encode(ids, types: $0) }
      }
      var outputs = Outputs(
        encoded: Array(
          UnsafeBufferPointer(start: session.encoderOutput, count: session.encodedRowCount() * config.dModel)),
        answers: [])
      guard case .tokens(let target) = example.target else {
        outputs.answers = Array(try session.headOutput())
        return outputs
      }
      try ([Int32(config.decoderStartId)] + target.dropLast()).withUnsafeBufferPointer { ids in
        try session.teacherForce(ids) { _, logits in outputs.answers += logits }
      }
      return outputs
    }
  }

  /// All examples in one pack.
  private func train(_ model: TrainingModel, _ set: ExampleSet) -> [Outputs] {
    let width = model.config.dModel
    model.examples.removeAll()
    for position in 0..<set.count { model.examples.append(set, position) }
    model.encode()
    func floats(_ start: UnsafePointer<Float>, _ count: Int) -> [Float] {
      Array(UnsafeBufferPointer(start: start, count: count))
    }
    var outputs = model.examples.sources.map { segment in
      Outputs(encoded: floats(model.encoderOutput + segment.start * width, segment.count * width), answers: [])
    }
    if let head = model.task.section.head, let first = head.first {
      let answers = model.headOutput(head, first)
      for example in outputs.indices {
        outputs[example].answers = floats(answers + example * head.outWidth, head.outWidth)
      }
      return outputs
    }
    model.decode()
    let normed = model.normedTargets()
    let size = model.task.section.vocabularySize
    var logits: [Float] = []
    for first in stride(from: 0, to: model.examples.targetRows, by: TrainingRegions.logitRows) {
      let count = min(TrainingRegions.logitRows, model.examples.targetRows - first)
      logits += floats(model.targetLogits(normed, first, count), count * size)
    }
    for (example, segment) in model.examples.targets.enumerated() {
      outputs[example].answers = Array(logits[segment.start * size..<(segment.start + segment.count) * size])
    }
    return outputs
  }

  @Test(arguments: [WeightEncoding.float32, .int8Rows].flatMap(TrainingCase.all))
  func equalsInferenceBitForBit(example: TrainingCase) throws {
    let file = try MethodBackbones.file(example.config)
    let task = try example.task(file)
    let set = try example.examples()
    let expected = try infer(file, task.section, set)
    // Blocks that keep nothing share their memory: what one leaves must not reach another.
    let plan = TrainingPlan(
      file.config!, task.section, example.request(set, threads: 2), [], examples: set.count, keeps: false)
    let found = train(try TrainingModel(file, task: task, plan: plan), set)
    for (position, (found, expected)) in zip(found, expected).enumerated() {
      #expect(found.encoded == expected.encoded, "encoder, example \(position)")
      #expect(found.answers == expected.answers, "answers, example \(position)")
      #expect(found.answers.allSatisfy { $0.isFinite } && found.answers.contains { $0 != 0 })
    }
  }
}
