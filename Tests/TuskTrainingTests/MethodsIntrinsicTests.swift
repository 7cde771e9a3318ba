import CTuskSystem
import Testing

@testable import TuskTraining

@Suite struct MethodsIntrinsicTests {
  private func transformed(_ values: [Float]) -> [Float] {
    let vectors = UnsafeMutablePointer<SIMD16<Float>>.allocate(capacity: (values.count + 15) / 16)
    defer { vectors.deallocate() }
    let floats = UnsafeMutableRawPointer(vectors).bindMemory(to: Float.self, capacity: values.count)
    for (index, value) in values.enumerated() { floats[index] = value }
    WalshHadamard.transform(floats, count: values.count)
    return (0..<values.count).map { floats[$0] }
  }

  /// H[i, j] = (-1)^(bits of i and j), column by column, and H H = n: sums of small integers are exact.
  @Test(arguments: [1, 2, 4, 8, 16, 32, 64, 256]) func matrixOfWalshAndHadamard(count: Int) {
    for column in 0..<count {
      let unit = (0..<count).map { Float($0 == column ? 1 : 0) }
      let image = transformed(unit)
      for row in 0..<count {
        #expect(image[row] == ((row & column).nonzeroBitCount % 2 == 0 ? 1 : -1))
      }
      #expect(transformed(image) == unit.map { Float(count) * $0 })
    }
  }

  /// Tensors shorter than the subspace, as long as a block, and of several blocks with a rest.
  private static let elementCounts = [1, 7, 16, 100, 512, 1_300, 2_048, 5_001]

  private static func projection(seed: UInt64 = 3, workers: Int = 1) throws -> IntrinsicProjection {
    try IntrinsicProjection(dimension: 408, elementCounts: elementCounts, seed: seed, workers: workers)
  }

  private static func numbers(_ seed: UInt64, count: Int) -> [Float] {
    var random = SplitMix64(seed: seed)
    return InitialValues.normal(deviation: 1).draw(count, &random)
  }

  /// `P_t theta`, with lambda as `numbers` has it.
  private static func moved(
    _ projection: IntrinsicProjection, _ tensor: Int, _ numbers: [Float], pool: OpaquePointer? = nil
  ) -> [Float] {
    var weights = [Float](repeating: 0, count: elementCounts[tensor])
    weights.withUnsafeMutableBufferPointer {
      projection.add(to: $0, tensor: tensor, numbers: numbers, pool: pool)
    }
    return weights
  }

  private static func gradient(
    _ projection: IntrinsicProjection, _ tensor: Int, _ numbers: [Float], _ ofWeights: [Float],
    pool: OpaquePointer? = nil
  ) -> [Float] {
    var gradient = [Float](repeating: 0, count: projection.dimension)
    gradient.withUnsafeMutableBufferPointer { gradient in
      ofWeights.withUnsafeBufferPointer {
        projection.addGradient(
          of: $0, tensor: tensor, numbers: numbers, to: gradient.baseAddress!, pool: pool)
      }
    }
    return gradient
  }

