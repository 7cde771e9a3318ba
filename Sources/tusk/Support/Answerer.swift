import Foundation
import Logging
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Answers sources in one session, one after another; an encoder's several in one pass, where several are there.
final class Answerer {
  private let model: Model
  private let session: Session
  private let maxNewTokens: Int
  private let isCutting: Bool
  private var cutCount = 0
  private var mounted: Mounted?
  /// Sources of the mounted tasks that will be encoded together.
  private var waiting: [Waiting] = []

  private struct Waiting {
    let ids: [Int32]
    let typeIds: [Int32]
    let place: String
  }

  private enum Mounted: Equatable {
    case commandLine
    case named([String])
  }

  /// - Parameter isCutting: whether texts longer than planned are cut rather than refused; nil for what the backbone's
  ///   kind is used to: an encoder cuts.
  init(_ model: Model, _ request: PlanRequest, isCutting: Bool?) throws(Failure) {
    self.model = model
    self.isCutting = isCutting ?? !model.config.hasDecoder
    maxNewTokens = request.targetTokens
    session = try model.session(try model.plan(request))
  }

  func requireTokenizer() throws(Failure) {
    guard model.tokenizer != nil else {
      throw Failure(
        Failure.badData, "\(model.path.printable): the backbone was converted without a tokenizer; use --input-ids")
    }
  }

  /// D of the embeddings that the head makes.
  func embeddingWidth() throws(Failure) -> Int {
    try mount(nil, place: model.path)
    guard let head = session.headSection()?.head, head.output == .embedding else {
      throw Failure(
        Failure.badData, "\(model.path.printable): its head makes no embeddings; 'tusk run' prints what it makes")
    }
    return head.outWidth
  }

  /// Hands the answer to `line`, or why there is none, to `deliver`: at once, or if the line is followed by another one
  /// together with those that follow, in their order.
  func answer(
    _ line: InputLine, place: String, isFollowed: Bool, deliver: (Result<Reply, Failure>) throws -> Void
  ) throws {
    do throws(Failure) {
      guard line.secondText == nil || !model.config.hasDecoder else {
        throw Failure(Failure.badData, "\(place): 'text2': this backbone takes one text (found two)")
      }
    } catch { return try fail(error, deliver) }
    if !isMounted(line.tasks) { try answerWaiting(deliver) }
    let source: Waiting
    do throws(Failure) {
      try mount(line.tasks, place: place)
      source = try self.source(line, place: place)
    } catch { return try fail(error, deliver) }
    if !waiting.isEmpty, !session.fitsTogether(waiting.map(\.ids.count) + [source.ids.count]) {
      try answerWaiting(deliver)
    }
    waiting.append(source)
    if model.config.hasDecoder || !isFollowed { try answerWaiting(deliver) }
  }

  /// Delivers the answers of those that wait, and then a failure.
  func fail(_ failure: Failure, _ deliver: (Result<Reply, Failure>) throws -> Void) throws {
    try answerWaiting(deliver)
    try deliver(.failure(failure))
  }

  private func answerWaiting(_ deliver: (Result<Reply, Failure>) throws -> Void) throws {
    let sources = waiting
    waiting.removeAll(keepingCapacity: true)
    if sources.count > 1, let replies = answerTogether(sources) {
      for reply in replies { try deliver(.success(reply)) }
      return
    }
    for source in sources {
      let result: Result<Reply, Failure>
      do throws(Failure) {
        result = .success(try answer(source.ids, typeIds: source.typeIds, place: source.place))
      } catch { result = .failure(error) }
      try deliver(result)
    }
  }

  /// Nil if one of them cannot be encoded.
  private func answerTogether(_ sources: [Waiting]) -> [Reply]? {
    let types = sources.flatMap { $0.typeIds.isEmpty ? [Int32](repeating: 0, count: $0.ids.count) : $0.typeIds }
    return try? sources.flatMap(\.ids).withUnsafeBufferPointer { ids in
      try types.withUnsafeBufferPointer { types in
        try session.encode(together: ids, types: types, counts: sources.map(\.ids.count))
      }
      return try sources.indices.map { .head(try HeadAnswer(session, text: $0)) }
    }
  }

  /// Says how many texts were cut, once all have been answered.
  func finish() {
    if cutCount > 1 { log.notice("\(cutCount.counted("text")) cut in all") }
  }

