import Testing

@testable import TuskConversion

/// The formulas of `formats/tensors.md`, one value at a time.
private func expectedCodes(_ row: [Float]) -> (codes: [Int8], scale: Float) {
  let largest = row.map(\.magnitude).max() ?? 0
  guard largest > 0 else { return (row.map { _ in 0 }, 0) }
  return (row.map { Int8(($0 * (127 / largest)).rounded(.toNearestOrEven)) }, largest / 127)
}

private func encode(_ row: [Float]) -> (codes: [Int8], outcome: RowEncoding.Outcome?) {
  var codes = [Int8](repeating: 99, count: row.count)
  let outcome = row.withUnsafeBufferPointer { row in
    codes.withUnsafeMutableBufferPointer { RowEncoding.encodeInt8(row, to: $0.baseAddress!) }
  }
  return (codes, outcome)
}

@Suite struct RowEncodingTests {
  @Test(arguments: [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 768])
  func codesFollowTheFormulas(count: Int) throws {
    var generator = SystemRandomNumberGenerator()
    for exponent in [-30, -3, 0, 20] {
      let size = Float(sign: .plus, exponent: exponent, significand: 1)
      let row = (0..<count).map { _ in Float.random(in: -size...size, using: &generator) }
      let (codes, outcome) = encode(row)
      let expected = expectedCodes(row)
      #expect(codes == expected.codes)
      #expect(outcome?.scale == expected.scale)
      let errors = zip(row, codes).map { Double($0 - Float($1) * expected.scale) }
      let errorSquares = errors.reduce(0) { $0 + $1 * $1 }
      // The lanes add in another order than this sum: float32 rounding, some 2^-20 relative.
      #expect(abs(try #require(outcome).errorSquares - errorSquares) <= 1e-5 * errorSquares)
      #expect(outcome?.zeroCodes == codes.count { $0 == 0 })
      #expect(outcome?.largestError == errors.map { Float($0.magnitude) }.max())
    }
  }

  @Test func halvesRoundToEven() {
    // With a largest value of 127 the factor is 1, so the values are the products.
    let row: [Float] = [127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5]
    #expect(encode(row).codes == [127, 0, 2, 2, 0, -2, -2, 126, -126])
  }

  @Test(arguments: [0, 0x1p-149, 3e-37] as [Float])
  func rowsTooSmallToScaleBecomeZero(value: Float) throws {
    let (codes, outcome) = encode([value, -value, 0])
    #expect(codes == [0, 0, 0])
    #expect(try #require(outcome).scale == 0)
    #expect(try #require(outcome).largestError == value)
  }

  @Test(arguments: [1, 16, 40], [Float.nan, .infinity, -.infinity])
  func valuesThatAreNotFiniteAreRefused(count: Int, value: Float) {
    for position in 0..<count {
      var row = [Float](repeating: 1, count: count)
      row[position] = value
      #expect(encode(row).outcome == nil)
    }
  }
}
