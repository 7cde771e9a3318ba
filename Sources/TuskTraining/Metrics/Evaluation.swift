import TuskConversion

/// An answer of a model.
public enum Prediction: Equatable, Sendable {
  /// What an encoder-decoder wrote, without white space at its ends.
  case text(String)
  /// Position in the head's order.
  case label(Int)
  case number(Double)
}

/// How good the answers to a set of examples are.
public struct Evaluation: Equatable, Sendable {
  public struct Value: Equatable, Sendable {
    public let metric: Metric
    /// From 0 to 1, of a correlation from -1; 0 for one that is not defined.
    public let value: Double
  }

  /// In the order in which they were asked for.
  public let values: [Value]
  /// Mean of the values.
  public let average: Double
  /// Examples.
  public let count: Int
  /// Answers that are no label or no number.
  public let invalidCount: Int

  /// - Parameters:
  ///   - predictions: one for each gold.
  ///   - answers: of the set the golds come from.
  ///   - countsQuestionsOnce: count the first example of each question alone.
  /// - Throws: `.unsupported` for a metric that says nothing of such answers.
  /// - Precondition: as many predictions as golds, at least one; at least one metric.
  public init(
    _ predictions: [Prediction], _ golds: [Gold], answers: ExampleSet.Answers, metrics: [Metric],
    countsQuestionsOnce: Bool = false
  ) throws(TrainingError) {
    precondition(predictions.count == golds.count && !golds.isEmpty, "a prediction for each of the examples")
    precondition(!metrics.isEmpty, "a metric")
    var judged = Judged(answers)
    var seen: Set<Int> = []
    for (prediction, gold) in zip(predictions, golds) {
      if countsQuestionsOnce, let question = gold.question, !seen.insert(question).inserted { continue }
      judged.append(prediction, gold)
    }
    var values: [Value] = []
    for metric in metrics {
      try Self.require(metric, suits: answers)
      let value = judged.value(metric)
      values.append(Value(metric: metric, value: value.isNaN ? 0 : value))
    }
    self.values = values
    average = values.map(\.value).reduce(0, +) / Double(values.count)
    count = judged.count
    invalidCount = judged.invalidCount
  }

  /// - Throws: `.unsupported` for a metric that says nothing of such answers.
  public static func require(_ metric: Metric, suits answers: ExampleSet.Answers) throws(TrainingError) {
    let domain: Metric.Domain
    switch answers {
    case .labels(let labels):
      domain = .labels
      if [.f1, .answerF1].contains(metric), labels.count != 2 {
        throw TrainingError(
          .unsupported, "\(metric.rawValue) takes two labels (found \(labels.count)); \(Metric.macroF1.rawValue) any")
      }
    case .numbers: domain = .numbers
    case .texts: domain = .texts
    }
    guard !metric.domains.contains(domain) else { return }
    let required = metric.domains.map(\.rawValue).joined(separator: " or ")
    throw TrainingError(.unsupported, "\(metric.rawValue) takes \(required); the answers are \(domain.rawValue)")
  }
}

/// Predictions beside golds, as each metric takes them.
private struct Judged {
  private let labels: LabelSet?
  /// Whether all labels are numbers, which Matthews' coefficient then compares.
  private let hasNumericLabels: Bool
  private(set) var count = 0
  private(set) var invalidCount = 0
  private var predictedLabels: [Int] = []
  private var goldLabels: [Int] = []
  private var predictedNumbers: [Double] = []
  private var goldNumbers: [Double] = []
  private var predictedTexts: [String] = []
  private var goldTexts: [[String]] = []
  private var questions: [Int] = []

  /// What an answer that is no label counts as.
  private static let invalid = -1

  init(_ answers: ExampleSet.Answers) {
    if case .labels(let labels) = answers { self.labels = labels } else { labels = nil }
    hasNumericLabels = labels?.texts.allSatisfy { number(of: $0) != nil } ?? false
  }

  mutating func append(_ prediction: Prediction, _ gold: Gold) {
    questions.append(gold.question ?? count)
    count += 1
    switch gold.answer {
    case .label(let position): appendLabel(prediction, position)
    case .number(let number): appendNumber(prediction, number)
    case .texts(let texts):
      goldTexts.append(texts)
      if case .text(let text) = prediction { predictedTexts.append(text) } else { predictedTexts.append("") }
    }
  }

  private mutating func appendLabel(_ prediction: Prediction, _ gold: Int) {
    let labels = labels!
    goldLabels.append(gold)
    goldNumbers.append(hasNumericLabels ? number(of: labels.texts[gold])! : Double(gold))
    var label = Self.invalid
    var value: Double?
    switch prediction {
    case .label(let position):
      label = position
      value = hasNumericLabels ? number(of: labels.texts[position]) : Double(position)
    case .text(let text):
      label = labels.texts.firstIndex { $0.utf8.elementsEqual(text.utf8) } ?? Self.invalid
      value = hasNumericLabels ? number(of: text) : Double(label)
    case .number: break
    }
    predictedLabels.append(label)
    predictedNumbers.append(value ?? Double(Self.invalid))
    if label == Self.invalid { invalidCount += 1 }
  }

  private mutating func appendNumber(_ prediction: Prediction, _ gold: Double) {
    goldNumbers.append(gold)
    var value: Double?
    switch prediction {
    case .number(let number): value = number
    case .text(let text): value = number(of: text)
    case .label: break
    }
    predictedNumbers.append(value ?? Double(Self.invalid))
    if value == nil { invalidCount += 1 }
  }

  func value(_ metric: Metric) -> Double {
    switch metric {
    case .accuracy:
      guard goldTexts.isEmpty else {
        return mean(
          zip(predictedTexts, goldTexts).map { text, golds in
            golds.contains { $0.utf8.elementsEqual(text.utf8) } ? 1 : 0
          })
      }
      return Classification.accuracy(predictedLabels, goldLabels)
    case .f1, .answerF1:
      // An answer that is neither label counts as the wrong one of the two.
      let predictions = zip(predictedLabels, goldLabels).map { $0 == Self.invalid ? 1 - $1 : $0 }
      return Classification.f1(predictions, goldLabels, positive: labels!.positive)
    case .macroF1: return Classification.macroF1(predictedLabels, goldLabels, classes: Array(0..<labels!.count))
    case .matthews: return Classification.matthews(predictedNumbers, goldNumbers)
    case .pearson: return Correlation.pearson(predictedNumbers, goldNumbers)
    case .spearman: return Correlation.spearman(predictedNumbers, goldNumbers)
    case .exactMatch: return mean(zip(predictedTexts, goldTexts).map { AnswerMatch.isExact($0, $1) ? 1 : 0 })
    case .tokenF1: return mean(zip(predictedTexts, goldTexts).map { AnswerMatch.f1($0, $1) })
    case .questionMatch:
      var isRight: [Int: Bool] = [:]
      for (position, question) in questions.enumerated() {
        isRight[question] = isRight[question, default: true] && predictedLabels[position] == goldLabels[position]
      }
      return mean(isRight.values.map { $0 ? 1 : 0 })
    }
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}

/// The number that a text is, nil if it is none, or not finite.
private func number(of text: String) -> Double? {
  guard !text.utf8.contains(where: { $0 | 0x20 == UInt8(ascii: "x") }), let value = Double(text), value.isFinite else {
    return nil
  }
  return value
}
