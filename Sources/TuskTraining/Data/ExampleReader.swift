import TuskConversion
import TuskFormat
import TuskTokenizer

/// Reads files of examples, one JSON object a line.
///
/// Without a preset a line has `source` and `target`, or `text`, for encoders perhaps `text2`, and `label`: a text, a whole
/// number or a number. With one it has the members of that data set.
public struct ExampleReader: Sendable {
  public let answers: ExampleSet.Answers
  private let preset: Preset?
  private let tokenizer: Tokenizer
  private let isForEncoder: Bool
  private let maxSourceTokens: Int
  private let maxTargetTokens: Int
  private let addsPresetName: Bool
  private let keepsGolds: Bool

  /// - Parameters:
  ///   - answers: what the model answers; with a preset, nil for what the preset says.
  ///   - maxSourceTokens: longer sources are cut, the tokens around them kept, and counted.
  ///   - maxTargetTokens: longer targets, their end-of-sequence included, are errors.
  ///   - addsPresetName: begin each source with the preset's name, as the authors do for methods without adapters.
  ///   - keepsGolds: keep what would be right, for metrics.
  /// - Throws: `.unsupported` for a preset or answers that such a backbone has no use for.
  public init(
    preset: Preset?, answers: ExampleSet.Answers? = nil, tokenizer: Tokenizer, config: BackboneConfig,
    maxSourceTokens: Int = 128, maxTargetTokens: Int = .max, addsPresetName: Bool = false, keepsGolds: Bool = true
  ) throws(TrainingError) {
    precondition(answers != nil || preset != nil, "without a preset the answers have to be named")
    self.preset = preset
    self.answers = answers ?? preset!.answers
    self.tokenizer = tokenizer
    isForEncoder = !config.hasDecoder
    self.maxSourceTokens = min(maxSourceTokens, config.maxSourceTokens ?? .max)
    self.maxTargetTokens = maxTargetTokens
    self.addsPresetName = addsPresetName
    self.keepsGolds = keepsGolds
    if isForEncoder, let preset, !preset.suitsEncoders {
      throw TrainingError(.unsupported, "the preset '\(preset.name)' takes texts for answers; an encoder writes none")
    }
    if isForEncoder && self.answers == .texts {
      throw TrainingError(.unsupported, "an encoder answers with labels or a number, not with a text")
    }
    if let preset, !preset.answers.isSameKind(as: self.answers) {
      throw TrainingError(
        .mismatch,
        "the preset '\(preset.name)' is answered with \(preset.answers.kindText), the task with "
          + self.answers.kindText)
    }
  }

  /// The examples of the file at `path`.
  /// - Parameter limit: the most examples that are taken; the lines behind them are not read.
  /// - Throws: `.cannotOpen`, `.cannotRead`, `.malformed`, `.unknownLabel`, `.tooLong`, with the line; `.empty`.
  public func read(_ path: String, limit: Int = .max) throws(TrainingError) -> ExampleSet {
    let file = try LineFile(path: path)
    var set = ExampleSet(answers, file: path.printable)
    var questions = QuestionNumbers()
    while set.count < limit, let bytes = try file.next() {
      let record = try DataRecord(bytes, file: path.printable, line: file.lineNumber)
      for example in try examples(in: record, &questions) where set.count < limit {
        try append(example, to: &set, record)
      }
    }
    guard set.count > 0 else { throw TrainingError(.empty, file: path.printable, "the file has no examples") }
    return set
  }

  private func examples(
    in record: DataRecord, _ questions: inout QuestionNumbers
  ) throws(TrainingError) -> [PlainExample] {
    if let preset {
      return try preset.examples(
        in: record, isForEncoder: isForEncoder, addsName: addsPresetName, questions: &questions)
    }
    return [try record.example(answers, isForEncoder: isForEncoder)]
  }