  private static func product(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  @Test func numbersBeginWithoutEffect() throws {
    let projection = try Self.projection()
    #expect(projection.subspaceDim == 400)
    #expect(projection.initialNumbers.count == 408)
    for tensor in Self.elementCounts.indices {
      #expect(Self.moved(projection, tensor, projection.initialNumbers).allSatisfy { $0 == 0 })
    }
  }

  /// <P theta, y> = <theta, P^T y>, and the gradient of lambda is <P theta, y>.
  @Test(arguments: elementCounts.indices) func transposes(tensor: Int) throws {
    let projection = try Self.projection()
    var numbers = Self.numbers(5, count: 400) + [Float](repeating: 1, count: 8)
    let y = Self.numbers(6, count: Self.elementCounts[tensor])
    let forward = Self.product(Self.moved(projection, tensor, numbers), y)
    let gradient = Self.gradient(projection, tensor, numbers, y)
    let back = Self.product(Array(gradient[..<400]), Array(numbers[..<400]))
    #expect(abs(forward - back) < 1e-5 * max(1, abs(forward)))
    #expect(abs(Double(gradient[400 + tensor]) - forward) < 1e-5 * max(1, abs(forward)))
    #expect((0..<8).allSatisfy { $0 == tensor || gradient[400 + $0] == 0 })

    numbers[400 + tensor] = -2
    let scaled = Self.gradient(projection, tensor, numbers, y)
    #expect(abs(Self.product(Self.moved(projection, tensor, numbers), y) + 2 * forward) < 1e-4)
    #expect(zip(scaled[..<400], gradient[..<400]).allSatisfy { abs($0 + 2 * $1) < 1e-5 })
    #expect(scaled[400 + tensor] == gradient[400 + tensor])
  }

  /// |P theta| is about |theta| where theta is not cut, and exactly linear parts of a tensor are what the whole has there.
  @Test func lengthsStayAndPartsAreOfTheWhole() throws {
    let projection = try Self.projection()
    let numbers = Self.numbers(5, count: 400) + [Float](repeating: 1, count: 8)
    let theta = Array(numbers[..<400])
    for tensor in 4..<8 {
      let weights = Self.moved(projection, tensor, numbers)
      let ratio = Self.product(weights, weights) / Self.product(theta, theta)
      #expect(abs(ratio.squareRoot() - 1) < 0.15)
    }
    let whole = Self.moved(projection, 7, numbers)
    #expect(projection.blockLength(7) == 512)
    var part = [Float](repeating: 0, count: 5_001 - 1_024)
    part.withUnsafeMutableBufferPointer { projection.add(to: $0, tensor: 7, from: 1_024, numbers: numbers) }
    #expect(part == Array(whole[1_024...]))
  }

  /// Blocks and tensors of one projection, and projections of two seeds, have nothing to do with one another.
  @Test func blocksAndSeedsDiffer() throws {
    let numbers = Self.numbers(5, count: 400) + [Float](repeating: 1, count: 8)
    let weights = Self.moved(try Self.projection(), 7, numbers)
    let others = [
      Array(weights[512..<1_024]), Array(Self.moved(try Self.projection(), 6, numbers)[..<512]),
      Array(Self.moved(try Self.projection(seed: 4), 7, numbers)[..<512]),
    ]
    let first = Array(weights[..<512])
    for other in others {
      let lengths = (Self.product(first, first) * Self.product(other, other)).squareRoot()
      #expect(abs(Self.product(first, other)) < 0.2 * lengths)
    }
    #expect(Self.moved(try Self.projection(), 7, numbers) == weights)
  }

  @Test(arguments: [2, 3, 5]) func threadsChangeNoBit(threads: Int) throws {
    let pool = try #require(tusk_pool_create(Int32(threads)))
    defer { tusk_pool_destroy(pool) }
    let projection = try Self.projection(workers: threads)
    let numbers = Self.numbers(5, count: 400) + [Float](repeating: 1.5, count: 8)
    for tensor in Self.elementCounts.indices {
      let y = Self.numbers(6, count: Self.elementCounts[tensor])
      #expect(
        Self.moved(projection, tensor, numbers, pool: pool) == Self.moved(projection, tensor, numbers))
      #expect(
        Self.gradient(projection, tensor, numbers, y, pool: pool) == Self.gradient(projection, tensor, numbers, y))
    }
  }

  @Test func projectionOfABackbone() throws {
    let projection = try IntrinsicProjection(MethodSettings(.intrinsicSAID), config: MethodBackbones.t5Base())
    #expect(projection.dimension == 20_000)
    #expect(projection.elementCounts.reduce(0, +) == 222_882_048)
    #expect(projection.subspaceDim + projection.elementCounts.count == 20_000)
  }

  @Test func dimensionsThatAreTooSmall() {
    #expect(throws: TrainingError.self) {
      try IntrinsicProjection(dimension: 8, elementCounts: Self.elementCounts, seed: 1)
    }
  }
}
