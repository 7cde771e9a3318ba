import CTuskSystem
import TuskFormat

/// Writing results.
enum Output {
  /// - Throws: `.mismatch` when `path` is one of `inputs`, by whatever name or link.
  static func requireDistinct(_ path: String, from inputs: [String]) throws(ConversionError) {
    for input in inputs where tusk_is_same_file(path, input) {
      throw ConversionError(
        .mismatch, file: path, "the output is also an input, '\(input.printable)'; another path is required")
    }
  }

  /// Calls `body`, whose failures become errors about `path`.
  static func write<Result>(
    _ path: String, _ body: () throws(WriteError) -> Result
  ) throws(ConversionError) -> Result {
    do throws(WriteError) { return try body() } catch { throw failure(path, error.errorNumber) }
  }

  /// The error of a call on `path` that the system refused.
  static func failure(_ path: String, _ errorNumber: Int32) -> ConversionError {
    ConversionError(.cannotWrite, file: path, "cannot write: \(String(cString: tusk_error_text(errorNumber)))")
  }
}

/// The text of a provenance section: for people, and equal for equal inputs, so it names no time and no machine.
package struct Provenance {
  static let tool = "tusk 0.1"

  private let lines: [String]

  init(directory: String, files: [String], settings: [String]) {
    func lastComponent(_ path: String) -> String {
      String(path.split(separator: "/").last ?? Substring(path)).printable
    }
    lines =
      ["made by \(Self.tool)", "from \(lastComponent(directory))"] + files.map { "file \(lastComponent($0))" }
      + settings
  }

  /// Of a file that was made from other Tusk files.
  package init(settings: [String]) { lines = ["made by \(Self.tool)"] + settings }

  /// At most 64 KiB of UTF-8.
  package var bytes: [UInt8] {
    var text: [UInt8] = []
    for line in lines where text.count + line.utf8.count < 1 << 16 { text += Array((line + "\n").utf8) }
    return text
  }
}
