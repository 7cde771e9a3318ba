import Testing

@testable import TuskTraining

/// Lines that hold several examples, and questions that several examples belong to.
@Suite struct PresetLayoutTests {
  private static let passage =
    #"{"idx": 4, "passage": {"text": "P", "questions": ["#
    + #"{"question": "Q", "idx": 20, "answers": [{"text": "A", "idx": 0, "label": 1}, {"text": "B", "idx": 1, "label": 0}]}, "#
    + #"{"question": "R", "idx": 21, "answers": [{"text": "C", "idx": 2, "label": 0}]}]}}"#
  private static let news =
    #"{"idx": 1, "passage": {"text": "Zoé met Al and Zoé.", "entities": [{"start": 8, "end": 9}, {"start": 0, "end": 2}, "#
    + #"{"start": 15, "end": 17}]}, "qas": [{"query": "@placeholder left", "idx": 5, "#
    + #""answers": [{"start": 0, "end": 2, "text": "Zoé"}, {"start": 8, "end": 9, "text": "Al"}, "#
    + #"{"start": 15, "end": 17, "text": "Zoé"}]}, "#
    + #"{"query": "@placeholder stayed", "idx": 6, "answers": [{"start": 8, "end": 9, "text": "Al"}]}]}"#

  private func examples(_ name: String, _ lines: String...) throws -> [PlainExample] {
    let preset = try #require(Preset(named: name))
    var questions = QuestionNumbers()
    var examples: [PlainExample] = []
    for line in lines {
      examples += try preset.examples(
        in: DataFixtures.record(line), isForEncoder: false, addsName: false, questions: &questions)
    }
    return examples
  }

  @Test func aPassageOfMultiRCIsAnExampleForEachAnswer() throws {
    let found = try examples("superglue-multirc", Self.passage)
    #expect(
      found.map(\.texts) == [
        ["question: Q answer: A paragraph: P"], ["question: Q answer: B paragraph: P"],
        ["question: R answer: C paragraph: P"],
      ])
    #expect(found.map(\.answer) == [.label(1), .label(0), .label(0)])
    #expect(found.map(\.question) == [0, 0, 1])
  }

  @Test func questionsOfMultiRCAreToldApartByTheirNumbers() throws {
    func line(_ idx: String) -> String {
      #"{"paragraph": "P", "question": "Q", "answer": "A", "label": 0, "idx": {\#(idx)}}"#
    }
    let found = try examples(
      "superglue-multirc", line(#""paragraph": 0, "question": 1"#), line(#""paragraph": 1, "question": 1"#),
      line(#""question": 1"#), line(#""paragraph": 0, "question": 1, "answer": 8"#))
    #expect(found.map(\.question) == [0, 1, 2, 0])
    #expect(
      throws: TrainingError(
        .malformed, file: "data.jsonl", line: 7, "'idx.question': found nothing, required a whole number from 0 on")
    ) {
      try examples("superglue-multirc", line(""))
    }
  }

  @Test func aNewsItemOfReCoRDIsAnExampleForEachAnswerOfEachQuery() throws {
    let found = try examples("superglue-record", Self.news)
    let first = ["record query: @placeholder left entities: Al, Zoé passage: Zoé met Al and Zoé."]
    let second = ["record query: @placeholder stayed entities: Al, Zoé passage: Zoé met Al and Zoé."]
    #expect(found.map(\.texts) == [first, first, second])
    #expect(
      found.map(\.answer) == [
        .text("Al", all: ["Al", "Zoé"]), .text("Zoé", all: ["Al", "Zoé"]), .text("Al", all: ["Al"]),
      ])
    #expect(found.map(\.question) == [0, 0, 1])
  }

  @Test func entitiesOutsideTheTextAreRefused() {
    for (start, end) in [(0, 19), (3, 2), (19, 19)] {
      let line =
        #"{"passage": {"text": "Zoé met Al and Zoé.", "entities": [{"start": \#(start), "end": \#(end)}]}, "#
        + #""qas": [{"query": "q", "answers": [{"text": "a"}]}]}"#
      #expect {
        try examples("superglue-record", line)
      } throws: {
        ($0 as? TrainingError)?.kind == .malformed
      }
    }
  }
}
