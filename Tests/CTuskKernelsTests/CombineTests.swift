import CTuskKernels
import Testing

@Suite struct CombineTests {
  /// A sum over N rows of rounded products errs by N roundings at most.
  @Test(arguments: [TuskElementF32, TuskElementF16, TuskElementI8], [1, 7, 8, 9, 40, 768])
  func sumsRowsInOrder(element: TuskElement, width: Int) {
    for (rowCount, count) in [(1, 1), (4, 1), (7, 3), (64, 2)] {
      var random = Random(UInt64(width * rowCount))
      let stride = width + 5
      let rows = Rows(random.floats(rowCount * stride), element, stride)
      let x = random.floats(count * rowCount)
      let scales: [Float] = element == TuskElementI8 ? (0..<rowCount).map { rows.scales[$0] } : []
      var exact: [Double] = []
      for m in 0..<count {
        for k in 0..<width {
          exact.append(
            (0..<rowCount).reduce(0.0) { sum, n in
              sum + Double(x[m * rowCount + n]) * Double(rows.floats[n * stride + k])
            })
        }
      }
      func run(_ kernels: UnsafePointer<TuskKernels>, _ range: Range<Int>) -> [Float] {
        let out = Stored([Float](repeating: .nan, count: range.count * width))
        let factors = Stored(Array(x[range.lowerBound * rowCount..<range.upperBound * rowCount]))
        let (scales, isScaled) = (Stored(scales), !scales.isEmpty)
        var product = TuskCombine(
          x: factors.base, xStride: rowCount, M: range.count, rows: rows.base, element: element, rowStride: stride,
          scales: isScaled ? UnsafePointer(scales.base) : nil, N: rowCount, K: width, y: out.base, yStride: width)
        withExtendedLifetime((factors, scales)) { kernels.pointee.combine_f32(&product) }
        return out.array(range.count * width)
      }
      let reference = bits(run(portable, 0..<count))
      for kernels in everyKernels {
        let y = run(kernels, 0..<count)
        #expect(worstError(y, exact) < 1e-5, "\(nameOf(kernels)) \(rowCount) rows")
        #expect(bits(y) == reference)
        #expect(bits(run(kernels, count - 1..<count)) == bits(Array(y.suffix(width))))
      }
    }
  }
}
