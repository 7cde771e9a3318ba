import Foundation
import TuskTraining

/// What `tusk eval` prints: the JSON objects of `formats/json.md`.
struct EvaluationOutcome: Encodable {
  private let evaluation: Evaluation
  private let examples: ExampleSet
  private let predictions: [Prediction]
  private let isOfEncoder: Bool

  /// - Parameter predictions: one for each example.
  init(_ evaluation: Evaluation, _ examples: ExampleSet, _ predictions: [Prediction], isOfEncoder: Bool) {
    self.evaluation = evaluation
    self.examples = examples
    self.predictions = predictions
    self.isOfEncoder = isOfEncoder
  }

  var lines: [String] {
    var table = Table("metric", "value")
    for value in evaluation.values { table.add(value.metric.rawValue, text(value.value)) }
    if evaluation.values.count > 1 { table.add("average", text(evaluation.average)) }
    table.add("examples", evaluation.count.grouped)
    if evaluation.invalidCount > 0 { table.add("invalid answers", evaluation.invalidCount.grouped) }
    return table.lines
  }

  private func text(_ value: Double) -> String { String(format: "%.4f", value) }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(
      Dictionary(uniqueKeysWithValues: evaluation.values.map { ($0.metric.rawValue, $0.value) }), forKey: .metrics)
    try container.encode(evaluation.average, forKey: .average)
    try container.encode(evaluation.count, forKey: .examples)
    try container.encode(evaluation.invalidCount, forKey: .invalidAnswers)
    try container.encode(examples.truncatedCount, forKey: .cutSources)
  }

  private enum Key: CodingKey { case metrics, average, examples, invalidAnswers, cutSources }

  /// The answers, one JSON object a line.
  func predictionLines() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var bytes: [UInt8] = []
    for (position, prediction) in predictions.enumerated() {
      bytes += try encoder.encode(line(position, prediction))
      bytes.append(10)
    }
    return bytes
  }

  private func line(_ position: Int, _ prediction: Prediction) -> PredictionLine {
    let labels: LabelSet? = if case .labels(let labels) = examples.answers { labels } else { nil }
    let target: Term
    switch examples.golds[position].answer {
    case .label(let label): target = .text(isOfEncoder ? labels!.names[label] : labels!.texts[label])
    case .number(let number): target = .number(number)
    case .texts(let texts): target = .text(texts[0])
    }
    let answer: Term
    switch prediction {
    case .label(let label): answer = .text(labels!.names[label])
    case .number(let number): answer = .number(number)
    case .text(let text): answer = .text(text)
    }
    return PredictionLine(line: examples.line(position), prediction: answer, target: target)
  }
}

/// One line of the file of `--predictions`.
private struct PredictionLine: Encodable {
  let line: Int
  let prediction: Term
  let target: Term
}

private enum Term: Encodable {
  case text(String)
  case number(Double)

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let text): try container.encode(text)
    case .number(let number): try container.encode(number)
    }
  }
}
