import Foundation
import Testing

/// The built `tusk`, run as its users run it.
struct CommandLineTool {
  struct Outcome {
    let exitCode: Int32
    let output: [UInt8]
    let errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
    /// The lines of standard output.
    var lines: [String] { text.split(separator: "\n").map(String.init) }

    /// Standard output as one JSON object.
    func object(_ location: SourceLocation = #_sourceLocation) throws -> [String: Any] {
      let value = try JSONSerialization.jsonObject(with: Data(output))
      return try #require(value as? [String: Any], sourceLocation: location)
    }
  }

  /// The folder of the test binary, where SwiftPM also puts the programs.
  static let productFolder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()
  static let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  static let golden = packageFolder.appendingPathComponent("Tests/Fixtures/golden")

  /// Runs `tusk` to its end, or for 120 s at most.
  @discardableResult
  static func run(_ arguments: String..., input: [UInt8] = [], environment: [String: String] = [:]) throws -> Outcome {
    try run(arguments, input: input, environment: environment)
  }

  /// - Parameter program: a built program's name.
  static func run(
    _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:], program: String = "tusk"
  ) throws -> Outcome {
    // Files rather than pipes: nobody has to read while the command runs.
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = productFolder.appendingPathComponent(program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: try folder.file("input", input))
    let output = try folder.file("output", [])
    let errors = try folder.file("errors", [])
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    let end = Date(timeIntervalSinceNow: 120)
    while process.isRunning && Date() < end { Thread.sleep(forTimeInterval: 0.002) }
    if process.isRunning {
      Issue.record("still running after 120 s: \(program) \(arguments.joined(separator: " "))")
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
    return Outcome(
      exitCode: process.terminationStatus, output: Array(try Data(contentsOf: output)),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }
}

/// A folder that is gone when the last reference to it is.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("tusk-cli-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  @discardableResult
  func file(_ name: String, _ bytes: [UInt8]) throws -> URL {
    let file = url.appendingPathComponent(name)
    try Data(bytes).write(to: file)
    return file
  }

  func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: url.appendingPathComponent(name))) }
}
