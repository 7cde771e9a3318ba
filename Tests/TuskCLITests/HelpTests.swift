import Foundation
import Testing

/// Help is part of the interface: a change must be seen and meant. `TUSK_UPDATE_SNAPSHOTS=1 swift test --filter Help`
/// writes the files anew.
@Suite("help")
struct HelpTests {
  static let commands: [[String]] = [
    [], ["convert"], ["convert", "backbone"], ["convert", "task"], ["export"], ["export", "task"], ["bundle"],
    ["inspect"], ["verify"], ["tokenize"],
    ["run"], ["embed"], ["logits"],
    ["train"], ["eval"], ["study"], ["footprint"], ["bench"], ["compare"], ["task"], ["task", "average"],
  ]

  @Test(arguments: commands)
  func helpIsAsRecorded(command: [String]) throws {
    let outcome = try CommandLineTool.run(command + ["--help"])
    #expect(outcome.exitCode == 0)
    #expect(outcome.errors.isEmpty)
    let name = command.isEmpty ? "tusk" : command.joined(separator: "-")
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Help/\(name).txt")
    if ProcessInfo.processInfo.environment["TUSK_UPDATE_SNAPSHOTS"] != nil {
      try Data(outcome.output).write(to: file)
    }
    #expect(outcome.text == String(decoding: try Data(contentsOf: file), as: UTF8.self))
  }

  @Test(arguments: commands)
  func helpShowsAnExample(command: [String]) throws {
    let text = try CommandLineTool.run(command + ["--help"]).text
    #expect(text.contains("\n  tusk \(command.first ?? "convert") "))
  }
}
