/// Rank and scale of a module in the settings of LoRA and LoKr: defaults, and patterns of names with others.
struct PEFTScale {
  private let settings: Settings
  private let alphaKey: String
  private let rank: Int
  private let alpha: Double
  private let isRankStabilized: Bool
  private let ranks: [(pattern: NamePattern, value: Int)]
  private let alphas: [(pattern: NamePattern, value: Double)]

  private static let rankLimit = 65_536

  init(_ settings: Settings, alphaKey: String) throws(ConversionError) {
    self.settings = settings
    self.alphaKey = alphaKey
    rank = try settings.integer("r", in: 1...Self.rankLimit)
    guard let alpha = settings[alphaKey]?.asDouble, alpha.isFinite else {
      throw settings.error(alphaKey, required: "a number")
    }
    self.alpha = alpha
    isRankStabilized = try settings.bool("use_rslora", default: false)
    ranks = try Self.patterns(settings, "rank_pattern", "an integer of 1 to \(Self.rankLimit)") { value in
      value.asInteger.flatMap { (1...Self.rankLimit).contains($0) ? $0 : nil }
    }
    alphas = try Self.patterns(settings, "alpha_pattern", "a number") { $0.asDouble }
  }

  /// - Parameter module: its name in the class it was trained in, which the patterns are written against.
  func rank(of module: String) throws(ConversionError) -> Int {
    try only(ranks, module, "rank_pattern") ?? rank
  }

  /// Alpha over the rank, or over its root.
  func scaling(of module: String) throws(ConversionError) -> Float {
    let rank = Double(try rank(of: module))
    let alpha = try only(alphas, module, "alpha_pattern") ?? alpha
    let scaling = Float(alpha / (isRankStabilized ? rank.squareRoot() : rank))
    guard scaling.isFinite else { throw settings.error(alphaKey, required: "a smaller number") }
    return scaling
  }

  /// The error of a module whose tensors have another rank.
  func rankError(_ found: Int, _ tensor: CheckpointTensor) -> ConversionError {
    ConversionError(
      .mismatch, file: settings.file, subject: "r",
      "the settings give rank \(found) to '\(tensor.name.printable)', which has shape \(tensor.shape)")
  }

  /// What the patterns say of `module`. The library takes the first that matches in the order of the file, which a JSON
  /// object need not keep: patterns that match one module must agree.
  private func only<Value: Equatable>(
    _ patterns: [(pattern: NamePattern, value: Value)], _ module: String, _ key: String
  ) throws(ConversionError) -> Value? {
    let values = patterns.filter { $0.pattern.matches(module) }.map(\.value)
    guard values.allSatisfy({ $0 == values[0] }) else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: key,
        "two patterns with different values match '\(module.printable)', and which is meant depends on their order")
    }
    return values.first
  }

  private static func patterns<Value>(
    _ settings: Settings, _ key: String, _ required: String, _ read: (JSONValue) -> Value?
  ) throws(ConversionError) -> [(pattern: NamePattern, value: Value)] {
    guard let object = try settings.optionalObject(key) else { return [] }
    var patterns: [(pattern: NamePattern, value: Value)] = []
    for (text, value) in object.values.sorted(by: { $0.key < $1.key }) {
      guard let pattern = NamePattern(text) else {
        throw ConversionError(
          .unsupported, file: settings.file, subject: key,
          "found the regular expression '\(text.printable)', which is beyond what Tusk can match")
      }
      guard let value = read(value) else {
        throw settings.error(key, required: "\(required) for '\(text.printable)'")
      }
      patterns.append((pattern, value))
    }
    return patterns
  }
}
