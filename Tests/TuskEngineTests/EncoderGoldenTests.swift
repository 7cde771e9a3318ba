import Testing
import TuskEngine
import TuskFormat

/// Float32 packs of BERT and RoBERTa against PyTorch: the stream behind every block within 1e-4, logits within 1e-3 (the
/// order of float32 summation differs); int8 packs choose the same label where PyTorch's choice is clear.
@Suite struct EncoderGoldenTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let folder: String
    let backbone: String

    var golden: GoldenCase { GoldenCase(name: folder, backbone: backbone) }
    var testDescription: String { folder }
  }

  static let cases = [
    Case(folder: "base/bert", backbone: "bert"), Case(folder: "base/roberta", backbone: "roberta"),
    Case(folder: "hub/bert_compacter_static_head", backbone: "bert"),
    Case(folder: "hub/bert_compacterpp_flex_head", backbone: "bert"),
    Case(folder: "hub/roberta_compacter_static_head", backbone: "roberta"),
  ]

  @Test(arguments: cases)
  func float32HiddenStatesAndLogitsEqualPyTorch(item: Case) throws {
    let session = try opened(item, .float32)
    let hidden = try (0...session.config.layerCount).map { try item.golden.array("hidden_\($0)") }
    let logits = try item.golden.array("logits")
    let width = session.config.dModel
    try forEachSource(of: item) { index, ids, types in
      try ids.withUnsafeBufferPointer { ids in
        try types.withUnsafeBufferPointer { types in
          try session.encode(ids, types: types, source: 0) { blocks, stream in
            let found = UnsafeBufferPointer(start: stream, count: ids.count * width)
            let difference = largestDifference(found, hidden[blocks][index].prefix(ids.count * width))
            #expect(difference < 1e-4, "behind block \(blocks)")
          }
        }
      }
      #expect(largestDifference(try session.headOutput(), logits[index]) < 1e-3)
    }
  }

  /// The error of int8 on these small models stays below 0.5, so a lead above 1 must survive it.
  @Test(arguments: cases)
  func int8ChoosesTheSameLabels(item: Case) throws {
    let session = try opened(item, .int8Rows)
    let logits = try item.golden.array("logits")
    try forEachSource(of: item) { index, ids, types in
      let wanted = Array(logits[index])
      let found = try session.encoded(ids, types).head
      #expect(largestDifference(found.withUnsafeBufferPointer { $0 }, logits[index]) < 0.5)
      let order = wanted.indices.sorted { wanted[$0] > wanted[$1] }
      guard wanted[order[0]] - wanted[order[1]] > 1 else { return }
      #expect(found.indices.max { found[$0] < found[$1] } == order[0])
    }
  }

  private func opened(_ item: Case, _ weights: WeightEncoding) throws -> Session {
    let (file, task) = try item.golden.opened(weights)
    let session = try Session(file, PlanRequest(sourceTokens: 512))
    try session.setTask(task)
    return session
  }

  private func forEachSource(of item: Case, _ body: (Int, [Int32], [Int32]) throws -> Void) throws {
    let mask = try item.golden.array("attention_mask")
    let inputs = try item.golden.array("input_ids")
    let types = try item.golden.array("token_type_ids")
    for index in 0..<inputs.shape[0] {
      let length = Int(mask[index].reduce(0, +))
      try body(
        index, inputs[index].prefix(length).map { Int32($0) }, types[index].prefix(length).map { Int32($0) })
    }
  }
}
