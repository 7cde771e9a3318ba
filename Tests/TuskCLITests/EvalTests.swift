import Foundation
import Testing

/// `tusk eval` on models small enough to convert in each test.
@Suite("eval")
struct EvalTests {
  private static let demonstration = Result { try Demonstration() }
  private static let dates = CommandLineTool.packageFolder.appendingPathComponent("tools/demo/sentences/iso-date.jsonl")
  private static let lines = [
    #"{"premise": "the cat sat", "hypothesis": "a cat", "label": "entailment"}"#,
    #"{"premise": "the dog ran", "hypothesis": "a cat", "label": "contradiction"}"#,
    #"{"premise": "a b c", "hypothesis": "the dog sat", "label": 2}"#,
    #"{"premise": "dog cat dog", "hypothesis": "ran", "label": "0"}"#,
  ]

  private let folder: TemporaryFolder
  private let classifier: String
  private let data: String

  init() throws {
    folder = try TemporaryFolder()
    classifier = try TinyFiles.writeClassifier(in: folder)
    data = try folder.file("cb.jsonl", Array(Self.lines.joined(separator: "\n").utf8)).path
  }

  @Test func aHeadIsJudgedByWhatRunAnswers() throws {
    let output = folder.path("answers.jsonl")
    let outcome = try CommandLineTool.run(
      "eval", classifier, "--data", data, "--preset", "superglue-cb", "--predictions", output, "--json")
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let object = try outcome.object()
    let texts = Self.lines.map { $0.replacing("premise", with: "text").replacing("hypothesis", with: "text2") }
    let answers = try CommandLineTool.run(
      "run", classifier, "--json", input: Array(texts.joined(separator: "\n").utf8)
    ).lines.map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])["label"] as? String
    }
    let golds = ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_0"]
    let metrics = try #require(object["metrics"] as? [String: Double])
    let accuracy = Double(zip(answers, golds).count { $0 == $1 }) / 4
    #expect(metrics["accuracy"] == accuracy)
    #expect(Set(metrics.keys) == ["accuracy", "macro_f1"])
    #expect(object["average"] as? Double == (metrics["accuracy"]! + metrics["macro_f1"]!) / 2)
    #expect(object["examples"] as? Int == 4)

    let written = try String(contentsOfFile: output, encoding: .utf8).split(separator: "\n")
    #expect(
      written.map(String.init)
        == (0..<4).map {
          #"{"line":\#($0 + 1),"prediction":"\#(answers[$0]!)","target":"\#(golds[$0])"}"#
        })
    #expect(!FileManager.default.fileExists(atPath: output + ".tmp"))

    let plain = try CommandLineTool.run("eval", classifier, "--data", data, "--preset", "superglue-cb")
    #expect(plain.lines.first == "metric     value")
    #expect(plain.lines.contains("accuracy  \(String(format: "%.4f", accuracy))"))
    #expect(plain.errors.isEmpty)
  }

  @Test func labelsOfPlainLinesAreTheHeads() throws {
    let good = try folder.file("good.jsonl", Array(#"{"text": "a cat", "label": "LABEL_1"}"#.utf8)).path
    #expect(try CommandLineTool.run("eval", classifier, "--data", good).exitCode == 0)
    let bad = try folder.file("bad.jsonl", Array(#"{"text": "a cat", "label": "1"}"#.utf8)).path
    let outcome = try CommandLineTool.run("eval", classifier, "--data", bad)
    #expect(outcome.exitCode == 65)
    #expect(
      outcome.errors
        == "tusk: \(bad): line 1: 'label': found the text '1', required one of LABEL_0, LABEL_1, LABEL_2\n")
  }

  @Test func anEncoderDecoderIsJudgedByWhatItWrites() throws {
    let bundle = try Self.demonstration.get().bundle
    let lines = try String(contentsOf: Self.dates, encoding: .utf8).split(separator: "\n").prefix(3)
    let data = try folder.file("dates.jsonl", Array(lines.joined(separator: "\n").utf8)).path
    let output = folder.path("answers.jsonl")
    let outcome = try CommandLineTool.run(
      "eval", bundle, "--task", "iso-date", "--data", data, "--metric", "accuracy,token_f1,exact_match", "--batch", "2",
      "--max-source-tokens", "64", "--predictions", output, "--json")
    let metrics = try outcome.object()["metrics"] as? [String: Double]
    #expect(metrics == ["accuracy": 1, "token_f1": 1, "exact_match": 1])
    #expect(try String(contentsOfFile: output, encoding: .utf8).split(separator: "\n").count == 3)
    let bare = try CommandLineTool.run("eval", bundle, "--data", data, "--json").object()
    #expect(bare["metrics"] as? [String: Double] == ["accuracy": 0])
  }

  @Test func longSourcesAreCutAndCounted() throws {
    let outcome = try CommandLineTool.run(
      "eval", classifier, "--data", data, "--preset", "superglue-cb", "--max-source-tokens", "6", "--json")
    // [CLS] A [SEP] B [SEP] leave 3 words; all but the last line's 4 are 5 or 6.
    #expect(try outcome.object()["cut_sources"] as? Int == 4)
    #expect(
      outcome.errors == "tusk: notice: 4 of 4 sources cut to 6 tokens; see --max-source-tokens\n")
  }

  @Test(
    arguments: [
      (["--preset", "nope"], 64, "no such preset: nope"),
      (["--preset", "sst2", "--metric", "accuracy"], 64, "--metric"),
      (["--metric", "bleu"], 64, "bleu"), (["--metric", "accuracy,accuracy"], 64, "accuracy,accuracy"),
      (["--correct-presets"], 64, "--preset"), (["--batch", "0"], 64, "--batch takes 1 to 1024"),
      (["--preset", "sst2"], 65, "the head's labels are not those of the preset 'sst2'"),
      (["--preset", "stsb"], 64, "the preset 'stsb' has no labels"), (["--metric", "f1"], 64, "f1 takes two labels"),
      (["--metric", "pearson"], 64, "pearson takes numbers"), (["--preset", "superglue-record"], 64, "has no labels"),
      (["--preset", "superglue-cb", "--memory-budget", "1KB"], 75, "memory budget"),
      (["--preset", "superglue-cb", "--predictions", "/no/such/folder/x.jsonl"], 74, "/no/such/folder"),
    ] as [([String], Int32, String)])
  func whatDoesNotFitIsRefused(options: [String], exitCode: Int32, words: String) throws {
    let outcome = try CommandLineTool.run(["eval", classifier, "--data", data] + options)
    #expect(outcome.exitCode == exitCode, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
  }

  @Test func faultyDataIsRefusedWithItsLine() throws {
    let lines = Self.lines + [#"{"premise": "x", "label": 0}"#]
    let faulty = try folder.file("faulty.jsonl", Array(lines.joined(separator: "\n").utf8)).path
    let output = folder.path("answers.jsonl")
    let outcome = try CommandLineTool.run(
      "eval", classifier, "--data", faulty, "--preset", "superglue-cb", "--predictions", output)
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors == "tusk: \(faulty): line 5: 'hypothesis': found nothing, required a text\n")
    #expect(!FileManager.default.fileExists(atPath: output))
    let none = try CommandLineTool.run("eval", classifier, "--data", folder.path("none"), "--preset", "superglue-cb")
    #expect(none.exitCode == 66)
    let over = try CommandLineTool.run(
      "eval", classifier, "--data", data, "--preset", "superglue-cb", "--predictions", data)
    #expect(over.exitCode == 64)
    #expect(try folder.bytes("cb.jsonl") == Array(Self.lines.joined(separator: "\n").utf8))
  }

  @Test func aBackboneWithoutTokenizerIsRefused() throws {
    try TinyFiles.writeBackbone(folder.path("b.tusk"))
    let outcome = try CommandLineTool.run("eval", folder.path("b.tusk"), "--data", data)
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("without a tokenizer"))
  }
}
