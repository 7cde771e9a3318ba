import TuskFormat

/// What the linears of a task's adapters have in common, which both the `adapters` library and the authors' code say once
/// for all of them.
struct AdapterLinears {
  enum Form: Equatable {
    /// Sums of `phmDim` Kronecker products; `rank` is nil where the right operands are stored whole.
    case kronecker(phmDim: Int, rank: Int?, hasFactorizedRule: Bool)
    case dense
    /// Products of two matrices, without a rule.
    case lowRank(Int)
  }

  let form: Form
  /// Whether there is one rule: that which makes a low-rank product a sum of one term is.
  let sharesRule: Bool
  /// Whether all down-projections have the same factors, and all up-projections.
  let sharesWeights: Bool
  /// Whether any has a bias; the others then have one of zeros.
  let hasBias: Bool

  /// - Precondition: the task has an adapter.
  /// - Throws: `.inexpressible` naming the first adapter whose linears have another form than the first one's.
  init(_ contents: TaskContents) throws(ConversionError) {
    var form: Form?
    var rules: Set<Int> = []
    var downs: Set<[Int?]> = []
    var ups: Set<[Int?]> = []
    var hasBias = false
    for (site, adapter) in contents.adapters {
      for index in [adapter.down, adapter.up] {
        let linear = contents.section.linear(at: index)
        guard let own = Self.form(linear), own == form ?? own else {
          throw contents.inexpressible(
            .adapter, at: contents.place(of: site),
            "its linears have another form than those of other adapters, and the format has one form for all: sums of "
              + "Kronecker products of one number of terms and one rank, low-rank products, or dense matrices")
        }
        form = own
        if let rule = linear.rule ?? linear.ruleLeft { rules.insert(rule) }
        hasBias = hasBias || linear.bias != nil
      }
      func weights(_ index: Int) -> [Int?] {
        let linear = contents.section.linear(at: index)
        return [linear.leftFactor, linear.rightFactor, linear.full]
      }
      downs.insert(weights(adapter.down))
      ups.insert(weights(adapter.up))
    }
    self.form = form!
    self.hasBias = hasBias
    var isSum = false
    var hasRules = false
    switch form! {
    case .kronecker: (isSum, hasRules) = (true, true)
    case .lowRank: isSum = true
    case .dense: break
    }
    sharesRule = isSum && (!hasRules || rules.count == 1)
    sharesWeights = isSum && contents.adapters.count > 1 && downs.count == 1 && ups.count == 1
  }

  /// nil for a product with a rule that is not square blocks, as LoKr's.
  private static func form(_ linear: TaskLinear) -> Form? {
    let n = linear.phmDim
    guard linear.inBlocks == n, linear.outBlocks == n else { return nil }
    if linear.rule == nil && linear.ruleLeft == nil {
      return linear.factorRank > 0 ? .lowRank(linear.factorRank) : .dense
    }
    return .kronecker(
      phmDim: n, rank: linear.factorRank > 0 ? linear.factorRank : nil, hasFactorizedRule: linear.ruleLeft != nil)
  }
}

extension TaskContents {
  /// The parts of a linear's rule by the names both dialects give them. A low-rank product is a sum of one term whose rule
  /// is 1.
  func rule(_ linear: TaskLinear) -> [(name: String, shape: [Int], values: [Float])] {
    let n = linear.phmDim
    if let rule = linear.rule { return [("phm_rule", [n, n, n], values(rule))] }
    guard let left = linear.ruleLeft, let right = linear.ruleRight else { return [("phm_rule", [1, 1, 1], [1])] }
    return [("phm_rule_left", [n, n, 1], values(left)), ("phm_rule_right", [n, 1, n], values(right))]
  }

  /// The right operands of a linear's sum by what both dialects end their names with.
  func weights(_ linear: TaskLinear) -> [(name: String, shape: [Int], values: [Float])] {
    let (n, rank) = (linear.phmDim, linear.factorRank)
    let (rows, columns) = (linear.inWidth / n, linear.outWidth / n)
    if let full = linear.full { return [("", [n, rows, columns], values(full))] }
    return [
      ("_left", [n, rows, rank], values(linear.leftFactor!)),
      ("_right", [n, rank, columns], values(linear.rightFactor!)),
    ]
  }

  /// - Throws: `.inexpressible` for norms with another epsilon than both dialects leave theirs at.
  func requireUsualNorms(_ adapter: TaskAdapter, _ site: AdapterSite) throws(ConversionError) {
    guard adapter.normBeforeWeight != nil || adapter.normAfterWeight != nil,
      adapter.normEpsilon != TaskAssembly.normEpsilon
    else { return }
    throw inexpressible(
      .adapter, at: place(of: site),
      "its norms have epsilon \(adapter.normEpsilon); the format's have \(TaskAssembly.normEpsilon)")
  }
}
