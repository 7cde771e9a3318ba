import Foundation
import Testing

@Suite("run and logits")
struct RunTests {
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

  @Test func idsAreAnsweredWithIds() throws {
    let outcome = try CommandLineTool.run(
      "run", backbone, "--input-ids", "5,9,1", "--input-ids", "3,1", "--max-new-tokens", "4", "--json")
    #expect(outcome.exitCode == 0)
    #expect(outcome.lines.count == 2)
    for line in outcome.lines {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let ids = try #require(object["ids"] as? [Int])
      #expect(ids.first == 0)
      #expect((2...5).contains(ids.count))
      #expect(object["score"] is NSNull)
      #expect(object["text"] == nil)
      #expect(object["beams"] == nil)
    }
    let plain = try CommandLineTool.run("run", backbone, "--input-ids", "3,1", "--max-new-tokens", "4")
    #expect(plain.text.hasPrefix("0,"))
  }

  @Test func beamsComeBestFirst() throws {
    let object = try CommandLineTool.run(
      "run", backbone, "--input-ids", "5,9,1", "--max-new-tokens", "4", "--beams", "3", "--json"
    ).object()
    let beams = try #require(object["beams"] as? [[String: Any]])
    let scores = beams.compactMap { $0["score"] as? Double }
    #expect(scores.count == 3)
    #expect(scores == scores.sorted(by: >))
    #expect(object["score"] as? Double == scores[0])
    #expect(object["ids"] as? [Int] == beams[0]["ids"] as? [Int])
  }

  @Test func logitsHaveTheirShapes() throws {
    let outcome = try CommandLineTool.run(
      "logits", backbone, "--input-ids", "5,9,1", "--decoder-input-ids", "0,7", "--output", folder.path("l.npy"),
      "--encoder-output", folder.path("e.npy"))
    #expect(outcome.exitCode == 0)
    #expect(outcome.output.isEmpty)
    let logits = try array("l.npy")
    #expect(logits.shape == "(2, 20)")
    #expect(logits.values.count == 40)
    #expect(logits.values.allSatisfy { $0.isFinite })
    let encoded = try array("e.npy")
    #expect(encoded.shape == "(3, 8)")
    // The final norm leaves rows whose mean square is near that of its weight: not zero, not huge.
    #expect(encoded.values.contains { $0 != 0 })
  }

  @Test func aTaskChangesTheLogitsAndThreadsDoNot() throws {
    func logits(_ name: String, _ options: String...) throws -> [Float] {
      let arguments = ["logits", backbone, "--input-ids", "5,9,1", "--output", folder.path(name)] + options
      #expect(try CommandLineTool.run(arguments).exitCode == 0)
      return try array(name).values
    }
    let bare = try logits("bare.npy", "--threads", "1")
    let twoThreads = try logits("two.npy", "--threads", "2")
    #expect(twoThreads == bare)
    let withTask = try logits("task.npy", "--task", task)
    #expect(withTask != bare)
  }

  @Test(arguments: [
    (["--input-ids", "5,99,1"], 65, "(id, vocabulary size: found 99, required 20)"),
    (["--input-ids", "5,-2,1"], 65, "found -2"),
    (["--input-ids", "5,1", "--memory-budget", "1KB"], 75, "the memory budget cannot be met (bytes: found 1000"),
    (["--input-ids", "5,1", "--memory-budget", "1 elephant"], 64, "--memory-budget"),
    (["--input-ids", "five"], 64, "--input-ids"),
    (["--input-ids", "5,1", "--threads", "0"], 64, "--threads"),
    (["--input-ids", "5,1", "--beams", "0"], 64, "--beams"),
    (["--input-ids", "5,1", "text"], 64, "not both"),
    (["--input-ids", "5,1", "--max-source-tokens", "1"], 65, "--max-source-tokens"),
    (["--input-ids", "5,1", "--task", "none"], 66, "none: No such file"),
    (["text"], 65, "without a tokenizer"),
  ])
  func faultsAreNamed(arguments: [String], exitCode: Int32, words: String) throws {
    let outcome = try CommandLineTool.run(["run", backbone] + arguments)
    #expect(outcome.exitCode == exitCode)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
  }

  @Test func theBudgetItNamesCanBeMet() throws {
    let refused = try CommandLineTool.run("run", backbone, "--input-ids", "5,1", "--memory-budget", "1KB")
    let smallest = try #require(refused.errors.split(separator: " ").last?.prefix { $0.isNumber })
    let met = try CommandLineTool.run("run", backbone, "--input-ids", "5,1", "--memory-budget", String(smallest))
    #expect(met.exitCode == 0)
    let below = String(try #require(Int(smallest)) - 1)
    #expect(try CommandLineTool.run("run", backbone, "--input-ids", "5,1", "--memory-budget", below).exitCode == 75)
  }

  @Test func goingOnAfterAFaultEndsWith65() throws {
    let outcome = try CommandLineTool.run(
      "run", backbone, "--input-ids", "99", "--input-ids", "5,1", "--json", "--keep-going")
    #expect(outcome.exitCode == 65)
    #expect(outcome.lines.count == 2)
    #expect(outcome.lines[0].hasPrefix("{\"error\":\"ids 1: "))
    #expect(outcome.lines[1].contains("\"ids\":[0,"))
  }

  @Test func aTaskOfABundleIsFoundByName() throws {
    let bundle = folder.path("all.tusk")
    #expect(try CommandLineTool.run("bundle", "--output", bundle, backbone, task).exitCode == 0)
    let byName = try CommandLineTool.run("run", bundle, "--task", "tiny", "--input-ids", "5,9,1")
    let byPath = try CommandLineTool.run("run", backbone, "--task", task, "--input-ids", "5,9,1")
    #expect(byName.text == byPath.text && byName.exitCode == 0)
    let wrong = try CommandLineTool.run("run", bundle, "--task", "huge", "--input-ids", "5,9,1")
    #expect(wrong.exitCode == 66)
    #expect(wrong.errors.contains("it has tiny"))
  }

  /// Shape text and values of a .npy file, whose header is checked.
  private func array(_ name: String) throws -> (shape: String, values: [Float]) {
    let bytes = try folder.bytes(name)
    try #require(bytes.count > 128 && Array(bytes[..<8]) == [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0])
    let length = Int(bytes[8]) | Int(bytes[9]) << 8
    #expect((10 + length) % 64 == 0)
    let header = String(decoding: bytes[10..<10 + length], as: UTF8.self)
    #expect(header.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': ("))
    #expect(header.hasSuffix("\n"))
    let shape = try #require(header.firstIndex(of: "(")).samePosition(in: header)
      .map { String(header[$0...header.lastIndex(of: ")")!]) }
    let data = bytes[(10 + length)...]
    let values = stride(from: data.startIndex, to: data.endIndex, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(data[start + $1]) << (8 * UInt32($1)) })
    }
    return (shape ?? "", values)
  }
}
