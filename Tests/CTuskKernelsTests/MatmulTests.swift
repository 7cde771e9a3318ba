import CTuskKernels
import Testing

/// A product with all its operands, so that kernels can be run on it one after another.
private struct Product {
  let rows: Int, outputs: Int, depth: Int
  let codes: CodeRows<Int16>, weights: CodeRows<Int8>
  var activationScales: [Float], weightScales: [Float]
  var bias: [Float]?

  init(rows: Int, outputs: Int, depth: Int, seed: UInt64, extraStride: Int = 0, bias withBias: Bool = false) {
    (self.rows, self.outputs, self.depth) = (rows, outputs, depth)
    var random = Random(seed)
    codes = CodeRows(rows: rows, columns: depth, extraStride: extraStride)
    weights = CodeRows(rows: outputs, columns: depth, extraStride: extraStride)
    for m in 0..<rows { for k in 0..<depth { codes[m, k] = Int16(random.integer(-16383...16383)) } }
    for n in 0..<outputs {
      for k in 0..<depth { weights[n, k] = Int8(random.integer(-127...127)) }
    }
    activationScales = random.floats(rows)
    weightScales = random.floats(outputs)
    bias = withBias ? random.floats(outputs) : nil
  }

  func run(_ kernels: UnsafePointer<TuskKernels>, columns: Range<Int>? = nil, rows part: Range<Int>? = nil) -> [Float] {
    let part = part ?? 0..<rows
    let y = Stored([Float](repeating: -7, count: part.count * outputs))
    let (activation, weight) = (Stored(activationScales), Stored(weightScales))
    let storedBias = Stored(bias ?? [])
    var product = TuskMatmulI16(
      codes: codes.base + part.lowerBound * codes.stride, codesStride: codes.stride,
      activationScales: activation.base + part.lowerBound, M: part.count, weights: weights.base,
      weightsStride: weights.stride, weightScales: weight.base, K: depth,
      bias: bias == nil ? nil : UnsafePointer(storedBias.base), y: y.base, yStride: outputs)
    return withExtendedLifetime((activation, weight, storedBias)) {
      kernels.pointee.matmul_f32_i16_i8(&product, columns?.lowerBound ?? 0, columns?.upperBound ?? outputs)
      return y.array(part.count * outputs)
    }
  }

  /// The contract, in plain Swift: exact integer sum, then float32 in the stated order.
  func expected() -> [Float] {
    var y: [Float] = []
    for m in 0..<rows {
      for n in 0..<outputs {
        var sum = 0
        for k in 0..<depth { sum += Int(codes[m, k]) * Int(weights[n, k]) }
        let value = Float(sum) * (activationScales[m] * weightScales[n])
        y.append(bias.map { value + $0[n] } ?? value)
      }
    }
    return y
  }
}

