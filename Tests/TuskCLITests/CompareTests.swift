import Foundation
import Testing

@Suite("compare")
struct CompareTests {
  private let folder: TemporaryFolder
  private let backbone: String
  private let task: String

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    task = folder.path("t.tusk")
    try TinyFiles.writeTask(task, for: try TinyFiles.writeBackbone(backbone))
  }

  private static let job = ["--source-tokens", "4", "--target-tokens", "3", "--rounds", "1", "--threads", "1"]

  @Test func countsAreThoseOfTheFactors() throws {
    let object = try CommandLineTool.run(["compare", backbone, task, "--json"] + Self.job).object()
    let bare = try #require(object["backbone"] as? [String: Any])
    // Width 8, inner width 8, feed-forward 12, vocabulary 20. Encoder block: 4 x 64 + 2 x 96, and 2 x 64 for
    // cross-attention; decoder block: 6 x 64 + 2 x 96, and the tied head.
    #expect(bare["encoder_multiply_adds"] as? Int == 448 + 128)
    #expect(bare["decoder_multiply_adds"] as? Int == 576 + 160)
    let tasks = try #require(object["tasks"] as? [[String: Any]])
    #expect(tasks.count == 1)
    // One adapter in the encoder: 8 x 2 and 2 x 8.
    #expect(tasks[0]["encoder_multiply_adds"] as? Int == 32)
    #expect(tasks[0]["decoder_multiply_adds"] as? Int == 0)
    #expect(tasks[0]["kinds"] as? [String] == ["adapter"])
    let without = try #require(bare["private_bytes"] as? Int)
    #expect(try #require(tasks[0]["private_bytes"] as? Int) >= without)
  }

  @Test func theTextHasARowForEachTask() throws {
    let lines = try CommandLineTool.run(["compare", backbone, task] + Self.job).lines
    #expect(lines.last?.hasPrefix("tiny") == true)
    #expect(lines.last?.contains("3.000 %") == true)
    #expect(lines.contains { $0.hasPrefix("bare backbone") })
  }

  @Test func theChartIsADrawingOfEveryTask() throws {
    let chart = folder.path("c.svg")
    #expect(try CommandLineTool.run(["compare", backbone, task, "--chart", chart] + Self.job).exitCode == 0)
    let text = String(decoding: try folder.bytes("c.svg"), as: UTF8.self)
    #expect(text.hasPrefix("<svg ") && text.hasSuffix("</svg>\n"))
    #expect(text.contains(">tiny<") && text.contains("bytes on disk"))
  }

  @Test func whatCannotBeComparedIsRefused() throws {
    #expect(try CommandLineTool.run(["compare", backbone] + Self.job).exitCode == 64)
    #expect(try CommandLineTool.run(["compare", backbone, folder.path("none.tusk")] + Self.job).exitCode == 66)
    #expect(try CommandLineTool.run(["compare", backbone, task, "--chart", task] + Self.job).exitCode == 64)
    let other = folder.path("other.tusk")
    try TinyFiles.writeBackbone(other, seed: 2)
    #expect(try CommandLineTool.run(["compare", other, task] + Self.job).exitCode == 65)
  }
}
