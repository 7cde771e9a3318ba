import Foundation
import Testing

/// Encoders on the command line, on checkpoints small enough to convert in each test.
@Suite("encoders")
struct EncoderTests {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backbone(_ directory: String) throws -> String {
    let path = folder.path("\(UUID().uuidString).tusk")
    let outcome = try CommandLineTool.run("convert", "backbone", Self.fixtures + "/" + directory, "--output", path)
    #expect(outcome.exitCode == 0)
    return path
  }

  /// The header of a .npy file.
  private func header(_ path: String) throws -> String {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    return String(decoding: bytes[10..<128], as: UTF8.self)
  }

  @Test func aClassifierAnswersWithItsLikeliestLabel() throws {
    let object = try CommandLineTool.run(
      "run", try backbone("golden/backbones/bert"), "--input-ids", "2,59,94,3", "--json"
    ).object()
    let scores = try #require(object["scores"] as? [String: Double])
    #expect(Set(scores.keys) == ["LABEL_0", "LABEL_1", "LABEL_2"])
    #expect(abs(scores.values.reduce(0, +) - 1) < 1e-5)
    #expect(object["label"] as? String == scores.max { $0.value < $1.value }?.key)
    #expect(object["ids"] == nil)
  }

  @Test func labelsKeepTheirNames() throws {
    let object = try CommandLineTool.run(
      "run", try backbone("golden-encoders/backbones/bert_multilabel"), "--input-ids", "5,9", "--json"
    ).object()
    let scores = try #require(object["scores"] as? [String: Double])
    #expect(Set(scores.keys) == ["calm", "très joyeux", "angry"])
    #expect(Set(try #require(object["labels"] as? [String])) == Set(scores.filter { $0.value >= 0.5 }.keys))
  }

  @Test func aRegressionAnswersWithItsNumber() throws {
    let path = try backbone("golden-encoders/backbones/xlmr_regression")
    let object = try CommandLineTool.run("run", path, "--input-ids", "0,9,2", "--json").object()
    let number = try #require((object["numbers"] as? [Double])?.first)
    let plain = try CommandLineTool.run("run", path, "--input-ids", "0,9,2")
    #expect(plain.text == String(format: "%.4f\n", number))
  }

  @Test func inspectCountsTheHeadApart() throws {
    let path = try backbone("golden-encoders/backbones/bert_multilabel")
    let details = try #require(
      try CommandLineTool.run("inspect", path, "--json").object()["backbone"] as? [String: Any])
    let head = try #require(details["head"] as? [String: Any])
    #expect(head["output"] as? String == "independent_labels")
    #expect(head["labels"] as? [String] == ["calm", "très joyeux", "angry"])
    let width = try #require(details["d_model"] as? Int)
    #expect(head["parameters"] as? Int == 3 * (width + 1))
    let text = try CommandLineTool.run("inspect", path).text
    #expect(text.contains("labels: calm, très joyeux, angry\n"))
  }

  @Test(arguments: ["golden/hub/bert_compacterpp_flex_head/adapter"])
  func aTaskWithAHeadNamesItsParts(directory: String) throws {
    let path = try backbone("golden/backbones/bert")
    let task = folder.path("t.tusk")
    let converted = try CommandLineTool.run(
      "convert", "task", Self.fixtures + "/" + directory, "--backbone", path, "--output", task)
    #expect(converted.exitCode == 0)
    let tasks = try #require(try CommandLineTool.run("inspect", task, "--json").object()["tasks"] as? [[String: Any]])
    let kinds = try #require(tasks[0]["parameters_by_kind"] as? [String: Int])
    #expect(kinds["head"] == (tasks[0]["head"] as? [String: Any])?["parameters"] as? Int)
    #expect(kinds.values.reduce(0, +) == tasks[0]["parameters"] as? Int)
    #expect(tasks[0]["factor_ranks"] as? [Int] == [1])
  }

  @Test func logitsAreTheHeadsAndOutputWithoutOne() throws {
    let output = folder.path("l.npy")
    let encoded = folder.path("e.npy")
    var outcome = try CommandLineTool.run(
      "logits", try backbone("golden/backbones/bert"), "--input-ids", "2,59,94,3", "--token-type-ids", "0,0,1,1",
      "--output", output, "--encoder-output", encoded)
    #expect(outcome.exitCode == 0)
    #expect(try header(output).contains("'shape': (3,)"))
    #expect(try header(encoded).contains("'shape': (4, 48)"))
    outcome = try CommandLineTool.run(
      "logits", try backbone("golden-encoders/backbones/bert_without_head"), "--input-ids", "5,9", "--output", output)
    #expect(outcome.exitCode == 0)
    #expect(try header(output).contains("'shape': (2, 32)"))
  }

  @Test(arguments: ["golden/backbones/bert", "golden-encoders/backbones/bert_without_head"])
  func benchMeasuresEncoding(directory: String) throws {
    let path = try backbone(directory)
    func bench(_ isa: String) throws -> [String: Any] {
      try CommandLineTool.run(
        ["bench", path, "--source-tokens", "8", "--rounds", "1", "--json"], environment: ["TUSK_ISA": isa]
      ).object()
    }
    let object = try bench("")
    #expect(try #require(object["encode_tokens_per_second"] as? Double) > 0)
    #expect(object["decode_tokens_per_second"] == nil && object["target_tokens"] == nil)
    // All kernels give the same bits.
    #expect(object["output_hash"] as? String == (try bench("portable")["output_hash"] as? String))
  }

  @Test func whatAnEncoderCannotDoIsRefused() throws {
    let path = try backbone("golden/backbones/bert")
    for (arguments, exitCode) in [
      (["logits", path, "--input-ids", "2,3", "--token-type-ids", "0", "--output", folder.path("x.npy")], 64),
      (["logits", path, "--input-ids", "2,3", "--token-type-ids", "0,2", "--output", folder.path("x.npy")], 65),
      (["run", path, "--input-ids", "2,120"], 65),
      (["run", try backbone("golden-encoders/backbones/bert_without_head"), "--input-ids", "2,3"], 65),
      (["embed", path, "text", "--output", folder.path("x.npy")], 65),
      (["bench", path, "--source-tokens", "100000"], 65),
    ] as [([String], Int32)] {
      let outcome = try CommandLineTool.run(arguments)
      #expect(outcome.exitCode == exitCode, "\(arguments)")
      #expect(!FileManager.default.fileExists(atPath: folder.path("x.npy")))
    }
  }
}
