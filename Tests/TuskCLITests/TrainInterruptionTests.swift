import Foundation
import Testing

/// Runs that are interrupted, killed, or out of room, and go on to the same bytes.
@Suite("train, interrupted")
struct TrainInterruptionTests {
  private let files: TrainingFiles
  private let folder: TemporaryFolder
  private let log: String

  init() throws {
    files = try TrainingFiles.shared.get()
    folder = try TemporaryFolder()
    log = folder.path("log.jsonl")
  }

  private func arguments(_ output: String, _ options: String...) -> [String] {
    [
      "train", files.bert, "--method", "compacter", "--train", files.labels, "--validation", files.labels, "--output",
      folder.path(output), "--name", "weather", "--batch", "4", "--epochs", "20", "--learning-rate", "0.01",
      "--threads", "1", "--log", log,
    ] + TrainingFiles.sizes("compacter") + options
  }

  /// The task of a run without a stop.
  private func expected() throws -> [UInt8] {
    try #require(try CommandLineTool.run(arguments("expected.tusk")).exitCode == 0)
    return try folder.bytes("expected.tusk")
  }

  /// Steps that the log has.
  private func loggedSteps() -> Int {
    guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return 0 }
    return text.components(separatedBy: #""event":"step""#).count - 1
  }

  private var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() }
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func anInterruptedRunSavesAndGoesOn(number: Int32) throws {
    let expected = try expected()
    let whole = try folder.bytes("log.jsonl")
    try FileManager.default.removeItem(atPath: log)
    let run = try RunningTool(arguments("task.tusk"), folder)
    let stopped = try #require(try run.stop(number) { loggedSteps() >= 7 }, "the run was over too soon")
    #expect(stopped.status == 130, "\(stopped.errors)")
    let state = folder.path("task.tusk.state")
    #expect(stopped.errors.hasSuffix("; the same command with --resume goes on from \(state)\n"), "\(stopped.errors)")
    #expect(stopped.errors.contains("tusk: interrupted behind step \(loggedSteps())"))
    #expect(try names == ["expected.tusk", "log.jsonl", "running-errors", "task.tusk.state"])

    // Without being told to, nothing begins anew over it.
    let again = try CommandLineTool.run(arguments("task.tusk"))
    #expect(again.exitCode == 64 && again.errors.contains("--resume goes on with it"))
    let other = try CommandLineTool.run(arguments("task.tusk", "--resume", "--seed", "9"))
    #expect(other.exitCode == 65 && other.errors.contains("seed: found 42, required 9"), "\(other.errors)")
    #expect(other.errors.contains("\ntusk: \(state): "))

    let resumed = try CommandLineTool.run(arguments("task.tusk", "--resume"))
    #expect(resumed.exitCode == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("going on behind step "))
    #expect(try folder.bytes("task.tusk") == expected)
    #expect(try !names.contains("task.tusk.state"))
    // Steps of the log are all there once, with the losses of the other run.
    #expect(try losses(folder.bytes("log.jsonl")) == losses(whole))
  }

  private func losses(_ log: [UInt8]) throws -> [Double] {
    try log.split(separator: 10).compactMap { line in
      (try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])?["loss"] as? Double
    }
  }

  @Test func aKilledRunGoesOnFromItsLastSave() throws {
    let expected = try expected()
    try FileManager.default.removeItem(atPath: log)
    var isThere = false
    for steps in [1, 13, 30, 55] {
      let run = try RunningTool(
        arguments("task.tusk", "--save-seconds", "0", isThere ? "--resume" : "--restart"), folder)
      let stopped = try #require(try run.stop(SIGKILL) { loggedSteps() >= steps }, "the run was over too soon")
      #expect(stopped.status == SIGKILL)
      let names = try names
      isThere = names.contains("task.tusk.state")
      #expect(isThere && !names.contains("task.tusk"), "\(names)")
    }
    let resumed = try CommandLineTool.run(arguments("task.tusk", "--resume"))
    #expect(resumed.exitCode == 0, "\(resumed.errors)")
    #expect(try folder.bytes("task.tusk") == expected)
    #expect(try losses(folder.bytes("log.jsonl")).count == 80)
    #expect(try names == ["expected.tusk", "log.jsonl", "running-errors", "task.tusk"])
  }

  @Test func aFullDeviceWhileSavingLeavesTheOldState() throws {
    let expected = try expected()
    try FileManager.default.removeItem(atPath: log)
    let run = try RunningTool(arguments("task.tusk"), folder)
    _ = try #require(try run.stop(SIGINT) { loggedSteps() >= 7 })
    let before = try folder.bytes("task.tusk.state")
    // Files of at most 16 blocks of 512 bytes: the log of a few steps fits, the state does not.
    #expect(before.count > 16 * 1024)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      [
        "-c", "ulimit -f 16; exec \"$0\" \"$@\"", CommandLineTool.productFolder.appendingPathComponent("tusk").path,
      ] + arguments("task.tusk", "--resume")
    let errors = try folder.file("errors", [])
    process.standardError = try FileHandle(forWritingTo: errors)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 74)
    let words = String(decoding: try Data(contentsOf: errors), as: UTF8.self)
    #expect(words.contains("tusk: \(folder.path("task.tusk.state")): cannot write: File too large"), "\(words)")
    #expect(try folder.bytes("task.tusk.state") == before)
    let names = try names
    #expect(!names.contains { $0.hasSuffix(".tmp") } && !names.contains("task.tusk"), "\(names)")
    #expect(try CommandLineTool.run(arguments("task.tusk", "--resume")).exitCode == 0)
    #expect(try folder.bytes("task.tusk") == expected)
  }

  @Test func restartingBeginsAnew() throws {
    let expected = try expected()
    try FileManager.default.removeItem(atPath: log)
    let run = try RunningTool(arguments("task.tusk", "--seed", "3"), folder)
    _ = try #require(try run.stop(SIGINT) { loggedSteps() >= 2 })
    #expect(try CommandLineTool.run(arguments("task.tusk", "--restart")).exitCode == 0)
    #expect(try folder.bytes("task.tusk") == expected)
  }

  @Test func aStateThatIsNoneIsRefused() throws {
    let state = try folder.file("task.tusk.state", Array("no state".utf8)).path
    let outcome = try CommandLineTool.run(arguments("task.tusk", "--resume"))
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("tusk: \(state): byte 0: not the state of a training run\n"))
    try FileManager.default.removeItem(atPath: state)
    #expect(try CommandLineTool.run(arguments("task.tusk", "--resume")).exitCode == 66)
  }
}
