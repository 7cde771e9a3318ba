import TuskConversion

/// How a published data set becomes examples: `formats/presets.md`.
///
/// A preset is a row of a table: what is done with a line is said by `source`, `texts`, `fields` and `answer`, not by code
/// of its own.
/// - Source: Mahabadi, Henderson, Ruder 2021, code of the authors; Raffel et al. 2020, appendix D
public struct Preset: Equatable, Sendable {
  public let name: String
  /// The metrics that count; their mean selects a checkpoint.
  public let metrics: [Metric]
  /// The text of an encoder-decoder.
  var source: Template
  /// One text or two, of an encoder; none if the task is none for encoders.
  let texts: [Template]
  /// Members that are no text under their own name.
  var fields: [String: Field] = [:]
  var answer: Answer
  var layout = Layout.flat
  /// Members with the numbers of what a line's question is, if lines are judged together; the first may be absent.
  var question: [String] = []
  /// Whether an encoder-decoder's numbers are judged by what it should have written, rather than by those of the file.
  var judgesRoundedNumbers = true
  /// Whether a question with several right answers is judged once, rather than once for each of them.
  public internal(set) var countsQuestionsOnce = false

  public enum Answer: Equatable, Sendable {
    /// Names of each label beside its number; the first is what a new head calls it.
    case labels([[String]])
    /// `label`, a number in this range, which an encoder-decoder writes rounded.
    case number(ClosedRange<Double>, Rounding)
    /// Any of the texts of `answers`; one example for each.
    case texts
  }

  public enum Rounding: Equatable, Sendable {
    case toTenths
    case toFifths

    /// `value` as an encoder-decoder writes it. NumPy's `round` to one decimal of the float32, or to the nearest 0.2.
    func text(_ value: Double) -> String {
      switch self {
      case .toTenths: "\((Double(Float(value)) * 5 / 5 * 10).rounded(.toNearestOrEven) / 10)"
      case .toFifths: "\((value * 5).rounded(.toNearestOrEven) / 5)"
      }
    }
  }

  /// What one line holds.
  enum Layout: Equatable, Sendable {
    case flat
    /// One example, or as the benchmark publishes it `passage.questions[].answers[]`.
    case multiRC
    /// One query, or as the benchmark publishes it `passage` and `qas[]`.
    case record
  }

  init(
    _ name: String, _ source: Template, _ texts: [Template], _ answer: Answer, _ metrics: Metric...,
    fields: [String: Field] = [:], layout: Layout = .flat, question: [String] = []
  ) {
    self.name = name
    self.source = source
    self.texts = texts
    self.answer = answer
    self.metrics = metrics
    self.fields = fields
    self.layout = layout
    self.question = question
  }

  /// The preset called `name`, nil if there is none.
  /// - Parameter isCorrected: with the authors' slips repaired, see `corrected`.
  public init?(named name: String, isCorrected: Bool = false) {
    guard let preset = Self.all.first(where: { $0.name == name }) else { return nil }
    self = isCorrected ? preset.corrected : preset
  }

  /// Whether encoders can be asked; else only encoder-decoders.
  public var suitsEncoders: Bool { !texts.isEmpty }
}

/// What a line says, before it is tokenized.
struct PlainExample {
  enum Answer: Equatable {
    /// Position in the preset's order, or among the labels that were given.
    case label(Int)
    case number(Double, text: String)
    /// What is to be written, and all that is right.
    case text(String, all: [String])
  }

  /// One of an encoder-decoder, one or two of an encoder.
  var texts: [String]
  var answer: Answer
  /// Examples that are judged together have the same.
  var question: Int?
}

extension Preset {
  /// The examples in a line.
  /// - Parameters:
  ///   - isForEncoder: which form of the texts is made.
  ///   - addsName: whether the source of an encoder-decoder begins with the preset's name.
  ///   - questions: those of the lines before; receives those of this one.
  /// - Throws: `.malformed`, `.unknownLabel`.
  func examples(
    in record: DataRecord, isForEncoder: Bool, addsName: Bool, questions: inout QuestionNumbers
  ) throws(TrainingError) -> [PlainExample] {
    var examples: [PlainExample] = []
    for part in try parts(of: record) {
      var texts: [String] = []
      for template in isForEncoder ? self.texts : [source] { texts.append(try template.text(of: part, fields)) }
      if addsName && !isForEncoder { texts[0] = "\(name) \(texts[0])" }
      var number: Int?
      if answer == .texts {
        number = questions.next()
      } else if !question.isEmpty {
        number = try questions.number(of: part, question)
      }
      for answer in try answers(of: part) {
        examples.append(PlainExample(texts: texts, answer: answer, question: number))
      }
    }
    return examples
  }

  private func answers(of record: DataRecord) throws(TrainingError) -> [PlainExample.Answer] {
    switch answer {
    case .labels(let names): return [.label(try label(of: record, names))]
    case .number(let range, let rounding):
      let (path, value) = record.member(["label", "score"])
      let number: Double
      switch value {
      case .integer(let value): number = Double(value)
      case .number(let value): number = value
      case nil: throw record.unlabelled("a number")
      default: throw record.failure(path, found: value, required: "a number")
      }
      guard range.contains(number) else {
        throw record.failure(
          path, found: value, required: "a number from \(range.lowerBound) to \(range.upperBound)")
      }
      return [.number(number, text: rounding.text(number))]
    case .texts:
      guard record.value("answers") != nil else { throw record.unlabelled("'answers', an array of texts") }
      let texts = try record.texts("answers")
      guard !texts.isEmpty else { throw record.unlabelled("at least one of 'answers'") }
      return texts.map { .text($0, all: texts) }
    }
  }

  /// Position of the label, which a line gives by its number, also as a text, by one of its names, or as a truth value.
  private func label(of record: DataRecord, _ names: [[String]]) throws(TrainingError) -> Int {
    let value = record.value("label")
    let known = names.enumerated().map { ([String($0.offset)] + $0.element).joined(separator: "/") }
    guard let value else { throw record.unlabelled("a label of \(known.joined(separator: ", "))") }
    guard let text = value.labelText else {
      throw record.failure("label", found: value, required: "one of \(known.joined(separator: ", "))")
    }
    // What the benchmarks' test sets have in place of a label.
    guard text != "-1" else { throw record.unlabelled("a label of \(known.joined(separator: ", "))") }
    let found = names.indices.first { position in
      ([String(position)] + names[position]).contains { $0.utf8.elementsEqual(text.utf8) }
    }
    guard let found else {
      throw record.failure(
        "'label': found \(value.kindText), required one of \(known.joined(separator: ", "))", .unknownLabel)
    }
    return found
  }

  private func parts(of record: DataRecord) throws(TrainingError) -> [DataRecord] {
    switch layout {
    case .flat: [record]
    case .multiRC: try record.multiRCParts()
    case .record: try record.recordParts()
    }
  }
}

extension DataRecord {
  func unlabelled(_ required: String) -> TrainingError {
    failure("the line has no label (required \(required))")
  }
}

extension JSONValue {
  /// The label a value stands for; nil if values of its type are none.
  var labelText: String? {
    switch self {
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): "\(value)"
    case .number(let value): Int(exactly: value).map { "\($0)" }
    case .string(let text): text
    default: nil
    }
  }
}
