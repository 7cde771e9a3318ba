import Foundation
import Testing

/// `tusk-nano` answers as `tusk` does and fails as it does.
@Suite("tusk-nano")
struct NanoTests {
  private static let converted = Result { try Demonstration() }

  private let bundle: String
  private let backbone: String

  init() throws {
    bundle = try Self.converted.get().bundle
    backbone = try Self.converted.get().backbone
  }

  private func nano(_ arguments: String..., input: String = "") throws -> CommandLineTool.Outcome {
    try CommandLineTool.run(arguments, input: Array(input.utf8), program: "tusk-nano")
  }

  @Test func linesAreAnsweredAsByTusk() throws {
    let date = "Our lease ends on the third of June, nineteen ninety-eight."
    let amount = "Irene owes Grace eighty-three cents."
    let outcome = try nano(bundle, "-", input: "iso-date\t\(date)\ndollar-sign\t\(amount)\niso-date\t\(amount)\n")
    #expect(outcome.exitCode == 0 && outcome.errors.isEmpty)
    let expected = try [("iso-date", date), ("dollar-sign", amount), ("iso-date", amount)].map { task, text in
      try CommandLineTool.run("run", bundle, "--task", task, text).text
    }
    #expect(outcome.text == expected.joined())
    #expect(outcome.lines.first == "1998-06-03")
  }

  @Test func logitsAreThoseOfTuskBitForBit() throws {
    let folder = try TemporaryFolder()
    let file = folder.url.appendingPathComponent("logits.npy")
    let ids = ["--input-ids", "31,7,92,1", "--decoder-input-ids", "0,12,5"]
    _ = try CommandLineTool.run(["logits", bundle, "--task", "iso-date", "--output", file.path] + ids)
    let array = try Data(contentsOf: file)
    let headerBytes = 10 + Int(array[8]) + Int(array[9]) << 8
    let outcome = try CommandLineTool.run([bundle] + ids, program: "tusk-nano")
    #expect(outcome.output.count > 4 && Data(outcome.output) == array[headerBytes...])
  }

  @Test func theFootprintComesBehindTheAnswer() throws {
    let outcome = try nano(bundle, "--footprint", "a text")
    #expect(outcome.exitCode == 0 && outcome.lines.count <= 1)
    #expect(outcome.errors.contains("plannedPrivate=") && outcome.errors.contains("measuredAnonymous="))
  }

  @Test(arguments: [
    (["missing.tusk", "a text"], Int32(66), "missing.tusk: byte 0: the file cannot be opened"),
    (["--threads", "2"], 64, "needs BACKBONE"), (["BUNDLE", "--shout", "3", "x"], 64, "unknown option --shout"),
    (["BUNDLE", "--threads", "0", "x"], 64, "not a number above 0: 0"),
    (["BUNDLE", "--input-ids", "1,,2"], 64, "not ids"), (["BUNDLE", "--input-ids", "1,999999"], 65, "vocabulary"),
    (["BUNDLE", "--budget", "1KB", "x"], 75, "the memory budget cannot be met"), (["--input-ids"], 64, "no value for"),
  ])
  func faultsAreOneLineAndACode(arguments: [String], exitCode: Int32, words: String) throws {
    let outcome = try CommandLineTool.run(arguments.map { $0 == "BUNDLE" ? bundle : $0 }, program: "tusk-nano")
    #expect(outcome.exitCode == exitCode && outcome.output.isEmpty)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("tusk-nano: ") && outcome.errors.split(separator: "\n").count == 1)
  }

  @Test func aBrokenFileIsRefusedWithItsByte() throws {
    let file = CommandLineTool.packageFolder.appendingPathComponent("formats/examples/broken/wrongMagic.tusk").path
    let outcome = try nano(file, "x")
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("wrongMagic.tusk: byte 0: not a Tusk file"))
  }

  @Test func aFileWithoutATaskForTheBackboneIsRefused() throws {
    let example = CommandLineTool.packageFolder.appendingPathComponent("formats/examples/nano.tusk").path
    let foreign = try nano(bundle, example, "x")
    #expect(foreign.exitCode == 65 && foreign.output.isEmpty)
    #expect(foreign.errors.contains("nano.tusk: byte "))
    #expect(foreign.errors.contains("the task belongs to another backbone"))
    let second = try nano(bundle, backbone, "x")
    #expect(second.exitCode == 65 && second.output.isEmpty)
    #expect(second.errors.contains("backbone.tusk: byte 12: not a task file"))
  }

  @Test func anUnknownInstructionSetIsNamed() throws {
    let outcome = try CommandLineTool.run(
      [bundle, "a text"], environment: ["TUSK_ISA": "abacus"], program: "tusk-nano")
    #expect(outcome.exitCode == 0 && outcome.errors.hasPrefix("tusk-nano: warning: "))
  }
}
