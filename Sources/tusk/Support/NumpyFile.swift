import CTuskSystem

/// A file of float32 in NumPy's .npy format, version 1.0, written from front to back.
///
/// It grows as `PATH.tmp` and gets its name with `finish`; without that, nothing is left of it.
/// - Source: numpy.lib.format
final class NumpyFile {
  private let path: String
  private let temporary: String
  private let descriptor: Int32
  private var valueCount = 0
  private var isClosed = false

  /// Room for any shape, and a multiple of 64, so that the values are aligned.
  private static let headerBytes = 128

  init(path: String) throws(Failure) {
    self.path = path
    temporary = path + ".tmp"
    descriptor = tusk_create_file(temporary)
    guard descriptor >= 0 else { throw Failure(Failure.inputOutput, path: temporary, errorNumber: -descriptor) }
  }

  deinit {
    guard !isClosed else { return }
    _ = tusk_sync_and_close(descriptor)
    tusk_remove_file(temporary)
  }

  /// Writes the next values, row-major.
  func append(_ values: [Float]) throws(Failure) {
    let offset = UInt64(Self.headerBytes + valueCount * 4)
    let failure = values.withUnsafeBytes { tusk_write_at(descriptor, $0.baseAddress, $0.count, offset) }
    guard failure == 0 else { throw Failure(Failure.inputOutput, path: temporary, errorNumber: failure) }
    valueCount += values.count
  }

  /// Completes the file and gives it its name.
  /// - Precondition: the values that were written fill `shape`.
  func finish(shape: [Int]) throws(Failure) {
    precondition(valueCount == shape.reduce(1, *), "values do not fill the shape")
    // A tuple of one is written with a comma behind it.
    let tuple = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let prefix = [0x93] + Array("NUMPY".utf8) + [1, 0]
    let length = Self.headerBytes - prefix.count - 2
    var dictionary = Array("{'descr': '<f4', 'fortran_order': False, 'shape': (\(tuple)), }".utf8)
    precondition(dictionary.count < length, "a header has room for the shape")
    dictionary += [UInt8](repeating: 0x20, count: length - dictionary.count - 1) + [0x0A]
    let header = prefix + [UInt8(length), 0] + dictionary

    var failure = tusk_write_at(descriptor, header, header.count, 0)
    isClosed = true
    let closing = tusk_sync_and_close(descriptor)
    if failure == 0 { failure = closing }
    if failure == 0 { failure = tusk_rename_file(temporary, path) }
    guard failure == 0 else {
      tusk_remove_file(temporary)
      throw Failure(Failure.inputOutput, path: path, errorNumber: failure)
    }
  }

  /// Writes `values`, row-major, as the file at `path`.
  static func write(_ values: [Float], shape: [Int], path: String) throws(Failure) {
    let file = try NumpyFile(path: path)
    try file.append(values)
    try file.finish(shape: shape)
  }
}
