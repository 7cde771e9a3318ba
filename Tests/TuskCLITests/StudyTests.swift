import Foundation
import Testing

@Suite("study")
struct StudyTests {
  private let fixture: StudyFixture

  init() throws { fixture = try StudyFixture() }

  /// What is the same however often and fast a run is done.
  private func outcome(_ line: String) throws -> String {
    let object = try StudyFixture.object(line)
    let training = try #require(object["training"] as? [String: Any])
    let parts = [
      object["task"], object["method"], object["examples"], object["seed"], object["average"], training["final_loss"],
    ]
    return parts.map { "\($0 ?? "nothing")" }.joined(separator: " ")
  }

  @Test func aRunIsATrainingAndAnEvaluation() throws {
    let study = try fixture.run()
    #expect(study.exitCode == 0, "\(study.errors)")
    let runs = try fixture.runs
    #expect(runs.count == 8)
    let line = try #require(
      try runs.map(StudyFixture.object).first { run in
        run["method"] as? String == "lora" && run["examples"] as? Int == 8 && run["seed"] as? Int == 2
      })
    let task = fixture.folder.path("t.tusk")
    let trained = try CommandLineTool.run(
      "train", fixture.backbone, "--method", "lora", "--preset", "sst2", "--train",
      fixture.folder.path("study/data/sst2-8-2.jsonl"), "--output", task, "--seed", "2", "--epochs", "2", "--batch",
      "4",
      "--learning-rate", "0.01", "--threads", "1", "--name", "sst2", "--json"
    ).object()
    let judged = try CommandLineTool.run(
      "eval", fixture.backbone, "--task", task, "--data", fixture.data + "/sst2/validation.jsonl", "--preset", "sst2",
      "--json"
    ).object()
    let training = try #require(line["training"] as? [String: Any])
    for member in ["trained_parameters", "head_parameters"] {
      #expect(try #require(training[member] as? Int) == trained[member] as? Int)
    }
    #expect(try #require(training["final_loss"] as? Double) == trained["final_loss"] as? Double)
    #expect(try #require(line["average"] as? Double) == judged["average"] as? Double)
    #expect(line["judged_examples"] as? Int == 10)
    #expect(line["learning_rate"] as? Double == 0.01)
    #expect(try #require(training["private_bytes"] as? Int) > 0)
    #expect(try #require(training["ms_per_epoch"] as? Double) > 0)
    let size = try FileManager.default.attributesOfItem(atPath: task)[.size] as? Int
    #expect(training["task_bytes"] as? Int == size)
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path("study/work")).isEmpty)
  }

  @Test func fullFineTuningIsComparedOnTheFloatBackbone() throws {
    let files = try TrainingFiles.shared.get()
    let arguments = [
      "study", files.bert, "--float32-backbone", files.floatBERT, "--task", "house=\(files.labels),\(files.labels)",
      "--methods", "full,lora", "--seeds", "1", "--epochs", "1", "--threads", "1", "--output",
      fixture.folder.path("study"), "--json",
    ]
    let study = try CommandLineTool.run(arguments)
    #expect(study.exitCode == 0, "\(study.errors)")
    let methods = try #require(try study.object()["methods"] as? [[String: Any]])
    #expect(methods.compactMap { $0["percent_of_backbone"] as? Double }.first == 100)
    let bytes = methods.compactMap { $0["task_bytes"] as? Int }
    let backbone = try FileManager.default.attributesOfItem(atPath: files.floatBERT)[.size] as? Int
    #expect(bytes.count == 2 && bytes[0] >= backbone! && bytes[1] < backbone!, "\(bytes)")
    let other = try CommandLineTool.run(arguments.map { $0 == files.floatBERT ? files.floatT5 : $0 })
    #expect(other.exitCode == 65 && other.errors.contains("found other weights than those of "), "\(other.errors)")
  }

  @Test func anInterruptedStudyGoesOn() throws {
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = fixture.arguments()
    process.standardOutput = FileHandle.nullDevice
    let errors = try fixture.folder.file("errors", [])
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    while process.isRunning, (try? fixture.runs.isEmpty) ?? true { Thread.sleep(forTimeInterval: 0.005) }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    let message = try String(contentsOf: errors, encoding: .utf8)
    #expect(message.contains("the same command goes on"), "\(message)")
    let page = String(decoding: try fixture.folder.bytes("study/study.md"), as: UTF8.self)
    #expect(page.contains("missing"))
    let done = try fixture.runs
    #expect((1..<8).contains(done.count))
    #expect(try fixture.run().exitCode == 0)
    #expect(try fixture.runs.prefix(done.count) == done[...] && fixture.runs.count == 8)
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path("study/work")).isEmpty)
  }

  @Test func resultsAreMeansAndDeviationsOfTheRuns() throws {
    let study = try fixture.run(["--json"])
    let object = try study.object()
    #expect(object["runs"] as? Int == 8 && object["missing_runs"] as? Int == 0)
    let results = try #require(object["results"] as? [[String: Any]])
    #expect(
      results.map { "\($0["method"]!) \($0["examples"]!)" } == ["lora 4", "bitfit 4", "lora 8", "bitfit 8"])
    let runs = try fixture.runs.map(StudyFixture.object)
    for result in results {
      let values = runs.filter { run in
        run["method"] as? String == result["method"] as? String && run["examples"] as? Int == result["examples"] as? Int
      }.compactMap { $0["average"] as? Double }
      #expect(values.count == 2)
      let average = try #require(result["average"] as? [String: Double])
      #expect(abs(try #require(average["mean"]) - (values[0] + values[1]) / 2) < 1e-12)
      // Of two values.
      #expect(abs(try #require(average["spread"]) - abs(values[0] - values[1]) / 2.squareRoot()) < 1e-12)
    }
    #expect(try fixture.folder.bytes("study/study.json") == study.output)
    let page = String(decoding: try fixture.folder.bytes("study/study.md"), as: UTF8.self)
    #expect(page.contains("## sst2: by examples") && page.contains("| lora "))
    let picture = String(decoding: try fixture.folder.bytes("study/study.svg"), as: UTF8.self)
    #expect(picture.hasPrefix("<svg ") && picture.hasSuffix("</svg>\n"))
    #expect(picture.contains(">sst2 by examples<") && picture.contains(">bitfit<") && !picture.contains("nan"))
  }

  @Test func whatIsDoneIsNotDoneAgain() throws {
    #expect(try fixture.run().exitCode == 0)
    let runs = try fixture.runs
    // Five whole lines, and one that a power cut left without its end.
    try fixture.write(runs: runs.prefix(5).joined(separator: "\n") + "\n" + runs[5].prefix(40))
    let again = try fixture.run()
    #expect(again.exitCode == 0, "\(again.errors)")
    #expect(again.errors.contains("8 runs, of which 5 are done"))
    let resumed = try fixture.runs
    #expect(resumed.prefix(5) == runs.prefix(5) && resumed.count == 8)
    #expect(try resumed.map(outcome) == runs.map(outcome))
    let more = try CommandLineTool.run(fixture.arguments().map { $0 == "lora,bitfit" ? "bitfit,lora,adapter" : $0 })
    #expect(more.errors.contains("12 runs, of which 8 are done"), "\(more.errors)")
    #expect(try fixture.runs.prefix(8) == resumed[...])
  }

  @Test func dataWithoutPresetHaveAllTheirLabelsInASample() throws {
    let labels = ["spam", "ham"]
    let training =
      "{\"text\": \"the house\", \"label\": \"rare\"}\n" + StudyFixture.lines(11, text: "text", labels: labels)
    let validation = StudyFixture.lines(4, text: "text", labels: labels)
    let files = try [("train", training), ("dev", validation)].map { name, text in
      try fixture.folder.file("\(name).jsonl", Array(text.utf8)).path
    }
    let study = try CommandLineTool.run([
      "study", fixture.backbone, "--task", "mail=\(files[0]),\(files[1])", "--metric", "macro_f1", "--methods",
      "bitfit",
      "--seeds", "2", "--examples", "3", "--validation-limit", "2", "--epochs", "1", "--threads", "1", "--output",
      fixture.folder.path("study"), "--json",
    ])
    #expect(study.exitCode == 0, "\(study.errors)")
    for seed in 1...2 {
      let sample = String(decoding: try fixture.folder.bytes("study/data/mail-3-\(seed).jsonl"), as: UTF8.self)
      for label in labels + ["rare"] { #expect(sample.contains("\"\(label)\"")) }
    }
    for run in try fixture.runs.map(StudyFixture.object) {
      #expect(run["judged_examples"] as? Int == 2)
      #expect((run["metrics"] as? [String: Double])?.keys.sorted() == ["macro_f1"])
    }
  }

  @Test func everyMemberIsDescribed() throws {
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    func members(_ value: Any) -> Set<String> {
      if let array = value as? [Any] { return array.reduce(into: []) { $0.formUnion(members($1)) } }
      guard let object = value as? [String: Any] else { return [] }
      return object.values.reduce(into: Set(object.keys)) { $0.formUnion(members($1)) }
    }
    let found = members(try fixture.run(["--json"]).object())
      .union(members(try StudyFixture.object(try #require(try fixture.runs.first))))
    #expect(found.count > 20)
    for member in found { #expect(page.contains("`\(member)`"), "\(member)") }
  }
}

@Suite("studies that are refused")
struct StudyRefusalTests {
  private let fixture: StudyFixture

  init() throws { fixture = try StudyFixture() }

  private func expectFailure(
    _ arguments: [String], _ exitCode: Int32, _ message: String, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try CommandLineTool.run(arguments)
    #expect(outcome.exitCode == exitCode, "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.errors.contains(message), "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
  }

  private func with(_ option: String, _ value: String) -> [String] {
    var arguments = fixture.arguments()
    arguments[arguments.firstIndex(of: option)! + 1] = value
    return arguments
  }

  @Test func wrongUsageIs64() throws {
    try expectFailure(with("--methods", "lora,magic"), 64, "--methods")
    try expectFailure(with("--methods", "lora,lora"), 64, "--methods")
    try expectFailure(with("--methods", "bitfit"), 64, "--learning-rate names lora")
    try expectFailure(with("--preset", "sst9"), 64, "no such preset: sst9")
    try expectFailure(with("--learning-rate", "lora=fast"), 64, "--learning-rate")
    try expectFailure(with("--examples", "0"), 64, "--examples")
    try expectFailure(with("--seeds", "0"), 64, "--seeds takes 1 to 1000")
    try expectFailure(fixture.arguments(["--task", "../up=a,b"]), 64, "--task")
    try expectFailure(fixture.arguments(["--metric", "accuracy"]), 64, "presets have their metrics")
    try expectFailure(fixture.arguments().filter { $0 != "--data" && $0 != fixture.data }, 64, "where is sst2?")
    #expect(!FileManager.default.fileExists(atPath: fixture.folder.path("study")))
  }

  @Test func methodsThatDoNotFitTheBackboneAreRefusedBeforeAnyRun() throws {
    // 48 / 32 = 1 is no multiple of four terms.
    let other = with("--learning-rate", "0.01").map { $0 == "lora,bitfit" ? "bitfit,compacter" : $0 }
    try expectFailure(other, 64, "found 4 terms")
    try expectFailure(
      other.map { $0 == "bitfit,compacter" ? "full" : $0 }, 64,
      "full trains the backbone's own weights, and these are int8")
    try expectFailure(
      other + ["--float32-backbone", fixture.backbone], 64,
      "--float32-backbone goes with --methods full and intrinsic-said")
    #expect(!FileManager.default.fileExists(atPath: fixture.folder.path("study")))
  }

  @Test func missingDataAre66() throws {
    try expectFailure(with("--data", fixture.folder.path("nowhere")), 66, "nowhere/sst2/train.jsonl: cannot open")
    try FileManager.default.removeItem(atPath: fixture.data + "/sst2/validation.jsonl")
    try expectFailure(fixture.arguments(), 66, "validation.jsonl: cannot open")
  }

  @Test func badDataAre65() throws {
    try expectFailure(with("--examples", "13"), 65, "found 12 lines, required the 13 of --examples")
    let bare = fixture.folder.path("bare.tusk")
    try TinyFiles.writeBackbone(bare)
    try expectFailure(fixture.arguments().map { $0 == fixture.backbone ? bare : $0 }, 65, "without a tokenizer")
  }

  @Test func aFolderOfOtherSettingsIsRefused() throws {
    #expect(try fixture.run().exitCode == 0)
    let runs = try fixture.runs
    try expectFailure(with("--epochs", "3"), 65, "its epochs is '2', required '3'")
    try expectFailure(with("--learning-rate", "lora=0.02,0.002"), 65, "its learning rate of lora is '0.01'")
    try expectFailure(fixture.arguments(["--validation-limit", "5"]), 65, "its validation data of sst2")
    try fixture.folder.file(
      "glue/sst2/train.jsonl", Array(StudyFixture.lines(StudyFixture.trainingLines + 1, text: "sentence").utf8))
    try expectFailure(fixture.arguments(), 65, "its training data of sst2")
    #expect(try fixture.runs == runs)
  }

  @Test func damagedLinesAreRefused() throws {
    #expect(try fixture.run().exitCode == 0)
    try fixture.write(runs: try fixture.runs[0] + "\n{\"task\": 5}\n")
    try expectFailure(fixture.arguments(), 65, "runs.jsonl: line 2: not a run of a study")
  }

  @Test func runsThatFailAreNamedAndTheOthersDone() throws {
    let lines = StudyFixture.lines(12, text: "sentence").replacingOccurrences(of: "\"1\"", with: "\"maybe\"")
    try FileManager.default.createDirectory(atPath: fixture.data + "/cola", withIntermediateDirectories: false)
    for name in ["train", "validation"] { try fixture.folder.file("glue/cola/\(name).jsonl", Array(lines.utf8)) }
    let outcome = try CommandLineTool.run(with("--preset", "cola,sst2"))
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("8 runs missing, the first that failed: cola, lora, 4 examples, seed 1: "))
    #expect(outcome.errors.contains("'maybe'"), "\(outcome.errors)")
    #expect(try fixture.runs.count == 8)
    #expect(try fixture.runs.allSatisfy { try StudyFixture.object($0)["task"] as? String == "sst2" })
  }
}
