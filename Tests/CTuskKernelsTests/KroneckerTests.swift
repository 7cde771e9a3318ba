import CTuskKernels
import Testing

private struct Layer {
  var n: Int, input: Int, output: Int, rank: Int
  /// P and Q; n without them.
  var inBlocks: Int?, outBlocks: Int?
  var rule: [Float]?, ruleLeft: [Float]?, ruleRight: [Float]?
  var left: [Float]?, right: [Float]?, full: [Float]?
  var bias: [Float]?
  var scaling: Float = 1

  var blocks: (rows: Int, columns: Int) { (inBlocks ?? n, outBlocks ?? n) }

  /// - Parameter y: what the result is added to; nothing if empty.
  func run(
    _ kernels: UnsafePointer<TuskKernels>, _ x: [Float], tokens: Int, addingTo y: [Float] = [],
    count: UnsafeMutablePointer<UInt64>? = nil
  ) -> [Float] {
    withLayer { layer in
      layer.accumulates = !y.isEmpty
      var scratch = [Float](repeating: .nan, count: tusk_kronecker_scratch_floats(&layer))
      var y = y.isEmpty ? [Float](repeating: .nan, count: tokens * output) : y
      kernels.pointee.kronecker_f32(&layer, x, input, tokens, &y, output, &scratch, count)
      return y
    }
  }

  var formula: (multiplyAdds: UInt64, scratchFloats: Int, mix: TuskMix) {
    withLayer { layer in
      (tusk_kronecker_multiply_adds(&layer), tusk_kronecker_scratch_floats(&layer), tusk_kronecker_mix(&layer))
    }
  }