  private func source(_ line: InputLine, place: String) throws(Failure) -> Waiting {
    guard let tokenizer = model.tokenizer else { preconditionFailure("required before") }
    let limit = session.sourceLimit()
    do throws(TokenizerError) {
      let source = try tokenizer.encodePair(line.text, line.secondText, maximumTokens: nil)
      guard isCutting, source.ids.count > limit else {
        return Waiting(ids: source.ids, typeIds: source.typeIds, place: place)
      }
      cutCount += 1
      if cutCount == 1 {
        log.notice(
          "\(place): \(source.ids.count.grouped) tokens cut to \(limit.grouped); --no-truncate refuses such texts")
      }
      let cut = try tokenizer.encodePair(line.text, line.secondText, maximumTokens: limit)
      return Waiting(ids: cut.ids, typeIds: cut.typeIds, place: place)
    } catch { throw Failure(error, path: place, sectionOffset: 0) }
  }

  /// - Parameter typeIds: of an encoder's tokens; none for type 0 throughout.
  func answer(_ ids: [Int32], typeIds: [Int32] = [], place: String) throws(Failure) -> Reply {
    if mounted == nil { try mount(nil, place: place) }
    do throws(EngineError) {
      guard !model.config.hasDecoder else { return .text(try generate(ids)) }
      try session.encode(ids, typeIds: typeIds)
      return .head(try HeadAnswer(session))
    } catch { throw Failure(error, path: place) }
  }

  private func generate(_ ids: [Int32]) throws(EngineError) -> Answer {
    let best = try session.generate(ids, maxNewTokens: maxNewTokens)
    guard session.plan.request.beams > 1 else { return Answer(hypothesis(best, score: nil), beams: nil) }
    let beams = (0..<session.hypothesisCount()).map { rank in
      let found = session.hypothesis(rank)
      return hypothesis(Array(found.ids), score: found.score)
    }
    return Answer(beams[0], beams: beams)
  }

  private func hypothesis(_ ids: [Int32], score: Float?) -> Answer.Hypothesis {
    let text = model.tokenizer.map { String(decoding: $0.decode(ids), as: UTF8.self) }
    return Answer.Hypothesis(ids: ids, score: score, text: text)
  }

  /// Mounts the tasks called `names`, or those of the command line. Switching changes which tables the session reads; it
  /// costs nothing to speak of.
  private func mount(_ names: [String]?, place: String) throws(Failure) {
    guard !isMounted(names) else { return }
    let wanted = names.map(Mounted.named) ?? .commandLine
    mounted = nil
    var tasks = model.chosen
    if let names { tasks = try self.tasks(names, place: place) }
    try model.mount(tasks, on: session)
    mounted = wanted
  }

  private func isMounted(_ names: [String]?) -> Bool { (names.map(Mounted.named) ?? .commandLine) == mounted }

  private func tasks(_ names: [String], place: String) throws(Failure) -> [Model.NamedTask] {
    var tasks: [Model.NamedTask] = []
    for name in names {
      guard let task = model.task(named: name) else {
        let known = model.tasks.map(\.name.printable).joined(separator: ", ")
        throw Failure(
          Failure.badData,
          "\(place): 'task': no such task (found \(name.printable), required "
            + "\(known.isEmpty ? "none" : "one of \(known)"))")
      }
      tasks.append(task)
    }
    guard tasks.count <= Session.taskLimit else {
      throw Failure(
        Failure.badData,
        "\(place): 'task': too many tasks at once (found \(tasks.count), required at most \(Session.taskLimit))")
    }
    return tasks
  }
}

extension Session {
  /// Encodes one source; without type ids, all of type 0.
  func encode(_ ids: [Int32], typeIds: [Int32]) throws(EngineError) {
    try ids.withUnsafeBufferPointer { ids throws(EngineError) in
      guard !typeIds.isEmpty else { return try encode(ids) }
      try typeIds.withUnsafeBufferPointer { types throws(EngineError) in try encode(ids, types: types) }
    }
  }
}

/// What a model answers: an encoder-decoder by a text, an encoder by what its head makes.
enum Reply: Encodable {
  case text(Answer)
  case head(HeadAnswer)

  var line: String {
    switch self {
    case .text(let answer): answer.line
    case .head(let answer): answer.line
    }
  }

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .text(let answer): try answer.encode(to: encoder)
    case .head(let answer): try answer.encode(to: encoder)
    }
  }
}

/// The text that answers one source: the JSON object of `formats/json.md`.
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
