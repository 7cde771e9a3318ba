import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Every setting removed and replaced, in every kind of directory: an error, or what the directory gives anyway, and never
/// a trap or a task that breaks the format's rules, which `OpenTask` would stop at.
@Suite struct AdapterMutationTests {
  private static let cases = [
    "peft_t5_lora_patterns", "peft_bert_lora_bias_all", "peft_t5_lokr_decomposed", "peft_bert_ia3", "peft_t5_norms",
    "peft_t5_prefix", "peft_bert_prompt", "adapters_t5_lora", "adapters_bert_ia3", "adapters_bert_prefix",
    "adapters_bert_prompt", "adapters_bert_par_bn_gated", "adapters_t5_norms_around", "authors_prompt",
    "authors_bitfit",
  ]
  private static let values = [
    "true", "-1", "0", "3", "1e300", "9223372036854775807", "\"x\"", "[1]", "[\"q\"]", "{\"q\": 5}",
  ]

  @Test(arguments: cases)
  func aChangedSettingIsAnErrorOrMeansTheSame(name: String) throws {
    let folder = try AdapterFolder(name)
    let backbone = try ConvertedBackbone(folder.backbone)
    let scratch = try ScratchDirectory()
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.directory) {
      try FileManager.default.copyItem(atPath: folder.directory + "/" + file, toPath: scratch.path + "/" + file)
    }
    let file = name.hasPrefix("authors") ? "training_config.json" : "adapter_config.json"
    let original = try JSONBuilder(reading: folder.directory + "/" + file)
    for path in Self.paths(original.values) {
      for value in [nil] + Self.values.map({ Optional($0) }) {
        let json = try value.map {
          try JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed)
        }
        var changed = original
        changed.values = Self.setting(path[...], of: original.values, to: json)
        try scratch.write(changed.bytes(), as: file)
        let error = conversionError { () throws(ConversionError) in try OpenTask(scratch.path, on: backbone) }
        if let error { #expect([65, 66].contains(error.exitCode), "\(path) \(value ?? "removed"): \(error)") }
      }
    }
  }

  /// A rank from the settings alone sizes nothing: the tensors must have it.
  @Test func hugeNumbersAllocateNothing() throws {
    for (name, key) in [
      ("peft_t5_lora_qv", "r"), ("peft_t5_prefix", "num_virtual_tokens"), ("peft_t5_prefix", "num_layers"),
      ("peft_t5_prompt", "num_virtual_tokens"),
    ] {
      let backbone = try ConvertedBackbone(AdapterFolder(name).backbone)
      var variant = try PEFTVariant(of: name)
      for value in [4096, 65_536, Int.max] {
        variant.settings.values[key] = value
        let error = conversionError { () throws(ConversionError) in try variant.section(on: backbone) }
        #expect(error?.exitCode == 65)
      }
    }
  }

  /// Keys of the object and of the objects in it, and in the lists of objects in it.
  private static func paths(_ object: [String: Any]) -> [[String]] {
    object.keys.sorted().flatMap { key -> [[String]] in
      guard let inner = object[key] as? [String: Any] else { return [[key]] }
      return [[key]] + paths(inner).map { [key] + $0 }
    }
  }

  private static func setting(_ path: ArraySlice<String>, of object: [String: Any], to value: Any?) -> [String: Any] {
    var object = object
    let key = path.first!
    if path.count == 1 {
      object[key] = value
    } else {
      object[key] = setting(path.dropFirst(), of: object[key] as? [String: Any] ?? [:], to: value)
    }
    return object
  }
}
