import CTuskBackward
import Foundation
import Testing

@testable import TuskTraining

@Suite struct DropoutKernelTests {
  private func dropped(
    _ x: [Float], _ back: TuskBackward, key: UInt64 = 7, first: Int = 0, rate: Float = 0.1
  ) -> [Float] {
    let rows = PaddedRows(x)
    back.dropout(rows.base, x.count, key, UInt64(first), rate)
    #expect(rows.isIntact)
    return rows.values
  }

  /// Of 131,072 numbers the share that is dropped lies within 5 standard deviations of the rate, at each position of the four
  /// that share a word, and so does that of neighbours that are both dropped.
  @Test(arguments: [Float(0.05), 0.1, 0.5, 0.9])
  func asManyAreDroppedAsTheRateSays(rate: Float) {
    let count = 1 << 17
    let p = Double(rate)
    for back in everyBackward {
      for key in [UInt64(0), .max] {
        let x = dropped([Float](repeating: 1, count: count), back, key: key, rate: rate)
        var zeros = [0, 0, 0, 0]
        var pairs = 0
        var previous = false
        for (index, value) in x.enumerated() {
          if value == 0 { zeros[index % 4] += 1 }
          if value == 0 && previous { pairs += 1 }
          previous = value == 0
        }
        func isNear(_ found: Int, _ share: Double, of count: Int) -> Bool {
          abs(Double(found) - share * Double(count)) < 5 * (share * (1 - share) * Double(count)).squareRoot()
        }
        // A rate is rounded down to a multiple of 2^-16.
        #expect(zeros.allSatisfy { isNear($0, p, of: count / 4) }, "\(nameOf(back)) \(zeros)")
        // Pairs that overlap depend on each other: of n pairs the variance is at most 3 p^2 n.
        #expect(abs(Double(pairs) - p * p * Double(count)) < 5 * (3 * p * p * Double(count)).squareRoot())
      }
    }
  }

  @Test func whatIsKeptIsScaledAndGradientsMeetTheSameMask() {
    var random = SplitMix64(seed: 3)
    let x = random.floats(1023)
    let dy = random.floats(1023)
    for rate in [Float(0.1), 0.25, 0.75] {
      let expected = dropped(x, everyBackward[0], rate: rate)
      for back in everyBackward {
        let y = dropped(x, back, rate: rate)
        let dx = dropped(dy, back, rate: rate)
        #expect(y == expected, "\(nameOf(back))")
        for index in x.indices {
          let isKept = y[index] != 0
          #expect(y[index] == (isKept ? x[index] * (1 / (1 - rate)) : 0))
          #expect(dx[index] == (isKept ? dy[index] * (1 / (1 - rate)) : 0))
        }
      }
    }
  }

  @Test func nothingIsDroppedAtRateZeroAndKeysDiffer() {
    let ones = [Float](repeating: 1, count: 4096)
    for back in everyBackward {
      #expect(dropped(ones, back, rate: 0) == ones)
      let masks = [UInt64(1), 2, 3, 1 << 44, 1 << 45].map { dropped(ones, back, key: $0, rate: 0.5) }
      for (index, mask) in masks.enumerated() {
        for other in masks[..<index] {
          // Masks that know nothing of each other agree on half of the numbers.
          let equal = zip(mask, other).filter { $0.0 == $0.1 }.count
          #expect(abs(equal - 2048) < 5 * 32, "\(nameOf(back))")
        }
      }
    }
  }

  @Test(arguments: backwardLengths)
  func aCallCanBeSplitAtMultiplesOfFour(n: Int) {
    var random = SplitMix64(seed: UInt64(n))
    let x = random.floats(n)
    for back in everyBackward {
      let whole = dropped(x, back, first: 40, rate: 0.4)
      for cut in stride(from: 0, through: n, by: n > 100 ? 124 : 4) {
        let parts =
          dropped(Array(x[..<cut]), back, first: 40, rate: 0.4)
          + dropped(Array(x[cut...]), back, first: 40 + cut, rate: 0.4)
        #expect(parts == whole, "\(nameOf(back)) at \(cut)")
      }
    }
  }
}

