import Foundation
import Testing

@Suite("footprint and bench")
struct FootprintTests {
  private let folder: TemporaryFolder
  private let backbone: String
  private let task: String
  /// The same numbers under another name.
  private let other: String

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    task = folder.path("t.tusk")
    let config = try TinyFiles.writeBackbone(backbone)
    try TinyFiles.writeTask(task, for: config)
    other = folder.path("other.tusk")
    try TinyFiles.writeTask(other, for: config, name: "other")
  }

  private let job = ["--source-tokens", "16", "--target-tokens", "4", "--threads", "1"]

  @Test func planAndMeasurementStandBesideEachOther() throws {
    let object = try CommandLineTool.run(["footprint", backbone, "--task", task, "--json"] + job).object()
    let planned = try #require(object["planned"] as? [String: Any])
    let measured = try #require(object["measured"] as? [String: Any])
    let size = try folder.bytes("b.tusk").count
    #expect(planned["mapped_backbone"] as? Int == size)
    #expect(planned["mapped"] as? Int == size + (planned["mapped_tasks"] as? Int ?? 0))
    let parts = ["key_value_cache", "activations", "tokenizer", "runtime_floor"].compactMap { planned[$0] as? Int }
    #expect(parts.count == 4)
    #expect(planned["private"] as? Int == parts.reduce(0, +))
    #expect((measured["private"] as? Int ?? 0) > 0)
    #expect((measured["engine"] as? String)?.hasSuffix("tusk-nano") == true)
    #expect(object["tasks"] as? Int == 1)
  }

  @Test func planOnlyMeasuresNothing() throws {
    let object = try CommandLineTool.run(["footprint", backbone, "--plan-only", "--json"] + job).object()
    #expect(object["measured"] == nil)
    let choices = try #require(object["choices"] as? [[String: Any]])
    #expect(choices[0]["private"] as? Int == (object["planned"] as? [String: Any])?["private"] as? Int)
    for choice in choices {
      let bytes = try #require(choice["private"] as? Int)
      let budget = ["--plan-only", "--json", "--memory-budget", "\(bytes)"]
      let chosen = try CommandLineTool.run(["footprint", backbone] + budget + job).object()
      #expect((chosen["planned"] as? [String: Any])?["private"] as? Int == bytes)
      #expect(chosen["key_value_precision"] as? String == choice["key_value_precision"] as? String)
      #expect(chosen["cross_attention"] as? String == choice["cross_attention"] as? String)
    }
  }

  @Test func planOnlySaysWhy() throws {
    let outcome = try CommandLineTool.run(["footprint", backbone, "--plan-only", "--memory-budget", "64MB"] + job)
    #expect(outcome.text.contains("the first of these that fits 64,000,000 bytes"))
    #expect(outcome.text.contains("chosen"))
  }

  @Test func aBudgetThatCannotBeMetIs75() throws {
    let outcome = try CommandLineTool.run(["footprint", backbone, "--plan-only", "--memory-budget", "2KB"] + job)
    #expect(outcome.exitCode == 75)
    #expect(outcome.errors.contains("required "))
  }

  @Test func theChartNamesEveryCategory() throws {
    let chart = folder.path("chart.svg")
    let outcome = try CommandLineTool.run(
      ["footprint", backbone, "--task", task, "--chart", chart, "--reference", "other engine=3MB"] + job)
    #expect(outcome.exitCode == 0)
    let drawing = String(decoding: try folder.bytes("chart.svg"), as: UTF8.self)
    for word in [
      "backbone file", "task file", "key/value cache", "activations", "tokenizer", "runtime floor", "measured",
    ] {
      #expect(drawing.contains(word), "\(word)")
    }
    #expect(drawing.contains("other engine, 3.0 MB"))
    #expect(XMLWellFormedness.holds(drawing))
  }

  @Test func benchRepeatsItsArithmetic() throws {
    let first = try CommandLineTool.run(["bench", backbone, "--json", "--rounds", "1"] + job).object()
    let second = try CommandLineTool.run(["bench", backbone, "--json", "--rounds", "1"] + job).object()
    let portable = try CommandLineTool.run(
      ["bench", backbone, "--json", "--rounds", "1"] + job, environment: ["TUSK_ISA": "portable"]
    ).object()
    #expect(first["logits_hash"] as? String == second["logits_hash"] as? String)
    #expect(portable["isa"] as? String == "portable")
    #expect(portable["logits_hash"] as? String == first["logits_hash"] as? String)
    let withTask = try CommandLineTool.run(["bench", backbone, "--task", task, "--json", "--rounds", "1"] + job)
      .object()
    #expect(withTask["logits_hash"] as? String != first["logits_hash"] as? String)
    for name in [
      "encode_tokens_per_second", "decode_tokens_per_second", "load_ms", "decode_gb_per_second",
      "machine_int8_gmac_per_second", "encode_gmac_per_second",
    ] {
      #expect((first[name] as? Double ?? 0) > 0, "\(name)")
    }
  }

  /// Two tasks of equal numbers answer as one does; none answers otherwise.
  @Test func everySourceHasItsTask() throws {
    func hash(_ options: [String]) throws -> String? {
      let outcome = try CommandLineTool.run(
        ["bench", backbone, "--batch", "2", "--rounds", "1", "--json"] + job + options)
      return try outcome.object()["logits_hash"] as? String
    }
    let each = try hash(["--task", task, "--task", other, "--task-per-source"])
    #expect(each != nil)
    #expect(each == (try hash(["--task", task])))
    #expect(each != (try hash([])))
    let without = try CommandLineTool.run(["bench", backbone, "--task-per-source"] + job)
    #expect(without.exitCode == 64)
  }
}

/// As much of XML as the drawings use: every element closed, in order.
private enum XMLWellFormedness {
  static func holds(_ text: String) -> Bool {
    var open: [Substring] = []
    var rest = text[...]
    while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else { return false }
      } else if !tag.hasSuffix("/") {
        open.append(tag.prefix { $0 != " " })
      }
    }
    return open.isEmpty
  }
}
