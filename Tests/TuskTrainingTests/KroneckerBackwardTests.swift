import CTuskBackward
import CTuskKernels
import Testing

@testable import TuskTraining

/// The backward pass of Kronecker-sum linears, from factors, against differences of the loss with H formed.
@Suite struct KroneckerBackwardTests {
  private static let layers: [KroneckerLayer] = [
    // PHM, ranks below and above one vector.
    .init(.factors, .whole, n: 4, 24, 12, blocks: (4, 4)),
    .init(.factors, .whole, n: 4, 12, 24, blocks: (4, 4), rank: 3, scaling: -0.75),
    .init(.full, .whole, n: 3, 9, 12, blocks: (3, 3)),
    .init(.factors, .factorized, n: 4, 24, 8, blocks: (4, 4), rank: 1, scaling: 0.5, hasBias: false),
    .init(.factors, .factorized, n: 2, 10, 6, blocks: (2, 2), rank: 3),
    .init(.full, .factorized, n: 2, 10, 6, blocks: (2, 2), scaling: 2),
    // Low rank, LoRA and dense.
    .init(.factors, .none, n: 1, 17, 9, blocks: (1, 1), rank: 1),
    .init(.factors, .none, n: 1, 33, 15, blocks: (1, 1), rank: 8, scaling: 4, hasBias: false),
    .init(.full, .none, n: 1, 31, 7, blocks: (1, 1)),
    .init(.full, .none, n: 1, 1, 1, blocks: (1, 1), hasBias: false),
    // LoKr: blocks of one size on each side.
    .init(.full, .whole, n: 1, 12, 20, blocks: (6, 4), scaling: 0.5, hasBias: false),
    .init(.factors, .whole, n: 1, 24, 10, blocks: (8, 2), rank: 2),
    .init(.factors, .factorized, n: 3, 8, 18, blocks: (8, 2), rank: 1),
    .init(.factors, .whole, n: 1, 16, 5, blocks: (16, 1), rank: 4),
  ]

  /// Every gradient of every part, on top of what it held. Sums of at most some hundred terms in float32: 1e-5 of the largest
  /// of a part.
  @Test(arguments: layers, [1, 5])
  func gradientsEqualDifferences(layer: KroneckerLayer, rows: Int) {
    var random = SplitMix64(seed: 9)
    let x = random.floats(rows * layer.inWidth)
    let dy = random.floats(rows * layer.outWidth)
    let before: Float = 0.25
    let results = everyBackward.map { ($0, layer.backward($0, x, dy, onTopOf: before)) }
    for part in KroneckerLayer.Part.allCases {
      guard let values = layer.parts[part.rawValue] else { continue }
      let expected = values.indices.map { Double(before) + layer.slopeOfLoss(part, $0, x, dy) }
      for (back, found) in results {
        #expect(Closeness.error(found.parts[part.rawValue], expected) < 1e-5, "\(part), \(nameOf(back))")
      }
    }
    let expected = x.indices.map { Double(before) + layer.slopeOfLoss(nil, $0, x, dy) }
    for (back, found) in results {
      #expect(Closeness.error(found.dx, expected) < 1e-5, "dx, \(nameOf(back))")
      #expect(found.isContained && found.allocations == 0)
      let without = layer.backward(back, x, dy, formsDx: false, onTopOf: before)
      #expect(without.parts == found.parts && without.isContained, "without dx, \(nameOf(back))")
    }
  }

  /// Compacter's layers of T5-base: a few of the many numbers of each part.
  @Test(arguments: [
    KroneckerLayer(.factors, .whole, n: 4, 768, 24, blocks: (4, 4)),
    KroneckerLayer(.factors, .whole, n: 4, 24, 768, blocks: (4, 4)),
    KroneckerLayer(.factors, .whole, n: 12, 768, 24, blocks: (12, 12), rank: 2),
  ])
  func gradientsOfCompacterEqualDifferences(layer: KroneckerLayer) {
    var random = SplitMix64(seed: 10)
    let x = random.floats(2 * layer.inWidth)
    let dy = random.floats(2 * layer.outWidth)
    let results = everyBackward.map { ($0, layer.backward($0, x, dy)) }
    for part in KroneckerLayer.Part.allCases {
      guard let values = layer.parts[part.rawValue] else { continue }
      let probes = (0..<5).map { _ in random.integer(below: values.count) }
      let expected = probes.map { layer.slopeOfLoss(part, $0, x, dy) }
      for (back, found) in results {
        let largest = found.parts[part.rawValue].reduce(0) { max($0, abs($1)) }
        for (index, expected) in zip(probes, expected) {
          let difference = abs(Double(found.parts[part.rawValue][index]) - expected)
          #expect(difference < 1e-5 * Double(largest), "\(part) \(index), \(nameOf(back))")
        }
      }
    }
  }

  /// No [in, out] matrix and no gradient of one is formed. All memory that the pass may write is a gradient for each factor,
  /// dx, and a scratch of one term and one row, which has no room for either: 2 P Q + 2 P w + Q w floats, w = r or q. Nothing
  /// around them is written, and nothing is allocated.
  @Test(arguments: layers)
  func scratchIsThatOfOneTermAndOneRow(layer: KroneckerLayer) {
    let blocks = layer.inBlocks * layer.outBlocks
    let width = layer.rank > 0 ? layer.rank : layer.outWidth / layer.outBlocks
    var random = SplitMix64(seed: 11)
    let found = layer.backward(
      everyBackward.last!, random.floats(40 * layer.inWidth), random.floats(40 * layer.outWidth))
    #expect(found.scratchFloats == 2 * blocks + 2 * layer.inBlocks * width + layer.outBlocks * width)
    #expect(found.isContained && found.allocations == 0)
  }

  @Test func compacterNeedsFewerFloatsThanARowHas() {
    let layer = KroneckerLayer(.factors, .whole, n: 4, 768, 24, blocks: (4, 4))
    let found = layer.backward(
      everyBackward.last!, [Float](repeating: 1, count: 768), [Float](repeating: 1, count: 24))
    #expect(found.scratchFloats == 44)
  }

  /// H of this layer would have 2^34 numbers: 64 GiB, and as many multiply-adds for each term.
  @Test func aMatrixThatNoMemoryHoldsIsNotFormed() {
    let width = 1 << 17
    let layer = KroneckerLayer(.factors, .whole, n: 4, width, width, blocks: (4, 4), hasBias: false)
    let ones = [Float](repeating: 1, count: width)
    let found = layer.backward(everyBackward.last!, ones, ones)
    #expect(found.scratchFloats == 44 && found.allocations == 0 && found.isContained)
    // x and dy of ones: dA_i is the product of the sums of the factors, the same at all places.
    let (left, right) = (layer.parts[3]!, layer.parts[4]!)
    for term in 0..<4 {
      let range = term * width / 4..<(term + 1) * width / 4
      let expected = left[range].reduce(0.0) { $0 + Double($1) } * right[range].reduce(0.0) { $0 + Double($1) }
      for place in 0..<16 {
        #expect(abs(Double(found.parts[0][term * 16 + place]) - expected) < 1e-5 * abs(expected) + 0.1)
      }
    }
  }
}
