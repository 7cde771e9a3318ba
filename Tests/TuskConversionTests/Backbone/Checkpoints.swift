import Foundation
import TuskConversion
import TuskFormat

/// A path below the recorded answers of PyTorch.
func golden(_ rest: String) -> String { fixturesDirectory + "/golden/" + rest }

/// A safetensors file under construction, in float32.
struct SafetensorsBuilder {
  var tensors: [String: (shape: [Int], values: [Float])] = [:]

  /// The tensors of an existing checkpoint.
  init() {}

  init(reading directory: String) throws { try self.init(Checkpoint.open(directory: directory)) }

  init(readingFile path: String) throws { try self.init(Checkpoint.open(file: path)) }

  private init(_ checkpoint: Checkpoint) throws {
    for name in checkpoint.tensorNames {
      let tensor = checkpoint.tensor(name)!
      tensors[name] = (tensor.shape, try checkpoint.readAll(tensor))
    }
  }

  func bytes() -> [UInt8] {
    var header: [String] = []
    var data: [UInt8] = []
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      let start = data.count
      data += [UInt8](floats: tensor.values)
      header.append(
        "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(tensor.shape),\"data_offsets\":[\(start),\(data.count)]}")
    }
    let text = Array("{\(header.joined(separator: ","))}".utf8)
    return Array(littleEndian: UInt64(text.count)) + text + data
  }
}

/// A JSON file under construction.
struct JSONBuilder {
  var values: [String: Any]

  init(reading path: String) throws {
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
    values = object as? [String: Any] ?? [:]
  }

  /// Sets `key` to a value written as JSON.
  mutating func set(_ key: String, to json: String) throws {
    values[key] = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
  }

  func bytes() throws -> [UInt8] { Array(try JSONSerialization.data(withJSONObject: values)) }
}

/// A T5 directory that a test changes before it is converted.
struct CheckpointVariant {
  var config: JSONBuilder
  var weights: SafetensorsBuilder

  init(of backbone: String = "t5_v10") throws {
    let directory = golden("backbones/" + backbone)
    config = try JSONBuilder(reading: directory + "/config.json")
    weights = try SafetensorsBuilder(reading: directory)
  }

  /// Writes the directory and calls `body` with its path.
  func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let scratch = try ScratchDirectory()
    try scratch.write(config.bytes(), as: "config.json")
    try scratch.write(weights.bytes(), as: "model.safetensors")
    return try body(scratch.path)
  }

  /// The error of converting it, nil when it converts.
  func conversionError() throws -> ConversionError? {
    try withDirectory { directory in
      do throws(ConversionError) {
        _ = try BackboneConversion(directory: directory).write(to: directory + "/out.tusk")
        return nil
      } catch {
        return error
      }
    }
  }
}

/// A converted backbone and where it lies.
struct ConvertedBackbone {
  let file: PackedFile
  let outcome: BackboneConversion.Outcome
  let path: String
  private let scratch: ScratchDirectory

  init(_ directory: String, weights: WeightEncoding = .int8Rows) throws {
    scratch = try ScratchDirectory()
    path = scratch.path + "/backbone.tusk"
    outcome = try BackboneConversion(directory: directory, weights: weights).write(to: path)
    file = try PackedFile(path: path)
    try file.verify()
  }
}

/// The error of `body`, nil when it succeeds.
func conversionError<Result>(_ body: () throws(ConversionError) -> Result) -> ConversionError? {
  do throws(ConversionError) {
    _ = try body()
    return nil
  } catch {
    return error
  }
}
