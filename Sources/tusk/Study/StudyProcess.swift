import Foundation
import TuskConversion

/// A command of this program in a process of its own.
struct StudyProcess {
  struct Outcome {
    let exitCode: Int32
    let output: Data
    /// The last line of standard error.
    let message: String
    /// Of all threads.
    let processorSeconds: Double
  }

  /// Where standard error goes while the process runs.
  let errorsPath: String

  private static let pollSeconds = 0.02

  /// Runs `arguments` to the end. An interruption of this process is passed on, and the child puts its things in order.
  func run(_ arguments: [String]) throws(Failure) -> Outcome {
    guard FileManager.default.createFile(atPath: errorsPath, contents: nil),
      let errors = FileHandle(forWritingAtPath: errorsPath)
    else { throw Failure(Failure.inputOutput, path: errorsPath, errorNumber: errno) }
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    let before = Self.processorSeconds
    do { try process.run() } catch {
      throw Failure(Failure.internalFault, "tusk \(arguments[0]) cannot be started: \(error)")
    }
    var isTold = false
    while process.isRunning {
      if Interruption.isRequested, !isTold {
        process.terminate()
        isTold = true
      }
      Thread.sleep(forTimeInterval: Self.pollSeconds)
    }
    process.waitUntilExit()
    let lines = ((try? String(contentsOfFile: errorsPath, encoding: .utf8)) ?? "").split(separator: "\n")
    try? FileManager.default.removeItem(atPath: errorsPath)
    let isFault = process.terminationReason != .exit
    // The signal may find it before it watches for signals.
    let faultCode = isTold ? Failure.interrupted : Failure.internalFault
    return Outcome(
      exitCode: isFault ? faultCode : process.terminationStatus,
      output: output.fileHandleForReading.readDataToEndOfFile(),
      message: isFault
        ? "tusk \(arguments[0]) was ended by signal \(process.terminationStatus)" : Self.message(lines.last),
      processorSeconds: Self.processorSeconds - before)
  }

  /// A command's last line without the program's name in front.
  private static func message(_ line: Substring?) -> String {
    guard let line else { return "no message" }
    return String(line.hasPrefix("tusk: ") ? line.dropFirst(6) : line)
  }

  /// Of the children that have ended.
  private static var processorSeconds: Double {
    var usage = rusage()
    guard getrusage(RUSAGE_CHILDREN.rawValue, &usage) == 0 else { return 0 }
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
  }
}
