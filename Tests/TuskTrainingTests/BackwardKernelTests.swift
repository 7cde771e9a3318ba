import CTuskBackward
import CTuskKernels
import Foundation
import Testing

@testable import TuskTraining

/// Each activation in Double, and where it has a kink.
private let activations: [(kind: TuskActivation, exact: @Sendable (Double) -> Double, kinks: [Double])] = [
  (TuskActivationIdentity, { $0 }, []),
  (TuskActivationRelu, { max($0, 0) }, [0]),
  (TuskActivationGelu, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }, []),
  (
    TuskActivationGeluNew, { x in 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))) }, []
  ),
  (TuskActivationSilu, { $0 / (1 + exp(-$0)) }, []),
  (TuskActivationTanh, { tanh($0) }, []),
  (TuskActivationSigmoid, { 1 / (1 + exp(-$0)) }, []),
  (TuskActivationLeakyRelu, { $0 < 0 ? 0.01 * $0 : $0 }, [0]),
  (TuskActivationQuickGelu, { $0 / (1 + exp(-1.702 * $0)) }, []),
  (TuskActivationMish, { $0 * tanh($0 > 40 ? $0 : log1p(exp($0))) }, []),
  (TuskActivationRelu6, { min(max($0, 0), 6) }, [0, 6]),
  (TuskActivationRelu2, { max($0, 0) * max($0, 0) }, [0]),
  (TuskActivationGelu10, { min(0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())), 10) }, [10]),
  (TuskActivationLaplace, { 0.5 * (1 + erf(($0 - 0.707107) / (0.282095 * 2.0.squareRoot()))) }, []),
]

@Suite struct BackwardSelectionTests {
  @Test func aCapIsNotExceeded() {
    #expect(nameOf(everyBackward[0]) == "portable")
    let best = everyBackward.map(nameOf).last
    #expect(nameOf(tusk_backward_select(nil).pointee) == best)
    for cap in ["", "avx2", "avx512vnni", "abacus"] { #expect(nameOf(tusk_backward_select(cap).pointee) == best) }
  }
}

@Suite struct ActivationBackwardTests {
  /// Slopes over the whole range against differences in Double: e^x and 1 + erf are within 3e-7, and gelu_new multiplies them
  /// by up to 10.
  @Test func slopesEqualDifferences() {
    let inputs = (-24_000...24_000).map { Float($0) / 2_000 + 1e-4 } + [-1000, -100, -88, -30, 30, 88, 100, 1e-20]
    for (kind, exact, kinks) in activations {
      for back in everyBackward {
        var dy = [Float](repeating: 1, count: inputs.count)
        back.activate(kind, inputs, &dy, inputs.count)
        var worst = 0.0
        for (x, found) in zip(inputs, dy) where !kinks.contains(where: { abs($0 - Double(x)) < 2e-5 }) {
          let expected = slope([Double(x)], 0, step: abs(x) > 1 ? 1e-5 : 1e-6) { exact($0[0]) }
          let error = abs(Double(found) - expected) / max(1, abs(expected))
          worst = max(worst, error.isNaN ? .infinity : error)
        }
        #expect(worst < 4e-6, "activation \(kind.rawValue), \(nameOf(back))")
      }
    }
  }

  @Test(arguments: backwardLengths)
  func lengthsAndFactorsDoNotMatter(n: Int) {
    var random = SplitMix64(seed: UInt64(n))
    let x = random.floats(n, scale: 3)
    let dy = random.floats(n)
    for (kind, _, _) in activations {
      for back in everyBackward {
        // One by one: each number passes the tail.
        let alone = (0..<n).map { index in
          var one = dy[index]
          back.activate(kind, [x[index]], &one, 1)
          return one
        }
        let rows = PaddedRows(dy)
        back.activate(kind, x, rows.base, n)
        #expect(rows.values == alone && rows.isIntact, "activation \(kind.rawValue), \(nameOf(back))")
      }
    }
  }
}

@Suite struct NormBackwardTests {
  private struct Norm {
    let isLayer: Bool
    let width: Int
    let epsilon = 1e-5

