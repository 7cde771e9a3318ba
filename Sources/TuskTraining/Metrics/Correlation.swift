/// Correlations of two series of numbers. NaN where one of them is constant, holds a NaN, or has fewer than two, as in scipy.
///
/// Held to scipy to 1e-12 by `Tests/Fixtures/metrics`.
public enum Correlation {
  /// sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y|), from -1 to 1.
  /// - Precondition: as many in `x` as in `y`.
  public static func pearson(_ x: [Double], _ y: [Double]) -> Double {
    precondition(x.count == y.count, "series of one length")
    guard x.count > 1, let x = unitDeviations(x), let y = unitDeviations(y) else { return .nan }
    var sum = 0.0
    for (x, y) in zip(x, y) { sum += x * y }
    return sum.isNaN ? sum : min(max(sum, -1), 1)
  }

  /// The Pearson correlation of ranks.
  /// - Precondition: as many in `x` as in `y`.
  public static func spearman(_ x: [Double], _ y: [Double]) -> Double {
    guard !x.contains(where: \.isNaN), !y.contains(where: \.isNaN) else { return .nan }
    return pearson(ranks(x), ranks(y))
  }

  /// Positions in ascending order, from 1 on; equal values share the mean of theirs.
  static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count && values[order[end]] == values[order[start]] { end += 1 }
      for index in start..<end { ranks[order[index]] = Double(start + 1 + end) / 2 }
      start = end
    }
    return ranks
  }

  /// (v - mean v) / |v - mean v|; nil if all are equal. Scaled by the largest deviation first, so that no square overflows.
  private static func unitDeviations(_ values: [Double]) -> [Double]? {
    guard values.contains(where: { $0 != values[0] }) else { return nil }
    let mean = values.reduce(0, +) / Double(values.count)
    var deviations = values.map { $0 - mean }
    let largest = deviations.map(\.magnitude).max()!
    deviations = deviations.map { $0 / largest }
    let length = deviations.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return deviations.map { $0 / length }
  }
}
