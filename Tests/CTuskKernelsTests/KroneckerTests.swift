import CTuskKernels
import Testing

private struct Layer {
  var n: Int, input: Int, output: Int, rank: Int
  var rule: [Float]?, ruleLeft: [Float]?, ruleRight: [Float]?
  var left: [Float]?, right: [Float]?, full: [Float]?
  var bias: [Float]?

  func run(
    _ kernels: UnsafePointer<TuskKernels>, _ x: [Float], tokens: Int, count: UnsafeMutablePointer<UInt64>? = nil
  ) -> [Float] {
    withPointers([rule, ruleLeft, ruleRight, left, right, full, bias]) { p in
      var layer = TuskKronecker(
        n: n, in: input, out: output, rank: rank, rule: p[0], ruleLeft: p[1], ruleRight: p[2], left: p[3], right: p[4],
        full: p[5], bias: p[6])
      var scratch = [Float](repeating: .nan, count: tusk_kronecker_scratch_floats(&layer))
      var y = [Float](repeating: .nan, count: tokens * output)
      kernels.pointee.kronecker_f32(&layer, x, input, tokens, &y, output, &scratch, count)
      return y
    }
  }

  var formula: (multiplyAdds: UInt64, scratchFloats: Int) {
    withPointers([rule, ruleLeft, ruleRight, left, right, full, bias]) { p in
      var layer = TuskKronecker(
        n: n, in: input, out: output, rank: rank, rule: p[0], ruleLeft: p[1], ruleRight: p[2], left: p[3], right: p[4],
        full: p[5], bias: p[6])
      return (tusk_kronecker_multiply_adds(&layer), tusk_kronecker_scratch_floats(&layer))
    }
  }

  private func withPointers<Result>(
    _ arrays: [[Float]?], at index: Int = 0, _ found: [UnsafePointer<Float>?] = [],
    _ body: ([UnsafePointer<Float>?]) -> Result
  ) -> Result {
    if index == arrays.count { return body(found) }
    guard let array = arrays[index] else { return withPointers(arrays, at: index + 1, found + [nil], body) }
    return array.withUnsafeBufferPointer {
      withPointers(arrays, at: index + 1, found + [$0.baseAddress], body)
    }
  }

  /// H in Double, formed whole: only a test may.
  func dense() -> [Double] {
    let (p, q) = (input / n, output / n)
    var matrix = [Double](repeating: 0, count: input * output)
    for i in 0..<n {
      for a in 0..<n {
        for c in 0..<n {
          var ruleValue = 1.0
          if let rule { ruleValue = Double(rule[(i * n + a) * n + c]) }
          if let ruleLeft, let ruleRight { ruleValue = Double(ruleLeft[i * n + a]) * Double(ruleRight[i * n + c]) }
          for k in 0..<p {
            for j in 0..<q {
              var factor = 0.0
              if let full { factor = Double(full[(i * p + k) * q + j]) }
              if let left, let right {
                for s in 0..<rank {
                  factor += Double(left[(i * p + k) * rank + s]) * Double(right[(i * rank + s) * q + j])
                }
              }
              matrix[(a * p + k) * output + c * q + j] += ruleValue * factor
            }
          }
        }
      }
    }
    return matrix
  }

  func exact(_ x: [Float], tokens: Int) -> [Double] {
    let matrix = dense()
    var y: [Double] = []
    for m in 0..<tokens {
      for o in 0..<output {
        var sum = bias.map { Double($0[o]) } ?? 0
        for k in 0..<input { sum += Double(x[m * input + k]) * matrix[k * output + o] }
        y.append(sum)
      }
    }
    return y
  }
}

@Suite struct KroneckerTests {
  /// Every form of rule and factor, shapes that leave tails, n = 1 as in LoRA and dense adapters.
  private static func layers() -> [Layer] {
    var random = Random(40)
    var layers: [Layer] = []
    for (n, input, output, rank) in [(4, 768, 24, 1), (4, 24, 768, 1), (12, 48, 12, 2), (1, 65, 33, 8), (2, 10, 6, 3)] {
      for isFull in [false, true] {
        for form in 0..<3 where form < 2 || n == 1 {
          var layer = Layer(n: n, input: input, output: output, rank: rank)
          if form == 0 { layer.rule = random.floats(n * n * n) }
          if form == 1 {
            layer.ruleLeft = random.floats(n * n)
            layer.ruleRight = random.floats(n * n)
          }
          if isFull {
            layer.full = random.floats(input * output / n)
          } else {
            layer.left = random.floats(input * rank)
            layer.right = random.floats(rank * output)
          }
          if form != 1 { layer.bias = random.floats(output) }
          layers.append(layer)
        }
      }
    }
    return layers
  }

  @Test func everyFormEqualsTheDenseMatrix() {
    var random = Random(41)
    for layer in Self.layers() {
      let tokens = 3
      let x = random.floats(tokens * layer.input)
      let exact = layer.exact(x, tokens: tokens)
      let reference = bits(layer.run(portable, x, tokens: tokens))
      for kernels in everyKernels {
        let y = layer.run(kernels, x, tokens: tokens)
        // Sums of at most 768 terms in float32, in another order than the dense product: 1e-5 of the largest output.
        #expect(worstError(y, exact) < 1e-5, "\(nameOf(kernels)) n \(layer.n) in \(layer.input) rank \(layer.rank)")
        #expect(bits(y) == reference)
      }
    }
  }

  /// The counter grows where products happen: no in x out product is formed with factors.
  @Test func multiplyAddsAreThoseOfTheFactors() {
    for layer in Self.layers() {
      let tokens = 2
      let x = [Float](repeating: 1, count: tokens * layer.input)
      for kernels in everyKernels {
        var count: UInt64 = 5
        _ = layer.run(kernels, x, tokens: tokens, count: &count)
        #expect(count == 5 + UInt64(tokens) * layer.formula.multiplyAdds)
      }
    }
    let compacter = Self.layers()[0]
    #expect(compacter.formula.multiplyAdds == 3_232)
    #expect(compacter.formula.multiplyAdds < UInt64(compacter.input * compacter.output) / 5)
    #expect(compacter.formula.scratchFloats == 32)
  }

  @Test(arguments: goldenLayers)
  func goldenLayersMatchTheLibraries(folder: String) throws {
    let x = try golden("\(folder)/x")
    let expected = try golden("\(folder)/y")
    let bias = try? golden("\(folder)/b").values
    let rule = try? golden("\(folder)/phm_rule")
    let ruleLeft = try? golden("\(folder)/phm_rule_left")
    let left = try? golden("\(folder)/W_left")
    let full = try? golden("\(folder)/W")
    let n = try #require((rule ?? ruleLeft)?.shape[0])
    let input = try #require(x.shape.last)
    let output = try #require(expected.shape.last)
    let layer = Layer(
      n: n, input: input, output: output, rank: left?.shape[2] ?? 1, rule: rule?.values, ruleLeft: ruleLeft?.values,
      ruleRight: (try? golden("\(folder)/phm_rule_right"))?.values, left: left?.values,
      right: (try? golden("\(folder)/W_right"))?.values, full: full?.values, bias: bias)
    let tokens = x.values.count / input
    for kernels in everyKernels {
      let y = layer.run(kernels, x.values, tokens: tokens)
      #expect(worstError(y, expected.values.map(Double.init)) < 1e-5, "\(nameOf(kernels))")
    }
  }
}
