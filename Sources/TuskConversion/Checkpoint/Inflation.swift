import CZlib

/// Inflates one deflated range of a file from front to back in constant memory. Produces exactly the declared bytes or
/// throws.
final class Inflation {
  private let file: InputFile
  private let subject: String
  /// Next compressed byte to read from the file, and how many are left.
  private var offset: UInt64
  private var compressedLeft: UInt64
  private let byteCount: UInt64
  /// Bytes produced so far.
  private(set) var position: UInt64 = 0
  private let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)
  private var inputPosition = 0
  private var inputCount = 0
  private var hasEnded = false
  /// On the heap because zlib keeps its address.
  private let stream: UnsafeMutablePointer<z_stream>

  /// - Parameter subject: what errors name.
  init(
    file: InputFile, offset: UInt64, compressedByteCount: UInt64, byteCount: UInt64, subject: String
  ) throws(ConversionError) {
    self.file = file
    self.offset = offset
    self.subject = subject
    self.byteCount = byteCount
    compressedLeft = compressedByteCount
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative window bits: raw deflate, as zip stores it.
    let status = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw ConversionError(.cannotRead, file: file.path, subject: subject, "zlib cannot start (status \(status))")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    input.deallocate()
  }

  /// Fills `destination` with the next bytes; with the last of them, checks that the stream ends there too.
  /// - Precondition: the declared byte count leaves that many.
  func read(into destination: UnsafeMutableRawBufferPointer) throws(ConversionError) {
    precondition(UInt64(destination.count) <= byteCount - position, "read past the declared size")
    var produced = 0
    while produced < destination.count {
      let count = try step(into: UnsafeMutableRawBufferPointer(rebasing: destination[produced...]))
      guard count > 0 || !hasEnded else {
        throw failure("inflates to \(position + UInt64(produced)) bytes where \(byteCount) are declared")
      }
      produced += count
    }
    position += UInt64(produced)
    if position == byteCount { try checkEnd() }
  }

  /// Inflates and drops bytes until `position` is `target`.
  /// - Precondition: `target` lies between `position` and the declared byte count.
  func skip(to target: UInt64) throws(ConversionError) {
    guard position < target else { return }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    defer { scratch.deallocate() }
    while position < target {
      let count = Int(min(target - position, UInt64(scratch.count)))
      try read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<count]))
    }
  }

  private func checkEnd() throws(ConversionError) {
    let extra = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    defer { extra.deallocate() }
    while !hasEnded {
      guard try step(into: extra) == 0 else { throw failure("inflates to more than the \(byteCount) bytes declared") }
    }
    guard compressedLeft == 0, inputPosition == inputCount else {
      throw failure("has \(compressedLeft + UInt64(inputCount - inputPosition)) bytes after its deflate stream")
    }
  }

  /// Inflates some bytes into `destination` and returns how many; 0 when the stream ended or only input was consumed.
  private func step(into destination: UnsafeMutableRawBufferPointer) throws(ConversionError) -> Int {
    guard !hasEnded else { return 0 }
    // With no input left zlib may still hold output; if it does not, it reports Z_BUF_ERROR below.
    if inputPosition == inputCount, compressedLeft > 0 {
      inputCount = Int(min(compressedLeft, UInt64(input.count)))
      inputPosition = 0
      try file.read(at: offset, into: UnsafeMutableRawBufferPointer(start: input.baseAddress, count: inputCount))
      offset += UInt64(inputCount)
      compressedLeft -= UInt64(inputCount)
    }
    let room = UInt32(min(destination.count, 1 << 30))
    stream.pointee.next_in = input.baseAddress! + inputPosition
    stream.pointee.avail_in = UInt32(inputCount - inputPosition)
    stream.pointee.next_out = destination.baseAddress!.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = room
    let status = inflate(stream, Z_NO_FLUSH)
    inputPosition = inputCount - Int(stream.pointee.avail_in)
    hasEnded = status == Z_STREAM_END
    guard status != Z_BUF_ERROR else { throw failure("its deflate stream is cut off") }
    guard status == Z_OK || hasEnded else { throw failure("its deflate stream is invalid (zlib status \(status))") }
    return Int(room - stream.pointee.avail_out)
  }

  private func failure(_ sentence: String) -> ConversionError {
    ConversionError(.malformed, file: file.path, offset: offset, subject: subject, sentence)
  }
}
