import Foundation
import Testing

@testable import TuskFormat

/// A backbone and tasks of a few kilobytes, written with the library.
enum TinyFiles {
  static let config = BackboneConfig(
    dModel: 8, dFF: 12, dKV: 4, headCount: 2, layerCount: 1, decoderLayerCount: 1, vocabularySize: 20, bucketCount: 8,
    maxDistance: 16, normEpsilon: 1e-6, activation: .relu, isGated: false, hasTiedHead: true, logitScale: 0.5,
    padId: 0, eosId: 1, decoderStartId: 0, weightEncoding: .float32)

  /// Writes a backbone whose weights follow from `seed`; returns its configuration with the fingerprint.
  @discardableResult
  static func writeBackbone(_ path: String, seed: UInt32 = 1) throws -> BackboneConfig {
    let writer = try BackboneWriter(path: path, config: config, tokenizer: nil, provenance: Array("a test".utf8))
    var state = seed
    while let spec = writer.currentTensor {
      for _ in 0..<spec.rows {
        var row = [Float](repeating: 0, count: spec.rowStrideBytes / 4)
        for column in 0..<spec.columns {
          state = state &* 1_664_525 &+ 1_013_904_223
          row[column] = Float(state >> 8) / Float(1 << 24) - 0.5
        }
        try row.withUnsafeBytes { try writer.append($0) }
      }
      try writer.finishTensor(sourceChecksum: state)
    }
    try writer.finish()
    return try PackedFile(path: path).config!
  }

  /// Writes a task with one adapter of 8 x 2 + 2 and 2 x 8 + 8 numbers, all times `size`.
  static func writeTask(
    _ path: String, for config: BackboneConfig, name: String = "tiny", size: Float = 1, activation: Activation = .relu
  ) throws {
    var builder = TaskBuilder(config: config, name: Array(name.utf8), vocabularySize: 20, origin: .adapters)
    func linear(_ inWidth: Int, _ outWidth: Int) -> Int {
      let full = builder.addTensor(
        .full, TensorShape(1, inWidth, outWidth), (0..<inWidth * outWidth).map { Float($0) / 8 * size })
      let bias = builder.addTensor(.bias, TensorShape(outWidth), [Float](repeating: 0.5 * size, count: outWidth))
      return builder.addLinear(
        TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, full: full, bias: bias))
    }
    let adapter = TaskAdapter(
      activation: activation, inputRule: .subLayer, skipRule: .subLayer, addsStream: true, bottleneckWidth: 2,
      scaling: 1,
      normEpsilon: 1e-5, down: linear(8, 2), up: linear(2, 8))
    builder.attach(.adapter(adapter), slot: builder.layout.slot(.encoder, .feedForward, layer: 0))
    try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: path)
  }

  /// Writes a task with a prefix of three rows in front of the encoder's first attention.
  static func writePrefix(_ path: String, for config: BackboneConfig, name: String) throws {
    var builder = TaskBuilder(config: config, name: Array(name.utf8), vocabularySize: 20, origin: .adapters)
    let rows = [Float](repeating: 0.25, count: 3 * config.innerWidth)
    let shape = TensorShape(3, config.innerWidth)
    let prefix = TaskPrefix(
      tokenCount: 3, keys: builder.addTensor(.prefixKeys, shape, rows),
      values: builder.addTensor(.prefixValues, shape, rows), queryOffset: 0)
    builder.attach(.prefix(prefix), slot: builder.layout.slot(.encoder, .selfAttention, layer: 0))
    try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: path)
  }

  /// Writes a task with a prompt of two rows for the backbone of a file.
  static func writePrompt(_ path: String, of backbone: String) throws {
    let config = try PackedFile(path: backbone).config!
    var builder = TaskBuilder(
      config: config, name: Array("prompt".utf8), vocabularySize: config.vocabularySize, origin: .authors)
    let rows = builder.addTensor(
      .prompt, TensorShape(2, config.dModel), [Float](repeating: 0.25, count: 2 * config.dModel))
    let prompt = TaskPrompt(tokenCount: 2, embeddings: rows, place: .front, stage: .wordEmbeddings, firstToken: 0)
    builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
    try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: path)
  }

  /// Converts the recorded BERT with three labels and a vocabulary of letters and a few words; returns the backbone's path.
  static func writeClassifier(in folder: TemporaryFolder) throws -> String {
    let checkpoint = folder.url.appendingPathComponent("bert")
    try FileManager.default.createDirectory(at: checkpoint, withIntermediateDirectories: true)
    let recorded = CommandLineTool.golden.appendingPathComponent("backbones/bert")
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(
        at: recorded.appendingPathComponent(name), to: checkpoint.appendingPathComponent(name))
    }
    let letters = (UInt8(ascii: "a")...UInt8(ascii: "z")).map { String(Unicode.Scalar($0)) }
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran"]
    let vocabulary = (words + letters).joined(separator: "\n") + "\n"
    try Data(vocabulary.utf8).write(to: checkpoint.appendingPathComponent("vocab.txt"))
    let path = folder.path("classifier.tusk")
    let outcome = try CommandLineTool.run("convert", "backbone", checkpoint.path, "--output", path)
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
    return path
  }
}
