import Foundation

@testable import TuskFormat

/// The smallest backbone and task that have every kind of part, written by the library itself.
enum NanoFiles {
  static let config = BackboneConfig(
    dModel: 4, dFF: 6, dKV: 2, headCount: 2, layerCount: 1, decoderLayerCount: 1, vocabularySize: 5, bucketCount: 4,
    maxDistance: 8, normEpsilon: 1e-6, activation: .relu, isGated: false, hasTiedHead: true, logitScale: 0.5,
    padId: 0, eosId: 1, decoderStartId: 0, weightEncoding: .int8Rows)

  /// A fresh path in the temporary folder.
  static func temporaryPath(_ name: String) -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString)-\(name)").path
  }

  /// The bytes of a backbone whose codes count upwards.
  static func backboneBytes(_ config: BackboneConfig = config, head: [UInt8]? = nil) throws -> [UInt8] {
    let path = temporaryPath("nano.tusk")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try BackboneWriter(
      path: path, config: config, tokenizer: nil, provenance: Array("made by a test".utf8), head: head)
    while let spec = writer.currentTensor {
      for row in 0..<spec.rows {
        var bytes = [UInt8](repeating: 0, count: spec.rowStrideBytes)
        for column in 0..<spec.columns {
          if spec.encoding == .int8Rows {
            bytes[column] = UInt8(bitPattern: Int8((row * 7 + column * 3) % 255 - 127))
          } else {
            let bits = Float(1 + row + column).bitPattern
            for byte in 0..<4 { bytes[4 * column + byte] = UInt8(truncatingIfNeeded: bits >> (8 * UInt32(byte))) }
          }
        }
        try bytes.withUnsafeBytes { try writer.append($0) }
      }
      if spec.encoding == .int8Rows {
        let scales = [Float](repeating: 0.25, count: spec.rows)
        try scales.withUnsafeBytes { try writer.append($0) }
      }
      try writer.finishTensor(sourceChecksum: UInt32(spec.role.rawValue))
    }
    try writer.finish()
    return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// A task with one adapter in the encoder's feed-forward, a shared rule and a norm of its own at the encoder's end.
  static func taskSection(_ config: BackboneConfig, name: String = "nano", hasNorm: Bool = true) -> [UInt8] {
    var builder = TaskBuilder(config: config, name: Array(name.utf8), vocabularySize: 5, origin: .adapters)
    let rule = builder.addTensor(.rule, TensorShape(2, 2, 2), [1, 2, 3, 4, 5, 6, 7, 8])
    func linear(_ inWidth: Int, _ outWidth: Int) -> Int {
      let left = builder.addTensor(
        .leftFactor, TensorShape(2, inWidth / 2, 1), (0..<inWidth).map { Float($0) })
      let right = builder.addTensor(
        .rightFactor, TensorShape(2, 1, outWidth / 2), (0..<outWidth).map { Float($0) })
      let bias = builder.addTensor(.bias, TensorShape(outWidth), [Float](repeating: 0.5, count: outWidth))
      return builder.addLinear(
        TaskLinear(
          inWidth: inWidth, outWidth: outWidth, phmDim: 2, factorRank: 1, rule: rule, leftFactor: left,
          rightFactor: right, bias: bias))
    }
    let adapter = TaskAdapter(
      activation: .gelu, inputRule: .subLayer, skipRule: .subLayer, addsStream: true, bottleneckWidth: 2, scaling: 1,
      normEpsilon: 1e-5, down: linear(4, 2), up: linear(2, 4))
    builder.attach(.adapter(adapter), slot: builder.layout.slot(.encoder, .feedForward, layer: 0))
    if hasNorm {
      builder.setNorm(builder.addTensor(.taskNorm, TensorShape(4), [1, 1, 1, 2]), slot: builder.layout.encoderEnd)
    }
    return builder.sectionBytes()
  }

  /// A task that does nothing.
  static func emptyTask(_ config: BackboneConfig) -> [UInt8] {
    TaskBuilder(config: config, name: [65], vocabularySize: 5, origin: .adapters).sectionBytes()
  }

  static func open(_ bytes: [UInt8]) throws(FormatError) -> PackedFile { try PackedFile(Mapping(copying: bytes)) }

  /// The file that `write` makes at the path it is given.
  static func written(_ write: (String) throws -> Void) throws -> [UInt8] {
    let path = temporaryPath("written.tusk")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try write(path)
    return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  }
}

extension NanoFiles {
  /// The stored fingerprint of a backbone's bytes.
  static func fingerprint(_ bytes: [UInt8]) -> UInt64 {
    let config = PatchedFile(bytes).offset(of: .config)
    return (0..<8).reduce(0) { $0 | UInt64(bytes[config + $1]) << UInt64(8 * $1) }
  }
}
