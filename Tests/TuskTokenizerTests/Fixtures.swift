import Foundation
import TuskConversion
import TuskFormat
import TuskTokenizer

/// Recorded vocabularies and answers, and checkpoints made of them.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/tokenizer")
  /// Trained with settings that T5's vocabulary does not use; tools/make_tokenizer_golden.py says which.
  static let variants = ["symbols", "phrases", "spaces", "bare", "unescaped"]

  struct Line: Decodable {
    let text: String?
    let hex: String?
    let ids: [Int32]
    let decoded: String
    let huggingface: Bool?

    var bytes: [UInt8] {
      if let text { return [UInt8](text.utf8) }
      let digits = [UInt8]((hex ?? "").utf8)
      return stride(from: 0, to: digits.count, by: 2).map {
        UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
      }
    }
  }

  static func model(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: "\(name).model")))
  }

  static func lines(_ name: String) throws -> [Line] {
    try Data(contentsOf: folder.appending(path: "\(name).jsonl")).split(separator: UInt8(ascii: "\n")).map {
      try JSONDecoder().decode(Line.self, from: $0)
    }
  }

  /// The section of a checkpoint directory with these files.
  static func section(
    _ files: [String: [UInt8]], vocabularySize: Int = 1 << 20, fairseqIds: TokenizerBuilder.FairseqIds = .xlmRoberta
  ) throws -> [UInt8]? {
    let directory = FileManager.default.temporaryDirectory.appending(path: "tusk-tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, bytes) in files { try Data(bytes).write(to: directory.appending(path: name)) }
    return try TokenizerBuilder.section(
      checkpointDirectory: directory.path, vocabularySize: vocabularySize, fairseqIds: fairseqIds)
  }

  /// The section of a recorded vocabulary with a few sentinels.
  static func section(_ name: String, sentinels: Int) throws -> [UInt8] {
    let config = [UInt8]("{\"extra_ids\": \(sentinels)}".utf8)
    return try section(["spiece.model": model(name), "tokenizer_config.json": config])!
  }

  static func tokenizer(_ section: [UInt8]) throws(TokenizerError) -> Tokenizer {
    try Tokenizer(Mapping(copying: section).bytes)
  }
}
