/// Measures of labels. What is divided by zero is 0, as in scikit-learn.
///
/// Held to scikit-learn to 1e-12 by `Tests/Fixtures/metrics`.
public enum Classification {
  /// Share of positions where `predictions` [N] and `golds` [N] are equal.
  /// - Precondition: as many predictions as golds, at least one.
  public static func accuracy<Label: Equatable>(_ predictions: [Label], _ golds: [Label]) -> Double {
    precondition(predictions.count == golds.count && !golds.isEmpty, "a prediction for each of the examples")
    return Double(zip(predictions, golds).count { $0 == $1 }) / Double(golds.count)
  }

  /// 2 TP / (2 TP + FP + FN) of the label `positive`.
  /// - Precondition: as `accuracy`.
  public static func f1<Label: Equatable>(_ predictions: [Label], _ golds: [Label], positive: Label) -> Double {
    precondition(predictions.count == golds.count && !golds.isEmpty, "a prediction for each of the examples")
    var truePositives = 0
    var positives = 0
    for (prediction, gold) in zip(predictions, golds) {
      if prediction == positive { positives += 1 }
      if gold == positive { positives += 1 }
      if prediction == positive && gold == positive { truePositives += 1 }
    }
    return positives == 0 ? 0 : 2 * Double(truePositives) / Double(positives)
  }

  /// Mean of the F1 of `classes`. A prediction that is none of them is a miss of the right class and nothing else.
  /// - Precondition: as `accuracy`; at least one class.
  public static func macroF1<Label: Equatable>(_ predictions: [Label], _ golds: [Label], classes: [Label]) -> Double {
    precondition(!classes.isEmpty, "a class")
    return classes.map { f1(predictions, golds, positive: $0) }.reduce(0, +) / Double(classes.count)
  }

  /// (c s - t.p) / sqrt((s^2 - p.p) (s^2 - t.t)) with s examples, c right ones, and for each class t golds and p predictions
  /// of it; 0 where only one class is predicted, or only one is right.
  /// - Precondition: as `accuracy`.
  /// - Source: Gorodkin 2004, R_K
  public static func matthews<Label: Hashable>(_ predictions: [Label], _ golds: [Label]) -> Double {
    precondition(predictions.count == golds.count && !golds.isEmpty, "a prediction for each of the examples")
    var counts: [Label: (gold: Double, predicted: Double)] = [:]
    var right = 0.0
    for (prediction, gold) in zip(predictions, golds) {
      counts[gold, default: (0, 0)].gold += 1
      counts[prediction, default: (0, 0)].predicted += 1
      if prediction == gold { right += 1 }
    }
    let samples = Double(golds.count)
    var both = 0.0
    var predicted = 0.0
    var gold = 0.0
    for count in counts.values {
      both += count.gold * count.predicted
      predicted += count.predicted * count.predicted
      gold += count.gold * count.gold
    }
    let variances = (samples * samples - predicted) * (samples * samples - gold)
    return variances == 0 ? 0 : (right * samples - both) / variances.squareRoot()
  }
}
