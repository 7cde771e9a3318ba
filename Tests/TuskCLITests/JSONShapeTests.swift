import Foundation
import Testing

/// Every member that a command prints is described in `formats/json.md`.
@Suite("JSON members are documented")
struct JSONShapeTests {
  private let folder: TemporaryFolder
  private let bundle: String

  init() throws {
    folder = try TemporaryFolder()
    bundle = folder.path("all.tusk")
    let config = try TinyFiles.writeBackbone(folder.path("b.tusk"))
    try TinyFiles.writeTask(folder.path("t.tusk"), for: config)
    try CommandLineTool.run("bundle", "--output", bundle, folder.path("b.tusk"), folder.path("t.tusk"))
  }

  @Test(arguments: [
    ("inspect", []), ("footprint", ["--source-tokens", "4", "--target-tokens", "2"]),
    ("bench", ["--source-tokens", "4", "--target-tokens", "2", "--rounds", "1"]),
    ("compare", ["--source-tokens", "4", "--target-tokens", "2", "--rounds", "1"]),
    ("run", ["--input-ids", "5,1", "--beams", "2", "--max-new-tokens", "3"]),
  ])
  func everyMemberIsDescribed(command: String, options: [String]) throws {
    let outcome = try CommandLineTool.run([command, bundle, "--json"] + options)
    #expect(outcome.exitCode == 0)
    #expect(outcome.output.filter { $0 == 10 }.count == 1)
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    let members = members(of: try outcome.object())
    #expect(members.count >= 3)
    for member in members { #expect(page.contains("`\(member)`"), "\(member)") }
  }

  @Test func membersOfEncodersAreDescribed() throws {
    let path = folder.path("encoder.tusk")
    let checkpoint = CommandLineTool.golden.appendingPathComponent("backbones/bert").path
    let task = folder.path("task.tusk")
    let adapter = CommandLineTool.golden.appendingPathComponent("hub/bert_compacterpp_flex_head/adapter").path
    try CommandLineTool.run("convert", "backbone", checkpoint, "--output", path)
    try CommandLineTool.run("convert", "task", adapter, "--backbone", path, "--output", task)
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    for arguments in [
      ["inspect", path], ["inspect", task], ["footprint", path, "--source-tokens", "4", "--plan-only"],
      ["bench", path, "--source-tokens", "4", "--rounds", "1"],
      ["compare", path, task, "--source-tokens", "4", "--rounds", "1"],
    ] {
      let members = members(of: try CommandLineTool.run(arguments + ["--json"]).object())
      #expect(members.count >= 3)
      for member in members { #expect(page.contains("`\(member)`"), "\(arguments[0]): \(member)") }
    }
  }

  @Test func membersOfEvaluationsAreDescribed() throws {
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    let line = #"{"premise": "the cat sat", "hypothesis": "a cat", "label": 1}"#
    let data = try folder.file("data.jsonl", Array(line.utf8)).path
    let output = folder.path("answers.jsonl")
    let outcome = try CommandLineTool.run(
      "eval", try TinyFiles.writeClassifier(in: folder), "--data", data, "--preset", "superglue-cb", "--predictions",
      output, "--json")
    let written = try JSONSerialization.jsonObject(with: try Data(contentsOf: URL(fileURLWithPath: output)))
    for members in [members(of: try outcome.object()), members(of: written)] {
      #expect(members.count >= 3)
      for member in members { #expect(page.contains("`\(member)`"), "\(member)") }
    }
  }

  private func members(of value: Any) -> Set<String> {
    if let array = value as? [Any] { return array.reduce(into: []) { $0.formUnion(members(of: $1)) } }
    guard let object = value as? [String: Any] else { return [] }
    return object.values.reduce(into: Set(object.keys)) { $0.formUnion(members(of: $1)) }
  }
}
