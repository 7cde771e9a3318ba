import Testing
import TuskEngine
import TuskFormat

/// Float32 packs against PyTorch: encoder output within 1e-4, logits within 1e-3 (the order of float32 summation differs,
/// logits reach 30), every greedy and beam sequence equal.
@Suite struct GoldenTests {
  @Test(arguments: GoldenCase.base + GoldenCase.tasks)
  func float32LogitsEqualPyTorch(golden: GoldenCase) throws {
    let (file, task) = try golden.opened(.float32)
    let mask = try golden.array("attention_mask")
    let inputs = try golden.array("input_ids")
    let targets = try golden.array("decoder_input_ids")
    let encoded = try golden.array("encoder_out")
    let logits = try golden.array("logits")
    let config = try #require(file.config)
    let session = try Session(
      file,
      plan: MemoryPlan(
        config: config, request: PlanRequest(sourceTokens: inputs.shape[1], targetTokens: targets.shape[1])))
    try session.setTask(task)
    for item in 0..<inputs.shape[0] {
      let length = Int(mask[item].reduce(0, +))
      try Array(inputs[item].prefix(length).map { Int32($0) }).withUnsafeBufferPointer { try session.encode($0) }
      let output = UnsafeBufferPointer(start: session.encoderOutput, count: length * config.dModel)
      #expect(largestDifference(output, encoded[item].prefix(length * config.dModel)) < 1e-4)
      let vocabulary = logits.shape[2]
      var worst: Float = 0
      try targets[item].map { Int32($0) }.withUnsafeBufferPointer { ids in
        try session.teacherForce(ids) { position, found in
          let start = logits[item].startIndex + position * vocabulary
          worst = max(worst, largestDifference(found, logits[item][start..<start + vocabulary]))
        }
      }
      #expect(worst < 1e-3)
    }
  }

  @Test(arguments: GoldenCase.base + GoldenCase.tasks)
  func float32SequencesEqualPyTorch(golden: GoldenCase) throws {
    let (file, task) = try golden.opened(.float32)
    let expected = try golden.expectation()
    let config = try #require(file.config)
    let longest = expected.sourceIds.map(\.count).max()!
    let maxNewTokens = expected.maxLength - 1
    let greedy = try Session(
      file,
      plan: MemoryPlan(
        config: config, request: PlanRequest(sourceTokens: longest, targetTokens: maxNewTokens)))
    let search = try Session(
      file,
      plan: MemoryPlan(
        config: config, request: PlanRequest(sourceTokens: longest, targetTokens: maxNewTokens, beams: 4)))
    try greedy.setTask(task)
    try search.setTask(task)
    for (item, ids) in expected.sourceIds.enumerated() {
      #expect(try greedy.generate(ids, maxNewTokens: maxNewTokens) == expected.singleGreedy[item].cutAfterEnd)
      _ = try search.generate(ids, maxNewTokens: maxNewTokens)
      #expect(search.hypothesisCount() == 4)
      for rank in 0..<search.hypothesisCount() {
        let hypothesis = search.hypothesis(rank)
        #expect(Array(hypothesis.ids) == expected.singleBeam4Top4[item][rank].cutAfterEnd)
        #expect(abs(hypothesis.score - expected.singleBeam4Top4Scores[item][rank]) < 1e-4)
      }
    }
  }
}
