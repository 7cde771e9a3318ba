import CTuskSystem
import Foundation

/// Standard output was closed by its reader. Not a fault: the command has nobody left to write to.
struct ClosedPipe: Error {}

/// Results. Unbuffered: a line is out when the call returns, so that a program may hold a conversation with Tusk.
enum StandardOutput {
  static func write(_ bytes: [UInt8]) throws {
    let failure = tusk_write_stream(1, bytes, bytes.count)
    if failure == EPIPE { throw ClosedPipe() }
    guard failure == 0 else { throw Failure(Failure.inputOutput, path: "standard output", errorNumber: failure) }
  }

  static func write(line: String) throws { try write(Array((line + "\n").utf8)) }

  /// One JSON object on one line, keys in snake_case and alphabetical order.
  static func write(json value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try write(Array(try encoder.encode(value)) + [10])
  }
}

/// Everything that is no result. A standard error that cannot be written to is ignored.
enum StandardError {
  static let isTerminal = isatty(STDERR_FILENO) == 1

  static func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = tusk_write_stream(2, bytes, bytes.count)
  }
}