  private func append(
    _ example: PlainExample, to set: inout ExampleSet, _ record: DataRecord
  ) throws(TrainingError) {
    let texts = example.texts.map { Array($0.utf8) }
    let target: TokenizedExample.Target
    let gold: Gold.Answer
    var source: (ids: [Int32], typeIds: [Int32])
    var isTruncated = false
    do throws(TokenizerError) {
      source = try tokenizer.encodePair(texts[0], texts.count > 1 ? texts[1] : nil, maximumTokens: nil)
      if source.ids.count > maxSourceTokens {
        isTruncated = true
        source = try tokenizer.encodePair(
          texts[0], texts.count > 1 ? texts[1] : nil, maximumTokens: maxSourceTokens)
      }
      (target, gold) = try answer(example.answer)
    } catch { throw record.failure("\(error.kind.sentence) (\(error.found), \(error.required))", .tooLong) }
    if case .tokens(let ids) = target, ids.count > maxTargetTokens {
      throw record.failure(
        "the target is longer than planned (found \(ids.count) tokens, required at most \(maxTargetTokens))", .tooLong)
    }
    try set.append(
      TokenizedExample(sourceIds: source.ids, typeIds: source.typeIds, target: target, line: record.line),
      isTruncated: isTruncated, gold: keepsGolds ? Gold(gold, question: example.question) : nil)
  }

  private func answer(
    _ answer: PlainExample.Answer
  ) throws(TokenizerError) -> (target: TokenizedExample.Target, gold: Gold.Answer) {
    func tokens(_ text: String) throws(TokenizerError) -> TokenizedExample.Target {
      .tokens(try tokenizer.encode(Array(text.utf8), appendingEndOfSequence: true))
    }
    switch answer {
    case .label(let label):
      guard case .labels(let labels) = answers else { preconditionFailure("labels are read as labels") }
      let position = labels.position(ofPreset: label)
      return (isForEncoder ? .label(position) : try tokens(labels.texts[position]), .label(position))
    case .number(let number, let text):
      guard !isForEncoder else { return (.number(Float(number)), .number(number)) }
      let isRounded = preset?.judgesRoundedNumbers ?? false
      return (try tokens(text), .number(isRounded ? Double(text)! : number))
    case .text(let text, let all):
      let right = [text] + all.filter { !$0.utf8.elementsEqual(text.utf8) }
      return (try tokens(text), .texts(right.map(\.trimmed)))
    }
  }
}

extension Preset {
  /// What a model that is trained with the preset answers.
  public var answers: ExampleSet.Answers {
    switch answer {
    case .labels: .labels(LabelSet(self)!)
    case .number: .numbers
    case .texts: .texts
    }
  }
}

extension ExampleSet.Answers {
  fileprivate func isSameKind(as other: Self) -> Bool { kindText == other.kindText }

  fileprivate var kindText: String {
    switch self {
    case .labels: "labels"
    case .numbers: "numbers"
    case .texts: "texts"
    }
  }
}

extension DataRecord {
  /// The example in a line of `source` and `target`, or of `text`, `text2` and `label`.
  fileprivate func example(
    _ answers: ExampleSet.Answers, isForEncoder: Bool
  ) throws(TrainingError) -> PlainExample {
    let isTranslation = value("source") != nil
    guard !isTranslation || !isForEncoder else {
      throw failure("found 'source' and 'target'; an encoder takes 'text' and 'label'")
    }
    var texts = [try text("text", "source")]
    if !isTranslation, value("text2") != nil { texts.append(try text("text2")) }
    if !isForEncoder { texts = [texts.joined(separator: " ")] }
    return PlainExample(texts: texts, answer: try answer(answers, isTranslation ? "target" : "label"))
  }

  private func answer(
    _ answers: ExampleSet.Answers, _ member: String
  ) throws(TrainingError) -> PlainExample.Answer {
    guard let value = value(member) else { throw unlabelled("'\(member)'") }
    switch answers {
    case .labels(let labels):
      guard let name = value.labelText else {
        throw failure(member, found: value, required: "one of \(LabelSet.list(labels.names))")
      }
      guard let position = labels.position(of: name) else {
        throw failure(
          "'\(member)': found \(value.kindText), required one of \(LabelSet.list(labels.names))", .unknownLabel)
      }
      return .label(position)
    case .numbers:
      switch value {
      case .integer(let number): return .number(Double(number), text: "\(number)")
      case .number(let number): return .number(number, text: "\(number)")
      default: throw failure(member, found: value, required: "a number")
      }
    case .texts:
      if case .number(let number) = value { return .text("\(number)", all: []) }
      guard let text = value.labelText else { throw failure(member, found: value, required: "a text or a number") }
      return .text(text, all: [])
    }
  }
}

extension String {
  /// The text without white space at its ends.
  var trimmed: String {
    let scalars = unicodeScalars
    guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
      let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
    else { return "" }
    return String(scalars[first...last])
  }
}
