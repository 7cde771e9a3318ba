import ArgumentParser
import Foundation
import TuskConversion
import TuskTokenizer

/// Where texts come from: the command line, a file, or standard input.
struct TextOptions: ParsableArguments {
  @Argument(help: "Texts. Without any, lines are read from --input or from standard input.")
  var text: [String] = []

  @Option(
    help: "A file with one text per line, or - for standard input.", completion: .file())
  var input: String?

  func validate() throws {
    if input != nil && !text.isEmpty {
      throw ValidationError("give texts on the command line or with --input, not both")
    }
  }

  /// Calls `body` with each text in order, as soon as it is there.
  func eachText(_ body: (InputText) throws -> Void) throws {
    guard text.isEmpty else {
      for (position, text) in text.enumerated() {
        let isLast = position == self.text.count - 1
        try body(InputText(bytes: Array(text.utf8), place: "text \(position + 1)", isFollowed: !isLast))
      }
      return
    }
    if input == nil && isatty(STDIN_FILENO) == 1 {
      throw ValidationError("give a text, or --input FILE, or lines on standard input")
    }
    let path = input ?? "-"
    let reader = try LineReader(path: path)
    while let line = try reader.next() {
      let place = "\(reader.name): line \(reader.lineNumber)"
      try body(InputText(bytes: line, place: place, isFollowed: reader.hasLine))
    }
  }
}

/// What becomes of texts that are too long.
struct LengthOptions: ParsableArguments {
  @Option(help: "Most tokens of a text, those around it included; an encoder takes no more than it has positions.")
  var maxSourceTokens = 512

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Cut longer texts at their end, of a pair the longer one first, or refuse them. Without either, encoders cut.",
      discussion: "The first text that is cut is named on standard error."))
  var truncate: Bool?

  func validate() throws {
    guard (1...1_000_000).contains(maxSourceTokens) else {
      throw ValidationError("--max-source-tokens takes 1 to 1000000")
    }
  }
}

/// One text, and where it came from in the words of an error.
struct InputText {
  let bytes: [UInt8]
  let place: String
  /// Whether the next text is there already, so that this one may wait for it.
  let isFollowed: Bool
}

/// Lines of a file or of standard input, each handed out when its end has been read. A line ends with LF or CR LF; the
/// last one needs no end.
final class LineReader {
  let name: String
  private(set) var lineNumber = 0
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var position = 0
  private var isAtEnd = false

  private static let chunkBytes = 1 << 16

  init(path: String) throws(Failure) {
    guard path != "-" else {
      name = "standard input"
      descriptor = STDIN_FILENO
      return
    }
    name = path.printable
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(Failure.noInput, path: path, errorNumber: errno) }
  }

  deinit { if descriptor > STDIN_FILENO { close(descriptor) } }

  /// Whether a whole line has been read that was not handed out.
  var hasLine: Bool { buffer[position...].contains(10) }

  func next() throws(Failure) -> [UInt8]? {
    var searched = position
    while true {
      if let end = buffer[searched...].firstIndex(of: 10) {
        defer { position = end + 1 }
        return line(position..<end)
      }
      guard !isAtEnd else {
        guard position < buffer.count else { return nil }
        defer { position = buffer.count }
        return line(position..<buffer.count)
      }
      buffer.removeFirst(position)
      position = 0
      searched = buffer.count
      guard searched <= Tokenizer.textBytesLimit else {
        throw Failure(
          Failure.badData,
          "\(name): line \(lineNumber + 1): longer than a text may be (required at most \(Tokenizer.textBytesLimit) "
            + "bytes)")
      }
      try fill()
    }
  }

  private func line(_ range: Range<Int>) -> [UInt8] {
    lineNumber += 1
    let end = range.isEmpty || buffer[range.upperBound - 1] != 13 ? range.upperBound : range.upperBound - 1
    return Array(buffer[range.lowerBound..<end])
  }

  private func fill() throws(Failure) {
    let start = buffer.count
    buffer += [UInt8](repeating: 0, count: Self.chunkBytes)
    var received = -1
    repeat {
      received = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + start, Self.chunkBytes) }
    } while received < 0 && errno == EINTR
    let errorNumber = errno
    buffer.removeLast(Self.chunkBytes - max(received, 0))
    guard received >= 0 else {
      let exitCode = errorNumber == EISDIR ? Failure.noInput : Failure.inputOutput
      throw Failure(exitCode, "\(name): \(systemText(errorNumber))")
    }
    isAtEnd = received == 0
  }
}
