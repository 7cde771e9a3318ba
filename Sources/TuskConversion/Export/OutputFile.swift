import CTuskSystem
import TuskFormat

/// A new file, written from front to back through a buffer; what is written may be corrected afterwards.
final class OutputFile {
  let path: String
  private(set) var byteCount: UInt64 = 0
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private static let bufferBytes = 1 << 18

  init(path: String) throws(ConversionError) {
    self.path = path
    descriptor = tusk_create_file(path)
    guard descriptor >= 0 else { throw Output.failure(path, -descriptor) }
    buffer.reserveCapacity(Self.bufferBytes)
  }

  deinit {
    if descriptor >= 0 { tusk_close_file(descriptor) }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(ConversionError) {
    if buffer.count + bytes.count > Self.bufferBytes { try flush() }
    if bytes.count > Self.bufferBytes {
      try check(tusk_write_at(descriptor, bytes.baseAddress, bytes.count, byteCount))
    } else {
      buffer.append(contentsOf: bytes)
    }
    byteCount += UInt64(bytes.count)
  }

  func append(_ bytes: [UInt8]) throws(ConversionError) {
    try bytes.withUnsafeBufferPointer { (bytes) throws(ConversionError) in try append(UnsafeRawBufferPointer(bytes)) }
  }

  /// Writes `bytes` over those at `offset`.
  func replace(at offset: UInt64, with bytes: [UInt8]) throws(ConversionError) {
    precondition(offset + UInt64(bytes.count) <= byteCount, "only what is written can be replaced")
    try flush()
    try check(tusk_write_at(descriptor, bytes, bytes.count, offset))
  }

  /// Flushes the file to its device.
  func finish() throws(ConversionError) {
    try flush()
    let finished = descriptor
    descriptor = -1
    try check(tusk_sync_and_close(finished))
  }

  private func flush() throws(ConversionError) {
    try check(tusk_write_at(descriptor, buffer, buffer.count, byteCount - UInt64(buffer.count)))
    buffer.removeAll(keepingCapacity: true)
  }

  private func check(_ failure: Int32) throws(ConversionError) {
    guard failure == 0 else { throw Output.failure(path, failure) }
  }
}
