import CTuskSystem
import TuskFormat

/// The subspace that Intrinsic-SAID trains a backbone in: d' numbers theta and a factor lambda_t for each of its tensors
/// move all weights at once, d = d' + tensors.
///
///     weights_t = weights_t at first + lambda_t P_t theta                                [n_t]
///     block b of P_t = H G Pi H B / (|G| sqrt(n_t))                                      [L, d']
///
/// H is Walsh and Hadamard's matrix without a factor, B random signs, Pi a random permutation, G normal numbers on a diagonal,
/// and theta is padded with zeros, or cut, to L: the power of two that is not below d', or not below n_t if that is
/// smaller. So |P_t theta| is about |theta| whatever the tensor's size. The authors form one block as long as
/// the tensor; stacked blocks have rows of the same law, and memory does not grow with the tensor: 3 L numbers a thread
/// and 10 L more. Nothing of P is kept: B, Pi and G follow from the seed and the number of the block. Nothing is allocated
/// after the initializer, and results do not depend on the number of threads.
/// - Source: Aghajanyan, Gupta, Zettlemoyer 2020, section 3; Le, Sarlos, Smola 2013, "Fastfood", section 3, for the blocks
public final class IntrinsicProjection {
  /// d: numbers that are trained, theta and then lambda.
  public let dimension: Int
  /// n_t.
  public let elementCounts: [Int]
  /// d'.
  public var subspaceDim: Int { dimension - elementCounts.count }

  private let seed: UInt64
  /// Number of the first block of each tensor.
  private let firstBlocks: [Int]
  private let workerCount: Int
  /// Numbers of one scratch: the longest L, and whole vectors.
  private let scratchLength: Int
  /// Two scratches of each worker; vectors, so that they are aligned as such.
  private let scratch: UnsafeMutablePointer<SIMD16<Float>>
  /// Results of the blocks of one round, in the order of the blocks: [roundBlocks, L].
  private let results: UnsafeMutablePointer<Float>
  private let permutations: UnsafeMutablePointer<UInt32>
  private let sums: UnsafeMutablePointer<Double>

  /// Blocks whose transposes are summed together, however many threads there are.
  private static let roundBlocks = 8

  /// - Parameters:
  ///   - dimension: d.
  ///   - elementCounts: of the backbone's tensors, each at least 1.
  ///   - workers: most threads of the pools that calls are given.
  /// - Throws: `.unsupported` unless d is larger than the number of tensors.
  public init(dimension: Int, elementCounts: [Int], seed: UInt64, workers: Int = 1) throws(TrainingError) {
    precondition(workers > 0 && elementCounts.allSatisfy { $0 > 0 }, "empty tensors are not trained")
    guard dimension > elementCounts.count, dimension - elementCounts.count <= 1 << 24 else {
      throw TrainingError(
        .unsupported,
        "found the intrinsic dimension \(dimension); more than the backbone's \(elementCounts.count) tensors, each of which "
          + "takes one, and at most 16777216 beside them is required")
    }
    self.dimension = dimension
    self.elementCounts = elementCounts
    self.seed = seed
    workerCount = workers
    let subspaceDim = dimension - elementCounts.count
    let longest = subspaceDim.roundedUpToPowerOfTwo
    scratchLength = max(longest, 16)
    var firstBlocks: [Int] = []
    var blocks = 0
    for count in elementCounts {
      firstBlocks.append(blocks)
      let length = min(longest, count.roundedUpToPowerOfTwo)
      blocks += (count + length - 1) / length
    }
    self.firstBlocks = firstBlocks
    scratch = .allocate(capacity: 2 * workers * scratchLength / 16)
    permutations = .allocate(capacity: workers * scratchLength)
    results = .allocate(capacity: Self.roundBlocks * longest)
    sums = .allocate(capacity: subspaceDim)
  }

  /// For all tensors of a backbone of `config`, numbered by their positions in its index.
  /// - Throws: as the other initializer.
  public convenience init(_ settings: MethodSettings, config: BackboneConfig, workers: Int = 1) throws(TrainingError) {
    let elementCounts = (0..<config.tensorCount).map { position in
      let spec = config.tensorSpec(at: position)
      return spec.rows * spec.columns
    }
    try self.init(
      dimension: settings.intrinsicDim, elementCounts: elementCounts, seed: settings.seed, workers: workers)
  }

  deinit {
    scratch.deallocate()
    permutations.deallocate()
    results.deallocate()
    sums.deallocate()
  }

  /// What the numbers begin as, which leaves all weights as they are: theta 0, lambda 1.
  public var initialNumbers: [Float] {
    [Float](repeating: 0, count: subspaceDim) + [Float](repeating: 1, count: elementCounts.count)
  }

