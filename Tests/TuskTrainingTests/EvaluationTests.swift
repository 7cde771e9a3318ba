import Testing

@testable import TuskTraining

@Suite struct EvaluationTests {
  private static let binary = ExampleSet.Answers.labels(LabelSet(["0", "1"]))

  private func labels(_ positions: Int...) -> [Gold] { positions.map { Gold(.label($0)) } }

  private func value(
    _ metric: Metric, _ predictions: [Prediction], _ golds: [Gold], _ answers: ExampleSet.Answers = binary
  ) throws -> Double {
    try Evaluation(predictions, golds, answers: answers, metrics: [metric]).values[0].value
  }

  @Test func anAnswerThatIsNoLabelCountsAsTheWrongOne() throws {
    let golds = labels(1, 1, 0, 0)
    // "7" and "" stand for 0 where 1 is right, and for 1 where 0 is right: TP 1, FN 1, FP 1.
    #expect(try value(.f1, [.text("1"), .text("7"), .text(""), .text("0")], golds) == 0.5)
    let evaluation = try Evaluation(
      [.text("1"), .text("7"), .text(""), .text("0")], golds, answers: Self.binary, metrics: [.f1, .accuracy])
    #expect(evaluation.invalidCount == 2)
    #expect(evaluation.values.map(\.value) == [0.5, 0.5])
    #expect(evaluation.average == 0.5)
    #expect(evaluation.count == 4)
  }

  @Test func matthewsReadsAnswersAsNumbers() throws {
    let golds = labels(1, 0, 1, 0)
    // "1.0" is 1 to it, though it is not the text "1"; all that is no number is one label of its own, -1.
    #expect(try value(.matthews, [.text("1.0"), .text("0"), .text("1"), .text("0")], golds) == 1)
    #expect(try value(.accuracy, [.text("1.0"), .text("0"), .text("1"), .text("0")], golds) == 0.75)
    let noise = try value(.matthews, [.text("x"), .text("0"), .text("-1"), .text("0")], golds)
    let same = Classification.matthews([-1.0, 0, -1, 0], [1, 0, 1, 0])
    #expect(noise == same)
    // Numbers that Python's float() does not take, or are not finite, are none.
    for text in ["0x1", "nan", "inf", "1e999", "one"] {
      let found = try value(.matthews, [.text(text), .text("0"), .text("1"), .text("0")], golds)
      #expect(found == Classification.matthews([-1.0, 0, 1, 0], [1, 0, 1, 0]), "\(text)")
    }
  }

  @Test func matthewsOfNamedLabelsComparesNames() throws {
    let answers = ExampleSet.Answers.labels(LabelSet(["ham", "spam"]))
    let golds = labels(0, 1, 1, 0)
    let predictions: [Prediction] = [.text("ham"), .text("spam"), .text("eggs"), .text("ham")]
    #expect(
      try value(.matthews, predictions, golds, answers) == Classification.matthews([0, 1, -1, 0], [0, 1, 1, 0]))
  }

  @Test func answersOfAHeadAreItsPositions() throws {
    let golds = labels(0, 1, 1)
    #expect(try value(.accuracy, [.label(0), .label(0), .label(1)], golds) == 2.0 / 3)
    let backwards = ExampleSet.Answers.labels(LabelSet(["1", "0"]))
    // The positive label is "1" wherever it stands: TP 1, FP 1, FN 0.
    #expect(try value(.f1, [.label(0), .label(0), .label(1)], golds, backwards) == 2.0 / 3)
    #expect(try value(.f1, [.label(0), .label(0), .label(1)], golds) == 2.0 / 3)
    #expect(try value(.f1, [.label(0), .label(0), .label(0)], golds) == 0)
  }

  @Test func anAnswerThatIsNoNumberCountsAsMinusOne() throws {
    let golds = [1.0, 2, 3, 5].map { Gold(.number($0)) }
    let predictions: [Prediction] = [.text("1.2"), .text("two"), .text("3"), .number(4.5)]
    let evaluation = try Evaluation(predictions, golds, answers: .numbers, metrics: [.pearson, .spearman])
    #expect(evaluation.invalidCount == 1)
    #expect(evaluation.values[0].value == Correlation.pearson([1.2, -1, 3, 4.5], [1, 2, 3, 5]))
    #expect(evaluation.values[1].value == Correlation.spearman([1.2, -1, 3, 4.5], [1, 2, 3, 5]))
    #expect(evaluation.average == (evaluation.values[0].value + evaluation.values[1].value) / 2)
  }

  @Test func aMetricThatIsNotDefinedCountsAsZero() throws {
    let golds = [1.0, 2].map { Gold(.number($0)) }
    #expect(try value(.pearson, [.number(3), .number(3)], golds, .numbers) == 0)
  }

  @Test func aQuestionIsRightWithAllItsAnswers() throws {
    let golds = [(1, 4), (0, 4), (1, 5), (1, 6), (0, 6)].map { Gold(.label($0.0), question: $0.1) }
    let predictions: [Prediction] = [.text("1"), .text("0"), .text("0"), .text("1"), .text("1")]
    #expect(try value(.questionMatch, predictions, golds) == 1.0 / 3)
    #expect(try value(.answerF1, predictions, golds) == 4.0 / 6)
  }

  @Test func aQuestionWithSeveralRightAnswersCountsOnceWhenAskedTo() throws {
    let golds = [
      Gold(.texts(["the penguin", "pigeon"]), question: 0), Gold(.texts(["pigeon", "the penguin"]), question: 0),
      Gold(.texts(["potato"]), question: 1),
    ]
    let predictions: [Prediction] = [.text("Penguin"), .text("Penguin"), .text("a potato salad")]
    let each = try Evaluation(predictions, golds, answers: .texts, metrics: [.exactMatch, .tokenF1])
    let shares: [Double] = [2.0 / 3, (1.0 + 1 + 2.0 / 3) / 3]
    #expect(each.values.map(\.value) == shares)
    let once = try Evaluation(
      predictions, golds, answers: .texts, metrics: [.exactMatch, .tokenF1], countsQuestionsOnce: true)
    let sharesOnce: [Double] = [0.5, (1.0 + 2.0 / 3) / 2]
    #expect(once.values.map(\.value) == sharesOnce)
    #expect(once.count == 2)
    #expect(try value(.accuracy, [.text("a"), .text("b"), .text("potato")], golds, .texts) == 1.0 / 3)
  }

  @Test(arguments: [Metric.f1, .macroF1, .matthews, .pearson, .questionMatch])
  func aMetricOfOtherAnswersIsRefused(metric: Metric) {
    #expect {
      try Evaluation([.text("a")], [Gold(.texts(["a"]))], answers: .texts, metrics: [metric])
    } throws: {
      ($0 as? TrainingError)?.kind == .unsupported
    }
    #expect(throws: TrainingError(.unsupported, "f1 takes two labels (found 3); macro_f1 any")) {
      try Evaluation.require(.f1, suits: .labels(LabelSet(["0", "1", "2"])))
    }
    #expect(throws: TrainingError(.unsupported, "accuracy takes labels or texts; the answers are numbers")) {
      try Evaluation.require(.accuracy, suits: .numbers)
    }
  }
}
