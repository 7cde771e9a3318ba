import Foundation
import Testing

@Suite("convert")
struct ConvertTests {
  private let folder: TemporaryFolder
  private let checkpoint = CommandLineTool.golden.appendingPathComponent("backbones/t5_v10").path

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: ["int8", "float32"])
  func aBackboneIsConvertedAndGood(weights: String) throws {
    let output = folder.path("b.tusk")
    let outcome = try CommandLineTool.run("convert", "backbone", checkpoint, "--output", output, "--weights", weights)
    #expect(outcome.exitCode == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.text.contains("197,632 parameters"))
    #expect(outcome.text.contains("relative error") == (weights == "int8"))
    #expect(try CommandLineTool.run("verify", output).exitCode == 0)
    let details = try CommandLineTool.run("inspect", "--json", output).object()["backbone"] as? [String: Any]
    #expect(details?["weights"] as? String == weights)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["b.tusk"])
  }

  @Test func bothPacksHaveOneFingerprint() throws {
    let prints = try ["int8", "float32"].map { weights in
      let output = folder.path(weights)
      try CommandLineTool.run("convert", "backbone", checkpoint, "--output", output, "--weights", weights)
      return try CommandLineTool.run("inspect", "--json", output).object()["backbone"] as? [String: Any]
    }
    #expect(prints[0]?["fingerprint"] as? String == prints[1]?["fingerprint"] as? String)
    #expect(prints[0]?["fingerprint"] != nil)
  }

  @Test func faultsOfTheCheckpointAreNamed() throws {
    let none = try CommandLineTool.run("convert", "backbone", folder.path("none"), "--output", folder.path("b.tusk"))
    #expect(none.exitCode == 66)
    let copy = folder.url.appendingPathComponent("copy")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: checkpoint), to: copy)
    let weights = copy.appendingPathComponent("model.safetensors")
    try FileHandle(forWritingTo: weights).truncate(atOffset: 1000)
    try FileManager.default.removeItem(at: copy.appendingPathComponent("pytorch_model.bin"))
    let cut = try CommandLineTool.run("convert", "backbone", copy.path, "--output", folder.path("b.tusk"))
    #expect(cut.exitCode == 65)
    #expect(cut.errors.contains("model.safetensors"))
    #expect(cut.errors.filter { $0 == "\n" }.count == 1)
    #expect(!FileManager.default.fileExists(atPath: folder.path("b.tusk")))
  }

  @Test func aCheckpointIsNeverOverwritten() throws {
    let copy = folder.url.appendingPathComponent("copy")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: checkpoint), to: copy)
    let weights = copy.appendingPathComponent("model.safetensors")
    let before = try Data(contentsOf: weights)
    let outcome = try CommandLineTool.run("convert", "backbone", copy.path, "--output", weights.path)
    #expect(outcome.exitCode == 64)
    #expect(try Data(contentsOf: weights) == before)
  }

  @Test func aTaskIsConvertedAndChangesTheAnswer() throws {
    let backbone = folder.path("b.tusk")
    let task = folder.path("t.tusk")
    let adapter = CommandLineTool.golden.appendingPathComponent("hub/t5_v10_compacter/adapter").path
    try CommandLineTool.run("convert", "backbone", checkpoint, "--output", backbone, "--weights", "float32")
    let outcome = try CommandLineTool.run(
      "convert", "task", adapter, "--backbone", backbone, "--output", task, "--name", "first")
    #expect(outcome.exitCode == 0)
    #expect(outcome.text.hasPrefix("\(task): first, 1,984 parameters, 1.004 % of the backbone"))
    let expected = try expectation("hub/t5_v10_compacter")
    for (source, greedy) in zip(expected.sources, expected.greedy) {
      let arguments = ["run", backbone, "--input-ids", source.map(String.init).joined(separator: ",")]
      let options = ["--max-new-tokens", "\(expected.maxLength - 1)", "--json"]
      let answer = try CommandLineTool.run(arguments + ["--task", task] + options).object()
      #expect(answer["ids"] as? [Int] == greedy)
    }
  }

  @Test func aTaskWithoutItsRuleIsRefused() throws {
    let backbone = folder.path("b.tusk")
    let adapter = CommandLineTool.golden.appendingPathComponent("hub/NEGATIVE_missing_phm_rule/adapter").path
    try CommandLineTool.run("convert", "backbone", checkpoint, "--output", backbone)
    let outcome = try CommandLineTool.run(
      "convert", "task", adapter, "--backbone", backbone, "--output", folder.path("t.tusk"))
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("phm_rule"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("t.tusk")))
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func anInterruptedConversionLeavesNothing(number: Int32) throws {
    let large = folder.url.appendingPathComponent("large")
    try SparseCheckpoint.write(to: large)
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = ["convert", "backbone", large.path, "--output", folder.path("b.tusk")]
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let end = Date(timeIntervalSinceNow: 60)
    while !FileManager.default.fileExists(atPath: folder.path("b.tusk.tmp")) && Date() < end && process.isRunning {
      Thread.sleep(forTimeInterval: 0.001)
    }
    kill(process.processIdentifier, number)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 130)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["large"])
  }

  /// What PyTorch answered, each sequence up to its end-of-sequence.
  private func expectation(_ name: String) throws -> (sources: [[Int]], greedy: [[Int]], maxLength: Int) {
    let file = CommandLineTool.golden.appendingPathComponent("\(name)/expect.json")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    let sources = try #require(object["source_ids"] as? [[Int]])
    let greedy = try #require(object["single_greedy"] as? [[Int]]).map { ids in
      let end = ids.dropFirst().firstIndex(of: 1) ?? ids.count - 1
      return Array(ids[...end])
    }
    return (sources, greedy, try #require(object["max_length"] as? Int))
  }
}

