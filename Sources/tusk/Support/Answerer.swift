import Foundation
import TuskConversion
import TuskEngine
import TuskTokenizer

/// Answers sources one after another in one session.
final class Answerer {
  private let model: Model
  private let session: Session
  private let maxNewTokens: Int
  private var mounted: String?

  init(_ model: Model, _ request: PlanRequest) throws(Failure) {
    self.model = model
    maxNewTokens = request.targetTokens
    session = try model.session(try model.plan(request))
    mounted = model.chosen.first?.name
  }

  func requireTokenizer() throws(Failure) {
    guard model.tokenizer != nil else {
      throw Failure(
        Failure.badData, "\(model.path.printable): the backbone was converted without a tokenizer; use --input-ids")
    }
  }

  func answer(_ line: InputLine, place: String) throws(Failure) -> Answer {
    guard let tokenizer = model.tokenizer else { preconditionFailure("required before") }
    try mount(line.task ?? model.chosen.first?.name, place: place)
    let ids: [Int32]
    do throws(TokenizerError) {
      ids = try tokenizer.encode(line.text, appendingEndOfSequence: true)
    } catch { throw Failure(error, path: place, sectionOffset: 0) }
    return try answer(ids, place: place)
  }

  func answer(_ ids: [Int32], place: String) throws(Failure) -> Answer {
    do throws(EngineError) {
      let best = try session.generate(ids, maxNewTokens: maxNewTokens)
      guard session.plan.request.beams > 1 else { return Answer(hypothesis(best, score: nil), beams: nil) }
      let beams = (0..<session.hypothesisCount()).map { rank in
        let found = session.hypothesis(rank)
        return hypothesis(Array(found.ids), score: found.score)
      }
      return Answer(beams[0], beams: beams)
    } catch { throw Failure(error, path: place) }
  }

  private func hypothesis(_ ids: [Int32], score: Float?) -> Answer.Hypothesis {
    let text = model.tokenizer.map { String(decoding: $0.decode(ids), as: UTF8.self) }
    return Answer.Hypothesis(ids: ids, score: score, text: text)
  }

  /// Switching changes which tables the session reads; it costs nothing to speak of.
  private func mount(_ name: String?, place: String) throws(Failure) {
    guard name != mounted else { return }
    guard let name else {
      try model.mount(nil, on: session)
      mounted = nil
      return
    }
    guard let task = model.task(named: name) else {
      let names = model.tasks.map(\.name.printable).joined(separator: ", ")
      throw Failure(
        Failure.badData,
        "\(place): 'task': no such task (found \(name.printable), required \(names.isEmpty ? "none" : "one of \(names)"))"
      )
    }
    try model.mount(task, on: session)
    mounted = name
  }
}

/// The answer to one source: the JSON object of `formats/json.md`.
struct Answer: Encodable {
  let best: Hypothesis
  /// Best first; nil for greedy decoding.
  let beams: [Hypothesis]?

  struct Hypothesis: Encodable {
    /// From the decoder's start token to end-of-sequence, if it came.
    let ids: [Int32]
    /// Summed log-probability by generated token; nil for greedy decoding.
    let score: Float?
    /// Nil without a tokenizer.
    let text: String?
  }

  init(_ best: Hypothesis, beams: [Hypothesis]?) {
    self.best = best
    self.beams = beams
  }

  /// The answer for people: always one line.
  var line: String {
    guard let text = best.text else { return best.ids.map(String.init).joined(separator: ",") }
    return String(text.map { $0.isNewline ? " " : $0 })
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(best.ids, forKey: .ids)
    // A greedy answer has a score of null, not none: its place in the object is fixed.
    try container.encode(best.score, forKey: .score)
    try container.encodeIfPresent(best.text, forKey: .text)
    try container.encodeIfPresent(beams, forKey: .beams)
  }

  private enum Key: CodingKey { case ids, score, text, beams }
}
