import Foundation
import TuskEngine
import TuskFormat

/// What an encoder answers: the JSON objects of `formats/json.md` for labels, numbers and embeddings.
enum HeadAnswer: Encodable {
  /// Labels of which one holds, and the probability of each.
  case label(String, scores: [(name: String, score: Float)])
  /// Labels of which any may hold: those at least as likely as not, and the probability of each.
  case labels([String], scores: [(name: String, score: Float)])
  /// Outputs of a regression, with their names.
  case numbers([(name: String, score: Float)])
  case embedding([Float])

  /// The answer of the head to what was encoded last, of several texts to the one at `text`.
  init(_ session: Session, text: Int = 0) throws(EngineError) {
    guard let section = session.headSection(), let head = section.head else { throw EngineError(.noHead) }
    let values = Array(try session.headScores(text: text))
    let named = values.enumerated().map { position, value in
      (name: head.labelCount == 0 ? "\(position)" : section.label(at: position).text, score: value)
    }
    switch head.output {
    case .exclusiveLabels: self = .label(named.max { $0.score < $1.score }!.name, scores: named)
    case .independentLabels: self = .labels(named.filter { $0.score >= 0.5 }.map(\.name), scores: named)
    case .numbers: self = .numbers(named)
    case .embedding: self = .embedding(values)
    }
  }

  /// The answer for people: always one line; what stands behind the first tab are the scores.
  var line: String {
    func list(_ scores: [(name: String, score: Float)]) -> String {
      scores.map { "\($0.name)=" + String(format: "%.4f", $0.score) }.joined(separator: " ")
    }
    switch self {
    case .label(let label, let scores): return "\(label)\t" + list(scores)
    case .labels(let labels, let scores): return labels.joined(separator: ",") + "\t" + list(scores)
    case .numbers(let scores):
      return scores.count == 1 ? String(format: "%.4f", scores[0].score) : list(scores)
    case .embedding(let values): return values.map { "\($0)" }.joined(separator: " ")
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    // A dictionary of texts, whose keys are written as they are.
    func encode(_ scores: [(name: String, score: Float)]) throws {
      try container.encode(
        Dictionary(scores.map { ($0.name, $0.score) }, uniquingKeysWith: max), forKey: .scores)
    }
    switch self {
    case .label(let label, let scores):
      try container.encode(label, forKey: .label)
      try encode(scores)
    case .labels(let labels, let scores):
      try container.encode(labels, forKey: .labels)
      try encode(scores)
    case .numbers(let scores): try container.encode(scores.map(\.score), forKey: .numbers)
    case .embedding(let values): try container.encode(values, forKey: .embedding)
    }
  }

  private enum Key: CodingKey { case label, labels, scores, numbers, embedding }
}