  /// L of tensor `tensor`: elements that are computed together.
  public func blockLength(_ tensor: Int) -> Int {
    min(subspaceDim.roundedUpToPowerOfTwo, elementCounts[tensor].roundedUpToPowerOfTwo)
  }

  /// `weights += lambda_t P_t theta`, for the elements of tensor t that begin at `start`.
  /// - Parameters:
  ///   - weights: a part of the tensor that ends with a block or the tensor.
  ///   - numbers: [d], theta and lambda.
  ///   - pool: shares out the blocks; nil for the calling thread alone.
  /// - Precondition: `start` is a multiple of `blockLength`.
  public func add(
    to weights: UnsafeMutableBufferPointer<Float>, tensor: Int, from start: Int = 0, numbers: UnsafePointer<Float>,
    pool: OpaquePointer? = nil
  ) {
    let job = Job(
      projection: self, tensor: tensor, firstBlock: start / blockLength(tensor), numbers: numbers, weights: weights)
    run(blockCount(weights.count, tensor, from: start), pool, job) { context, index, worker in
      let job = context!.assumingMemoryBound(to: Job.self).pointee
      job.projection.project(job, index, Int(worker))
    }
  }

  /// Adds to the gradient of the numbers what follows from the gradient of tensor t's elements from `start` on:
  /// `dTheta += lambda_t P_t^T dWeights` and `dLambda_t += theta . P_t^T dWeights`.
  /// - Parameters:
  ///   - gradient: of a part of the tensor, as `weights` of `add`.
  ///   - numbers: [d], theta and lambda.
  ///   - numbersGradient: [d].
  /// - Precondition: `start` is a multiple of `blockLength`.
  public func addGradient(
    of gradient: UnsafeBufferPointer<Float>, tensor: Int, from start: Int = 0, numbers: UnsafePointer<Float>,
    to numbersGradient: UnsafeMutablePointer<Float>, pool: OpaquePointer? = nil
  ) {
    let length = blockLength(tensor)
    let width = min(length, subspaceDim)
    let count = blockCount(gradient.count, tensor, from: start)
    for element in 0..<width { sums[element] = 0 }
    for round in stride(from: 0, to: count, by: Self.roundBlocks) {
      let blocks = min(Self.roundBlocks, count - round)
      let job = Job(
        projection: self, tensor: tensor, firstBlock: start / length + round, numbers: numbers,
        gradient: UnsafeBufferPointer(rebasing: gradient[(round * length)...]))
      run(blocks, pool, job) { context, index, worker in
        let job = context!.assumingMemoryBound(to: Job.self).pointee
        job.projection.projectBack(job, index, Int(worker))
      }
      for index in 0..<blocks {
        for element in 0..<width { sums[element] += Double(results[index * length + element]) }
      }
    }
    let lambda = numbers[subspaceDim + tensor]
    var product = 0.0
    for element in 0..<width {
      product += sums[element] * Double(numbers[element])
      numbersGradient[element] += lambda * Float(sums[element])
    }
    numbersGradient[subspaceDim + tensor] += Float(product)
  }

  private func blockCount(_ elements: Int, _ tensor: Int, from start: Int) -> Int {
    let length = blockLength(tensor)
    let end = start + elements
    precondition(
      start % length == 0 && (end % length == 0 || end == elementCounts[tensor]) && end <= elementCounts[tensor],
      "a part of a tensor is whole blocks")
    return (elements + length - 1) / length
  }

  /// What threads share out: blocks of a tensor, and what they read and write.
  private struct Job {
    let projection: IntrinsicProjection
    let tensor: Int
    let firstBlock: Int
    let numbers: UnsafePointer<Float>
    var weights = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
    var gradient = UnsafeBufferPointer<Float>(start: nil, count: 0)
  }

  /// `weights += lambda_t H G Pi H B theta / (|G| sqrt(n_t))` of block `index` of the job.
  private func project(_ job: Job, _ index: Int, _ worker: Int) {
    let length = blockLength(job.tensor)
    let width = min(length, subspaceDim)
    let (first, second) = scratches(worker)
    var random = generator(job, index)
    drawSigns(length, &random) { element, sign in first[element] = element < width ? sign * job.numbers[element] : 0 }
    WalshHadamard.transform(first, count: length)
    let permutation = drawPermutation(length, &random, worker)
    var squares = 0.0
    for element in 0..<length {
      let normal = Float(random.normal())
      squares += Double(normal) * Double(normal)
      second[element] = normal * first[Int(permutation[element])]
    }
    WalshHadamard.transform(second, count: length)
    let scale = job.numbers[subspaceDim + job.tensor] * factor(squares, job.tensor)
    let begin = index * length
    for element in 0..<min(length, job.weights.count - begin) {
      job.weights[begin + element] += scale * second[element]
    }
  }

