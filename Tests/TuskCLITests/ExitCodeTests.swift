import Foundation
import Testing
import TuskFormat

@Suite("exit codes and streams")
struct ExitCodeTests {
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

  /// The command fails with `exitCode` and one line that begins with `start`.
  private func expectFailure(
    _ arguments: String..., exitCode: Int32, start: String = "tusk: ", _ location: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try CommandLineTool.run(arguments)
    #expect(outcome.exitCode == exitCode, "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    #expect(outcome.errors.hasPrefix(start), "\(outcome.errors)", sourceLocation: location)
    if exitCode != 64 { #expect(outcome.errors.filter { $0 == "\n" }.count == 1, sourceLocation: location) }
  }

  @Test func wrongUsageIs64() throws {
    try expectFailure("inspect", exitCode: 64, start: "Error: ")
    try expectFailure("inspect", "--frobnicate", backbone, exitCode: 64, start: "Error: ")
    try expectFailure("frobnicate", exitCode: 64, start: "Error: ")
    try expectFailure("tokenize", backbone, "text", "--input", "-", exitCode: 64, start: "Error: ")
  }

  @Test(arguments: ["inspect", "verify"])
  func whatIsNoFileIs66(command: String) throws {
    try expectFailure(command, folder.path("none.tusk"), exitCode: 66)
    try expectFailure(command, folder.url.path, exitCode: 66)
    let fifo = folder.path("fifo")
    #expect(mkfifo(fifo, 0o600) == 0)
    try expectFailure(command, fifo, exitCode: 66)
    try expectFailure(command, "/dev/zero", exitCode: 66)
  }

  @Test(arguments: ["inspect", "verify"])
  func everyTruncationIs65(command: String) throws {
    let bytes = try folder.bytes("b.tusk")
    for length in [0, 1, 7, 8, 63, 64, 100, 4096, bytes.count - 1] {
      let path = try folder.file("short.tusk", Array(bytes[..<length])).path
      try expectFailure(command, path, exitCode: 65, start: "tusk: \(path): byte ")
    }
  }

  @Test func verifySeesWhatOpeningDoesNot() throws {
    var bytes = try folder.bytes("b.tusk")
    bytes[bytes.count - 1] ^= 1
    let path = try folder.file("damaged.tusk", bytes).path
    #expect(try CommandLineTool.run("inspect", path).exitCode == 0)
    let outcome = try CommandLineTool.run("verify", path)
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("checksum: found 0x") || outcome.errors.contains("(found 0x"))
    #expect(try CommandLineTool.run("verify", backbone).exitCode == 0)
  }

  @Test func anOutputThatIsAnInputIsRefused() throws {
    let before = try folder.bytes("b.tusk")
    try expectFailure("bundle", "--output", backbone, backbone, task, exitCode: 64)
    let alias = folder.path("alias.tusk")
    try FileManager.default.createSymbolicLink(atPath: alias, withDestinationPath: backbone)
    try expectFailure("bundle", "--output", alias, backbone, task, exitCode: 64)
    #expect(try folder.bytes("b.tusk") == before)
  }

  @Test func anOutputThatCannotBeWrittenIs74() throws {
    try expectFailure("bundle", "--output", folder.path("no/such/folder.tusk"), backbone, task, exitCode: 74)
    try expectFailure("bundle", "--output", folder.url.path, backbone, task, exitCode: 74)
  }

  @Test func aTaskOfAnotherBackboneIs65() throws {
    let other = folder.path("other.tusk")
    try TinyFiles.writeBackbone(other, seed: 2)
    try expectFailure("bundle", "--output", folder.path("all.tusk"), other, task, exitCode: 65)
    try expectFailure("inspect", task, "--backbone", other, exitCode: 65)
    #expect(!FileManager.default.fileExists(atPath: folder.path("all.tusk")))
  }

  @Test func twoTasksOfOneNameAre65() throws {
    try expectFailure("bundle", "--output", folder.path("all.tusk"), backbone, task, task, exitCode: 65)
  }

  @Test func aBackboneWithoutTokenizerIs65() throws {
    try expectFailure("tokenize", backbone, "text", exitCode: 65)
  }

  @Test func aFullDeviceIs74() throws {
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = ["inspect", backbone]
    process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 74)
  }

  @Test func aClosedPipeEndsQuietly() throws {
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = ["inspect", backbone]
    process.standardOutput = pipe
    let errors = try folder.file("errors", [])
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(try Data(contentsOf: errors).isEmpty)
  }
}