@Suite struct SumKernelTests {
  @Test(arguments: [0] + backwardLengths)
  func sumsOfSquaresAreFormedInDouble(n: Int) {
    var random = SplitMix64(seed: UInt64(n))
    // Squares of these are no floats.
    let x = random.floats(n).enumerated().map { $1 * ($0 % 3 == 0 ? 1e30 : 1) }
    let expected = x.reduce(0.0) { $0 + Double($1) * Double($1) }
    for back in everyBackward {
      #expect(abs(back.sum_of_squares(x, n) - expected) <= 1e-14 * expected, "\(nameOf(back))")
    }
  }

  @Test(arguments: backwardLengths)
  func rowsAreAdded(width: Int) {
    var random = SplitMix64(seed: UInt64(width))
    for count in [0, 1, 5] {
      let x = random.floats(count * width)
      let before = random.floats(width)
      for back in everyBackward {
        let rows = PaddedRows(x, columns: width)
        let y = PaddedRows(before)
        back.add_rows(rows.base, rows.stride, count, width, y.base)
        let expected = (0..<width).map { column in
          (0..<count).reduce(before[column]) { $0 + x[$1 * width + column] }
        }
        #expect(y.values == expected && y.isIntact, "\(nameOf(back))")
      }
    }
  }
}

@Suite struct AdamWKernelTests {
  /// Five steps against the formulas in Double, of values no larger than what the steps change: some roundings each.
  @Test(arguments: backwardLengths, [0, 0.1])
  func fiveStepsEqualTheFormulas(n: Int, weightDecay: Double) {
    var random = SplitMix64(seed: UInt64(n))
    let start = random.floats(n, scale: 0.01)
    let gradients = (0..<5).map { step in random.floats(n, scale: step == 2 ? 1e-6 : 2) }
    let (rate, beta1, beta2, epsilon) = (3e-3, 0.9, 0.999, 1e-8)
    let scales = [1, 0.5, 1, 0.01, 1]
    for back in everyBackward {
      let values = PaddedRows(start)
      let (m, v) = (PaddedRows(zeros: n), PaddedRows(zeros: n))
      var exact = doubles(start)
      var (exactM, exactV) = ([Double](repeating: 0, count: n), [Double](repeating: 0, count: n))
      for step in 0..<5 {
        let corrections = (1 / (1 - pow(beta1, Double(step + 1))), 1 / (1 - pow(beta2, Double(step + 1))))
        var settings = TuskAdamW(
          beta1: beta1, beta2: beta2, rate: Float(rate), epsilon: Float(epsilon), weightDecay: Float(weightDecay),
          correction1: Float(corrections.0), correction2: Float(corrections.1),
          gradientScale: Float(scales[step]))
        back.adamw(&settings, values.base, gradients[step], m.base, v.base, n)
        for index in 0..<n {
          let g = Double(gradients[step][index]) * scales[step]
          exactM[index] = beta1 * exactM[index] + (1 - beta1) * g
          exactV[index] = beta2 * exactV[index] + (1 - beta2) * g * g
          exact[index] -=
            rate * weightDecay * exact[index]
            + rate * exactM[index] * corrections.0 / ((exactV[index] * corrections.1).squareRoot() + epsilon)
        }
      }
      #expect(Closeness.error(values.values, exact) < 1e-6, "\(nameOf(back))")
      #expect(Closeness.error(m.values, exactM) < 1e-6 && Closeness.error(v.values, exactV) < 1e-6)
      #expect(values.isIntact && m.isIntact && v.isIntact)
    }
  }

  /// Padding between tensors is 0, has no gradient, and stays 0.
  @Test func zerosWithoutGradientStay() {
    for back in everyBackward {
      var settings = TuskAdamW(
        beta1: 0.9, beta2: 0.999, rate: 1, epsilon: 1e-8, weightDecay: 0.1, correction1: 10, correction2: 1000,
        gradientScale: 1)
      let zeros = [Float](repeating: 0, count: 17)
      var (values, m, v) = (zeros, zeros, zeros)
      back.adamw(&settings, &values, zeros, &m, &v, 17)
      #expect(values == zeros && m == zeros && v == zeros)
    }
  }
}
