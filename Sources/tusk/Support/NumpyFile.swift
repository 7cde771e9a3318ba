import CTuskSystem

/// NumPy's .npy format, version 1.0.
enum NumpyFile {
  /// Writes `values`, row-major, as little-endian float32 into `PATH.tmp` and renames it over `path`.
  /// - Source: numpy.lib.format
  static func write(_ values: [Float], shape: [Int], path: String) throws(Failure) {
    precondition(values.count == shape.reduce(1, *), "values do not fill the shape")
    // The header ends with a line feed at a multiple of 64, so that the values are aligned.
    // A tuple of one is written with a comma behind it.
    let tuple = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(tuple)), }"
    let prefixBytes = 10
    while (prefixBytes + dictionary.utf8.count + 1) % 64 != 0 { dictionary += " " }
    dictionary += "\n"
    let length = UInt16(dictionary.utf8.count)
    let header = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + dictionary.utf8

    let temporary = path + ".tmp"
    let descriptor = tusk_create_file(temporary)
    guard descriptor >= 0 else { throw Failure(Failure.inputOutput, path: temporary, errorNumber: -descriptor) }
    var failure = tusk_write_at(descriptor, header, header.count, 0)
    if failure == 0 {
      failure = values.withUnsafeBytes { tusk_write_at(descriptor, $0.baseAddress, $0.count, UInt64(header.count)) }
    }
    let closing = tusk_sync_and_close(descriptor)
    if failure == 0 { failure = closing }
    if failure == 0 { failure = tusk_rename_file(temporary, path) }
    guard failure == 0 else {
      tusk_remove_file(temporary)
      throw Failure(Failure.inputOutput, path: path, errorNumber: failure)
    }
  }
}
