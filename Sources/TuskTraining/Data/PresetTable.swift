extension Preset {
  private static let truth = [["False", "false"], ["True", "true"]]
  private static let entailment = [["entailment"], ["not_entailment"]]
  private static let premise = [
    "premise": Field("premise", "sentence1"), "hypothesis": Field("hypothesis", "sentence2"),
  ]
  private static let multiRC = [
    "question": Field("question", form: .withoutMarkup), "answer": Field("answer", form: .withoutMarkup),
    "paragraph": Field("paragraph", form: .withoutMarkup),
  ]
  private static let record = [
    "entities": Field("entities", form: .list), "passage": Field("passage", form: .withoutHighlights),
  ]

  /// The tasks of GLUE and SuperGLUE as the Compacter authors give them to T5, and TREC in the same manner.
  public static let all: [Preset] = [
    Preset("cola", "sentence: {sentence}", ["{sentence}"], .labels([["unacceptable"], ["acceptable"]]), .matthews),
    Preset("sst2", "sentence: {sentence}", ["{sentence}"], .labels([["negative"], ["positive"]]), .accuracy),
    Preset(
      "mrpc", "sentence1: {sentence1} sentence2: {sentence2}", ["{sentence1}", "{sentence2}"],
      .labels([["not_equivalent"], ["equivalent"]]), .f1, .accuracy),
    Preset(
      "qqp", "question1: {question1} question2: {question2}", ["{question1}", "{question2}"],
      .labels([["not_duplicate"], ["duplicate"]]), .f1, .accuracy),
    Preset(
      "stsb", "sentence1: {sentence1} sentence2: {sentence2}", ["{sentence1}", "{sentence2}"],
      .number(0...5, .toTenths), .pearson, .spearman),
    Preset(
      "mnli", "premise: {premise} hypothesis {hypothesis}", ["{premise}", "{hypothesis}"],
      .labels([["entailment"], ["neutral"], ["contradiction"]]), .accuracy, fields: premise),
    Preset(
      "qnli", "question: {question} sentence: {sentence}", ["{question}", "{sentence}"], .labels(entailment),
      .accuracy),
    Preset(
      "rte", "sentence1: {sentence1} sentence2: {sentence2}", ["{sentence1}", "{sentence2}"], .labels(entailment),
      .accuracy),
    Preset(
      "wnli", "sentence1: {sentence1} sentence2: {sentence2}", ["{sentence1}", "{sentence2}"],
      .labels(entailment.reversed()), .accuracy),
    Preset(
      "superglue-boolq", "question: {question} passage: {passage}", ["{question}", "{passage}"], .labels(truth),
      .accuracy),
    Preset(
      "superglue-rte", "premise: {premise} hypothesis: {hypothesis}", ["{premise}", "{hypothesis}"],
      .labels(entailment), .accuracy, fields: premise),
    Preset(
      "superglue-cb", "premise: {premise} hypothesis: {hypothesis}", ["{premise}", "{hypothesis}"],
      .labels([["entailment"], ["contradiction"], ["neutral"]]), .macroF1, .accuracy),
    Preset(
      "superglue-copa", "premise: {premise} choice1: {choice1} choice2: {choice2}",
      ["premise: {premise} question: {question}", "choice1: {choice1} choice2: {choice2}"],
      .labels([["choice1"], ["choice2"]]), .accuracy),
    Preset(
      "superglue-multirc", "question: {question} answer: {answer} paragraph: {paragraph}",
      ["question: {question} answer: {answer}", "{paragraph}"], .labels(truth), .answerF1, .questionMatch,
      fields: multiRC, layout: .multiRC, question: ["idx.paragraph", "idx.question"]),
    Preset(
      "superglue-wic", "sentence1: {sentence1} sentence2: {sentence2} word: {word}",
      ["word: {word} sentence1: {sentence1}", "{sentence2}"], .labels(truth), .accuracy),
    Preset(
      "superglue-wsc.fixed", "text: {text}", ["{text}"], .labels(truth), .accuracy,
      fields: ["text": Field("text", form: .withMarkedSpans)]),
    Preset(
      "superglue-record", "record query: {query} entities: {entities} passage: {passage}", [], .texts, .tokenF1,
      .exactMatch, fields: record, layout: .record),
    Preset(
      "trec", "sentence: {sentence}", ["{sentence}"],
      .labels([["description"], ["entity"], ["expression"], ["human"], ["location"], ["number"]]), .accuracy),
  ]

  /// The preset with what the authors did by mistake done right:
  /// - `mnli` writes `hypothesis:` with its colon;
  /// - `stsb` has an encoder-decoder write numbers rounded to 0.2, as T5 does, not to 0.1, and is judged by the numbers of
  ///   the file, not by the rounded ones;
  /// - `superglue-copa` tells whether the cause or the effect is asked for;
  /// - `superglue-record` judges a query once, not once for each of its right answers.
  public var corrected: Preset {
    var preset = self
    switch name {
    case "mnli": preset.source = "premise: {premise} hypothesis: {hypothesis}"
    case "stsb":
      preset.answer = .number(0...5, .toFifths)
      preset.judgesRoundedNumbers = false
    case "superglue-copa":
      preset.source = "premise: {premise} question: {question} choice1: {choice1} choice2: {choice2}"
    case "superglue-record": preset.countsQuestionsOnce = true
    default: break
    }
    return preset
  }
}
