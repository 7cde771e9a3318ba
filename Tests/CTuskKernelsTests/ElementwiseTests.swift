import CTuskKernels
import Foundation
import Testing

/// Each activation in Double, and the error allowed relative to max(1, |y|).
private let activations: [(kind: TuskActivation, exact: @Sendable (Double) -> Double, tolerance: Double)] = [
  (TuskActivationIdentity, { $0 }, 0),
  (TuskActivationRelu, { max($0, 0) }, 0),
  // erf within 1e-7, times x / 2 with |x| <= 1.4 / |y| where erf is not saturated.
  (TuskActivationGelu, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }, 2e-7),
  (
    TuskActivationGeluNew, { x in 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))) },
    3e-7
  ),
  (TuskActivationSilu, { $0 / (1 + exp(-$0)) }, 3e-7),
  (TuskActivationTanh, { tanh($0) }, 2e-7),
  (TuskActivationSigmoid, { 1 / (1 + exp(-$0)) }, 2e-7),
  (TuskActivationLeakyRelu, { $0 < 0 ? 0.01 * $0 : $0 }, 1e-7),
  (TuskActivationQuickGelu, { $0 / (1 + exp(-1.702 * $0)) }, 5e-7),
  (TuskActivationMish, { $0 * tanh($0 > 40 ? $0 : log1p(exp($0))) }, 5e-7),
  (TuskActivationRelu6, { min(max($0, 0), 6) }, 0),
  (TuskActivationRelu2, { max($0, 0) * max($0, 0) }, 1e-7),
  (TuskActivationGelu10, { min(0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())), 10) }, 2e-7),
  // The argument's own rounding, times the slope of at most 1.42.
  (TuskActivationLaplace, { 0.5 * (1 + erf(($0 - 0.707107) / (0.282095 * 2.0.squareRoot()))) }, 5e-7),
]

@Suite struct ActivationTests {
  @Test func areCloseToDoubleOverTheirWholeRange() {
    let inputs = (-40_000...40_000).map { Float($0) / 2_000 } + [-1000, -100, -88, 88, 100, 1000, 1e-30, -1e-30]
    for (kind, exact, tolerance) in activations {
      for kernels in everyKernels {
        var y = inputs
        kernels.pointee.activate_f32(kind, &y, y.count)
        var worst = 0.0
        for (x, value) in zip(inputs, y) {
          let reference = exact(Double(x))
          let error = abs(Double(value) - reference) / max(1, abs(reference))
          worst = max(worst, error.isNaN ? .infinity : error)
        }
        #expect(worst <= tolerance, "\(kind) \(nameOf(kernels))")
      }
    }
  }

  @Test func areEqualAcrossKernelsLengthsAndOffsets() {
    var random = Random(5)
    for (kind, _, _) in activations {
      for length in straddlingLengths {
        let x = random.floats(length + 4, scale: 6)
        var whole = x
        portable.pointee.activate_f32(kind, &whole, whole.count)
        for kernels in everyKernels {
          for offset in [0, 1, 3] {
            var y = x
            y.withUnsafeMutableBufferPointer { y in
              guard let base = y.baseAddress else { return }
              kernels.pointee.activate_f32(kind, base + offset, length)
            }
            let inside = offset..<offset + length
            for i in x.indices {
              #expect(y[i].bitPattern == (inside.contains(i) ? whole[i] : x[i]).bitPattern)
            }
          }
        }
      }
    }
  }

  @Test func notANumberStays() {
    for (kind, _, _) in activations {
      for kernels in everyKernels {
        var y: [Float] = [1, .nan, 2]
        kernels.pointee.activate_f32(kind, &y, 3)
        #expect(y[1].isNaN && !y[0].isNaN && !y[2].isNaN, "\(kind) \(nameOf(kernels))")
      }
    }
  }

  @Test func goldenActivationsMatchPyTorch() throws {
    let x = try golden("act_x")
    for (name, kind) in [
      ("gelu", TuskActivationGelu), ("gelu_new", TuskActivationGeluNew), ("relu", TuskActivationRelu),
      ("swish", TuskActivationSilu), ("tanh", TuskActivationTanh),
    ] {
      let expected = try golden("act_\(name)").values
      for kernels in everyKernels {
        var y = x.values
        kernels.pointee.activate_f32(kind, &y, y.count)
        #expect(worstError(y, expected.map(Double.init)) < 1e-6, "\(name) \(nameOf(kernels))")
      }
    }
  }
}

