import TuskFormat

/// Encodes rows of float32 as `formats/tensors.md` says.
enum RowEncoding {
  /// What encoding one row did to it.
  struct Outcome {
    var scale: Float = 0
    var squares: Double = 0
    var errorSquares: Double = 0
    var largestError: Float = 0
    var zeroCodes = 0
  }

  private typealias Lanes = SIMD16<Float>

  /// Adding this to a number below 2^22 rounds it to an integer, half to even, and leaves that integer in the low bits:
  /// the rounding mode does the work, also on processors without an instruction for it.
  private static let roundingShift: Float = 0x1.8p23

  /// Writes the codes of `row`; the padding behind them is left alone.
  ///
  /// - Returns: nil when a value is NaN or infinite.
  static func encodeInt8(
    _ row: UnsafeBufferPointer<Float>, to codes: UnsafeMutablePointer<Int8>
  ) -> Outcome? {
    let largest = largestMagnitude(row)
    guard largest.isFinite else { return nil }
    var outcome = Outcome()
    let inverse = 127 / largest
    // Of a row of zeros, or of one so small that it cannot be scaled up, nothing is kept.
    guard inverse.isFinite else {
      codes.update(repeating: 0, count: row.count)
      outcome.zeroCodes = row.count
      for value in row { outcome.errorSquares += Double(value) * Double(value) }
      outcome.squares = outcome.errorSquares
      outcome.largestError = largest
      return outcome
    }
    outcome.scale = largest / 127
    let width = Lanes.scalarCount
    let vectorCount = row.count / width * width
    if vectorCount > 0 { encodeVectors(row, vectorCount, inverse, to: codes, &outcome) }
    if vectorCount < row.count {
      var rest = Lanes.zero
      for index in vectorCount..<row.count { rest[index - vectorCount] = row[index] }
      withUnsafeTemporaryAllocation(of: Int8.self, capacity: width) { scratch in
        withUnsafeBytes(of: &rest) { bytes in
          encodeVectors(bytes.assumingMemoryBound(to: Float.self), width, inverse, to: scratch.baseAddress!, &outcome)
        }
        (codes + vectorCount).update(from: scratch.baseAddress!, count: row.count - vectorCount)
      }
      outcome.zeroCodes -= width - (row.count - vectorCount)
    }
    return outcome
  }

  /// - Precondition: `count` is a multiple of the lanes, above 0.
  private static func encodeVectors(
    _ row: UnsafeBufferPointer<Float>, _ count: Int, _ inverse: Float, to codes: UnsafeMutablePointer<Int8>,
    _ outcome: inout Outcome
  ) {
    let source = UnsafeRawPointer(row.baseAddress!)
    let target = UnsafeMutableRawPointer(codes)
    let shiftBits = SIMD16<Int32>(repeating: Int32(bitPattern: roundingShift.bitPattern))
    let scale = outcome.scale
    var squares = Lanes.zero
    var errorSquares = Lanes.zero
    var largestError = Lanes.zero
    var zeroCodes = SIMD16<Int32>.zero
    var index = 0
    while index < count {
      let values = source.loadUnaligned(fromByteOffset: 4 &* index, as: Lanes.self)
      let shifted = values * inverse + roundingShift
      let integers = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &- shiftBits
      target.storeBytes(of: SIMD16<Int8>(truncatingIfNeeded: integers), toByteOffset: index, as: SIMD16<Int8>.self)
      let error = values - (shifted - roundingShift) * scale
      squares += values * values
      errorSquares += error * error
      let magnitude = unsafeBitCast(
        unsafeBitCast(error, to: SIMD16<Int32>.self) & SIMD16(repeating: 0x7FFF_FFFF), to: Lanes.self)
      largestError.replace(with: magnitude, where: magnitude .> largestError)
      zeroCodes.replace(with: zeroCodes &+ 1, where: integers .== 0)
      index &+= Lanes.scalarCount
    }
    for lane in 0..<Lanes.scalarCount {
      outcome.squares += Double(squares[lane])
      outcome.errorSquares += Double(errorSquares[lane])
      outcome.zeroCodes += Int(zeroCodes[lane])
    }
    outcome.largestError = max(outcome.largestError, largestError.max())
  }

  /// The largest magnitude of `row`; infinite or NaN when one of its values is.
  static func largestMagnitude(_ row: UnsafeBufferPointer<Float>) -> Float {
    guard let start = row.baseAddress else { return 0 }
    let source = UnsafeRawPointer(start)
    // Magnitudes order as their bits do, and so NaN and infinity come out on top.
    let magnitudeBits = SIMD16<Int32>(repeating: 0x7FFF_FFFF)
    var lanes = SIMD16<Int32>.zero
    var index = 0
    while index &+ 16 <= row.count {
      let bits = source.loadUnaligned(fromByteOffset: 4 &* index, as: SIMD16<Int32>.self) & magnitudeBits
      lanes.replace(with: bits, where: bits .> lanes)
      index &+= 16
    }
    var largest = lanes.max()
    while index < row.count {
      largest = max(largest, Int32(bitPattern: row[index].bitPattern & 0x7FFF_FFFF))
      index &+= 1
    }
    return Float(bitPattern: UInt32(bitPattern: largest))
  }
}
