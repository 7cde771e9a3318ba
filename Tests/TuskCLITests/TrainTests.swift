import Foundation
import Testing
import TuskFormat

@Suite("train")
struct TrainTests {
  private let files: TrainingFiles
  private let folder: TemporaryFolder

  init() throws {
    files = try TrainingFiles.shared.get()
    folder = try TemporaryFolder()
  }

  private func train(_ backbone: String, _ data: String, _ options: [String]) throws -> CommandLineTool.Outcome {
    try CommandLineTool.run(
      ["train", backbone, "--train", data, "--output", folder.path("task.tusk")] + TrainingFiles.recipe + options)
  }

  /// The members of every line of the log.
  private func log() throws -> [[String: Any]] {
    try String(decoding: folder.bytes("log.jsonl"), as: UTF8.self).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test(arguments: ["t5", "bert"])
  func aTrainedTaskIsATaskLikeAnyOther(kind: String) throws {
    let (backbone, data) = kind == "t5" ? (files.t5, files.texts) : (files.bert, files.labels)
    let outcome = try train(
      backbone, data,
      [
        "--method", "compacter", "--reduction-factor", "4", "--validation", data, "--json", "--log",
        folder.path("log.jsonl"), "--chart",
        folder.path("chart.svg"), "--name", "weather",
      ])
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let summary = try outcome.object()
    #expect(summary["steps"] as? Int == 12 && summary["epochs"] as? Int == 3)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() == [
        "chart.svg", "log.jsonl", "task.tusk",
      ])

    let task = folder.path("task.tusk")
    let inspected = try CommandLineTool.run("inspect", task, "--json").object()
    let details = try #require((inspected["tasks"] as? [[String: Any]])?.first)
    #expect(details["origin"] as? String == "training" && details["name"] as? String == "weather")
    let trained = try #require(summary["trained_parameters"] as? Int) + #require(summary["head_parameters"] as? Int)
    #expect(details["parameters"] as? Int == trained)
    #expect((inspected["provenance"] as? String)?.contains("trained by compacter") == true)
    #expect(try CommandLineTool.run("verify", task).exitCode == 0)
    let bundle = folder.path("all.tusk")
    #expect(try CommandLineTool.run("bundle", "--output", bundle, backbone, task).exitCode == 0)
    let answer = try CommandLineTool.run("run", bundle, "--task", "weather", "--json", "the house is ice")
    #expect(answer.exitCode == 0, "\(answer.errors)")
    let object = try answer.object()
    if kind == "bert" { #expect(Set((object["scores"] as? [String: Any] ?? [:]).keys) == ["cold", "warm"]) }
    // What the summary says of the validation data is what the task answers.
    let judged = try CommandLineTool.run("eval", backbone, "--task", task, "--data", data, "--json").object()
    #expect(judged["metrics"] as? [String: Double] == summary["metrics"] as? [String: Double])

    let lines = try log()
    let steps = lines.filter { $0["event"] as? String == "step" }
    #expect(steps.compactMap { $0["step"] as? Int } == Array(1...12))
    let losses = steps.compactMap { $0["loss"] as? Double }
    #expect(losses.suffix(4).reduce(0, +) < losses.prefix(4).reduce(0, +), "\(losses)")
    #expect(losses.last == summary["final_loss"] as? Double)
    #expect(lines.filter { $0["event"] as? String == "evaluation" }.compactMap { $0["epoch"] as? Int } == [1, 2, 3])
    #expect(lines.filter { $0["event"] as? String == "saved" }.compactMap { $0["step"] as? Int } == [4, 8, 12])
    let chart = String(decoding: try folder.bytes("chart.svg"), as: UTF8.self)
    #expect(chart.contains(">loss<") && chart.contains(">evaluation: accuracy<"))
  }

  @Test func standardOutputIsOneLineAndStandardErrorHasNoControlCharacters() throws {
    let outcome = try train(files.bert, files.labels, ["--method", "lora", "--validation", files.labels])
    #expect(outcome.lines.count == 1 && outcome.lines[0].hasPrefix("\(folder.path("task.tusk")): "))
    #expect(!outcome.errors.contains("\u{1B}") && !outcome.errors.contains("\r"))
    for words in ["lora, adapterhub: ", "answers: 2 labels: cold, warm", "plan: ", "epoch 3: loss "] {
      #expect(outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  @Test(arguments: [
    "compacter", "compacter++", "phm", "adapter", "pfeiffer", "adapter-drop", "low-rank", "prompt", "bitfit", "lora",
  ])
  func everyMethodTrains(method: String) throws {
    let options = ["--method", method, "--epochs", "1"] + TrainingFiles.sizes(method)
    let outcome = try train(files.t5, files.texts, options)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    #expect(try CommandLineTool.run("verify", folder.path("task.tusk")).exitCode == 0)
  }

