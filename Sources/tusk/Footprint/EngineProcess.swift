import Foundation
import TuskConversion

/// `tusk-nano --measure`: a process that holds the engine and nothing else, so that its memory is the engine's. This
/// program links Foundation and would measure that.
struct EngineProcess {
  let program: URL

  /// - Parameter path: the program to use; nil for the one that was built beside this one, as Embedded Swift if that
  ///   build is there and not older.
  init(path: String?) throws(Failure) {
    program = path.map { URL(fileURLWithPath: $0) } ?? Self.newest
    guard FileManager.default.isExecutableFile(atPath: program.path) else {
      throw Failure(
        Failure.noInput, "\(program.path.printable): no such program; `swift build --product tusk-nano` makes it")
    }
  }

  /// In a package folder `.build-embedded/release` stands beside `.build/TRIPLE/CONFIGURATION`.
  private static var newest: URL {
    let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let package = folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let embedded = package.appendingPathComponent(".build-embedded/release/tusk-nano")
    let ordinary = folder.appendingPathComponent("tusk-nano")
    return modificationTime(embedded) >= modificationTime(ordinary) ? embedded : ordinary
  }

  /// In the distant past if there is no such file.
  private static func modificationTime(_ file: URL) -> Date {
    let attributes = try? FileManager.default.attributesOfItem(atPath: file.resolvingSymlinksInPath().path)
    return attributes?[.modificationDate] as? Date ?? .distantPast
  }

  /// Runs the program to its end.
  /// - Returns: its `name=value` lines.
  func run(_ arguments: [String]) throws(Failure) -> [String: Int] {
    let process = Process()
    let output = Pipe()
    process.executableURL = program
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    do {
      try process.run()
    } catch { throw Failure(Failure.internalFault, "\(program.path.printable): cannot be started: \(error)") }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      let isFault = process.terminationReason != .exit
      throw Failure(
        isFault ? Failure.internalFault : process.terminationStatus,
        "\(program.path.printable): ended with \(isFault ? "signal" : "exit code") \(process.terminationStatus)")
    }
    var values: [String: Int] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=")
      if parts.count == 2 { values[String(parts[0])] = Int(parts[1]) }
    }
    return values
  }
}
