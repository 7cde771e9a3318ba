import CTuskSystem

/// A regular file opened for reading at offsets. Reads go through `pread`, not a mapping, so a file that shrinks while it
/// is read gives an error instead of a signal, and its pages never count as this process's memory.
final class InputFile {
  let path: String
  /// Length when the file was opened.
  let byteCount: UInt64
  private let descriptor: Int32

  /// - Throws: `ConversionError.Kind.cannotOpen`.
  init(path: String) throws(ConversionError) {
    guard let file = try InputFile.openIfPresent(path: path) else {
      throw ConversionError(.cannotOpen, file: path, "there is no such file")
    }
    self.path = path
    (descriptor, byteCount) = file
  }

  private init(path: String, descriptor: Int32, byteCount: UInt64) {
    self.path = path
    self.descriptor = descriptor
    self.byteCount = byteCount
  }

  deinit { tusk_close_file(descriptor) }

  /// The file at `path`, or nil when nothing is there.
  /// - Throws: `ConversionError.Kind.cannotOpen` when something is there that cannot be read.
  static func ifPresent(path: String) throws(ConversionError) -> InputFile? {
    guard let (descriptor, byteCount) = try openIfPresent(path: path) else { return nil }
    return InputFile(path: path, descriptor: descriptor, byteCount: byteCount)
  }

  private static func openIfPresent(path: String) throws(ConversionError) -> (Int32, UInt64)? {
    guard !path.utf8.contains(0) else {
      throw ConversionError(.cannotOpen, file: path, "a path holds no null byte")
    }
    var byteCount: UInt64 = 0
    let descriptor = tusk_open_to_read(path, &byteCount)
    switch -descriptor {
    case ENOENT, ENOTDIR: return nil
    case EISDIR: throw ConversionError(.cannotOpen, file: path, "found a directory where a file is required")
    case EINVAL:
      throw ConversionError(.cannotOpen, file: path, "found a pipe, socket or device; a regular file is required")
    case 1...: throw ConversionError(.cannotOpen, file: path, "cannot open: \(systemText(-descriptor))")
    default: return (descriptor, byteCount)
    }
  }

  private static func systemText(_ errorNumber: Int32) -> String { String(cString: tusk_error_text(errorNumber)) }

  /// Fills `destination` with the bytes that start at `offset`.
  /// - Throws: `ConversionError.Kind.cannotRead`, also when the file ends first.
  func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(ConversionError) {
    guard let start = destination.baseAddress, destination.count > 0 else { return }
    var received = 0
    let failure = tusk_read_at(descriptor, start, destination.count, offset, &received)
    guard failure == 0 else {
      throw ConversionError(.cannotRead, file: path, offset: offset, "cannot read: \(InputFile.systemText(failure))")
    }
    guard received == destination.count else {
      throw ConversionError(
        .cannotRead, file: path, offset: offset + UInt64(received),
        "the file became shorter while it was read: \(destination.count - received) more bytes are required here")
    }
  }

  /// The `count` bytes that start at `offset`. Callers bound `count` before they ask.
  func bytes(at offset: UInt64, count: Int) throws(ConversionError) -> [UInt8] {
    var failure: ConversionError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(ConversionError) {
        try read(at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }
}

extension ConversionError {
  /// The weights were checked out as Git LFS pointers: the commonest reason for a tiny "checkpoint".
  static func gitPointer(_ path: String) -> ConversionError {
    ConversionError(
      .malformed, file: path, offset: 0,
      "found a Git LFS pointer instead of the weights; run 'git lfs pull' in that repository first")
  }

  static let gitPointerStart = Array("version https://git-lfs".utf8)
}
