import Foundation
import Testing

@testable import TuskTraining

/// Metrics against what scikit-learn and scipy make of the same series.
@Suite struct MetricGoldenTests {
  private static let tolerance = 1e-12

  private struct File<Case: Decodable>: Decodable {
    let cases: [Case]
  }

  private struct LabelCase: Decodable {
    let name: String
    let predictions: [Int]
    let golds: [Int]
    let classes: Int
    let accuracy: Double
    let f1: Double?
    let macroF1: Double
    let matthews: Double
  }

  private struct NumberCase: Decodable {
    let name: String
    let x: [Double]
    let y: [Double]
    let pearson: Double?
    let spearman: Double?
  }

  private struct TextCase: Decodable {
    let prediction: String
    let golds: [String]
    let exact: Bool
    let f1: Double
  }

  private func cases<Case: Decodable>(_ name: String, of type: Case.Type) throws -> [Case] {
    let data = try Data(contentsOf: DataFixtures.folder.appending(path: "metrics/\(name).json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(File<Case>.self, from: data).cases
  }

  private func evaluation(_ cases: LabelCase, _ metrics: Metric...) throws -> [Double] {
    let names = (0..<cases.classes).map { "\($0)" }
    return try Evaluation(
      cases.predictions.map { .text("\($0)") }, cases.golds.map { Gold(.label($0)) }, answers: .labels(LabelSet(names)),
      metrics: metrics
    ).values.map(\.value)
  }

  @Test func labelsAreJudgedAsByScikitLearn() throws {
    let cases = try cases("labels", of: LabelCase.self)
    #expect(cases.count > 60)
    #expect(cases.contains { $0.predictions.contains(-1) && $0.matthews > 0 })
    for example in cases {
      let values = try evaluation(example, .accuracy, .macroF1, .matthews)
      for (value, expected) in zip(values, [example.accuracy, example.macroF1, example.matthews]) {
        #expect(abs(value - expected) <= Self.tolerance, "\(example.name): \(value), \(expected)")
      }
      guard let f1 = example.f1 else { continue }
      #expect(abs(try evaluation(example, .f1)[0] - f1) <= Self.tolerance, "\(example.name)")
    }
  }

  @Test func numbersAreJudgedAsByScipy() throws {
    let cases = try cases("numbers", of: NumberCase.self)
    #expect(cases.count { $0.pearson == nil } == 3)
    for example in cases {
      for (value, expected) in [
        (Correlation.pearson(example.x, example.y), example.pearson),
        (Correlation.spearman(example.x, example.y), example.spearman),
      ] {
        if let expected {
          #expect(abs(value - expected) <= Self.tolerance, "\(example.name): \(value), \(expected)")
        } else {
          #expect(value.isNaN, "\(example.name): \(value)")
        }
      }
    }
  }

  @Test func textsAreComparedAsBySQuAD() throws {
    for example in try cases("texts", of: TextCase.self) {
      #expect(AnswerMatch.isExact(example.prediction, example.golds) == example.exact, "\(example.prediction)")
      let f1 = AnswerMatch.f1(example.prediction, example.golds)
      #expect(abs(f1 - example.f1) <= Self.tolerance, "\(example.prediction): \(f1), \(example.f1)")
    }
  }

  @Test func ranksOfEqualNumbersAreTheirMean() {
    #expect(Correlation.ranks([3, 1, 3, 2, 3]) == [4, 1, 4, 2, 4])
    #expect(Correlation.ranks([]) == [])
    #expect(Correlation.pearson([1], [1]).isNaN)
    #expect(Correlation.spearman([1, .nan, 2], [1, 2, 3]).isNaN)
  }
}