  /// `B H Pi^T G H gradient / (|G| sqrt(n_t))` of block `index` of the job, into the round's results.
  private func projectBack(_ job: Job, _ index: Int, _ worker: Int) {
    let length = blockLength(job.tensor)
    let (first, second) = scratches(worker)
    let result = results + index * length
    var random = generator(job, index)
    drawSigns(length, &random) { element, sign in result[element] = sign }
    let begin = index * length
    for element in 0..<length {
      second[element] = begin + element < job.gradient.count ? job.gradient[begin + element] : 0
    }
    WalshHadamard.transform(second, count: length)
    let permutation = drawPermutation(length, &random, worker)
    var squares = 0.0
    for element in 0..<length {
      let normal = Float(random.normal())
      squares += Double(normal) * Double(normal)
      first[Int(permutation[element])] = normal * second[element]
    }
    WalshHadamard.transform(first, count: length)
    let scale = factor(squares, job.tensor)
    for element in 0..<length { result[element] *= scale * first[element] }
  }

  /// 1 / (|G| sqrt(n_t))
  private func factor(_ squares: Double, _ tensor: Int) -> Float {
    Float(1 / (squares * Double(elementCounts[tensor])).squareRoot())
  }

  private func generator(_ job: Job, _ index: Int) -> SplitMix64 {
    SplitMix64(seed: seed, stream: UInt64(firstBlocks[job.tensor] + job.firstBlock + index))
  }

  /// B, 64 signs of a number.
  private func drawSigns(_ count: Int, _ random: inout SplitMix64, _ body: (_ element: Int, _ sign: Float) -> Void) {
    for start in stride(from: 0, to: count, by: 64) {
      var word = random.next()
      for element in start..<min(start + 64, count) {
        body(element, word & 1 == 0 ? 1 : -1)
        word >>= 1
      }
    }
  }

  /// Pi, by the exchanges of Fisher and Yates.
  private func drawPermutation(
    _ count: Int, _ random: inout SplitMix64, _ worker: Int
  ) -> UnsafeMutablePointer<UInt32> {
    let permutation = permutations + worker * scratchLength
    for element in 0..<count {
      let other = random.integer(below: element + 1)
      permutation[element] = permutation[other]
      permutation[other] = UInt32(element)
    }
    return permutation
  }

  private func scratches(_ worker: Int) -> (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) {
    let first = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: Float.self) + 2 * worker * scratchLength
    return (first, first + scratchLength)
  }

  private func run(_ count: Int, _ pool: OpaquePointer?, _ job: Job, _ body: tusk_pool_body) {
    withUnsafePointer(to: job) { job in
      let context = UnsafeMutableRawPointer(mutating: job)
      guard let pool else {
        for index in 0..<count { body(context, index, 0) }
        return
      }
      precondition(tusk_pool_thread_count(pool) <= Int32(workerCount), "a pool of more threads than planned")
      let started = tusk_pool_run(pool, count, body, context)
      precondition(started, "a pool runs one job at a time")
    }
  }
}

/// The matrix H[i, j] = (-1)^(bits set in i and j), symmetric, with H H = n.
enum WalshHadamard {
  /// `values = H values`, in place, n log2 n additions.
  /// - Parameter values: [count], on a multiple of 64 bytes.
  /// - Precondition: `count` is a power of two.
  static func transform(_ values: UnsafeMutablePointer<Float>, count: Int) {
    precondition(count > 0 && count & (count - 1) == 0, "a power of two")
    guard count >= 16 else {
      var step = 1
      while step < count {
        for element in 0..<count where element & step == 0 {
          let (a, b) = (values[element], values[element + step])
          (values[element], values[element + step]) = (a + b, a - b)
        }
        step *= 2
      }
      return
    }
    let vectors = UnsafeMutableRawPointer(values).assumingMemoryBound(to: SIMD16<Float>.self)
    let vectorCount = count / 16
    for index in 0..<vectorCount {
      // Each step transforms the lowest bit of a lane's number and makes it the highest; four of them meet every bit once.
      var vector = vectors[index]
      for _ in 0..<4 {
        let (even, odd) = (vector.evenHalf, vector.oddHalf)
        vector = SIMD16(lowHalf: even + odd, highHalf: even - odd)
      }
      vectors[index] = vector
    }
    var step = 1
    while step < vectorCount {
      for start in stride(from: 0, to: vectorCount, by: 2 * step) {
        for index in start..<start + step {
          let (a, b) = (vectors[index], vectors[index + step])
          vectors[index] = a + b
          vectors[index + step] = a - b
        }
      }
      step *= 2
    }
  }
}

extension Int {
  /// The least power of two that is not below a positive number.
  var roundedUpToPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
