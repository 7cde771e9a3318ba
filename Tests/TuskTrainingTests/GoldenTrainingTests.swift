import Testing
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// Gradients and losses against PyTorch's, float32 packs, without dropout.
@Suite struct GoldenTrainingTests {
  @Test(arguments: GoldenTrainingCase.all)
  func gradientsEqualPyTorch(golden: GoldenTrainingCase) throws {
    let record = try golden.record()
    let (file, _) = try golden.backbone(record)
    let config = try #require(file.config)
    let expected = try TrainableTask(golden.section("gradient", file), config: config)
    for keeps in [true, false] {
      let task = try golden.task(file)
      let plan = try #require(
        try TrainingPlan.choices(config: config, task: task.section, request: record.request())
          .first { $0.keepsActivations == keeps })
      let runner = try StepRunner(file, task: task, plan: plan, settings: record.settings)
      let loss = try runner.computeGradients(record.set(), record.positions(ofBatch: 0), step: 0)
      #expect(abs(loss - record.losses[0]) < 1e-4 * record.losses[0])
      // Of the norm of all gradients: what a tensor's own is too small for is noise in PyTorch's float32, too.
      let norm = record.gradientNorms[0]
      for position in 0..<task.section.tensorCount {
        if task.frozenTensors.contains(position) { continue }
        let tensor = task.section.tensor(at: position)
        let found = UnsafeBufferPointer(start: task.gradient(position), count: tensor.shape.elementCount)
        let required = UnsafeBufferPointer(
          start: expected.section.floats(position), count: tensor.shape.elementCount)
        var largest: Float = 0
        var worst: Float = 0
        for index in found.indices {
          largest = max(largest, abs(required[index]))
          worst = max(worst, abs(found[index] - required[index]))
        }
        #expect(
          worst <= max(1e-4 * largest, 1e-7 * Float(norm)),
          "tensor \(position), \(tensor.kind.name), \(tensor.shape): \(worst) of \(largest)")
      }
    }
  }

  @Test(arguments: GoldenTrainingCase.all)
  func twentyStepsEqualPyTorch(golden: GoldenTrainingCase) throws {
    let record = try golden.record()
    let (file, _) = try golden.backbone(record)
    let config = try #require(file.config)
    let task = try golden.task(file)
    let plan = try TrainingPlan(config: config, task: task.section, request: record.request(threads: 2))
    let runner = try StepRunner(file, task: task, plan: plan, settings: record.settings)
    let set = try record.set()
    for step in record.losses.indices {
      let result = try runner.run(set, record.positions(ofBatch: step % record.batches.count), step: step)
      #expect(abs(result.loss - record.losses[step]) < 1e-3 * max(1, record.losses[step]), "step \(step)")
      #expect(abs(result.gradientNorm - record.gradientNorms[step]) < 1e-3 * max(1, record.gradientNorms[step]))
    }
    #expect(
      abs(runner.computeGradients(set, record.positions(ofBatch: 0), step: 0) - record.lossAfter) < 1e-3
        * max(1, record.lossAfter))
  }
}