  @Test func threadsChangeNoBit() throws {
    let options = ["--method", "compacter", "--epochs", "1"] + TrainingFiles.sizes("compacter")
    _ = try train(files.t5, files.texts, options)
    let one = try folder.bytes("task.tusk")
    _ = try train(files.t5, files.texts, options + ["--threads", "2"])
    #expect(try folder.bytes("task.tusk") == one)
    _ = try train(files.t5, files.texts, options + ["--seed", "1"])
    #expect(try folder.bytes("task.tusk") != one)
  }

  @Test func patienceAndLimitEndSooner() throws {
    let outcome = try train(
      files.bert, files.labels,
      [
        "--method", "bitfit", "--validation", files.labels, "--limit", "5", "--learning-rate", "1e-9", "--stop-after",
        "2", "--epochs", "9", "--json",
      ])
    // Nothing is learned, so the first epoch stays the best: two steps each.
    let summary = try outcome.object()
    #expect(summary["best_epoch"] as? Int == 1 && summary["epochs"] as? Int == 3 && summary["steps"] as? Int == 6)
    #expect(outcome.errors.contains("\n5 examples, 16 validation examples\n"))
  }

  @Test(arguments: [
    (["--method", "compacter", "--alpha", "4"], "--alpha is of no use with --method compacter; it goes with lora"),
    (["--method", "lora", "--phm-dim", "4"], "--phm-dim is of no use with --method lora; it goes with compacter, "),
    (["--method", "bitfit", "--rank", "4"], "--rank is of no use with --method bitfit"),
    (["--method", "phm", "--rank", "4"], "--rank is of no use with --method phm"),
    (["--method", "prompt", "--reduction-factor", "4"], "--reduction-factor is of no use with --method prompt"),
    (["--method", "lora", "--prompt-tokens", "4"], "--prompt-tokens is of no use with --method lora"),
    (["--method", "adapter", "--prompt-start", "random"], "--prompt-start is of no use with --method adapter"),
    (["--method", "full"], "full trains the backbone's own weights, and these are int8"),
    (["--method", "intrinsic-said"], "intrinsic-said trains the backbone's own weights"),
    (["--method", "lora", "--metric", "accuracy"], "--metric judges what --validation names"),
    (["--method", "lora", "--stop-after", "1"], "--stop-after goes by evaluations"),
    (["--method", "lora", "--preset", "none"], "no such preset: none"),
    (["--method", "lora", "--correct-presets"], "--correct-presets goes with --preset"),
    (["--method", "lora", "--preset", "sst2", "--regression"], "a preset says itself"),
    (["--method", "lora", "--limit", "0"], "--limit takes 1 or more"),
    (["--method", "lora", "--learning-rate", "0"], "--learning-rate takes a number above 0"),
    (["--method", "lora", "--resume", "--restart"], "give --resume or --restart"),
    (["--method", "lora", "--resume", "--plan-only"], "--plan-only trains nothing"),
    (["--method", "lora", "--pooler"], "--pooler is of no use with "),
    (["--method", "lora", "--regression"], "--regression is of no use with "),
    (["--method", "compacter", "--phm-dim", "5"], "found 5 terms, which do not divide"),
    (["--method", "lora", "--rank", "1000"], "found 1000 for LoRA's rank"),
    (["--method", "prompt", "--dialect", "adapterhub"], "has no prompts for encoder-decoders"),
    (["--method", "lora", "--log", "/tmp/x.svg", "--chart", "/tmp/x.svg"], "named for two outputs"),
  ])
  func whatMakesNoSenseIsWrongUsage(options: [String], words: String) throws {
    let outcome = try train(files.t5, files.texts, options)
    #expect(outcome.exitCode == 64 && outcome.output.isEmpty)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test func anEncodersTargetsHaveNoTokens() throws {
    let outcome = try train(files.bert, files.labels, ["--method", "lora", "--max-target-tokens", "4"])
    #expect(outcome.exitCode == 64 && outcome.errors.contains("--max-target-tokens is of no use with "))
  }