@Suite struct MatmulI16Tests {
  @Test(arguments: straddlingLengths)
  func isExactForEveryK(depth: Int) {
    for (rows, outputs, bias) in [(1, 11, false), (3, 11, true), (9, 11, false), (13, 11, true), (26, 18, true)] {
      let product = Product(rows: rows, outputs: outputs, depth: depth, seed: UInt64(depth * 31 + rows), bias: bias)
      let expected = bits(product.expected())
      for kernels in everyKernels { #expect(bits(product.run(kernels)) == expected, "\(nameOf(kernels)) rows \(rows)") }
    }
  }

  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 15, 16, 17, 23, 24, 25, 31, 33, 63, 64, 65, 67, 129])
  func isExactForEveryM(rows: Int) {
    let product = Product(rows: rows, outputs: 37, depth: 96, seed: UInt64(rows), extraStride: 64)
    let expected = bits(product.expected())
    for kernels in everyKernels { #expect(bits(product.run(kernels)) == expected, "\(nameOf(kernels))") }
  }

  @Test func longRowsCrossTheBlocksOverK() {
    for depth in [1024, 1025, 2048, 3072, 4129] {
      for (rows, outputs) in [(11, 5), (67, 17)] {
        let product = Product(rows: rows, outputs: outputs, depth: depth, seed: UInt64(depth))
        let expected = bits(product.expected())
        for kernels in everyKernels {
          #expect(bits(product.run(kernels)) == expected, "\(nameOf(kernels)) depth \(depth) rows \(rows)")
        }
      }
    }
  }

  /// Any saturating accumulation shows here: every pair of products is 2 * 16383 * 127.
  @Test func extremeCodesDoNotSaturate() {
    for (a, w) in [(-16383, -127), (16383, -127), (-16383, 127), (16383, 127)] {
      for rows in [1, 12, 26] {
        let product = Product(rows: rows, outputs: 18, depth: 3072, seed: 1)
        for k in 0..<3072 {
          for m in 0..<rows { product.codes[m, k] = Int16(a) }
          for n in 0..<18 { product.weights[n, k] = Int8(w) }
        }
        let expected = bits(product.expected())
        for kernels in everyKernels { #expect(bits(product.run(kernels)) == expected, "\(nameOf(kernels)) \(a) \(w)") }
      }
    }
  }

  /// Sums beyond 2^31: long rows are carried in 64 bits.
  @Test func longExtremeRowsDoNotOverflow() {
    for depth in [Int(TUSK_MATMUL_BLOCK_K), Int(TUSK_MATMUL_BLOCK_K) + 1, 20_000] {
      for rows in [1, 9, 26] {
        let product = Product(rows: rows, outputs: 18, depth: depth, seed: 2)
        for k in 0..<depth {
          for m in 0..<rows { product.codes[m, k] = 16383 }
          for n in 0..<18 { product.weights[n, k] = n % 2 == 0 ? 127 : -127 }
        }
        let expected = bits(product.expected())
        for kernels in everyKernels { #expect(bits(product.run(kernels)) == expected, "\(nameOf(kernels)) \(depth)") }
      }
    }
  }

  @Test func splitsOfColumnsAndRowsChangeNothing() {
    let product = Product(rows: 27, outputs: 37, depth: 130, seed: 3, bias: true)
    let whole = product.run(portable)
    for kernels in everyKernels {
      for (from, to) in [(0, 37), (0, 1), (5, 5), (3, 20), (36, 37), (7, 31)] {
        let part = product.run(kernels, columns: from..<to)
        for m in 0..<27 {
          for n in 0..<37 {
            let expected = (from..<to).contains(n) ? whole[m * 37 + n] : -7
            #expect(part[m * 37 + n].bitPattern == expected.bitPattern)
          }
        }
      }
      for m in 0..<27 {
        let alone = product.run(kernels, rows: m..<m + 1)
        #expect(bits(alone) == bits(Array(whole[m * 37..<(m + 1) * 37])))
      }
    }
  }

  @Test func zeroAndNaNScalesReachTheResult() {
    var product = Product(rows: 9, outputs: 5, depth: 40, seed: 4)
    product.activationScales[0] = 0
    product.activationScales[1] = .nan
    product.weightScales[2] = 0
    for kernels in everyKernels {
      let y = product.run(kernels)
      #expect(y[0] == 0 && y[5].isNaN && y[10 + 2] == 0 && y[10 + 1] != 0)
    }
  }
}

@Suite struct MatmulF32Tests {
  private func run(
    _ kernels: UnsafePointer<TuskKernels>, _ x: [Float], _ weights: [Float], rows: Int, outputs: Int, depth: Int,
    offset: Int = 0,
    bias: [Float]
  ) -> [Float] {
    let y = Stored([Float](repeating: 0, count: rows * outputs))
    let (storedX, storedWeights) = (Stored(x, shift: offset), Stored(weights, shift: offset))
    let storedBias = Stored(bias)
    var product = TuskMatmulF32(
      x: storedX.base, xStride: depth, M: rows, weights: storedWeights.base, weightsStride: depth, K: depth,
      bias: storedBias.base, y: y.base, yStride: outputs)
    return withExtendedLifetime((storedX, storedWeights, storedBias)) {
      kernels.pointee.matmul_f32_f32_f32(&product, 0, outputs)
      return y.array(rows * outputs)
    }
  }

  @Test(arguments: straddlingLengths.filter { $0 > 0 })
  func isCloseToDoubleAndEqualAcrossKernelsAndTiles(depth: Int) {
    var random = Random(UInt64(depth))
    let (rows, outputs) = (7, 8)
    let x = random.floats(rows * depth)
    let weights = random.floats(outputs * depth)
    let bias = random.floats(outputs)
    var exact: [Double] = []
    for m in 0..<rows {
      for n in 0..<outputs {
        var sum = Double(bias[n])
        for k in 0..<depth { sum += Double(x[m * depth + k]) * Double(weights[n * depth + k]) }
        exact.append(sum)
      }
    }
    let reference = run(portable, x, weights, rows: rows, outputs: outputs, depth: depth, bias: bias)
    // 8 partial sums of K / 8 terms: error about K / 8 * 2^-24 of the largest sum, at most 8e-6 for K = 1023.
    #expect(worstError(reference, exact) < 1e-5)
    for kernels in everyKernels {
      for offset in [0, 1, 3] {
        let y = run(kernels, x, weights, rows: rows, outputs: outputs, depth: depth, offset: offset, bias: bias)
        #expect(bits(y) == bits(reference), "\(nameOf(kernels))")
      }
      let last = run(kernels, Array(x.suffix(depth)), weights, rows: 1, outputs: outputs, depth: depth, bias: bias)
      #expect(bits(last) == bits(Array(reference.suffix(outputs))))
    }
  }
}
