import Testing

@testable import TuskConversion

private func converted(_ type: ElementType, _ bytes: [UInt8]) -> [Float] {
  // One byte off, because nothing aligns the values of a file.
  let shifted = [0] + bytes
  var values = [Float](repeating: 0, count: bytes.count / type.byteCount)
  shifted.withUnsafeBytes { source in
    values.withUnsafeMutableBufferPointer {
      ElementConversion.convert(type, from: UnsafeRawBufferPointer(rebasing: source[1...]), to: $0)
    }
  }
  return values
}

/// The value of a float16 from its definition, in Double.
private func definedValue(float16Bits bits: UInt16) -> Double {
  let sign: Double = bits & 0x8000 == 0 ? 1 : -1
  let exponent = Int(bits >> 10 & 0x1F)
  let fraction = Double(bits & 0x3FF) / 1024
  switch exponent {
  case 31: return fraction == 0 ? sign * .infinity : .nan
  case 0: return sign * fraction * 0x1p-14
  default: return sign * (1 + fraction) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
  }
}

@Test func everyFloat16ConvertsExactly() {
  let all = (0...UInt16.max).flatMap { [UInt8](littleEndian: $0) }
  for (bits, value) in converted(.float16, all).enumerated() {
    let expected = definedValue(float16Bits: UInt16(bits))
    let isExact = expected.isNaN ? value.isNaN : Double(value) == expected && value.sign == expected.sign
    if !isExact { Issue.record("\(bits) converts to \(value), not \(expected)") }
  }
}

@Test func everyBfloat16IsTheUpperHalfOfAFloat32() {
  let all = (0...UInt16.max).flatMap { [UInt8](littleEndian: $0) }
  for (bits, value) in converted(.bfloat16, all).enumerated() where value.bitPattern != UInt32(bits) << 16 {
    Issue.record("\(bits)")
  }
}

@Test func float64RoundsToNearest() {
  let values: [Double] = [0.1, -1e300, 1e-300, 16_777_217, 16_777_219, .infinity, -0.0]
  let bytes = values.flatMap { [UInt8](littleEndian: $0.bitPattern) }
  #expect(converted(.float64, bytes) == [0.1, -.infinity, 0, 16_777_216, 16_777_220, .infinity, -0.0])
}

@Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
func theFirstValueThatIsNotFiniteIsFound(value: Float) {
  var values = [Float](repeating: -.greatestFiniteMagnitude, count: 33)
  #expect(values.withUnsafeBufferPointer { $0.firstNonFiniteIndex } == nil)
  values[17] = value
  values[31] = value
  #expect(values.withUnsafeBufferPointer { $0.firstNonFiniteIndex } == 17)
  #expect([Float]().withUnsafeBufferPointer { $0.firstNonFiniteIndex } == nil)
}
