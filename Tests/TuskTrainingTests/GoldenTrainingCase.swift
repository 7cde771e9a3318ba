import Foundation
import Testing
import TuskConversion
import TuskFormat

@testable import TuskTraining

/// A case of `Tests/Fixtures/golden-training`.
struct GoldenTrainingCase: CustomTestStringConvertible, Sendable {
  let name: String

  static let folder = fixtures + "golden-training/"
  /// All cases but those that train the backbone itself.
  static let all: [GoldenTrainingCase] = names { !$0.hasSuffix("_full") }

  private static func names(_ belongs: (String) -> Bool) -> [GoldenTrainingCase] {
    let found = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return found.sorted().filter {
      belongs($0) && FileManager.default.fileExists(atPath: folder + $0 + "/case.json")
    }.map { GoldenTrainingCase(name: $0) }
  }

  var testDescription: String { name }

  struct Record: Decodable {
    struct Example: Decodable {
      let sourceIds: [Int32]
      let tokenTypeIds: [Int32]?
      let targetIds: [Int32]?
      let label: Int?
      let value: Float?
    }
    struct Optimizer: Decodable {
      let learningRate: Double
      let warmupSteps: Int
      let totalSteps: Int
      let clipNorm: Double
      let beta1: Double
      let beta2: Double
      let epsilon: Double
      let weightDecay: Double
    }
    let backbone: String
    let method: String
    let batches: [[Example]]
    let optimizer: Optimizer
    let losses: [Double]
    let gradientNorms: [Double]
    let lossAfter: Double
  }

  func record() throws -> Record {
    let data = try Data(contentsOf: URL(fileURLWithPath: Self.folder + name + "/case.json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Record.self, from: data)
  }

  /// The converted backbone.
  func backbone(_ record: Record, _ weights: WeightEncoding = .float32) throws -> (file: PackedFile, path: String) {
    let path = NSTemporaryDirectory() + "tusk-training-\(UUID().uuidString).tusk"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let source = Self.folder + record.backbone
    _ = try BackboneConversion(directory: source, weights: weights).write(to: path)
    return (try PackedFile(path: path), path)
  }

  /// The task before training. What `gradient` has as it was is not trained.
  func task(_ file: PackedFile) throws -> TrainableTask {
    let initial = try section("initial", file)
    let gradient = try section("gradient", file)
    let config = file.config!
    let whole = try TrainableTask(initial, config: config)
    let frozen = (0..<whole.section.tensorCount).filter { position in
      let data = whole.section.tensor(at: position).data
      let range = data.offset..<data.offset + data.count
      return initial[range] == gradient[range]
    }
    return try TrainableTask(initial, config: config, frozenTensors: frozen)
  }

  /// The section of `initial` or `gradient`.
  func section(_ part: String, _ file: PackedFile) throws -> [UInt8] {
    let path = NSTemporaryDirectory() + "tusk-training-\(UUID().uuidString).tusk"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskConversion(
      directory: Self.folder + name + "/" + part, backbone: file, backbonePath: "backbone", name: "task"
    ).write(to: path)
    let task = try PackedFile(path: path).task(at: 0)
    return task.bytes.withSpan { span in
      (0..<span.byteCount).map { span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }
  }
}

let fixtures =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Fixtures/"

extension TokenizedExample {
  fileprivate var label: Int {
    if case .label(let label) = target { return label }
    return 0
  }
}

extension GoldenTrainingCase.Record.Example {
  var tokenized: TokenizedExample {
    let target: TokenizedExample.Target =
      if let targetIds { .tokens(targetIds) } else if let label { .label(label) } else { .number(value ?? 0) }
    return TokenizedExample(sourceIds: sourceIds, typeIds: tokenTypeIds ?? [], target: target, line: 1)
  }
}

extension GoldenTrainingCase.Record {
  /// All examples of all batches.
  func set() throws -> ExampleSet {
    let all = batches.flatMap { $0.map(\.tokenized) }
    let answers: ExampleSet.Answers =
      switch all[0].target {
      case .tokens: .texts
      case .label: .labels(LabelSet((0..<1 + all.map(\.label).max()!).map { "\($0)" }))
      case .number: .numbers
      }
    var set = ExampleSet(answers, file: "golden")
    for example in all { try set.append(example, isTruncated: false, gold: nil) }
    return set
  }

  /// Where batch `index` stands in the set.
  func positions(ofBatch index: Int) -> ArraySlice<Int> {
    let start = batches[..<index].reduce(0) { $0 + $1.count }
    return Array(0..<start + batches[index].count)[start...]
  }

  func request(threads: Int = 1, budgetBytes: Int? = nil) -> TrainingRequest {
    let all = batches.flatMap { $0 }
    return TrainingRequest(
      sourceTokens: all.map(\.sourceIds.count).max()!, targetTokens: all.compactMap { $0.targetIds?.count }.max() ?? 0,
      batch: batches[0].count, threads: threads, budgetBytes: budgetBytes)
  }

  var settings: OptimizerSettings {
    OptimizerSettings(
      learningRate: optimizer.learningRate, warmupSteps: optimizer.warmupSteps, totalSteps: optimizer.totalSteps,
      clipNorm: optimizer.clipNorm, beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
      weightDecay: optimizer.weightDecay)
  }
}