  private func withLayer<Result>(_ body: (inout TuskKronecker) -> Result) -> Result {
    withPointers([rule, ruleLeft, ruleRight, left, right, full, bias]) { p in
      var layer = TuskKronecker(
        n: n, in: input, out: output, inBlocks: blocks.rows, outBlocks: blocks.columns, rank: rank, rule: p[0],
        ruleLeft: p[1], ruleRight: p[2], left: p[3], right: p[4], full: p[5], bias: p[6], scaling: scaling,
        accumulates: false)
      return body(&layer)
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
    let (rows, columns) = blocks
    let (p, q) = (input / rows, output / columns)
    var matrix = [Double](repeating: 0, count: input * output)
    for i in 0..<n {
      for a in 0..<rows {
        for c in 0..<columns {
          var ruleValue = 1.0
          if let rule { ruleValue = Double(rule[(i * rows + a) * columns + c]) }
          if let ruleLeft, let ruleRight {
            ruleValue = Double(ruleLeft[i * rows + a]) * Double(ruleRight[i * columns + c])
          }
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

  func exact(_ x: [Float], tokens: Int, addingTo base: [Float]) -> [Double] {
    let matrix = dense()
    var y: [Double] = []
    for m in 0..<tokens {
      for o in 0..<output {
        var sum = bias.map { Double($0[o]) } ?? 0
        for k in 0..<input { sum += Double(x[m * input + k]) * matrix[k * output + o] }
        y.append((base.isEmpty ? 0 : Double(base[m * output + o])) + Double(scaling) * sum)
      }
    }
    return y
  }

  /// Multiply-adds of every order there is, from the sizes of its products.
  var orders: [Int] {
    let (rows, columns) = blocks
    let (p, q) = (input / rows, output / columns)
    let through = full == nil ? p * rank + rank * q : p * q
    if rule == nil && ruleLeft == nil { return [n * through] }
    var costs: [Int] = []
    if rule != nil {
      costs = [
        rows * columns * p + columns * through,
        rows * through + rows * columns * q,
      ]
      if full == nil { costs.append(rows * p * rank + rows * columns * rank + columns * rank * q) }
    } else {
      costs = [rows * p + through + columns * q]
      if full == nil { costs.append((rows * p + rows + columns + columns * q) * rank) }
    }
    return costs.map { $0 * n }
  }
}

@Suite struct KroneckerTests {
  /// n, P, Q, in, out, rank: PHM layers, LoRA, LoKr of 768 = 24 x 32, blocks of one size only on one side, ranks above and
  /// below the blocks, tails in every tile.
  private static let shapes: [(Int, Int, Int, Int, Int, Int)] = [
    (4, 4, 4, 768, 24, 1), (4, 4, 4, 24, 768, 1), (12, 12, 12, 48, 12, 2), (1, 1, 1, 65, 33, 8), (2, 2, 2, 10, 6, 3),
    (1, 1, 1, 768, 768, 4), (1, 1, 1, 130, 17, 17), (1, 24, 24, 768, 768, 4), (1, 24, 24, 768, 768, 32),
    (1, 6, 6, 36, 36, 2), (1, 24, 1, 768, 40, 33), (1, 1, 24, 40, 768, 33), (3, 8, 2, 72, 34, 1), (1, 8, 6, 32, 36, 4),
    (1, 2, 90, 10, 180, 2),
  ]

  /// Every form of rule and factor of every shape.
  private static func layers() -> [Layer] {
    var random = Random(40)
    var layers: [Layer] = []
    for (n, rows, columns, input, output, rank) in shapes {
      for isFull in [false, true] {
        for form in 0..<3 where form < 2 || n * rows * columns == 1 {
          var layer = Layer(n: n, input: input, output: output, rank: rank, inBlocks: rows, outBlocks: columns)
          if form == 0 { layer.rule = random.floats(n * rows * columns) }
          if form == 1 {
            layer.ruleLeft = random.floats(n * rows)
            layer.ruleRight = random.floats(n * columns)
          }
          if isFull {
            layer.full = random.floats(n * (input / rows) * (output / columns))
          } else {
            layer.left = random.floats(n * (input / rows) * rank)
            layer.right = random.floats(n * rank * (output / columns))
          }
          if form != 1 { layer.bias = random.floats(output) }
          if isFull { layer.scaling = -0.75 }
          layers.append(layer)
        }
      }
    }
    return layers
  }

  @Test func everyFormEqualsTheDenseMatrix() {
    var random = Random(41)
    for (index, layer) in Self.layers().enumerated() {
      // More tokens than pass together.
      let tokens = 9
      let x = random.floats(tokens * layer.input)
      let base = index % 2 == 0 ? [] : random.floats(tokens * layer.output)
      let exact = layer.exact(x, tokens: tokens, addingTo: base)
      let reference = layer.run(portable, x, tokens: tokens, addingTo: base)
      for kernels in everyKernels {
        let y = layer.run(kernels, x, tokens: tokens, addingTo: base)
        // Sums of at most 768 terms in float32, in another order than the dense product: 1e-5 of the largest output.
        #expect(
          worstError(y, exact) < 1e-5, "\(nameOf(kernels)) \(layer.n) \(layer.blocks) \(layer.input) \(layer.rank)")
        #expect(bits(y) == bits(reference))
      }
      let alone = layer.run(
        portable, Array(x[8 * layer.input..<9 * layer.input]), tokens: 1, addingTo: Array(base.suffix(layer.output)))
      #expect(bits(alone) == bits(reference.suffix(layer.output)), "a token's result depends on the tokens beside it")
    }
  }

  /// The counter grows where products happen: no in x out product is formed with factors, and no order is cheaper.
  @Test func multiplyAddsAreThoseOfTheCheapestOrder() {
    var mixes: Set<UInt32> = []
    for layer in Self.layers() {
      let tokens = 2
      let x = [Float](repeating: 1, count: tokens * layer.input)
      for kernels in everyKernels {
        var count: UInt64 = 5
        _ = layer.run(kernels, x, tokens: tokens, count: &count)
        #expect(count == 5 + UInt64(tokens) * layer.formula.multiplyAdds)
      }
      #expect(layer.formula.multiplyAdds == UInt64(layer.orders.min()!))
      mixes.insert(layer.formula.mix.rawValue)
    }
    #expect(mixes.count == 5, "an order is never taken")
    let compacter = Self.layers()[0]
    #expect(compacter.formula.multiplyAdds == 3_232)
    #expect(compacter.formula.multiplyAdds < UInt64(compacter.input * compacter.output) / 5)
    #expect(compacter.formula.scratchFloats == 8)
  }

  /// Working memory is that of one term, and no product of sizes that a small file can state freely.
  @Test func scratchDoesNotGrowWithTheTerms() {
    for terms in [1, 12, 256] {
      var layer = Layer(n: terms, input: 65_536, output: 65_536, rank: 16, inBlocks: 65_536, outBlocks: 65_536)
      layer.ruleLeft = [0]
      layer.ruleRight = [0]
      layer.left = [0]
      layer.right = [0]
      #expect(layer.formula.scratchFloats <= 2 * (layer.input + layer.output + 32))
    }
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
