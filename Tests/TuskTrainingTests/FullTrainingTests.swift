import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// Training of all weights against PyTorch, as `GoldenTrainingTests` for tasks.
@Suite struct FullTrainingTests {
  /// The section of the head the checkpoint has, or of nothing.
  private func section(_ file: PackedFile) throws -> [UInt8] {
    let config = try #require(file.config)
    if let head = file.head { return head.bytes.copied(0..<head.bytes.count) }
    return TaskBuilder(config: config, name: [65], vocabularySize: config.vocabularySize, origin: .training)
      .sectionBytes()
  }

  private func runner(_ path: String, _ record: GoldenTrainingCase.Record, threads: Int) throws -> StepRunner {
    let backbone = try TrainableBackbone(path: path)
    let task = try TrainableTask(section(backbone.file), config: backbone.config)
    var request = record.request(threads: threads)
    request.trainsBackbone = true
    let plan = try TrainingPlan(config: backbone.config, task: task.section, request: request)
    return try StepRunner(
      backbone.file, task: task, backbone: backbone, plan: plan, settings: record.settings)
  }

  @Test(arguments: GoldenTrainingCase.full)
  func gradientsEqualPyTorch(golden: GoldenTrainingCase) throws {
    let record = try golden.record()
    try golden.withBackbone(record.backbone) { path in
      let runner = try runner(path, record, threads: 2)
      let loss = try runner.computeGradients(record.set(), record.positions(ofBatch: 0), step: 0)
      #expect(abs(loss - record.losses[0]) < 1e-4 * record.losses[0])
      try golden.withBackbone(golden.name + "/gradient") { gradientPath in
        let expected = try PackedFile(path: gradientPath)
        let backbone = try #require(runner.backbone)
        for position in 0..<backbone.config.tensorCount {
          let tensor = expected.tensor(at: position)
          let stride = backbone.stride(position)
          var (worst, largest): (Float, Float) = (0, 0)
          for row in 0..<tensor.spec.rows {
            for column in 0..<tensor.spec.columns {
              let required: Float = tensor.data.load(4 * (row * stride + column))
              largest = max(largest, abs(required))
              worst = max(worst, abs(backbone.gradient(position)[row * stride + column] - required))
            }
          }
          #expect(
            worst <= max(1e-4 * largest, 1e-7 * Float(record.gradientNorms[0])),
            "\(tensor.spec.role.name), \(tensor.spec.stack), block \(tensor.spec.layer): \(worst) of \(largest)")
        }
      }
    }
  }

  @Test(arguments: GoldenTrainingCase.full)
  func twentyStepsEqualPyTorch(golden: GoldenTrainingCase) throws {
    let record = try golden.record()
    try golden.withBackbone(record.backbone) { path in
      let runner = try runner(path, record, threads: 1)
      let set = try record.set()
      for step in record.losses.indices {
        let result = try runner.run(set, record.positions(ofBatch: step % record.batches.count), step: step)
        #expect(abs(result.loss - record.losses[step]) < 1e-3 * max(1, record.losses[step]), "step \(step)")
      }
      // The file itself stays, and what is written has the new weights.
      let original = try PackedFile(path: path)
      try original.verify()
      let written = path + ".trained"
      try #require(runner.backbone).write(to: written, head: nil, provenance: nil)
      let trained = try PackedFile(path: written)
      try trained.verify()
      #expect(trained.config?.fingerprint != original.config?.fingerprint)
      let place = original.config!.tensorPosition(.wo, .encoder)
      let first = trained.tensor(at: place).data.load(0, as: Float.self)
      #expect(first == runner.backbone?.values(place)[0])
      #expect(first != original.tensor(at: place).data.load(0, as: Float.self))
    }
  }
}
