import Foundation
import TuskConversion
import TuskEngine
import TuskFormat

@testable import TuskTraining

/// Backbones to begin tasks for: shapes without weights, tiny packs, recorded checkpoints.
enum MethodBackbones {
  static func t5(
    _ dModel: Int, dFF: Int, heads: Int, layers: Int, vocabulary: Int, dKV: Int = 64, isGated: Bool = false,
    _ encoding: WeightEncoding = .float32
  ) -> BackboneConfig {
    BackboneConfig(
      dModel: dModel, dFF: dFF, dKV: dKV, headCount: heads, layerCount: layers, decoderLayerCount: layers,
      vocabularySize: vocabulary, bucketCount: 32, maxDistance: 128, normEpsilon: 1e-6,
      activation: isGated ? .geluNew : .relu, isGated: isGated, hasTiedHead: !isGated,
      logitScale: isGated ? 1 : 1 / Float(dModel).squareRoot(), padId: 0, eosId: 1, decoderStartId: 0,
      weightEncoding: encoding)
  }

  static func t5Small(vocabulary: Int = 32_100) -> BackboneConfig {
    t5(512, dFF: 2048, heads: 8, layers: 6, vocabulary: vocabulary)
  }

  static func t5Base(vocabulary: Int = 32_100) -> BackboneConfig {
    t5(768, dFF: 3072, heads: 12, layers: 12, vocabulary: vocabulary)
  }

  static func t5Large() -> BackboneConfig { t5(1024, dFF: 4096, heads: 16, layers: 24, vocabulary: 32_100) }

  static func encoder(
    _ dModel: Int, dFF: Int, heads: Int, layers: Int, vocabulary: Int, positions: Int, offset: Int = 0, types: Int = 2,
    _ encoding: WeightEncoding = .float32
  ) -> BackboneConfig {
    BackboneConfig(
      encoderWith: dModel, dFF: dFF, headCount: heads, layerCount: layers, vocabularySize: vocabulary,
      maxPositions: positions, positionOffset: offset, tokenTypeCount: types, normEpsilon: 1e-12, activation: .gelu,
      hasPooler: true, padId: 0, separatorId: 3, weightEncoding: encoding)
  }

  static func bertBase() -> BackboneConfig {
    encoder(768, dFF: 3072, heads: 12, layers: 12, vocabulary: 30_522, positions: 512)
  }

  static func robertaBase() -> BackboneConfig {
    encoder(768, dFF: 3072, heads: 12, layers: 12, vocabulary: 50_265, positions: 514, offset: 2, types: 1)
  }

  /// D = 48, so that bottlenecks of 12 columns have 4 and 12 terms.
  static func tinyT5(_ encoding: WeightEncoding = .float32, isGated: Bool = false) -> BackboneConfig {
    t5(48, dFF: 72, heads: 3, layers: 2, vocabulary: 53, dKV: 9, isGated: isGated, encoding)
  }

  static func tinyBERT(_ encoding: WeightEncoding = .float32) -> BackboneConfig {
    encoder(48, dFF: 72, heads: 3, layers: 2, vocabulary: 53, positions: 64, encoding)
  }

  /// The numbers of a backbone that there is no file of: each row is full of what names its tensor.
  static func values(_ config: BackboneConfig) -> BackboneValues {
    BackboneValues(config: config) { position, row in
      [Float](repeating: Float(position) + Float(row) / 1024, count: config.tensorSpec(at: position).columns)
    }
  }

  /// A pack of random weights, norms about 1 and biases about 0.
  static func file(_ config: BackboneConfig) throws -> PackedFile {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try BackboneWriter(path: path, config: config, tokenizer: nil, provenance: nil)
    var random = SplitMix64(seed: 11)
    while let spec = writer.currentTensor {
      var scales: [Float] = []
      for _ in 0..<spec.rows {
        let row = InitialValues.normal(deviation: 1 / Double(spec.columns).squareRoot()).draw(spec.columns, &random)
        let values = spec.role.name.description.hasSuffix("Norm") ? row.map { 1 + 0.3 * $0 } : row
        try encoded(values, spec, &scales).withUnsafeBytes { try writer.append($0) }
      }
      if spec.encoding == .int8Rows { try scales.withUnsafeBytes { try writer.append($0) } }
      try writer.finishTensor(sourceChecksum: 1)
    }
    try writer.finish()
    return try PackedFile(path: path)
  }

  private static func encoded(_ row: [Float], _ spec: TensorSpec, _ scales: inout [Float]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: spec.rowStrideBytes)
    if spec.encoding == .float32 {
      row.withUnsafeBytes { source in bytes.replaceSubrange(0..<source.count, with: source) }
      return bytes
    }
    let scale = row.map { abs($0) }.max()! / 127
    for (column, value) in row.enumerated() { bytes[column] = UInt8(bitPattern: Int8((value / scale).rounded())) }
    scales.append(scale)
    return bytes
  }

  static func golden(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/golden/\(name)").path
  }

  /// The pack of the recorded checkpoint `name`.
  static func recorded(_ name: String) throws -> PackedFile {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try BackboneConversion(directory: golden(name), weights: .float32).write(to: path)
    return try PackedFile(path: path)
  }

  /// The task that conversion makes of the directory `name` for `backbone`.
  static func converted(_ name: String, _ backbone: PackedFile) throws -> TaskSection {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskConversion(directory: golden(name), backbone: backbone, backbonePath: "backbone").write(to: path)
    return try PackedFile(path: path).task(at: 0)
  }

  static func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).tusk").path
  }
}

/// The task of `section`, opened and verified as a file.
func openedTask(_ section: [UInt8]) throws -> TaskSection {
  let path = MethodBackbones.temporaryPath()
  defer { try? FileManager.default.removeItem(atPath: path) }
  try TaskWriter.write(section, provenance: nil, path: path)
  let file = try PackedFile(path: path)
  try file.verify()
  return file.task(at: 0)
}

/// A task that begins for a backbone of `config`, of which there is no file.
func startedTask(
  _ settings: MethodSettings, _ config: BackboneConfig, head: HeadTemplate? = nil
) throws -> TaskSection {
  try openedTask(MethodTask.section(settings, MethodBackbones.values(config), name: "started", head: head))
}

extension MethodSettings {
  /// These settings after `change`.
  func with(_ change: (inout MethodSettings) -> Void) -> MethodSettings {
    var settings = self
    change(&settings)
    return settings
  }
}

extension TaskSection {
  /// The numbers of tensor `position`; none of no tensor.
  func floats(_ position: Int?) -> [Float] {
    guard let position else { return [] }
    return tensor(at: position).data.withSpan { span in
      (0..<span.byteCount / 4).map { span.unsafeLoad(fromByteOffset: 4 * $0, as: Float.self) }
    }
  }

  /// The numbers of all tensors of `kind`, and of `shape` if there is one.
  func floats(_ kind: TaskTensorKind, _ shape: TensorShape? = nil) -> [Float] {
    (0..<tensorCount).flatMap { position in
      let tensor = tensor(at: position)
      return tensor.kind == kind && (shape == nil || tensor.shape == shape) ? floats(position) : []
    }
  }
}
