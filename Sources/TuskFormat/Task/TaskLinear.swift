/// A Kronecker-sum linear map `y = x H + b`, `H = sum_i A_i (x) B_i`, by the tensors of its factors.
///
/// N terms, P = inBlocks, Q = outBlocks: A_i is [P, Q], B_i is [in / P, out / Q]. A PHM layer has P = Q = N, a dense or
/// low-rank layer N = P = Q = 1, LoKr N = 1.
public struct TaskLinear: Equatable, Sendable {
  public var inWidth: Int
  public var outWidth: Int
  public var phmDim: Int
  /// P.
  public var inBlocks: Int
  /// Q.
  public var outBlocks: Int
  /// R; 0 if `full` or `codes` hold the B_i.
  public var factorRank: Int
  /// [N, P, Q]; nil if factorized, or if N = P = Q = 1 and A = [1].
  public var rule: Int?
  /// [N, P, 1] and [N, 1, Q].
  public var ruleLeft: Int?
  public var ruleRight: Int?
  /// [N, in / P, R] and [N, R, out / Q].
  public var leftFactor: Int?
  public var rightFactor: Int?
  /// [N, in / P, out / Q].
  public var full: Int?
  /// [out]
  public var bias: Int?
  /// int8 [out, in] of a dense layer, with a scale per row: [out].
  public var codes: Int?
  public var scales: Int?

  package static let recordBytes = 64

  /// - Parameters:
  ///   - inBlocks: `phmDim` if nil, as in a PHM layer.
  ///   - outBlocks: likewise.
  public init(
    inWidth: Int, outWidth: Int, phmDim: Int, inBlocks: Int? = nil, outBlocks: Int? = nil, factorRank: Int,
    rule: Int? = nil, ruleLeft: Int? = nil, ruleRight: Int? = nil, leftFactor: Int? = nil, rightFactor: Int? = nil,
    full: Int? = nil, bias: Int? = nil, codes: Int? = nil, scales: Int? = nil
  ) {
    self.inWidth = inWidth
    self.outWidth = outWidth
    self.phmDim = phmDim
    self.inBlocks = inBlocks ?? phmDim
    self.outBlocks = outBlocks ?? phmDim
    self.factorRank = factorRank
    self.rule = rule
    self.ruleLeft = ruleLeft
    self.ruleRight = ruleRight
    self.leftFactor = leftFactor
    self.rightFactor = rightFactor
    self.full = full
    self.bias = bias
    self.codes = codes
    self.scales = scales
  }
}

extension TaskSection {
  public func linear(at position: Int) -> TaskLinear {
    precondition(position >= 0 && position < linearCount, "no such linear")
    let start = linearsOffset + position * TaskLinear.recordBytes
    return TaskLinear(
      inWidth: word(start), outWidth: word(start + 4), phmDim: word(start + 8), inBlocks: word(start + 44),
      outBlocks: word(start + 48), factorRank: word(start + 12), rule: optional(start + 16),
      ruleLeft: optional(start + 20), ruleRight: optional(start + 24), leftFactor: optional(start + 28),
      rightFactor: optional(start + 32), full: optional(start + 36), bias: optional(start + 40),
      codes: optional(start + 52), scales: optional(start + 56))
  }

  /// Whether two linears are of one width, kind and division; they may differ in what they share and in a bias.
  package func linear(_ position: Int, hasShapeOf other: Int) -> Bool {
    precondition(max(position, other) < linearCount && min(position, other) >= 0, "no such linear")
    let start = linearsOffset + position * TaskLinear.recordBytes
    let otherStart = linearsOffset + other * TaskLinear.recordBytes
    // Spelled out: an array of fields would be allocated.
    func isEqual(_ field: Int) -> Bool { word(start + field) == word(otherStart + field) }
    func isThereLike(_ field: Int) -> Bool { (word(start + field) == 0) == (word(otherStart + field) == 0) }
    return isEqual(0) && isEqual(4) && isEqual(8) && isEqual(12) && isEqual(44) && isEqual(48)
      && isThereLike(20) && isThereLike(36) && isThereLike(52)
  }

  /// Checks the linear `index` that `field` names, and returns its output width. One named before has been checked
  /// before; only its widths are compared.
  func mentionLinear(
    _ field: Int, number index: Int, inWidth: Int, outWidth: Int? = nil, _ mentions: inout Mentions
  ) throws(FormatError) -> Int {
    guard index < linearCount, index <= mentions.linears else {
      throw FormatError(
        .invalidReference, at: bytes.offset + field, found: UInt64(index), required: UInt64(mentions.linears))
    }
    let start = linearsOffset + index * TaskLinear.recordBytes
    let outWidth = outWidth ?? word(start + 4)
    for (offset, required) in [(0, inWidth), (4, outWidth)] where word(start + offset) != required {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + offset, found: UInt64(word(start + offset)),
        required: UInt64(required))
    }
    if index == mentions.linears {
      mentions.linears += 1
      try validateLinear(start, &mentions)
    }
    return outWidth
  }

  private func validateLinear(_ start: Int, _ mentions: inout Mentions) throws(FormatError) {
    let outWidth = word(start + 4)
    let terms = try bytes.field(start + 8, in: 1...256)
    let inBlocks = try bytes.field(start + 44, in: 1...65_536)
    let outBlocks = try bytes.field(start + 48, in: 1...65_536)
    for (offset, blocks) in [(0, inBlocks), (4, outBlocks)] where word(start + offset) % blocks != 0 {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + offset, found: UInt64(word(start + offset)), required: UInt64(blocks))
    }
    let blockIn = word(start) / inBlocks
    let blockOut = outWidth / outBlocks
    // A larger rank says nothing more, and would let a small file ask for much working memory.
    let rank = try bytes.field(start + 12, in: 0...UInt32(max(blockIn, blockOut)))
    let isPlain = terms == 1 && inBlocks == 1 && outBlocks == 1
    let hasRule = try mention(start + 16, .rule, TensorShape(terms, inBlocks, outBlocks), &mentions)
    let hasLeft = try mention(start + 20, .ruleLeft, TensorShape(terms, inBlocks, 1), &mentions)
    let hasRight = try mention(start + 24, .ruleRight, TensorShape(terms, 1, outBlocks), &mentions)
    guard hasLeft == hasRight, hasRule != hasLeft || (!hasRule && isPlain) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 16)
    }
    let factors = try (
      mention(start + 28, .leftFactor, TensorShape(terms, blockIn, rank), &mentions),
      mention(start + 32, .rightFactor, TensorShape(terms, rank, blockOut), &mentions),
      mention(start + 36, .full, TensorShape(terms, blockIn, blockOut), &mentions)
    )
    try mention(start + 40, .bias, TensorShape(outWidth), &mentions)
    let hasCodes = try mention(start + 52, .codes, TensorShape(outWidth, word(start)), &mentions)
    let hasScales = try mention(start + 56, .scales, TensorShape(outWidth), &mentions)
    guard factors == (rank > 0, rank > 0, rank == 0 && !hasCodes) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 28)
    }
    guard hasCodes == hasScales, !hasCodes || (isPlain && !hasRule && rank == 0) else {
      throw FormatError(.invalidReference, at: bytes.offset + start + 52)
    }
    try bytes.requireZero(start + 60..<start + 64)
  }
}
