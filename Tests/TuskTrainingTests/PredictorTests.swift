import Testing
import TuskEngine
import TuskFormat
import TuskTokenizer

@testable import TuskTraining

@Suite struct PredictorTests {
  private static let lines = (0..<7).map {
    #"{"text": "\#(String(repeating: "the house \($0) ", count: $0 + 1))", "label": 1}"#
  }

  private func examples(_ config: BackboneConfig, _ answers: ExampleSet.Answers) throws -> ExampleSet {
    let reader = try ExampleReader(
      preset: nil, answers: answers, tokenizer: DataFixtures.tokenizer(config), config: config, maxSourceTokens: 32)
    return try DataFixtures.withFile(Array(Self.lines.joined(separator: "\n").utf8)) { try reader.read($0) }
  }

  private func session(
    _ config: BackboneConfig, batch: Int = 1, head: TaskHead? = nil, labels: [String] = []
  ) throws -> Session {
    let file = try DataFixtures.backbone(config, head: head, labels: labels)
    return try Session(
      file, plan: MemoryPlan(config: config, request: PlanRequest(sourceTokens: 32, targetTokens: 6, batch: batch)))
  }

  @Test(arguments: [1, 2, 3, 7, 9])
  func aBatchAnswersAsEachSourceAlone(batch: Int) throws {
    let config = DataFixtures.t5
    let set = try examples(config, .texts)
    let tokenizer = try DataFixtures.tokenizer(config)
    let alone = try session(config)
    let expected = try (0..<set.count).map { position in
      let ids = try alone.generate(set[position].sourceIds, maxNewTokens: 6)
      return String(decoding: tokenizer.decode(ids), as: UTF8.self)
    }
    #expect(Set(expected).count > 1)
    var done: [Int] = []
    let found = try Predictor(try session(config, batch: batch), tokenizer: tokenizer, maxNewTokens: 6).predict(set) {
      done.append($0)
      return true
    }
    let texts = found.map { if case .text(let text) = $0 { text } else { "" } }
    #expect(texts == expected.map { $0.trimmingWhitespace })
    #expect(done.last == set.count && done.count == (set.count + batch - 1) / batch)
  }

  @Test func aHeadAnswersWithItsLargestNumber() throws {
    let head = TaskHead(input: .mean, output: .exclusiveLabels, first: 0, outWidth: 3, labelCount: 3)
    let labels = ["0", "1", "2"]
    let set = try examples(DataFixtures.bert, .labels(LabelSet(labels)))
    let session = try session(DataFixtures.bert, head: head, labels: labels)
    let tokenizer = try DataFixtures.tokenizer(DataFixtures.bert)
    let found = try Predictor(session, tokenizer: tokenizer).predict(set)
    for (position, prediction) in found.enumerated() {
      try set.withTokens(position) { ids, types, _ in try session.encode(ids, types: types) }
      let scores = Array(try session.headOutput())
      #expect(prediction == .label(scores.firstIndex(of: scores.max()!)!))
    }
    #expect(throws: TrainingError.self) {
      try Predictor(session, tokenizer: tokenizer).predict(try examples(DataFixtures.bert, .numbers))
    }
    #expect(throws: TrainingError.self) {
      try Predictor(session, tokenizer: tokenizer).predict(
        try examples(DataFixtures.bert, .labels(LabelSet(["0", "1"]))))
    }
  }

  @Test func anEncoderTakesSeveralTextsInOnePass() throws {
    let head = TaskHead(input: .mean, output: .exclusiveLabels, first: 0, outWidth: 2, labelCount: 2)
    let set = try examples(DataFixtures.bert, .labels(LabelSet(["0", "1"])))
    let session = try session(DataFixtures.bert, head: head, labels: ["0", "1"])
    var done: [Int] = []
    _ = try Predictor(session, tokenizer: DataFixtures.tokenizer(DataFixtures.bert)).predict(set) {
      done.append($0)
      return true
    }
    let counts = (0..<set.count).map { set.sourceCount($0) }
    #expect(done.count > 1 && done.count < set.count && done.last == set.count)
    for (start, end) in zip([0] + done, done) {
      #expect(counts[start..<end].reduce(0, +) <= 32)
      #expect(end == set.count || counts[start...end].reduce(0, +) > 32)
    }
  }

  @Test func aRegressionAnswersWithItsNumber() throws {
    let head = TaskHead(input: .firstToken, output: .numbers, first: 0, outWidth: 1)
    let set = try examples(DataFixtures.bert, .numbers)
    let session = try session(DataFixtures.bert, head: head)
    let found = try Predictor(session, tokenizer: DataFixtures.tokenizer(DataFixtures.bert)).predict(set)
    try set.withTokens(6) { ids, types, _ in try session.encode(ids, types: types) }
    #expect(found[6] == .number(Double(try session.headOutput()[0])))
  }

  @Test func aCallerCanStop() throws {
    let set = try examples(DataFixtures.t5, .texts)
    let session = try session(DataFixtures.t5, batch: 2)
    let predictor = Predictor(session, tokenizer: try DataFixtures.tokenizer(DataFixtures.t5), maxNewTokens: 2)
    #expect(throws: TrainingError(.cancelled, "stopped after 4 of 7 examples")) {
      try predictor.predict(set) { $0 < 4 }
    }
  }

  @Test func sourcesLongerThanPlannedAreRefusedWithTheirLine() throws {
    let config = DataFixtures.t5
    let set = try examples(config, .texts)
    let file = try DataFixtures.backbone(config)
    let session = try Session(
      file, plan: MemoryPlan(config: config, request: PlanRequest(sourceTokens: set.sourceCount(2), targetTokens: 2)))
    let predictor = Predictor(session, tokenizer: try DataFixtures.tokenizer(config), maxNewTokens: 2)
    #expect {
      try predictor.predict(set)
    } throws: {
      let error = $0 as? TrainingError
      return error?.kind == .tooLong && error?.line == 4 && error?.file == set.file
    }
  }
}

extension String {
  fileprivate var trimmingWhitespace: String {
    let scalars = Array(unicodeScalars)
    let inner = scalars.drop { $0.properties.isWhitespace }.reversed().drop { $0.properties.isWhitespace }.reversed()
    var view = String.UnicodeScalarView()
    view.append(contentsOf: inner)
    return String(view)
  }
}