@Suite struct VectorTests {
  @Test(arguments: straddlingLengths)
  func sumsAndProductsAreExact(n: Int) {
    var random = Random(UInt64(n) + 70)
    let x = random.floats(n + 1)
    let y = random.floats(n + 1)
    for kernels in everyKernels {
      var sum = y
      var product = y
      var scaled = y
      var combined = y
      kernels.pointee.add_f32(&sum, x, n)
      kernels.pointee.multiply_f32(&product, x, n)
      kernels.pointee.scale_f32(&scaled, 0.7, n)
      kernels.pointee.axpy_f32(&combined, 0.7, x, n)
      for i in 0..<n {
        #expect(sum[i] == y[i] + x[i] && product[i] == y[i] * x[i])
        let weighted = Float(0.7) * x[i]
        #expect(scaled[i] == y[i] * 0.7 && combined[i] == y[i] + weighted)
      }
      #expect(sum[n] == y[n] && product[n] == y[n] && scaled[n] == y[n] && combined[n] == y[n])
    }
  }

  @Test(arguments: straddlingLengths)
  func reductions(n: Int) {
    var random = Random(UInt64(n) + 80)
    var x = random.floats(n, scale: 20)
    if n > 4 {
      x[n / 2] = 50
      x[n - 1] = 50
      x[0] = .nan
    }
    for kernels in everyKernels {
      let largest = kernels.pointee.max_f32(x, n)
      #expect(largest == x.filter { !$0.isNaN }.max() ?? -.infinity)
      #expect(kernels.pointee.argmax_f32(x, n) == (x.firstIndex { $0 == largest } ?? 0))
      let numbers = x.map { $0.isNaN ? 0 : $0 }
      let exact = numbers.isEmpty ? -.infinity : log(numbers.reduce(0) { $0 + exp(Double($1)) })
      let value = Double(kernels.pointee.logsumexp_f32(numbers, n))
      #expect(value == exact || abs(value - exact) < 2e-6 * max(1, abs(exact)))
      if n > 4 { #expect(kernels.pointee.logsumexp_f32(x, n).isNaN) }
    }
  }

  @Test func reductionsOfAVocabulary() {
    var random = Random(3)
    let x = random.floats(32_128, scale: 5)
    let exact = log(x.reduce(0) { $0 + exp(Double($1)) })
    for kernels in everyKernels {
      #expect(abs(Double(kernels.pointee.logsumexp_f32(x, x.count)) - exact) < 1e-6 * exact)
      #expect(kernels.pointee.argmax_f32([-.infinity, .nan, -.infinity], 3) == 0)
      #expect(kernels.pointee.argmax_f32([.nan, .nan], 2) == 0)
      #expect(kernels.pointee.logsumexp_f32([-.infinity, -.infinity], 2) == -.infinity)
    }
  }
}

@Suite struct NormTests {
  @Test(arguments: straddlingLengths.filter { $0 > 0 })
  func areCloseToDoubleAndEqualAcrossKernels(width: Int) {
    var random = Random(UInt64(width) + 90)
    let rowCount = 3
    let x = random.floats(rowCount * width, scale: 4)
    let weight = random.floats(width)
    let bias = random.floats(width)
    var exactRMS: [Double] = []
    var exactLayer: [Double] = []
    for m in 0..<rowCount {
      let row = x[m * width..<(m + 1) * width].map(Double.init)
      let meanSquare = row.reduce(0) { $0 + $1 * $1 } / Double(width)
      let mean = row.reduce(0, +) / Double(width)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      for k in 0..<width {
        exactRMS.append(row[k] / (meanSquare + 1e-6).squareRoot() * Double(weight[k]))
        exactLayer.append((row[k] - mean) / (variance + 1e-5).squareRoot() * Double(weight[k]) + Double(bias[k]))
      }
    }
    var references: [[UInt32]] = []
    for kernels in everyKernels {
      var rms = x
      rms.withUnsafeMutableBufferPointer { y in
        guard let y = y.baseAddress else { return }
        kernels.pointee.rmsnorm_f32(y, width, rowCount, width, weight, 1e-6, y, width)
      }
      var layer = [Float](repeating: 0, count: rowCount * width)
      kernels.pointee.layernorm_f32(x, width, rowCount, width, weight, bias, 1e-5, &layer, width)
      #expect(worstError(rms, exactRMS) < 1e-6)
      #expect(worstError(layer, exactLayer) < 2e-6)
      references.append(bits(rms) + bits(layer))
      #expect(references.last == references.first, "\(nameOf(kernels))")
    }
  }

  @Test func goldenNormsMatchPyTorch() throws {
    let x = try golden("rmsnorm_x")
    let weight = try golden("rmsnorm_w").values
    let expected = try golden("rmsnorm_y").values
    let width = weight.count
    for kernels in everyKernels {
      var y = [Float](repeating: 0, count: x.values.count)
      kernels.pointee.rmsnorm_f32(x.values, width, x.values.count / width, width, weight, 1e-6, &y, width)
      for m in 0..<x.values.count / width {
        let row = m * width..<(m + 1) * width
        #expect(worstError(Array(y[row]), expected[row].map(Double.init)) < 1e-6)
      }
    }
  }
}
