import Foundation
import TuskEngine
import TuskFormat
import TuskTokenizer

@testable import TuskTraining

/// A tiny backbone with examples, for runs that a test can stop, spoil and go on with.
struct TinyTraining: Sendable {
  let file: PackedFile
  let tokenizer: Tokenizer
  let training: ExampleSet
  let validation: ExampleSet

  static let encoder = Result { try TinyTraining(encoderConfig) }
  static let encoderDecoder = Result { try TinyTraining(encoderDecoderConfig) }

  static func named(_ name: String) throws -> TinyTraining {
    try (name == "encoder" ? encoder : encoderDecoder).get()
  }

  static let encoderConfig = BackboneConfig(
    encoderWith: 12, dFF: 24, headCount: 3, layerCount: 2, vocabularySize: 700, maxPositions: 64, positionOffset: 0,
    tokenTypeCount: 2, normEpsilon: 1e-12, activation: .gelu, hasPooler: true, padId: 0, separatorId: 3,
    weightEncoding: .float32)
  static let encoderDecoderConfig = BackboneConfig(
    dModel: 16, dFF: 24, dKV: 4, headCount: 2, layerCount: 2, decoderLayerCount: 2, vocabularySize: 8100,
    bucketCount: 8, maxDistance: 16, normEpsilon: 1e-6, activation: .relu, isGated: false, hasTiedHead: true,
    logitScale: 0.25, padId: 0, eosId: 1, decoderStartId: 0, weightEncoding: .float32)

  /// Eleven examples to learn from, of lengths that differ, and four to judge by, whose labels are the other way round.
  init(_ config: BackboneConfig) throws {
    let file = try DataFixtures.backbone(config)
    let tokenizer = try DataFixtures.tokenizer(config)
    self.file = file
    self.tokenizer = tokenizer
    func set(_ range: Range<Int>, isTurned: Bool) throws -> ExampleSet {
      let lines = range.map { number in
        let text = String(repeating: number % 2 == 0 ? "house " : "ice ", count: 1 + number % 5)
        let label = (number % 2 == 0) != isTurned ? "even" : "odd"
        return "{\"text\": \"the \(text)\(number)\", \"label\": \"\(label)\"}"
      }
      return try DataFixtures.withFile(Array(lines.joined(separator: "\n").utf8)) { path in
        let answers: ExampleSet.Answers = config.hasDecoder ? .texts : .labels(LabelSet(["even", "odd"]))
        return try ExampleReader(preset: nil, answers: answers, tokenizer: tokenizer, config: config).read(path)
      }
    }
    training = try set(0..<11, isTurned: false)
    validation = try set(11..<15, isTurned: true)
  }

  /// Three epochs of four steps each, the last of an epoch smaller.
  static func settings(
    _ method: TrainingMethod = .compacter, _ change: (inout TrainingSettings) -> Void = { _ in }
  ) -> TrainingSettings {
    var chosen = MethodSettings(method, dialect: .authors)
    (chosen.reductionFactor, chosen.phmDim, chosen.promptTokens) = (2, 2, 1)
    var settings = TrainingSettings(
      method: chosen, optimizer: OptimizerSettings(learningRate: 0.02, warmupSteps: 2, totalSteps: 12), batch: 3,
      epochs: 3, dropout: 0.1, seed: 7)
    change(&settings)
    return settings
  }

  func trainer(
    _ settings: TrainingSettings = settings(), statePath: String, isEvaluated: Bool = true, data: String = "data",
    threads: Int = 1, budgetBytes: Int? = nil
  ) throws -> Trainer {
    let head: HeadTemplate? =
      file.config!.hasDecoder ? nil : HeadTemplate(.classification(labels: ["even", "odd"]))
    let trainer = try Trainer(
      file, section: try MethodTask.section(settings.method, backbone: file, name: "tiny", head: head),
      settings: settings, tokenizer: tokenizer, training: training, validation: isEvaluated ? validation : nil,
      metrics: [.accuracy], dataIdentity: ["training data": data], statePath: statePath, threads: threads,
      budgetBytes: budgetBytes)
    return trainer
  }
}

/// A folder for state files that is gone when the last reference to it is.
final class StateFolder {
  let url = FileManager.default.temporaryDirectory.appending(path: "tusk-state-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String = "task.state") -> String { url.appending(path: name).path }

  func bytes(_ name: String = "task.state") throws -> [UInt8] { Array(try Data(contentsOf: url.appending(path: name))) }

  var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() } }
}

/// What happened in a run, without times.
struct RunRecord: Equatable {
  var losses: [Double] = []
  var evaluations: [Double?] = []
  var bestEpochs: [Int] = []
  var saves: [Int] = []

  mutating func take(_ event: TrainingEvent) {
    switch event {
    case .step(let step): losses.append(step.loss)
    case .answers: break
    case .evaluation(let report):
      evaluations.append(report.evaluation?.average)
      if report.isBest { bestEpochs.append(report.epoch) }
    case .saved(let step): saves.append(step)
    }
  }
}

extension Trainer {
  /// Runs until `stops` says so.
  func record(
    into record: inout RunRecord, until stops: (TrainingEvent) -> Bool = { _ in false }
  ) throws(TrainingError) -> TrainingOutcome {
    try run { event in
      record.take(event)
      return !stops(event)
    }
  }
}
