import Foundation
import TuskFormat

@testable import TuskConversion

/// An adapter directory that a test changes before it is converted.
struct AdapterVariant {
  var settings: JSONBuilder
  var weights: SafetensorsBuilder

  init(
    of hubCase: String = "t5_v10_compacter", in root: String = golden("hub/"), folder: String = "adapter"
  ) throws {
    let directory = root + hubCase + "/\(folder)/"
    settings = try JSONBuilder(reading: directory + "adapter_config.json")
    let files = ["pytorch_adapter.bin", "adapter.safetensors"].map { directory + $0 }
    weights = try SafetensorsBuilder(
      readingFile: files.first { FileManager.default.fileExists(atPath: $0) } ?? files[0])
  }

  /// Sets a key of the adapter's own settings to a value written as JSON.
  mutating func set(_ key: String, to json: String) throws {
    var config = settings.values["config"] as? [String: Any] ?? [:]
    config[key] = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
    settings.values["config"] = config
  }

  func section(on backbone: ConvertedBackbone, name: String? = nil) throws(ConversionError) -> OpenTask {
    let scratch: ScratchDirectory
    do {
      scratch = try ScratchDirectory()
      try scratch.write(settings.bytes(), as: "adapter_config.json")
      try scratch.write(weights.bytes(), as: "adapter.safetensors")
    } catch { preconditionFailure("\(error)") }
    return try OpenTask(scratch.path, on: backbone, name: name)
  }
}

/// An authors' output directory that a test changes before it is converted.
struct AuthorsVariant {
  var config: JSONBuilder
  var training: JSONBuilder?
  var weights: SafetensorsBuilder

  init(of origCase: String = "t5_v10_compacter") throws {
    let directory = golden("orig/\(origCase)/output_dir")
    config = try JSONBuilder(reading: directory + "/config.json")
    training = try JSONBuilder(reading: directory + "/training_config.json")
    weights = try SafetensorsBuilder(reading: directory)
  }

  func section(on backbone: ConvertedBackbone, name: String? = nil) throws(ConversionError) -> OpenTask {
    let scratch: ScratchDirectory
    do {
      scratch = try ScratchDirectory()
      try scratch.write(config.bytes(), as: "config.json")
      if let training { try scratch.write(training.bytes(), as: "training_config.json") }
      try scratch.write(weights.bytes(), as: "model.safetensors")
    } catch { preconditionFailure("\(error)") }
    return try OpenTask(scratch.path, on: backbone, name: name)
  }
}

/// A task converted, written, read back and verified.
struct OpenTask {
  let conversion: TaskConversion
  let section: TaskSection

  init(
    _ directory: String, on backbone: ConvertedBackbone, name: String? = nil, weights: WeightEncoding = .float32
  ) throws(ConversionError) {
    conversion = try TaskConversion(
      directory: directory, backbone: backbone.file, backbonePath: backbone.path, name: name, weights: weights)
    do {
      let scratch = try ScratchDirectory()
      try conversion.write(to: scratch.path + "/task.tusk")
      let file = try PackedFile(path: scratch.path + "/task.tusk")
      try file.verify()
      section = file.task(at: 0)
      try section.requireFit(to: backbone.file.config!)
    } catch { preconditionFailure("\(error)") }
  }

  /// The adapter in a slot.
  func adapter(_ stack: Stack, _ subLayer: SubLayer, _ layer: Int) -> TaskAdapter? {
    section.adapter(slot: section.slots.slot(stack, subLayer, layer: layer))
  }

  /// Values of a tensor.
  func values(_ tensor: Int?) -> [Float] {
    guard let data = tensor.map({ section.tensor(at: $0).data }) else { return [] }
    return (0..<data.count / 4).map { data.load(4 * $0, as: Float.self) }
  }

  /// Numbers of each kind, shared ones once.
  func count(_ kinds: TaskTensorKind...) -> Int {
    (0..<section.tensorCount).map { section.tensor(at: $0) }.filter { kinds.contains($0.kind) }
      .reduce(0) { $0 + $1.shape.elementCount }
  }

  var sites: [String] {
    let slots = section.slots
    var sites: [String] = []
    for (stack, layers) in [(Stack.encoder, slots.layerCount), (.decoder, slots.decoderLayerCount)] {
      for layer in 0..<layers {
        for subLayer in SubLayer.allCases where stack == .decoder || subLayer != .crossAttention {
          if adapter(stack, subLayer, layer) != nil { sites.append("\(stack) \(layer) \(subLayer)") }
        }
      }
    }
    return sites
  }
}
