import Testing

@testable import TuskTraining

/// Sources, targets and pairs written out by hand from the authors' table of tasks.
@Suite struct PresetTests {
  struct Case: Sendable {
    let preset: String
    let line: String
    let source: String
    /// What an encoder takes; none if it takes none.
    let texts: [String]
    let target: String
  }

  static let cases = [
    Case(
      preset: "cola", line: #"{"sentence": "They sat.", "label": 1, "idx": 0}"#, source: "sentence: They sat.",
      texts: ["They sat."], target: "1"),
    Case(
      preset: "sst2", line: #"{"sentence": "a joy ", "label": "positive"}"#, source: "sentence: a joy ",
      texts: ["a joy "], target: "1"),
    Case(
      preset: "mrpc", line: #"{"sentence1": "A .", "sentence2": "B .", "label": "not_equivalent"}"#,
      source: "sentence1: A . sentence2: B .", texts: ["A .", "B ."], target: "0"),
    Case(
      preset: "qqp", line: #"{"question1": "Why?", "question2": "How?", "label": 0}"#,
      source: "question1: Why? question2: How?", texts: ["Why?", "How?"], target: "0"),
    Case(
      preset: "stsb", line: #"{"sentence1": "A", "sentence2": "B", "label": 3.75}"#,
      source: "sentence1: A sentence2: B", texts: ["A", "B"], target: "3.8"),
    Case(
      preset: "stsb", line: #"{"sentence1": "A", "sentence2": "B", "score": 5}"#, source: "sentence1: A sentence2: B",
      texts: ["A", "B"], target: "5.0"),
    Case(
      preset: "mnli", line: #"{"premise": "P", "hypothesis": "H", "label": "contradiction"}"#,
      source: "premise: P hypothesis H", texts: ["P", "H"], target: "2"),
    Case(
      preset: "mnli", line: #"{"sentence1": "P", "sentence2": "H", "label": "neutral"}"#,
      source: "premise: P hypothesis H", texts: ["P", "H"], target: "1"),
    Case(
      preset: "qnli", line: #"{"question": "Q", "sentence": "S", "label": "not_entailment"}"#,
      source: "question: Q sentence: S", texts: ["Q", "S"], target: "1"),
    Case(
      preset: "rte", line: #"{"sentence1": "A", "sentence2": "B", "label": "entailment"}"#,
      source: "sentence1: A sentence2: B", texts: ["A", "B"], target: "0"),
    Case(
      preset: "wnli", line: #"{"sentence1": "A", "sentence2": "B", "label": "entailment"}"#,
      source: "sentence1: A sentence2: B", texts: ["A", "B"], target: "1"),
    Case(
      preset: "superglue-boolq", line: #"{"question": "is it", "passage": "It is.", "label": true}"#,
      source: "question: is it passage: It is.", texts: ["is it", "It is."], target: "1"),
    Case(
      preset: "superglue-rte", line: #"{"premise": "P", "hypothesis": "H", "label": "not_entailment"}"#,
      source: "premise: P hypothesis: H", texts: ["P", "H"], target: "1"),
    Case(
      preset: "superglue-cb", line: #"{"premise": "P", "hypothesis": "H", "label": "neutral"}"#,
      source: "premise: P hypothesis: H", texts: ["P", "H"], target: "2"),
    Case(
      preset: "superglue-cb", line: #"{"premise": "P", "hypothesis": "H", "label": "contradiction"}"#,
      source: "premise: P hypothesis: H", texts: ["P", "H"], target: "1"),
    Case(
      preset: "superglue-copa",
      line: #"{"premise": "P", "choice1": "A", "choice2": "B", "question": "cause", "label": 1}"#,
      source: "premise: P choice1: A choice2: B", texts: ["premise: P question: cause", "choice1: A choice2: B"],
      target: "1"),
    Case(
      preset: "superglue-multirc",
      line: #"{"paragraph": "<b>One: </b>x<br>y", "question": "<b>Q", "answer": "A<br>", "#
        + #""idx": {"paragraph": 3, "question": 9, "answer": 1}, "label": 0}"#,
      source: "question: Q answer: A  paragraph: One: x y", texts: ["question: Q answer: A ", "One: x y"], target: "0"),
    Case(
      preset: "superglue-wic", line: #"{"word": "place", "sentence1": "A", "sentence2": "B", "label": false}"#,
      source: "sentence1: A sentence2: B word: place", texts: ["word: place sentence1: A", "B"], target: "0"),
    Case(
      preset: "superglue-wsc.fixed",
      line: #"{"text": "This is a test sentence .", "span1_text": "test", "span1_index": 3, "span2_text": "This", "#
        + #""span2_index": 0, "label": 0}"#,
      source: "text: # This # is a * test * sentence .", texts: ["# This # is a * test * sentence ."], target: "0"),
    Case(
      preset: "superglue-wsc.fixed",
      line: #"{"text": "The big dog saw the cat so it ran.", "label": true, "target": {"span1_text": "The big dog", "#
        + #""span1_index": 0, "span2_text": "it", "span2_index": 7}}"#,
      source: "text: * The big dog * saw the cat so # it # ran.",
      texts: ["* The big dog * saw the cat so # it # ran."], target: "1"),
    Case(
      preset: "superglue-record",
      line: #"{"passage": "It rained.\n@highlight\nIt\u0020stopped\n@highlight\nBob", "query": "@placeholder sang", "#
        + #""entities": ["Bob", "Al"], "answers": ["Bob"]}"#,
      source: "record query: @placeholder sang entities: Bob, Al passage: It rained. It stopped. Bob", texts: [],
      target: "Bob"),
    Case(
      preset: "trec", line: #"{"sentence": "How far?", "label": "5"}"#, source: "sentence: How far?",
      texts: ["How far?"], target: "5"),
  ]