  @Test(arguments: [
    ("{\"text\": \"the\", \"label\": \"cold\"}\n\n", "line 2: the line is empty"),
    ("{\"text\": \"the\", \"label\": \"cold\"}\n{\"text\": \"ice\"}\n", "line 2: the line has no label"),
    ("{\"text\": \"the\", \"label\": \"cold\"}\nice\n", "line 2: "), ("", "the file has no examples"),
    ("{\"text\": \"the\", \"label\": \"cold\"}\n", "found one label"),
  ])
  func faultyExamplesAreNamedWithTheirLine(text: String, words: String) throws {
    let data = try folder.file("bad.jsonl", Array(text.utf8)).path
    let outcome = try train(files.bert, data, ["--method", "lora"])
    #expect(outcome.exitCode == 65, "\(outcome.errors)")
    #expect(outcome.errors.contains(words) && outcome.errors.hasPrefix("tusk: \(data): "), "\(outcome.errors)")
    #expect(outcome.errors.filter { $0 == "\n" }.count == 1)
  }

  @Test func labelsThatTheTrainingDataDoNotHaveAre65() throws {
    let data = try folder.file(
      "other.jsonl", TrainingFiles.lines([#"{"text": "ice", "label": "cold"}"#, #"{"text": "ice", "label": "hot"}"#])
    ).path
    let outcome = try train(files.bert, files.labels, ["--method", "lora", "--validation", data])
    #expect(outcome.exitCode == 65)
    #expect(
      outcome.errors == "tusk: \(data): line 2: 'label': found the text 'hot', required one of cold, warm\n")
  }

  @Test func targetsLongerThanAskedForAre65() throws {
    let outcome = try train(files.t5, files.texts, ["--method", "lora", "--max-target-tokens", "2"])
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.hasPrefix("tusk: \(files.texts): line 1: the target is longer than planned"))
  }

  @Test func sourcesThatAreCutAreCounted() throws {
    let outcome = try train(files.t5, files.texts, ["--method", "lora", "--max-source-tokens", "5", "--plan-only"])
    #expect(outcome.text.contains("16 examples (16 cut at the end; see --max-source-tokens)"), "\(outcome.text)")
  }

  @Test func anOutputThatIsAnInputIsRefused() throws {
    let before = try Data(contentsOf: URL(fileURLWithPath: files.labels))
    let copy = try folder.file("labels.tusk", Array(before)).path
    let state = try folder.file("x.tusk.state", Array(before)).path
    for (data, output, words) in [
      (copy, copy, "the output is the input"), (state, folder.path("x.tusk"), "the output is the input"),
    ] {
      let outcome = try CommandLineTool.run(
        "train", files.bert, "--method", "lora", "--train", data, "--output", output, "--restart")
      #expect(outcome.exitCode == 64 && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: data)) == before)
    }
    for option in ["--log", "--chart"] {
      let outcome = try train(files.bert, files.labels, ["--method", "lora", option, files.labels])
      #expect(outcome.exitCode == 64 && outcome.errors.contains("the output is the input"))
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: files.labels)) == before)
  }

  @Test func anExplodingRunStopsWith65AndKeepsTheBestTask() throws {
    let options = [
      "--method", "adapter", "--validation", files.labels, "--batch", "16", "--epochs", "5", "--learning-rate", "1e30",
      "--warmup-steps", "1", "--log", folder.path("log.jsonl"),
    ]
    let outcome = try train(files.bert, files.labels, options)
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("tusk: \(files.labels): step "), "\(outcome.errors)")
    #expect(outcome.errors.contains(", lines ") && outcome.errors.contains(" and 8 more: found a loss of "))
    #expect(outcome.errors.contains("the task of epoch 1 was written to \(folder.path("task.tusk"))"))
    #expect(try CommandLineTool.run("verify", folder.path("task.tusk")).exitCode == 0)
    let judged = try CommandLineTool.run(
      "eval", files.bert, "--task", folder.path("task.tusk"), "--data", files.labels, "--json"
    ).object()
    let first = try #require(try log().first { $0["event"] as? String == "evaluation" })
    #expect(judged["average"] as? Double == first["average"] as? Double)
  }
}
