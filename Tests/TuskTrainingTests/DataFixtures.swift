import Foundation
import TuskFormat
import TuskTokenizer

@testable import TuskConversion
@testable import TuskTraining

/// Files of examples, recorded vocabularies, and random models small enough to be written by a test.
enum DataFixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.appending(path: "tusk-data-\(UUID().uuidString)").path
  }

  /// Calls `body` with the path of a file that holds `bytes`.
  static func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let path = temporaryPath()
    try Data(bytes).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  static func withFile<Result>(_ lines: String..., body: (String) throws -> Result) throws -> Result {
    try withFile(Array(lines.map { $0 + "\n" }.joined().utf8), body)
  }

  static func record(_ line: String) throws -> DataRecord {
    try DataRecord(Array(line.utf8), file: "data.jsonl", line: 7)
  }

  static let t5 = BackboneConfig(
    dModel: 8, dFF: 12, dKV: 4, headCount: 2, layerCount: 1, decoderLayerCount: 1, vocabularySize: 8100, bucketCount: 8,
    maxDistance: 16, normEpsilon: 1e-6, activation: .relu, isGated: false, hasTiedHead: true, logitScale: 0.5, padId: 0,
    eosId: 1, decoderStartId: 0, weightEncoding: .float32)
  static let bert = BackboneConfig(
    encoderWith: 12, dFF: 24, headCount: 3, layerCount: 1, vocabularySize: 700, maxPositions: 64, positionOffset: 0,
    tokenTypeCount: 2, normEpsilon: 1e-12, activation: .gelu, hasPooler: true, padId: 0, separatorId: 3,
    weightEncoding: .float32)

  static func tokenizerSection(_ config: BackboneConfig) throws -> [UInt8] {
    guard config.hasDecoder else {
      return try TokenizerBuilder.section(
        checkpointDirectory: folder.appending(path: "tokenizer/uncased").path, vocabularySize: config.vocabularySize)!
    }
    let model = try Data(contentsOf: folder.appending(path: "tokenizer/8k.model"))
    return try TokenizerBuilder.section(sentencePieceModel: Array(model), vocabularySize: config.vocabularySize)
  }

  static func tokenizer(_ config: BackboneConfig) throws -> Tokenizer {
    try Tokenizer(Mapping(copying: try tokenizerSection(config)).bytes)
  }

  /// A pack of `config` with weights of its own, its tokenizer, and perhaps a head.
  static func backbone(_ config: BackboneConfig, head: TaskHead? = nil, labels: [String] = []) throws -> PackedFile {
    var state: UInt32 = 5
    func number() -> Float {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) / Float(1 << 24) - 0.5
    }
    var section: [UInt8]?
    if let head {
      var builder = TaskBuilder(
        config: config, name: Array("head".utf8), vocabularySize: config.vocabularySize, origin: .adapters)
      let full = builder.addTensor(
        .full, TensorShape(1, config.dModel, head.outWidth), (0..<config.dModel * head.outWidth).map { _ in number() })
      let linear = builder.addLinear(
        TaskLinear(inWidth: config.dModel, outWidth: head.outWidth, phmDim: 1, factorRank: 0, full: full))
      precondition(linear == head.first, "a head of one layer")
      builder.setHead(head, labels: labels.map { Array($0.utf8) })
      section = builder.sectionBytes()
    }
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try BackboneWriter(
      path: path, config: config, tokenizer: try tokenizerSection(config), provenance: nil, head: section)
    while let spec = writer.currentTensor {
      for _ in 0..<spec.rows {
        var row = [Float](repeating: 0, count: spec.rowStrideBytes / 4)
        for column in 0..<spec.columns { row[column] = spec.role.isNorm ? 1 : 4 * number() }
        try row.withUnsafeBytes { try writer.append($0) }
      }
      try writer.finishTensor(sourceChecksum: state)
    }
    try writer.finish()
    return try PackedFile(path: path)
  }
}
