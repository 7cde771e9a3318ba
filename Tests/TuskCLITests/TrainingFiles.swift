import Foundation
import Testing

/// Tiny backbones with tokenizers, converted once, and examples for them.
final class TrainingFiles: Sendable {
  static let shared = Result { try TrainingFiles() }

  /// An encoder-decoder and an encoder.
  let t5: String
  let bert: String
  /// The same with float32 weights.
  let floatT5: String
  let floatBERT: String
  /// Texts with targets, and texts with the labels `cold` and `warm`.
  let texts: String
  let labels: String
  private let folder: TemporaryFolder

  private init() throws {
    folder = try TemporaryFolder()
    let fixtures = CommandLineTool.packageFolder.appendingPathComponent("Tests/Fixtures")
    let model = try Data(contentsOf: fixtures.appendingPathComponent("tokenizer/spaces.model"))
    let t5Files = ["spiece.model": model]
    t5 = try Self.convert("t5_v10", t5Files, "int8", folder)
    floatT5 = try Self.convert("t5_v10", t5Files, "float32", folder)
    let pieces = [
      "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "house", "is", "blue", "red", "ice", "fire", "in",
    ]
    let bertFiles = [
      "vocab.txt": Data((pieces.joined(separator: "\n") + "\n").utf8),
      "tokenizer_config.json": Data(#"{"do_lower_case": true}"#.utf8),
    ]
    bert = try Self.convert("bert", bertFiles, "int8", folder)
    floatBERT = try Self.convert("bert", bertFiles, "float32", folder)
    let colors = ["blue", "red", "ice", "fire"]
    texts = try folder.file(
      "texts.jsonl",
      Self.lines(
        (0..<16).map { #"{"source": "the house is \#(colors[$0 % 4])", "target": "\#($0 % 4 == 0 ? "he" : "she")"}"# })
    ).path
    labels = try folder.file(
      "labels.jsonl",
      Self.lines(
        (0..<16).map {
          let place = String(repeating: "in the house ", count: $0 % 3)
          return #"{"text": "\#(place)the \#(colors[$0 % 4]) is", "label": "\#($0 % 2 == 0 ? "cold" : "warm")"}"#
        })
    ).path
  }

  static func lines(_ lines: [String]) -> [UInt8] { Array((lines.joined(separator: "\n") + "\n").utf8) }

  private static func convert(
    _ name: String, _ files: [String: Data], _ weights: String, _ folder: TemporaryFolder
  ) throws -> String {
    let checkpoint = folder.url.appendingPathComponent("\(name)-\(weights)-checkpoint")
    try FileManager.default.copyItem(
      at: CommandLineTool.golden.appendingPathComponent("backbones/\(name)"), to: checkpoint)
    for (file, bytes) in files { try bytes.write(to: checkpoint.appendingPathComponent(file)) }
    let output = folder.path("\(name)-\(weights).tusk")
    let outcome = try CommandLineTool.run(
      "convert", "backbone", checkpoint.path, "--output", output, "--weights", weights)
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
    return output
  }

  /// Options that make `method` fit these narrow backbones.
  static func sizes(_ method: String) -> [String] {
    switch method {
    case "prompt": ["--prompt-tokens", "5"]
    case "lora", "bitfit": []
    case "phm": ["--reduction-factor", "4", "--phm-dim", "4"]
    default: ["--reduction-factor", "4"]
    }
  }

  /// Options of a short run that learns something.
  static let recipe = ["--epochs", "3", "--batch", "4", "--learning-rate", "0.01", "--threads", "1"]
}

/// A `tusk` that goes on while a test does something else.
final class RunningTool {
  private let process = Process()
  private let errors: URL

  init(_ arguments: [String], _ folder: TemporaryFolder) throws {
    errors = try folder.file("running-errors", [])
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
  }

  /// Sends `number` as soon as `isTime`; returns how the process ended, nil if it ended before.
  func stop(_ number: Int32, when isTime: () -> Bool) throws -> (status: Int32, errors: String)? {
    let end = Date(timeIntervalSinceNow: 120)
    while process.isRunning && Date() < end && !isTime() { Thread.sleep(forTimeInterval: 0.001) }
    let wasRunning = process.isRunning
    kill(process.processIdentifier, number)
    process.waitUntilExit()
    guard wasRunning else { return nil }
    return (process.terminationStatus, String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }
}
