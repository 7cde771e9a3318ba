import Foundation
import TuskFormat

@testable import TuskConversion

/// A recorded case of `golden-adapters`: the directory of its task, and its backbone.
struct AdapterFolder {
  let directory: String
  let backbone: String

  init(_ name: String, task: String = "task") throws {
    let root = fixturesDirectory + "/golden-adapters/"
    let values = try JSONBuilder(reading: root + "cases/\(name)/case.json").values
    directory = root + "cases/\(name)/\(task)"
    backbone = root + (values["backbone"] as? String ?? "")
  }
}

/// A PEFT directory that a test changes before it is converted.
struct PEFTVariant {
  var settings: JSONBuilder
  var weights: SafetensorsBuilder
  /// A `config.json` beside the adapter.
  var modelSettings: String?

  init(of name: String) throws {
    let folder = try AdapterFolder(name)
    settings = try JSONBuilder(reading: folder.directory + "/adapter_config.json")
    weights = try SafetensorsBuilder(readingFile: folder.directory + "/adapter_model.safetensors")
  }

  func section(
    on backbone: ConvertedBackbone, weights encoding: WeightEncoding = .float32
  ) throws(ConversionError) -> OpenTask {
    let scratch: ScratchDirectory
    do {
      scratch = try ScratchDirectory()
      try scratch.write(settings.bytes(), as: "adapter_config.json")
      try scratch.write(weights.bytes(), as: "adapter_model.safetensors")
      if let modelSettings { try scratch.write(Array(modelSettings.utf8), as: "config.json") }
    } catch { preconditionFailure("\(error)") }
    return try OpenTask(scratch.path, on: backbone, name: "task", weights: encoding)
  }
}
