import CTuskSystem

/// Random numbers that follow from a seed alone, the same on every machine: integers by SplitMix64, normals by Marsaglia's
/// polar method with the logarithm of `CTuskSystem`, everything else by operations that IEEE 754 rounds one way.
/// - Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"; Marsaglia, Bray 1964
struct SplitMix64 {
  private var state: UInt64
  /// The second of two normals that were drawn together.
  private var spare: Double?

  /// - Parameter stream: another number, another sequence.
  init(seed: UInt64, stream: UInt64 = 0) {
    state = seed
    if stream > 0 { state = next() ^ (stream &* 0xD1B5_4A32_D192_ED03) }
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// Uniform in 0 ..< 1, a multiple of 2^-53.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform in 0 ..< bound.
  /// - Precondition: 0 < bound <= 2^32.
  mutating func integer(below bound: Int) -> Int {
    // The upper half of a product of 32 bits each: off from uniform by at most bound / 2^32.
    Int(((next() >> 32) &* UInt64(bound)) >> 32)
  }

  /// Normal of mean 0 and variance 1.
  mutating func normal() -> Double {
    if let spare {
      self.spare = nil
      return spare
    }
    while true {
      let x = 2 * uniform() - 1
      let y = 2 * uniform() - 1
      let square = x * x + y * y
      guard square > 0, square < 1 else { continue }
      let scale = (-2 * Double(tusk_log_f32(Float(square))) / square).squareRoot()
      spare = y * scale
      return x * scale
    }
  }
}

/// How numbers of a tensor begin.
enum InitialValues: Equatable {
  case zeros
  case normal(deviation: Double)
  /// In -bound ..< bound.
  case uniform(bound: Double)

  /// Xavier's normal distribution with gain 1 for a matrix [rows, columns]: variance 2 / (rows + columns).
  static func xavierNormal(_ rows: Int, _ columns: Int) -> InitialValues {
    .normal(deviation: (2 / Double(rows + columns)).squareRoot())
  }

  /// Xavier's uniform distribution with gain sqrt(2): variance 4 / (rows + columns).
  static func xavierUniform(_ rows: Int, _ columns: Int) -> InitialValues {
    .uniform(bound: (12 / Double(rows + columns)).squareRoot())
  }

  func draw(_ count: Int, _ random: inout SplitMix64) -> [Float] {
    switch self {
    case .zeros: return [Float](repeating: 0, count: count)
    case .normal(let deviation):
      var values: [Float] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(Float(deviation * random.normal())) }
      return values
    case .uniform(let bound):
      var values: [Float] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(Float(bound * (2 * random.uniform() - 1))) }
      return values
    }
  }
}
