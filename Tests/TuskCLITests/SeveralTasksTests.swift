import Foundation
import Testing

@testable import TuskFormat

/// Tasks that act together, and tasks made of others.
@Suite("several tasks")
struct SeveralTasksTests {
  private let folder: TemporaryFolder
  private let backbone: String
  private let config: BackboneConfig

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    config = try TinyFiles.writeBackbone(backbone)
    try TinyFiles.writeTask(folder.path("one"), for: config, name: "one")
    try TinyFiles.writeTask(folder.path("two"), for: config, name: "two", size: 3)
  }

  private func logits(_ tasks: String...) throws -> Data {
    let output = folder.path("logits.npy")
    let options = tasks.flatMap { ["--task", folder.path($0)] }
    let outcome = try CommandLineTool.run(
      ["logits", backbone] + options + ["--input-ids", "5,6,7,1", "--output", output])
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
    return try Data(contentsOf: URL(fileURLWithPath: output))
  }

  @Test func tasksActTogetherInTheirOrder() throws {
    let answers = try [logits(), logits("one"), logits("two"), logits("one", "two"), logits("two", "one")]
    #expect(Set(answers).count == 5)
  }

  @Test func tasksWithoutAMeaningTogetherAreRefusedByName() throws {
    for name in ["p", "q"] { try TinyFiles.writePrefix(folder.path(name), for: config, name: name) }
    _ = try logits("p", "one")
    let outcome = try CommandLineTool.run(
      "run", backbone, "--task", folder.path("p"), "--task", folder.path("q"), "--input-ids", "5,1")
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("\(folder.path("q")): byte "))
    #expect(outcome.errors.contains("cannot act behind"))
    let five = (0..<5).flatMap { _ in ["--task", folder.path("one")] }
    #expect(try CommandLineTool.run(["run", backbone] + five + ["--input-ids", "5,1"]).exitCode == 64)
  }

  @Test func anAverageIsTheWeightedMean() throws {
    let output = folder.path("mean")
    let outcome = try CommandLineTool.run(
      "task", "average", folder.path("one"), folder.path("two"), "--weights", "3,1", "--output", output)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    #expect(outcome.text.contains("one+two, 2 tasks averaged"))
    let file = try PackedFile(path: output)
    try file.verify()
    let task = file.task(at: 0)
    #expect(task.origin == .tasks)
    #expect(UnsafeRawBufferPointer(start: task.name.address, count: task.name.count).elementsEqual("one+two".utf8))
    let parts = try ["one", "two"].map { try PackedFile(path: folder.path($0)).task(at: 0) }
    #expect(task.tensorCount == parts[0].tensorCount)
    for position in 0..<task.tensorCount {
      let tensor = task.tensor(at: position)
      for index in 0..<tensor.shape.elementCount {
        let values = parts.map { $0.tensor(at: position).data.load(4 * index, as: Float.self) }
        #expect(tensor.data.load(4 * index, as: Float.self) == 0.75 * values[0] + 0.25 * values[1])
      }
    }
    // The same task twice is that task.
    try CommandLineTool.run(
      "task", "average", folder.path("two"), folder.path("two"), "--weights", "0.3,0.7", "--output", output,
      "--name", "two")
    #expect(try logits("mean") == logits("two"))
  }

  @Test func tasksOfOtherStructureAreNotAveraged() throws {
    try TinyFiles.writeTask(folder.path("gelu"), for: config, activation: .gelu)
    try TinyFiles.writePrefix(folder.path("prefix"), for: config, name: "p")
    let other = try TinyFiles.writeBackbone(folder.path("other"), seed: 9)
    try TinyFiles.writeTask(folder.path("foreign"), for: other)
    for (name, message) in [
      ("gelu", "not of one structure"), ("prefix", "not of one structure"), ("foreign", "another backbone"),
    ] {
      let output = folder.path("none")
      let outcome = try CommandLineTool.run(
        "task", "average", folder.path("one"), folder.path(name), "--output", output)
      #expect(outcome.exitCode == 65, "\(name)")
      #expect(outcome.errors.contains(folder.path(name)) && outcome.errors.contains(message), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: output))
    }
    for weights in ["1", "1,2,3", "0,0", "-1,2", "a,b", "inf,1"] {
      let outcome = try CommandLineTool.run(
        "task", "average", folder.path("one"), folder.path("two"), "--weights=\(weights)", "--output", folder.path("x"))
      #expect(outcome.exitCode == 64, "\(weights)")
    }
  }
}
