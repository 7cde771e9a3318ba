import Foundation
import Testing

/// A study of seconds: an encoder of 48 numbers a token, and sentences of a dozen words.
struct StudyFixture {
  let folder: TemporaryFolder
  let backbone: String
  /// With `sst2/train.jsonl` and `sst2/validation.jsonl`.
  let data: String

  static let trainingLines = 12
  private static let pieces = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "house", "is", "blue", "red", "a", "in",
  ]

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    data = folder.path("glue")
    let checkpoint = folder.url.appendingPathComponent("checkpoint")
    try FileManager.default.copyItem(
      at: CommandLineTool.golden.appendingPathComponent("backbones/bert"), to: checkpoint)
    let vocabulary = Self.pieces + (Self.pieces.count..<120).map { "[unused\($0)]" }
    try folder.file("checkpoint/vocab.txt", Array((vocabulary.joined(separator: "\n") + "\n").utf8))
    try folder.file("checkpoint/tokenizer_config.json", Array(#"{"do_lower_case": true}"#.utf8))
    let outcome = try CommandLineTool.run("convert", "backbone", checkpoint.path, "--output", backbone)
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("glue/sst2"), withIntermediateDirectories: true)
    for (name, count) in [("train", Self.trainingLines), ("validation", 10)] {
      try folder.file("glue/sst2/\(name).jsonl", Array(Self.lines(count, text: "sentence").utf8))
    }
  }

  /// `count` lines whose label is whether the house is blue.
  static func lines(_ count: Int, text: String, labels: [String] = ["0", "1"]) -> String {
    (0..<count).map { number in
      let words = [number % 3 == 0 ? "the house" : "a house in the house", number % 2 == 0 ? "is red" : "is blue"]
      return #"{"\#(text)": "\#(words.joined(separator: " "))", "label": "\#(labels[number % 2])"}"# + "\n"
    }.joined()
  }

  /// A study of two methods, two seeds and two sizes.
  func arguments(_ more: [String] = []) -> [String] {
    [
      "study", backbone, "--preset", "sst2", "--data", data, "--methods", "lora,bitfit", "--seeds", "2", "--examples",
      "8,4", "--epochs", "2", "--batch", "4", "--learning-rate", "lora=0.01,0.002", "--threads", "1", "--output",
      folder.path("study"),
    ] + more
  }

  func run(_ more: [String] = []) throws -> CommandLineTool.Outcome { try CommandLineTool.run(arguments(more)) }

  var runs: [String] {
    get throws {
      String(decoding: try folder.bytes("study/runs.jsonl"), as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  func write(runs: String) throws { try folder.file("study/runs.jsonl", Array(runs.utf8)) }

  static func object(_ line: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }
}
