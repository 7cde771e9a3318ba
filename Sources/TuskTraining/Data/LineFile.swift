import CTuskSystem
import TuskConversion

/// The lines of a regular file from front to back, one in memory at a time. A line ends with LF or CR LF; the last one needs
/// no end. A byte order mark in front of the first is passed over.
final class LineFile {
  static let lineBytesLimit = 1 << 22
  private static let chunkBytes = 1 << 16
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  let path: String
  /// Of the line that was handed out last, from 1 on.
  private(set) var lineNumber = 0
  private let descriptor: Int32
  private var offset: UInt64 = 0
  private var buffer: [UInt8] = []
  private var position = 0
  private var isAtEnd = false

  /// - Throws: `.cannotOpen`.
  init(path: String) throws(TrainingError) {
    self.path = path
    guard !path.utf8.contains(0) else {
      throw TrainingError(.cannotOpen, file: path.printable, "a path holds no null byte")
    }
    var byteCount: UInt64 = 0
    descriptor = tusk_open_to_read(path, &byteCount)
    switch -descriptor {
    case EISDIR:
      throw TrainingError(.cannotOpen, file: path.printable, "found a directory where a file is required")
    case EINVAL:
      throw TrainingError(
        .cannotOpen, file: path.printable, "found a pipe, socket or device; a regular file is required")
    case 1...:
      throw TrainingError(
        .cannotOpen, file: path.printable, "cannot open: \(String(cString: tusk_error_text(-descriptor)))")
    default: break
    }
  }

  deinit { if descriptor >= 0 { tusk_close_file(descriptor) } }

  /// The next line without its end, nil behind the last one.
  /// - Throws: `.cannotRead`; `.malformed` for a line longer than `lineBytesLimit`.
  func next() throws(TrainingError) -> [UInt8]? {
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
      guard searched <= Self.lineBytesLimit else {
        throw TrainingError(
          .malformed, file: path.printable, line: lineNumber + 1,
          "the line is too long (required at most \(Self.lineBytesLimit) bytes)")
      }
      try fill()
    }
  }

  private func line(_ range: Range<Int>) -> [UInt8] {
    lineNumber += 1
    var range = range
    if range.last.map({ buffer[$0] }) == 13 { range.removeLast() }
    if lineNumber == 1, buffer[range].starts(with: Self.byteOrderMark) { range.removeFirst(3) }
    return Array(buffer[range])
  }

  private func fill() throws(TrainingError) {
    let start = buffer.count
    buffer += repeatElement(0, count: Self.chunkBytes)
    var received = 0
    let failure = buffer.withUnsafeMutableBytes {
      tusk_read_at(descriptor, $0.baseAddress! + start, Self.chunkBytes, offset, &received)
    }
    buffer.removeLast(Self.chunkBytes - received)
    guard failure == 0 else {
      throw TrainingError(
        .cannotRead, file: path.printable, line: lineNumber + 1,
        "cannot read: \(String(cString: tusk_error_text(failure)))")
    }
    offset += UInt64(received)
    isAtEnd = received < Self.chunkBytes
  }
}
