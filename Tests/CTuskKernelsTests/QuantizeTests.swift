import CTuskKernels
import Foundation
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

  /// Every exponent, ties, subnormal halves, and the limits, against the compiler's conversion.
  @Test func halvesAreTheNearest() {
    var random = Random(70)
    var x: [Float] = [
      0, -0.0, 1, 65504, 65519, 65520, 1e30, .infinity, -.infinity, 5.9604645e-8, 2.98e-8, 2.99e-8, 1e-37,
    ]
    for exponent in -26...16 {
      for _ in 0..<40 { x.append(random.float() * exp2(Float(exponent))) }
      for tie in [Float(2049), 2050, 2051, 1025.5, 1026.5] { x.append(tie * exp2(Float(exponent - 11))) }
    }
    let expected = x.map { Float16(max(-65504, min(65504, $0))) }
    for kernels in everyKernels {
      for count in [x.count, 1, 7, 9] {
        var halves = [UInt16](repeating: 99, count: count + 1)
        kernels.pointee.convert_f16_f32(x, count, &halves)
        #expect(Array(halves.prefix(count)) == expected.prefix(count).map(\.bitPattern), "\(nameOf(kernels))")
        #expect(halves[count] == 99)
      }
      var half: UInt16 = 0
      kernels.pointee.convert_f16_f32([.nan], 1, &half)
      #expect(Float16(bitPattern: half).isNaN)
    }
  }

  @Test(arguments: [1, 7, 8, 9, 64, 65])
  func groupsHaveTheirOwnScale(width: Int) {
    var random = Random(UInt64(width))
    let groups = 3
    let x = random.floats(groups * width, scale: 2) + [9]
    for kernels in everyKernels {
      var codes = [Int8](repeating: 99, count: groups * width + 1)
      var scales = [Float](repeating: -1, count: groups)
      kernels.pointee.quantize_i8_f32(x, groups, width, &codes, &scales)
      for group in 0..<groups {
        let row = x[group * width..<(group + 1) * width]
        let absmax = row.map(abs).max() ?? 0
        #expect(scales[group] == absmax / 127)
        let inverse = 127 / absmax
        #expect(
          Array(codes[group * width..<(group + 1) * width])
            == row.map { Int8(($0 * inverse).rounded(.toNearestOrEven)) })
      }
      #expect(codes[groups * width] == 99)
      kernels.pointee.quantize_i8_f32([0, -0.0, .nan, 1], 2, 2, &codes, &scales)
      #expect(scales[0] == 0 && scales[1].isNaN && codes.prefix(4).allSatisfy { $0 == 0 })
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
