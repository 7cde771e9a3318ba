import Foundation
import Testing

/// Memory of `tusk train`, planned and measured.
@Suite("train, memory")
struct TrainPlanTests {
  private let files: TrainingFiles
  private let folder: TemporaryFolder

  init() throws {
    files = try TrainingFiles.shared.get()
    folder = try TemporaryFolder()
  }

  private func train(_ backbone: String, _ data: String, _ options: String...) throws -> CommandLineTool.Outcome {
    try CommandLineTool.run(
      [
        "train", backbone, "--method", "compacter", "--train", data, "--validation", data, "--output",
        folder.path("task.tusk"), "--json",
      ] + TrainingFiles.recipe + TrainingFiles.sizes("compacter") + options)
  }

  @Test(arguments: ["t5", "bert"])
  func aBudgetIsMetOrRefusedWithTheSmallest(kind: String) throws {
    let (backbone, data) = kind == "t5" ? (files.t5, files.texts) : (files.bert, files.labels)
    let refused = try train(backbone, data, "--memory-budget", "1MB")
    #expect(refused.exitCode == 75 && refused.output.isEmpty)
    let words = "tusk: the memory budget cannot be met (found 1000000 bytes, required "
    #expect(refused.errors.hasPrefix(words), "\(refused.errors)")
    let smallest = try #require(Int(refused.errors.dropFirst(words.count).prefix { $0.isNumber }))
    #expect(try train(backbone, data, "--memory-budget", "\(smallest - 1)").exitCode == 75)
    let outcome = try train(backbone, data, "--memory-budget", "\(smallest)")
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let summary = try outcome.object()
    #expect(summary["planned_private_bytes"] as? Int == smallest)
  }

  @Test(arguments: ["t5", "bert"])
  func measuredMemoryIsWhatWasPlanned(kind: String) throws {
    let (backbone, data) = kind == "t5" ? (files.t5, files.texts) : (files.bert, files.labels)
    let summary = try train(backbone, data).object()
    let planned = try #require(summary["planned_private_bytes"] as? Int)
    let measured = try #require(summary["private_bytes"] as? Int)
    // Wider than of inference: what OpenBLAS keeps depends on its build and the processor it finds.
    #expect(abs(measured - planned) <= max(planned / 10, 4_000_000), "planned \(planned), measured \(measured)")
  }

  @Test func thePlanIsPrintedWithAllItCouldBe() throws {
    let outcome = try train(files.t5, files.texts, "--plan-only")
    #expect(outcome.exitCode == 0 && outcome.lines.count == 1)
    let plan = try outcome.object()
    #expect(plan["examples"] as? Int == 16 && plan["steps"] as? Int == 12)
    let planned = try #require(plan["planned"] as? [String: Int])
    let parts = ["activations", "task", "backbone", "data", "runtime"].compactMap { planned[$0] }
    #expect(parts.count == 5 && parts.reduce(0, +) == planned["private"])
    let choices = try #require(plan["choices"] as? [[String: Any]])
    #expect(choices.count > 2)
    let bytes = choices.compactMap { $0["private"] as? Int }
    let times = choices.compactMap { $0["relative_time"] as? Double }
    #expect(bytes == bytes.sorted(by: >) && times == times.sorted() && times[0] == 1)
    let chosen = choices.filter { $0["is_chosen"] as? Bool == true }
    #expect(chosen.count == 1 && chosen[0]["private"] as? Int == planned["private"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
    // Each of them is what its own size leads to.
    for choice in [choices[1], choices[choices.count - 1]] {
      let budget = try #require(choice["private"] as? Int)
      let other = try train(files.t5, files.texts, "--plan-only", "--memory-budget", "\(budget)").object()
      #expect((other["planned"] as? [String: Int])?["private"] == budget && other["budget"] as? Int == budget)
    }
  }

  @Test func thePlanForPeopleSaysWhy() throws {
    let outcome = try CommandLineTool.run(
      ["train", files.t5, "--method", "compacter", "--train", files.texts, "--output", folder.path("t.tusk")]
        + TrainingFiles.recipe + TrainingFiles.sizes("compacter") + ["--plan-only"])
    for words in ["numbers are trained", "source tokens together", "since there is no budget:", "chosen"] {
      #expect(outcome.text.contains(words), "\(outcome.text)")
    }
  }

  @Test func membersAreDescribed() throws {
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    let log = folder.path("log.jsonl")
    let outputs = [
      try train(files.t5, files.texts, "--plan-only", "--memory-budget", "1GB").output,
      try train(files.bert, files.labels, "--log", log).output, try folder.bytes("log.jsonl"),
    ]
    for line in outputs.flatMap({ $0.split(separator: 10) }) {
      for member in members(of: try JSONSerialization.jsonObject(with: Data(line))) {
        #expect(page.contains("`\(member)`"), "\(member)")
      }
    }
  }

  private func members(of value: Any) -> Set<String> {
    if let array = value as? [Any] { return array.reduce(into: []) { $0.formUnion(members(of: $1)) } }
    guard let object = value as? [String: Any] else { return [] }
    return object.reduce(into: Set(object.keys)) { found, member in
      if member.key != "metrics" { found.formUnion(members(of: member.value)) }
    }
  }
}
