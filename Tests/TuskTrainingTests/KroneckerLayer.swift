import CTuskAllocationCounter
import CTuskBackward
import CTuskKernels
import Testing

@testable import TuskTraining

/// A Kronecker-sum linear and, beside the backward pass from its factors, the naive one that forms H.
struct KroneckerLayer: CustomTestStringConvertible, Sendable {
  /// The parts of a layer, in the order of `parts`.
  enum Part: Int, CaseIterable {
    case rule, ruleLeft, ruleRight, left, right, full, bias
  }

  let n: Int
  let inWidth: Int
  let outWidth: Int
  let inBlocks: Int
  let outBlocks: Int
  let rank: Int
  let scaling: Float
  /// Numbers of each part, or nil where the layer has none.
  private(set) var parts: [[Float]?]

  /// What the layer is made of.
  enum Form: CaseIterable {
    case factors, full
  }
  enum Rule: CaseIterable {
    case whole, factorized, none
  }

  init(
    _ form: Form, _ rule: Rule, n: Int, _ inWidth: Int, _ outWidth: Int, blocks: (Int, Int), rank: Int = 1,
    scaling: Float = 1, hasBias: Bool = true, seed: UInt64 = 1
  ) {
    self.n = n
    self.inWidth = inWidth
    self.outWidth = outWidth
    (inBlocks, outBlocks) = blocks
    self.rank = form == .full ? 0 : rank
    self.scaling = scaling
    var random = SplitMix64(seed: seed)
    let (p, q) = (inWidth / blocks.0, outWidth / blocks.1)
    parts = [
      rule == .whole ? random.floats(n * blocks.0 * blocks.1) : nil,
      rule == .factorized ? random.floats(n * blocks.0) : nil,
      rule == .factorized ? random.floats(n * blocks.1) : nil,
      form == .factors ? random.floats(n * p * rank) : nil, form == .factors ? random.floats(n * rank * q) : nil,
      form == .full ? random.floats(n * p * q) : nil, hasBias ? random.floats(outWidth) : nil,
    ]
  }

  var testDescription: String {
    let names = Part.allCases.filter { parts[$0.rawValue] != nil }.map { "\($0)" }.joined(separator: " ")
    return "\(inWidth) to \(outWidth), \(n) terms of \(inBlocks) x \(outBlocks) blocks, rank \(rank): \(names)"
  }

  // MARK: From factors

  /// What a backward pass leaves.
  struct Gradients {
    /// In the order of the parts; empty where there is none.
    var parts: [[Float]]
    /// [M, in]; empty without.
    var dx: [Float]
    var scratchFloats: Int
    var allocations: UInt64
    /// Whether only these and the scratch have been written.
    var isContained: Bool
  }

  /// The backward pass of rows x [M, in] and dy [M, out] on top of `start` everywhere.
  func backward(
    _ back: TuskBackward, _ x: [Float], _ dy: [Float], formsDx: Bool = true, onTopOf start: Float = 0
  ) -> Gradients {
    let values = parts.map { $0.map { PaddedRows($0) } }
    let sums = parts.map { $0.map { PaddedRows([Float](repeating: start, count: $0.count)) } }
    func pointer(_ part: Part) -> UnsafeMutablePointer<Float>? { values[part.rawValue]?.base }
    func sum(_ part: Part) -> UnsafeMutablePointer<Float>? { sums[part.rawValue]?.base }
    var gradient = TuskKroneckerGradient(
      layer: TuskKronecker(
        n: n, in: inWidth, out: outWidth, inBlocks: inBlocks, outBlocks: outBlocks, rank: rank, rule: pointer(.rule),
        ruleLeft: pointer(.ruleLeft), ruleRight: pointer(.ruleRight), left: pointer(.left), right: pointer(.right),
        full: pointer(.full), bias: pointer(.bias), scaling: scaling, accumulates: false),
      rule: sum(.rule), ruleLeft: sum(.ruleLeft), ruleRight: sum(.ruleRight), left: sum(.left), right: sum(.right),
      full: sum(.full), bias: sum(.bias))
    let scratchFloats = tusk_kronecker_backward_scratch_floats(&gradient.layer)
    let scratch = PaddedRows([Float](repeating: .nan, count: scratchFloats), padding: 64)
    let (xRows, dyRows) = (PaddedRows(x, columns: inWidth), PaddedRows(dy, columns: outWidth, padding: 3))
    let dx = PaddedRows([Float](repeating: start, count: x.count), columns: inWidth, padding: 7)
    let before = allocation_count()
    back.kronecker(
      &gradient, xRows.base, xRows.stride, xRows.rows, dyRows.base, dyRows.stride, formsDx ? dx.base : nil, dx.stride,
      scratch.base)
    let allocations = allocation_count() - before
    return Gradients(
      parts: sums.map { $0?.values ?? [] }, dx: formsDx ? dx.values : [], scratchFloats: scratchFloats,
      allocations: allocations,
      isContained: scratch.isIntact && dx.isIntact && xRows.isIntact && dyRows.isIntact
        && (sums + values).allSatisfy { $0?.isIntact ?? true })
  }

  // MARK: By forming H

  /// H [in, out] of `parts` in Double.
  private func matrix(_ parts: [[Double]?]) -> [Double] {
    let (p, q) = (inWidth / inBlocks, outWidth / outBlocks)
    func part(_ part: Part) -> [Double]? { parts[part.rawValue] }
    var matrix = [Double](repeating: 0, count: inWidth * outWidth)
    for term in 0..<n {
      for k in 0..<p {
        for j in 0..<q {
          var b = part(.full)?[(term * p + k) * q + j] ?? 0
          if let left = part(.left), let right = part(.right) {
            for s in 0..<rank { b += left[(term * p + k) * rank + s] * right[(term * rank + s) * q + j] }
          }
          for row in 0..<inBlocks {
            for column in 0..<outBlocks {
              var a = part(.rule)?[(term * inBlocks + row) * outBlocks + column] ?? 1
              if let left = part(.ruleLeft), let right = part(.ruleRight) {
                a = left[term * inBlocks + row] * right[term * outBlocks + column]
              }
              matrix[(row * p + k) * outWidth + column * q + j] += a * b
            }
          }
        }
      }
    }
    return matrix
  }

  /// sum(dy y) with y = scaling (x H + bias).
  private func loss(_ x: [Double], _ parts: [[Double]?], _ dy: [Double]) -> Double {
    let matrix = matrix(parts)
    var sum = 0.0
    for row in 0..<x.count / inWidth {
      for column in 0..<outWidth {
        var y = parts[Part.bias.rawValue]?[column] ?? 0
        for k in 0..<inWidth { y += x[row * inWidth + k] * matrix[k * outWidth + column] }
        sum += dy[row * outWidth + column] * Double(scaling) * y
      }
    }
    return sum
  }

  /// The slope of the loss along number `index` of `part`, or of x if it is nil.
  func slopeOfLoss(_ part: Part?, _ index: Int, _ x: [Float], _ dy: [Float]) -> Double {
    let (x, dy) = (doubles(x), doubles(dy))
    let parts = parts.map { $0.map(doubles) }
    // The loss is linear in each number: any step is exact, and a large one rounds least.
    guard let part else { return slope(x, index, step: 1) { loss($0, parts, dy) } }
    return slope(parts[part.rawValue]!, index, step: 1) { values in
      var changed = parts
      changed[part.rawValue] = values
      return loss(x, changed, dy)
    }
  }
}