  private func examples(
    _ preset: Preset, _ line: String, isForEncoder: Bool = false, addsName: Bool = false
  ) throws -> [PlainExample] {
    var questions = QuestionNumbers()
    return try preset.examples(
      in: DataFixtures.record(line), isForEncoder: isForEncoder, addsName: addsName, questions: &questions)
  }

  private func target(_ answer: PlainExample.Answer) -> String {
    switch answer {
    case .label(let position): "\(position)"
    case .number(_, let text), .text(let text, _): text
    }
  }

  @Test(arguments: cases)
  func aLineIsGivenToT5AsTheAuthorsDo(example: Case) throws {
    let preset = try #require(Preset(named: example.preset))
    let found = try #require(try examples(preset, example.line).first)
    #expect(found.texts == [example.source])
    #expect(target(found.answer) == example.target)
    let named = try examples(preset, example.line, addsName: true)
    #expect(named[0].texts == ["\(example.preset) \(example.source)"])
  }

  @Test(arguments: cases)
  func aLineIsGivenToAnEncoderAsTexts(example: Case) throws {
    let preset = try #require(Preset(named: example.preset))
    #expect(preset.suitsEncoders == !example.texts.isEmpty)
    guard preset.suitsEncoders else { return }
    #expect(try examples(preset, example.line, isForEncoder: true, addsName: true)[0].texts == example.texts)
  }

  @Test func everyPresetHasACase() {
    #expect(Set(Self.cases.map(\.preset)) == Set(Preset.all.map(\.name)))
    #expect(Preset.all.count == Set(Preset.all.map(\.name)).count)
    #expect(Preset(named: "boolq") == nil)
  }

  @Test func metricsAreTheAuthors() {
    let metrics = Dictionary(uniqueKeysWithValues: Preset.all.map { ($0.name, $0.metrics) })
    #expect(metrics["cola"] == [.matthews])
    #expect(metrics["mrpc"] == [.f1, .accuracy] && metrics["qqp"] == [.f1, .accuracy])
    #expect(metrics["stsb"] == [.pearson, .spearman])
    #expect(metrics["superglue-cb"] == [.macroF1, .accuracy])
    #expect(metrics["superglue-multirc"] == [.answerF1, .questionMatch])
    #expect(metrics["superglue-record"] == [.tokenF1, .exactMatch])
    let rest = metrics.filter { $0.value == [.accuracy] }
    #expect(rest.count == metrics.count - 7)
  }

