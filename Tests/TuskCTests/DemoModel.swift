import CTusk
import Foundation
import Testing
import TuskConversion
import TuskFormat

/// The demonstration T5 with its tasks, and an encoder, converted once.
enum DemoModel {
  static let tasks = ["iso-date", "clock-24", "dollar-sign"]

  private static let paths: [String: String] = try! convert()

  static func path(_ name: String) -> String { paths[name]! }

  /// The T5 with all three tasks, in their order.
  static func open() throws -> CModel {
    try CModel(path: path("t5"), tasks: path(tasks[0]), path(tasks[1]), path(tasks[2]))
  }

  private static func convert() throws -> [String: String] {
    var paths = ["t5": "\(Files.folder)/t5.tusk", "bert": "\(Files.folder)/bert.tusk"]
    _ = try BackboneConversion(directory: "\(Files.demo)/t5-backbone", weights: .int8Rows).write(to: paths["t5"]!)
    let backbone = try PackedFile(path: paths["t5"]!)
    for task in tasks {
      paths[task] = "\(Files.folder)/\(task).tusk"
      try TaskConversion(
        directory: "\(Files.demo)/tasks/\(task)", backbone: backbone, backbonePath: "t5", name: task
      ).write(to: paths[task]!)
    }
    let encoder = "\(Files.encoders)/backbones/bert_multilabel"
    _ = try BackboneConversion(directory: encoder, weights: .float32).write(to: paths["bert"]!)
    return paths
  }
}

/// A line of tools/demo/golden.jsonl with its sentence: what PyTorch answered.
struct DemoAnswer {
  let task: String?
  let sentence: String
  let text: String
  let sourceIds: [Int32]
  let ids: [Int32]

  private struct Line: Decodable {
    let task: String?
    let sentences: String
    let index: Int
    let text: String
    let sourceIds: [Int32]
    let ids: [Int32]
  }

  private struct Sentence: Decodable {
    let text: String
  }

  /// The first `count` of each task and of the backbone alone.
  static func first(_ count: Int) throws -> [DemoAnswer] {
    var taken: [String: Int] = [:]
    var answers: [DemoAnswer] = []
    for line in try lines(Line.self, "golden.jsonl") {
      let name = line.task ?? ""
      guard taken[name, default: 0] < count else { continue }
      taken[name, default: 0] += 1
      let sentence = try lines(Sentence.self, "sentences/\(line.sentences).jsonl")[line.index]
      answers.append(
        DemoAnswer(
          task: line.task, sentence: sentence.text, text: line.text, sourceIds: line.sourceIds, ids: line.ids))
    }
    return answers
  }

  private static func lines<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> [Value] {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try Data(contentsOf: URL(fileURLWithPath: "\(Files.demo)/\(name)")).split(separator: UInt8(ascii: "\n"))
      .map { try decoder.decode(type, from: $0) }
  }
}
