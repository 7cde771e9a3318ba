import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Asks a session for the answers to a set of examples.
public struct Predictor {
  private let session: Session
  private let tokenizer: Tokenizer?
  private let maxNewTokens: Int

  /// - Parameters:
  ///   - session: with the task mounted for every source of its batch, and planned for the set's longest source.
  ///   - tokenizer: of an encoder-decoder.
  ///   - maxNewTokens: of an encoder-decoder; its answers are greedy.
  public init(_ session: Session, tokenizer: Tokenizer?, maxNewTokens: Int = 1) {
    self.session = session
    self.tokenizer = tokenizer
    self.maxNewTokens = maxNewTokens
  }

  /// One answer for each example, in their order.
  /// - Parameter progress: called with the number of examples done; false stops.
  /// - Throws: `.unsupported` if the head answers otherwise than the examples; `.tooLong` for more tokens than planned;
  ///   `.mismatch` for ids the task does not know; `.cancelled`.
  public func predict(
    _ examples: ExampleSet, progress: (_ done: Int) -> Bool = { _ in true }
  ) throws(TrainingError) -> [Prediction] {
    var predictions: [Prediction] = []
    predictions.reserveCapacity(examples.count)
    let output = session.config.hasDecoder ? nil : try Self.output(of: session, for: examples.answers)
    while predictions.count < examples.count {
      let start = predictions.count
      if let output {
        predictions += try headAnswers(examples, texts(examples, from: start), output)
      } else {
        let end = min(start + session.plan.request.batch, examples.count)
        predictions += try generate(examples, start..<end)
      }
      guard progress(predictions.count) else {
        throw TrainingError(.cancelled, "stopped after \(predictions.count) of \(examples.count) examples")
      }
    }
    return predictions
  }

  private func generate(_ examples: ExampleSet, _ range: Range<Int>) throws(TrainingError) -> [Prediction] {
    // A batch is decoded as a whole: places without an example repeat the last one and end with their first token.
    for source in 0..<session.plan.request.batch {
      try encode(examples, min(range.lowerBound + source, range.upperBound - 1), source: source)
    }
    var answers = [[Int32]](repeating: [], count: range.count)
    do throws(EngineError) {
      try session.generateGreedily(maxNewTokens: maxNewTokens) { source, id in
        guard source < answers.count else { return false }
        answers[source].append(id)
        return true
      }
    } catch { throw Self.failure(error, examples, range.lowerBound) }
    return answers.map { .text(String(decoding: tokenizer!.decode($0), as: UTF8.self).trimmed) }
  }

  /// As many examples from `start` on as an encoder takes in one pass.
  private func texts(_ examples: ExampleSet, from start: Int) -> Range<Int> {
    var counts = [examples.sourceCount(start)]
    while start + counts.count < examples.count {
      counts.append(examples.sourceCount(start + counts.count))
      guard session.fitsTogether(counts) else { return start..<start + counts.count - 1 }
    }
    return start..<start + counts.count
  }

  private func headAnswers(
    _ examples: ExampleSet, _ range: Range<Int>, _ output: HeadOutput
  ) throws(TrainingError) -> [Prediction] {
    do throws(EngineError) {
      try examples.withSources(range) { (ids, types) throws(EngineError) in
        try session.encode(together: ids, types: types, counts: range.map(examples.sourceCount))
      }
      return try (0..<range.count).map { text throws(EngineError) in
        let values = try session.headOutput(text: text)
        guard output == .exclusiveLabels else { return .number(Double(values[0])) }
        return .label(values.indices.max { values[$0] < values[$1] }!)
      }
    } catch {
      // The one at fault is refused by itself too.
      for position in range { try encode(examples, position, source: 0) }
      throw Self.failure(error, examples, range.lowerBound)
    }
  }

  private func encode(_ examples: ExampleSet, _ position: Int, source: Int) throws(TrainingError) {
    do throws(EngineError) {
      try examples.withTokens(position) { (ids, types, _) throws(EngineError) in
        try session.encode(ids, types: types, source: source)
      }
    } catch { throw Self.failure(error, examples, position) }
  }

  /// What the head makes, if it is what `answers` are.
  private static func output(
    of session: Session, for answers: ExampleSet.Answers
  ) throws(TrainingError) -> HeadOutput {
    guard let head = session.headSection()?.head else {
      throw TrainingError(.unsupported, "neither the task nor the backbone has a head")
    }
    switch (head.output, answers) {
    case (.exclusiveLabels, .labels(let labels)) where labels.count == head.outWidth: break
    case (.numbers, .numbers) where head.outWidth == 1: break
    default:
      throw TrainingError(
        .unsupported,
        "the head does not answer as the examples do (found \(head.outWidth) \(head.output.name), required "
          + "\(answers.headText))")
    }
    return head.output
  }

  private static func failure(_ error: EngineError, _ examples: ExampleSet, _ position: Int) -> TrainingError {
    let kind: TrainingError.Kind =
      switch error.kind {
      case .sourceTooLong, .targetTooLong: .tooLong
      default: .mismatch
      }
    return TrainingError(
      kind, file: examples.file, line: examples.line(position),
      "\(error.summary): found \(error.found), required \(error.required)")
  }
}

extension ExampleSet.Answers {
  /// The head that gives such answers.
  fileprivate var headText: String {
    switch self {
    case .labels(let labels): "\(labels.count) exclusiveLabels"
    case .numbers: "1 numbers"
    case .texts: "none"
    }
  }
}
