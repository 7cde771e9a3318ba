import Foundation
import Testing

@Suite("inspect and bundle")
struct InspectTests {
  private let folder: TemporaryFolder
  private let backbone: String
  private let task: String

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    task = folder.path("t.tusk")
    let config = try TinyFiles.writeBackbone(backbone)
    try TinyFiles.writeTask(task, for: config)
  }

  @Test func aBackboneAsJSON() throws {
    let object = try CommandLineTool.run("inspect", "--json", backbone).object()
    #expect(object["kind"] as? String == "backbone")
    #expect(object["bytes"] as? Int == (try folder.bytes("b.tusk").count))
    #expect(object["provenance"] as? String == "a test")
    #expect((object["tasks"] as? [Any])?.isEmpty == true)
    let details = try #require(object["backbone"] as? [String: Any])
    #expect(details["d_model"] as? Int == 8)
    #expect(details["weights"] as? String == "float32")
    #expect((details["fingerprint"] as? String)?.count == 16)
    // 20 x 8 embedding, 2 x 8 x 2 position tables, 2 final norms of 8, encoder block 4 x 64 + 2 x 96 + 2 x 8, decoder
    // block 8 x 64 + 2 x 96 + 3 x 8.
    #expect(details["parameters"] as? Int == 160 + 32 + 16 + 464 + 728)
    let sections = try #require(object["sections"] as? [[String: Any]])
    #expect(
      sections.map { $0["kind"] as? String } == [
        "config", "tensorIndex", "provenance", "weights", "weights", "weights",
      ])
    #expect((sections[0]["crc32"] as? String)?.count == 8)
  }

  @Test func aTaskWithItsShareOfTheBackbone() throws {
    let object = try CommandLineTool.run("inspect", task, "--backbone", backbone, "--json").object()
    let tasks = try #require(object["tasks"] as? [[String: Any]])
    #expect(tasks.count == 1)
    #expect(tasks[0]["name"] as? String == "tiny")
    #expect(tasks[0]["parameters"] as? Int == 42)
    #expect(
      tasks[0]["parameters_by_kind"] as? [String: Int]
        == ["factors": 32, "biases": 10, "norms": 0, "rule": 0, "scaling": 0, "prompts": 0, "head": 0])
    let percent = try #require(tasks[0]["percent_of_backbone"] as? Double)
    #expect(abs(percent - 3) < 1e-9)
    let text = try CommandLineTool.run("inspect", task, "--backbone", backbone).text
    #expect(text.contains("3.000 %"))
  }

  @Test func aTaskAloneKnowsItsShare() throws {
    let object = try CommandLineTool.run("inspect", task, "--json").object()
    let tasks = try #require(object["tasks"] as? [[String: Any]])
    #expect(tasks[0]["percent_of_backbone"] as? Double == 3)
  }

  @Test func aBundleHoldsItsPartsAndGrows() throws {
    let second = folder.path("second.tusk")
    let config = try TinyFiles.writeBackbone(folder.path("same.tusk"))
    try TinyFiles.writeTask(second, for: config, name: "second")
    let first = folder.path("one.tusk")
    let both = folder.path("two.tusk")
    #expect(try CommandLineTool.run("bundle", "--output", first, backbone, task).exitCode == 0)
    #expect(try CommandLineTool.run("bundle", "--output", both, first, second).exitCode == 0)
    #expect(try CommandLineTool.run("verify", both).exitCode == 0)
    let object = try CommandLineTool.run("inspect", "--json", both).object()
    let tasks = try #require(object["tasks"] as? [[String: Any]])
    #expect(tasks.map { $0["name"] as? String } == ["tiny", "second"])
    #expect(tasks[1]["percent_of_backbone"] as? Double == 3)
  }

  @Test(
    arguments: [
      ("bert_lora", "product", ["q", "k", "v", "o", "wi", "wo"], nil),
      ("bert_prefix", "prefix", nil, 0), ("bert_prompt", "prompt", nil, 0),
    ] as [(String, String, [String]?, Int?)])
  func everyKindOfAttachmentIsTold(name: String, kind: String, possible: [String]?, tokens: Int?) throws {
    let fixtures = CommandLineTool.golden.deletingLastPathComponent().appendingPathComponent("golden-adapters")
    let encoder = folder.path("bert.tusk")
    let path = folder.path("task.tusk")
    try CommandLineTool.run(
      "convert", "backbone", fixtures.appendingPathComponent("backbones/bert").path, "--output", encoder)
    let converted = try CommandLineTool.run(
      "convert", "task", fixtures.appendingPathComponent("cases/peft_\(name)/task").path, "--backbone", encoder,
      "--output", path)
    try #require(converted.exitCode == 0, "\(converted.errors)")
    let tasks = try #require(try CommandLineTool.run("inspect", path, "--json").object()["tasks"] as? [[String: Any]])
    #expect(tasks[0]["origin"] as? String == "peft")
    let attachments = try #require(tasks[0]["attachments"] as? [[String: Any]])
    #expect(attachments.count == 1 && attachments[0]["kind"] as? String == kind)
    let targets = attachments[0]["targets"] as? [String]
    #expect((targets == nil) == (possible == nil))
    #expect(Set(targets ?? []).isSubset(of: possible ?? []) && targets?.isEmpty != true)
    let found = attachments[0]["tokens"] as? Int
    #expect((found == nil) == (tokens == nil) && found ?? 1 > 0)
    let text = try CommandLineTool.run("inspect", path).text
    let count = try #require(attachments[0]["count"] as? Int)
    #expect(text.contains(": PEFT, backbone ") && text.contains("\n  \(count) \(kind)"))
  }
}
