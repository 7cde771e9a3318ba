import CTuskKernels
import Testing

@Suite struct QuantizeTests {
  private func run(
    _ kernels: UnsafePointer<TuskKernels>, _ x: [Float], rowCount: Int, depth: Int
  ) -> (codes: [[Int16]], scales: [Float]) {
    let rows = CodeRows<Int16>(rows: rowCount, columns: depth)
    for i in 0..<rowCount * rows.stride { rows.base[i] = 99 }
    var scales = [Float](repeating: -1, count: rowCount)
    kernels.pointee.quantize_i16_f32(x, depth, rowCount, depth, rows.base, rows.stride, &scales)
    return ((0..<rowCount).map { m in (0..<rows.stride).map { rows[m, $0] } }, scales)
  }

  @Test(arguments: straddlingLengths.filter { $0 > 0 })
  func followsTheFormulaAndWritesThePadding(depth: Int) {
    var random = Random(UInt64(depth) + 9)
    let rowCount = 3
    let x = random.floats(rowCount * depth, scale: 3)
    for kernels in everyKernels {
      let (codes, scales) = run(kernels, x, rowCount: rowCount, depth: depth)
      for m in 0..<rowCount {
        let row = x[m * depth..<(m + 1) * depth]
        let absmax = row.map(abs).max() ?? 0
        #expect(scales[m] == absmax / 16383)
        let inverse = 16383 / absmax
        let expected = row.map { Int16(max(-16383, min(16383, ($0 * inverse).rounded(.toNearestOrEven)))) }
        #expect(Array(codes[m].prefix(depth)) == expected, "\(nameOf(kernels))")
        #expect(codes[m].dropFirst(depth).allSatisfy { $0 == 0 })
      }
    }
  }

  @Test func tiesGoToEven() {
    let x: [Float] = [16383, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5, 2045.5]
    for kernels in everyKernels {
      let (codes, scales) = run(kernels, x, rowCount: 1, depth: x.count)
      #expect(scales == [1])
      #expect(Array(codes[0].prefix(x.count)) == [16383, 0, 2, 2, 0, -2, -2, 126, -126, 2046])
    }
  }

  @Test func rowsWithoutAScaleAreZeroOrNaN() {
    let tiny = Float.leastNonzeroMagnitude
    for kernels in everyKernels {
      for depth in [1, 9, 70] {
        for (value, isNaN) in [(Float(0), false), (tiny, false), (-0.0, false), (.nan, true), (.infinity, true)] {
          var x = [Float](repeating: 0, count: depth)
          x[depth - 1] = value
          let (codes, scales) = run(kernels, x, rowCount: 1, depth: depth)
          #expect(codes[0].allSatisfy { $0 == 0 })
          #expect(isNaN ? scales[0].isNaN : scales[0] == 0, "\(nameOf(kernels)) \(value)")
        }
      }
      let (codes, scales) = run(kernels, [-.infinity, 1, .nan, 2, 2, -4], rowCount: 3, depth: 2)
      #expect(scales[0].isNaN && scales[1].isNaN && scales[2] == Float(4) / 16383)
      #expect(Array(codes[2].prefix(2)) == [8192, -16383])
    }
  }

  @Test func gatherMultipliesEachCode() {
    for kernels in everyKernels {
      for depth in straddlingLengths {
        let codes = (0..<depth).map { Int8(truncatingIfNeeded: $0 % 255 - 127) }
        var y = [Float](repeating: 5, count: depth + 1)
        kernels.pointee.gather_f32_i8(codes, 0.3, depth, &y)
        #expect(Array(y.prefix(depth)) == codes.map { Float($0) * 0.3 })
        #expect(y[depth] == 5)
      }
    }
  }
}