/// A T5 checkpoint of 270 MB that takes no room: its embedding is a hole in the file.
enum SparseCheckpoint {
  static let vocabularySize = 1 << 20

  static func write(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let config = """
      {"model_type": "t5", "vocab_size": \(vocabularySize), "d_model": 64, "d_kv": 16, "d_ff": 64, "num_heads": 4,
       "num_layers": 1, "num_decoder_layers": 1, "relative_attention_num_buckets": 32, "feed_forward_proj": "relu",
       "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6, "tie_word_embeddings": true,
       "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "is_encoder_decoder": true}
      """
    try Data(config.utf8).write(to: folder.appendingPathComponent("config.json"))
    var header: [String: Any] = [:]
    var end = 0
    for (name, shape) in tensors {
      let bytes = 4 * shape.reduce(1, *)
      header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [end, end + bytes]]
      end += bytes
    }
    var json = Array(try JSONSerialization.data(withJSONObject: header))
    while json.count % 8 != 0 { json.append(0x20) }
    let length = (0..<8).map { UInt8(truncatingIfNeeded: UInt64(json.count) >> (8 * UInt64($0))) }
    let file = folder.appendingPathComponent("model.safetensors")
    try Data(length + json).write(to: file)
    try FileHandle(forWritingTo: file).truncate(atOffset: UInt64(8 + json.count + end))
  }

  private static var tensors: [(String, [Int])] {
    var tensors: [(String, [Int])] = [("shared.weight", [vocabularySize, 64])]
    for stack in ["encoder", "decoder"] {
      let attentions = stack == "encoder" ? ["SelfAttention"] : ["SelfAttention", "EncDecAttention"]
      for (layer, attention) in attentions.enumerated() {
        let prefix = "\(stack).block.0.layer.\(layer)"
        for matrix in ["q", "k", "v", "o"] { tensors.append(("\(prefix).\(attention).\(matrix).weight", [64, 64])) }
        tensors.append(("\(prefix).layer_norm.weight", [64]))
      }
      tensors.append(("\(stack).block.0.layer.0.SelfAttention.relative_attention_bias.weight", [32, 4]))
      let prefix = "\(stack).block.0.layer.\(attentions.count)"
      tensors.append(("\(prefix).DenseReluDense.wi.weight", [64, 64]))
      tensors.append(("\(prefix).DenseReluDense.wo.weight", [64, 64]))
      tensors.append(("\(prefix).layer_norm.weight", [64]))
      tensors.append(("\(stack).final_layer_norm.weight", [64]))
    }
    return tensors
  }
}