    /// sum(dy y) of all rows, y = norm(x) weight + bias.
    func loss(_ x: [Double], _ weight: [Double], _ bias: [Double], _ dy: [Double]) -> Double {
      var sum = 0.0
      for row in 0..<x.count / width {
        let x = x[row * width..<(row + 1) * width]
        let mean = isLayer ? x.reduce(0, +) / Double(width) : 0
        let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
        let factor = 1 / (variance + epsilon).squareRoot()
        for (column, value) in x.enumerated() {
          sum += dy[row * width + column] * ((value - mean) * factor * weight[column] + bias[column])
        }
      }
      return sum
    }
  }

  /// dx, dWeight and dBias on top of what they held. Sums of up to 1,023 terms in float32: 1e-5 of the largest gradient. Of
  /// one column dx is 0, or next to it: what is left of up to 1 / sqrt(epsilon) = 316 times dy less as much.
  @Test(arguments: backwardLengths, [false, true])
  func gradientsEqualDifferences(width: Int, isLayer: Bool) {
    let norm = Norm(isLayer: isLayer, width: width)
    var random = SplitMix64(seed: UInt64(width))
    let rows = 3
    let x = random.floats(rows * width, scale: 2).map { $0 + 0.5 }
    let dy = random.floats(rows * width)
    let weight = random.floats(width)
    let before = random.floats(rows * width, scale: 0.1)
    let (exactX, exactWeight, exactDy) = (doubles(x), doubles(weight), doubles(dy))
    let bias = [Double](repeating: 0.25, count: width)
    for back in everyBackward {
      for trains in [true, false] {
        let dx = PaddedRows(before, columns: width)
        let dWeight = PaddedRows([Float](repeating: 0.5, count: width))
        let dBias = PaddedRows([Float](repeating: -0.5, count: width))
        let (xRows, dyRows) = (PaddedRows(x, columns: width, padding: 2), PaddedRows(dy, columns: width, padding: 9))
        (isLayer ? back.layernorm : back.rmsnorm)(
          xRows.base, xRows.stride, rows, width, weight, Float(norm.epsilon), dyRows.base, dyRows.stride, dx.base,
          dx.stride, trains ? dWeight.base : nil, trains ? dBias.base : nil)
        #expect(dx.isIntact && dWeight.isIntact && dBias.isIntact)
        var close = Closeness()
        for index in probes(rows * width) {
          let expected = slope(exactX, index) { norm.loss($0, exactWeight, bias, exactDy) }
          close.add(dx.values[index] - before[index], expected)
        }
        #expect(close.error(beside: width == 1 ? 10 : 0) < 1e-5, "dx, \(nameOf(back))")
        guard trains else {
          #expect(dWeight.values.allSatisfy { $0 == 0.5 } && dBias.values.allSatisfy { $0 == -0.5 })
          continue
        }
        var (closeWeight, closeBias) = (Closeness(), Closeness())
        for index in probes(width) {
          closeWeight.add(
            dWeight.values[index], 0.5 + slope(exactWeight, index) { norm.loss(exactX, $0, bias, exactDy) })
          closeBias.add(
            dBias.values[index], -0.5 + slope(bias, index) { norm.loss(exactX, exactWeight, $0, exactDy) })
        }
        #expect(closeWeight.error < 1e-5 && closeBias.error < 1e-5, "\(nameOf(back))")
      }
    }
  }
}

@Suite struct SoftmaxBackwardTests {
  private static func softmax(_ x: [Double]) -> [Double] {
    let most = x.max()!
    let powers = x.map { exp($0 - most) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  @Test(arguments: backwardLengths)
  func forwardAndBackwardEqualDouble(n: Int) {
    var random = SplitMix64(seed: UInt64(n))
    let scores = random.floats(n, scale: 3)
    let bias = random.floats(n)
    let dp = random.floats(n)
    let factor = 0.125
    for back in everyBackward {
      for hasBias in [true, false] {
        let p = PaddedRows(scores)
        back.softmax_forward(p.base, hasBias ? bias : nil, n)
        let whole = (0..<n).map { Double(scores[$0]) + (hasBias ? Double(bias[$0]) : 0) }
        // A sum's rounding, e^x within 2e-7.
        #expect(Closeness.error(p.values, Self.softmax(whole)) < 2e-6 && p.isIntact, "\(nameOf(back))")
        let gradient = PaddedRows(dp)
        back.softmax(p.base, gradient.base, n, Float(factor))
        // Through x = factor q + bias, of which `whole` is the value.
        let q = whole.map { $0 / factor }
        var close = Closeness()
        for index in probes(n) {
          close.add(
            gradient.values[index],
            slope(q, index) { q in zip(Self.softmax(q.map { $0 * factor }), dp).reduce(0) { $0 + $1.0 * Double($1.1) } }
          )
        }
        #expect(gradient.isIntact)
        if n == 1 {
          #expect(gradient.values[0] == 0)
        } else {
          // Where one p is almost 1 the difference of two numbers of size 1 counts: 1e-6 of them.
          #expect(close.error(beside: 0.1 * factor) < 1e-5, "\(nameOf(back))")
        }
      }
    }
  }

  @Test func largeScoresStayFinite() {
    for back in everyBackward {
      var x: [Float] = [3e38, -3e38, 3e38, -.infinity, 88, 0, 0, 0, 0]
      back.softmax_forward(&x, nil, x.count)
      #expect(x == [0.5, 0, 0.5, 0, 0, 0, 0, 0, 0], "\(nameOf(back))")
    }
  }

  /// -log softmax(x)[target], exact also where it is next to nothing.
  private static func crossEntropy(_ x: [Double], _ target: Int) -> Double {
    let most = x.max()! - x[target]
    var others = 0.0
    for (index, value) in x.enumerated() where index != target { others += exp(value - x[target] - max(0, most - 30)) }
    return most <= 30 ? log1p(others) : most - 30 + log(exp(30 - most) + others)
  }

  @Test(arguments: backwardLengths + [32_128], [0.1, 4, 1e4])
  func crossEntropyEqualsDouble(n: Int, scale: Double) {
    var random = SplitMix64(seed: UInt64(n))
    let logits = random.floats(n, scale: scale)
    let exact = doubles(logits)
    let factor = 0.3
    for target in n > 2000 ? [n / 2] : Set([0, n / 2, n - 1, exact.firstIndex(of: exact.max()!)!]) {
      let loss = Self.crossEntropy(exact, target)
      let slopes = probes(n).map { ($0, factor * slope(exact, $0, step: 1e-3) { Self.crossEntropy($0, target) }) }
      for back in everyBackward {
        let gradient = PaddedRows(logits)
        let found = back.cross_entropy(gradient.base, n, target, Float(factor))
        // Exponentials are within 2e-7, and what they are of is rounded, too.
        #expect(abs(found - loss) < 2e-6 * max(1, loss), "\(nameOf(back))")
        var others = Closeness()
        for (index, expected) in slopes {
          guard index == target else {
            others.add(gradient.values[index], expected)
            continue
          }
          // p - 1: rounded in float32 where p is almost 1.
          #expect(abs(Double(gradient.values[index]) - expected) < 1e-6 * factor, "\(nameOf(back))")
        }
        #expect(others.error(beside: 1e-12) < 1e-5 && gradient.isIntact, "\(nameOf(back))")
      }
    }
  }

  @Test func whatIsNoNumberGivesALossThatIsNone() {
    for back in everyBackward {
      for place in [0, 3, 8] {
        var logits = [Float](repeating: 1, count: 9)
        logits[place] = .nan
        #expect(back.cross_entropy(&logits, 9, 1, 1).isNaN, "\(nameOf(back))")
      }
      var infinite: [Float] = [0, .infinity, 2]
      #expect(!back.cross_entropy(&infinite, 3, 0, 1).isFinite)
    }
  }
}
