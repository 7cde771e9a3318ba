import CTuskSystem

/// A file that is there whole or not at all.
enum ResultFile {
  /// Writes `bytes` as `PATH.tmp` and gives it its name.
  static func write(_ bytes: [UInt8], path: String) throws(Failure) {
    let temporary = path + ".tmp"
    let descriptor = tusk_create_file(temporary)
    guard descriptor >= 0 else { throw Failure(Failure.inputOutput, path: temporary, errorNumber: -descriptor) }
    var failure = tusk_write_at(descriptor, bytes, bytes.count, 0)
    let closing = tusk_sync_and_close(descriptor)
    if failure == 0 { failure = closing }
    if failure == 0 { failure = tusk_rename_file(temporary, path) }
    guard failure == 0 else {
      tusk_remove_file(temporary)
      throw Failure(Failure.inputOutput, path: path, errorNumber: failure)
    }
  }
}
