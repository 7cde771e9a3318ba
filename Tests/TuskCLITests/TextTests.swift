import Foundation
import Testing

/// The demonstration's checkpoints, from PyTorch's files to answers.
@Suite("texts")
struct TextTests {
  private static let date = "Our lease ends on the third of June, nineteen ninety-eight."
  private static let amount = "Irene owes Grace eighty-three cents."

  /// Converted once for all tests.
  private static let converted = Result { try Demonstration() }

  private let bundle: String

  init() throws { bundle = try Self.converted.get().bundle }

  @Test func aTextOnTheCommandLine() throws {
    let outcome = try CommandLineTool.run("run", bundle, "--task", "iso-date", Self.date)
    #expect(outcome.text == "1998-06-03\n")
    #expect(outcome.errors.isEmpty)
    let bare = try CommandLineTool.run("run", bundle, Self.date)
    #expect(bare.text == "3/6/1998\n")
  }

  @Test func theTaskChangesFromLineToLine() throws {
    let lines = [
      #"{"text": "\#(Self.date)", "task": "iso-date", "label": "ignored"}"#,
      #"{"task": "dollar-sign", "text": "\#(Self.amount)"}"#, Self.date,
      #"{"text": "\#(Self.date)", "task": ["iso-date"]}"#, #"{"text": "\#(Self.date)", "task": []}"#,
    ]
    let outcome = try CommandLineTool.run("run", bundle, "--json", input: Array(lines.joined(separator: "\r\n").utf8))
    #expect(outcome.exitCode == 0)
    let answers = try outcome.lines.map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])["text"] as? String
    }
    #expect(answers == ["1998-06-03", "$0.83", "3/6/1998", "1998-06-03", "3/6/1998"])
  }

  @Test func aBeamSearchAgreesWithItselfAndHasScores() throws {
    let object = try CommandLineTool.run(
      "run", bundle, "--task", "dollar-sign", "--beams", "4", "--json", Self.amount
    ).object()
    #expect(object["text"] as? String == "$0.83")
    let beams = try #require(object["beams"] as? [[String: Any]])
    #expect(beams.count == 4)
    #expect(beams[0]["text"] as? String == "$0.83")
  }

  @Test func tokenizingGivesIdsThatRunTakes() throws {
    let tokens = try CommandLineTool.run("tokenize", bundle, "--json", Self.amount).object()
    let ids = try #require(tokens["ids"] as? [Int])
    let pieces = try #require(tokens["pieces"] as? [String])
    #expect(ids.count == pieces.count && ids.last == 1 && pieces.last == "</s>")
    #expect(pieces.dropLast().joined().replacingOccurrences(of: "\u{2581}", with: " ") == " " + Self.amount)
    let plain = try CommandLineTool.run("tokenize", bundle, Self.amount).text
    let list = String(plain.prefix { $0 != "\t" })
    #expect(list == ids.map(String.init).joined(separator: ","))
    let byIds = try CommandLineTool.run("run", bundle, "--task", "dollar-sign", "--input-ids", list)
    #expect(byIds.text == "$0.83\n")
  }

  @Test func emptyTextAndBytesThatAreNoTextAreAnswered() throws {
    let lines: [[UInt8]] = [[], [0xFF, 0xFE, 0x80], [0], Array(Self.date.utf8)]
    let outcome = try CommandLineTool.run(
      "run", bundle, "--task", "iso-date", input: Array(lines.joined(separator: [10])))
    #expect(outcome.exitCode == 0)
    #expect(outcome.output.filter { $0 == 10 }.count == 4)
    #expect(outcome.text.hasSuffix("1998-06-03\n"))
    #expect(try CommandLineTool.run("run", bundle, "").exitCode == 0)
    #expect(try CommandLineTool.run("run", bundle, input: []).output.isEmpty)
  }

  @Test func aTextOverTheLimitIsNamedWithItsLine() throws {
    let long = String(repeating: "seven ", count: 600)
    let input = Array("\(Self.date)\n\(long)\n\(Self.date)\n".utf8)
    let stopped = try CommandLineTool.run("run", bundle, "--task", "iso-date", "--input", "-", input: input)
    #expect(stopped.exitCode == 65)
    #expect(stopped.text == "1998-06-03\n")
    #expect(stopped.errors.hasPrefix("tusk: standard input: line 2: "))
    #expect(stopped.errors.contains("required 512"))
    let goneOn = try CommandLineTool.run("run", bundle, "--task", "iso-date", "--keep-going", input: input)
    #expect(goneOn.exitCode == 65)
    #expect(goneOn.text == "1998-06-03\n\n1998-06-03\n")
    #expect(stopped.errors.contains("--truncate"))
    let cut = try CommandLineTool.run("run", bundle, "--task", "iso-date", "--truncate", input: input)
    #expect(cut.exitCode == 0)
    #expect(cut.lines.count == 3 && cut.lines[0] == "1998-06-03" && cut.lines[2] == "1998-06-03")
    #expect(cut.errors.hasPrefix("tusk: notice: standard input: line 2: "))
    #expect(cut.errors.contains("cut to 512"))
    let longer = try CommandLineTool.run(
      "run", bundle, "--task", "iso-date", "--max-source-tokens", "2000", input: input)
    #expect(longer.exitCode == 0)
  }

  @Test(arguments: [
    (#"{"text": 5}"#, "not an object with a text"), (#"{"text": "a", "task": 5}"#, "not an object with a text"),
    (#"{"text": "a", "task": ["none"]}"#, "one of iso-date, dollar-sign"),
    (#"{"text": "a", "task": "none"}"#, "one of iso-date, dollar-sign"),
    (#"{"text": "a", "text2": "b"}"#, "'text2'"), ("{", "not an object with a text"),
  ])
  func faultyObjectsAreNamed(line: String, words: String) throws {
    let outcome = try CommandLineTool.run("run", bundle, "--json", input: Array((line + "\n").utf8))
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("line 1") && outcome.errors.contains(words), "\(outcome.errors)")
  }

  @Test func anInputThatIsNoFileIs66() throws {
    #expect(try CommandLineTool.run("run", bundle, "--input", "/no/such/file").exitCode == 66)
    #expect(try CommandLineTool.run("run", bundle, "--input", "/").exitCode == 66)
  }

  @Test func everyLineIsOutBeforeTheNextIsRead() throws {
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = ["run", bundle, "--task", "iso-date"]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    for _ in 0..<2 {
      try input.fileHandleForWriting.write(contentsOf: Data((Self.date + "\n").utf8))
      #expect(output.fileHandleForReading.availableData == Data("1998-06-03\n".utf8))
    }
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}

/// The demonstration's backbone with two of its tasks, as a bundle in a folder of its own.
final class Demonstration: Sendable {
  let bundle: String
  let backbone: String
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    bundle = folder.path("all.tusk")
    let demo = CommandLineTool.packageFolder.appendingPathComponent("tools/demo")
    backbone = folder.path("backbone.tusk")
    var parts = [backbone]
    try Self.require("convert", "backbone", demo.appendingPathComponent("t5-backbone").path, "--output", backbone)
    for name in ["iso-date", "dollar-sign"] {
      let (task, directory) = (folder.path(name), demo.appendingPathComponent("tasks/\(name)").path)
      try Self.require("convert", "task", directory, "--backbone", backbone, "--output", task, "--name", name)
      parts.append(task)
    }
    _ = try CommandLineTool.run(["bundle", "--output", bundle] + parts)
  }

  private static func require(_ arguments: String...) throws {
    let outcome = try CommandLineTool.run(arguments)
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
  }
}
