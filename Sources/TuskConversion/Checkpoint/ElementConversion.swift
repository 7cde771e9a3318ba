/// Stored values to float32. Exact for the 16-bit types, rounded to nearest for float64.
enum ElementConversion {
  /// Converts `destination.count` values of `type` from `source`, which need not be aligned.
  /// - Precondition: `type` is a floating-point type, and `source` holds that many values.
  static func convert(
    _ type: ElementType, from source: UnsafeRawBufferPointer, to destination: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(source.count == destination.count * type.byteCount, "source and destination differ in length")
    switch type {
    case .float32:
      UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
    case .float16:
      map(source, to: destination) { (bits: UInt16) in float(float16Bits: bits) }
    case .bfloat16:
      map(source, to: destination) { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
    case .float64:
      map(source, to: destination) { (bits: UInt64) in Float(Double(bitPattern: bits)) }
    case .int64, .int32, .int16, .int8, .uint8, .bool:
      preconditionFailure("\(type) values are not converted")
    }
  }

  @inline(__always)
  private static func map<Bits: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafeRawBufferPointer, to destination: UnsafeMutableBufferPointer<Float>, _ value: (Bits) -> Float
  ) {
    for index in destination.indices {
      let bits = source.loadUnaligned(fromByteOffset: index &* MemoryLayout<Bits>.size, as: Bits.self)
      destination[index] = value(Bits(littleEndian: bits))
    }
  }

  /// Branch-free, so that the loop above vectorizes: moving the exponent bias by a multiplication with 2^112 also turns
  /// subnormal float16 values into normal float32 ones; only infinities and NaN need their exponent filled.
  @inline(__always)
  static func float(float16Bits bits: UInt16) -> Float {
    let magnitude = UInt32(bits & 0x7FFF) << 13
    let scaled = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
    let special: UInt32 = bits & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
    return Float(bitPattern: scaled | special | UInt32(bits & 0x8000) << 16)
  }
}

extension UnsafeBufferPointer<Float> {
  /// The index of the first value that is NaN or infinite, nil when all are finite. Costs one pass without branches when
  /// they are.
  public var firstNonFiniteIndex: Int? {
    var largest: UInt32 = 0
    for value in self { largest = Swift.max(largest, value.bitPattern & 0x7FFF_FFFF) }
    return largest < 0x7F80_0000 ? nil : firstIndex { !$0.isFinite }
  }
}