  @Test func correctionsChangeWhatTheySay() throws {
    func corrected(_ name: String, _ line: String) throws -> PlainExample {
      try examples(try #require(Preset(named: name, isCorrected: true)), line)[0]
    }
    let mnli = try corrected("mnli", #"{"premise": "P", "hypothesis": "H", "label": 0}"#)
    #expect(mnli.texts == ["premise: P hypothesis: H"])
    let copa = try corrected(
      "superglue-copa", #"{"premise": "P", "choice1": "A", "choice2": "B", "question": "effect", "label": 0}"#)
    #expect(copa.texts == ["premise: P question: effect choice1: A choice2: B"])
    let stsb = try corrected("stsb", #"{"sentence1": "A", "sentence2": "B", "label": 3.75}"#)
    #expect(stsb.answer == .number(3.75, text: "3.8"))
    let changed = Preset.all.filter { $0.corrected != $0 }.map(\.name)
    #expect(changed == ["stsb", "mnli", "superglue-copa", "superglue-record"])
  }

  @Test func numbersAreRoundedAsByNumPy() {
    // str(np.round((np.float32(x) * 5) / 5, 1)), with a float32 that became a Python float; T5 rounds to the nearest 0.2.
    for (value, tenths, fifths) in [
      (0, "0.0", "0.0"), (5, "5.0", "5.0"), (0.05, "0.1", "0.0"), (0.1, "0.1", "0.0"), (0.25, "0.2", "0.2"),
      (2.55, "2.5", "2.6"), (3.067, "3.1", "3.0"), (3.1, "3.1", "3.2"), (3.5, "3.5", "3.6"), (4.75, "4.8", "4.8"),
      (1.3, "1.3", "1.2"), (0.5, "0.5", "0.4"),
    ] {
      #expect(Preset.Rounding.toTenths.text(value) == tenths)
      #expect(Preset.Rounding.toFifths.text(value) == fifths)
    }
  }

  @Test(arguments: [
    (
      #"{"text": "One two  three it", "span1_text": "three", "span1_index": 2, "span2_text": "it", "span2_index": 3}"#,
      "One two  three it"
    ),
    (
      #"{"text": "One two it", "span1_text": "three", "span1_index": 1, "span2_text": "it", "span2_index": 2}"#,
      "One two it"
    ),
    (
      #"{"text": "One two it", "span1_text": "One", "span1_index": 9, "span2_text": "it", "span2_index": 2}"#,
      "One two # it #"
    ),
  ])
  func aSpanThatIsNotInItsPlaceIsNotMarked(line: String, text: String) throws {
    let field = Field("text", form: .withMarkedSpans)
    #expect(try field.text(of: DataFixtures.record(line)) == text)
  }

  /// As the release `wsc.fixed` has them.
  @Test(arguments: [
    (
      #"{"text": "Near the lake it lay", "span1_text": "The lake.", "span1_index": 1, "span2_text": "It", "span2_index": 3}"#,
      "Near * the lake * # it # lay"
    ),
    (
      #"{"text": "The lake, it", "span1_text": "the\nlake", "span1_index": 0, "span2_text": "it", "span2_index": 2}"#,
      "* The lake *, # it #"
    ),
    // A text that has the span somewhere has it there, or not at all.
    (
      #"{"text": "A it It", "span1_text": "A", "span1_index": 0, "span2_text": "it", "span2_index": 2}"#,
      "* A * it It"
    ),
  ])
  func aSpanIsFittedToItsText(line: String, text: String) throws {
    let field = Field("text", form: .withMarkedSpans)
    #expect(try field.text(of: DataFixtures.record(line)) == text)
  }

  @Test func highlightsBecomeSentences() throws {
    let field = Field("passage", form: .withoutHighlights)
    func text(_ passage: String) throws -> String {
      try field.text(of: DataFixtures.record(#"{"passage": "\#(passage)"}"#))
    }
    for end in [".", "?", "!", "\\\"", "'"] {
      #expect(try text("a\(end)\\n@highlight\\nb") == "a\(end == "\\\"" ? "\"" : end) b")
    }
    #expect(try text("a\\n@highlight\\nb\\r\\n@highlight\\nc") == "a. b\r. c")
    #expect(try text("a @highlight b\\n@highlight") == "a @highlight b\n@highlight")
  }
}
