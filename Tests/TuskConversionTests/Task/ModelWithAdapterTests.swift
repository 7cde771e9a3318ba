import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Whole models saved with their adapters: what remains where `save_adapter` loses the rule.
@Suite struct ModelWithAdapterTests {
  private func variant() throws -> CheckpointVariant {
    var variant = try CheckpointVariant()
    let keys = try JSONBuilder(reading: golden("hub/full_model_save_keys.json")).values
    variant.config.values["adapters"] = keys["config_adapters"]
    for (name, tensor) in try AdapterVariant().weights.tensors {
      variant.weights.tensors[String(name.dropFirst("transformer.".count))] = tensor
    }
    // The library's own listing of such a file is what the test builds.
    let listed = try #require(keys["keys"] as? [String: Any])
    #expect(Set(listed.keys) == Set(variant.weights.tensors.keys))
    return variant
  }

  @Test func itGivesTheTaskOfTheAdapterDirectory() throws {
    let backbone = try ConvertedBackbone(golden("backbones/t5_v10"))
    let expected = try OpenTask(golden("hub/t5_v10_compacter/adapter"), on: backbone).conversion.section
    try variant().withDirectory { directory in
      #expect(try OpenTask(directory, on: backbone).conversion.section == expected)
      let notes = try BackboneConversion(directory: directory).notes
      #expect(notes.contains { $0.contains("49 tensors of adapters") })
    }
  }

  @Test func aWholeEncoderGivesItsAdapterAndItsHead() throws {
    let adapter = try AdapterVariant(of: "bert_compacter_static_head")
    var variant = try CheckpointVariant(of: "bert")
    variant.config.values["adapters"] = [
      "adapters": ["task": "id"], "config_map": ["id": try #require(adapter.settings.values["config"])],
    ]
    variant.weights.tensors.merge(adapter.weights.tensors) { $1 }
    let backbone = try ConvertedBackbone(golden("backbones/bert"))
    let expected = try adapter.section(on: backbone)
    try variant.withDirectory { directory in
      let task = try OpenTask(directory, on: backbone)
      #expect(task.sites == expected.sites)
      #expect(task.count(.leftFactor, .rightFactor, .rule) == expected.count(.leftFactor, .rightFactor, .rule))
      #expect(task.section.head?.input == .pooler)
      let weight = try #require(variant.weights.tensors["classifier.weight"])
      let linear = task.section.linear(at: try #require(task.section.head?.first))
      #expect(task.values(linear.full)[1] == weight.values[weight.shape[1]])
    }
    // A head of another class would be read for what it is not.
    var other = variant
    other.config.values["architectures"] = ["BertForTokenClassification"]
    #expect(try error(other, on: backbone)?.subject == "architectures")
    other = variant
    other.weights.tensors["bert.encoder.layer.0.output.dense.bias"]!.values[0] += 1
    #expect(try error(other, on: backbone)?.subject == "bert.encoder.layer.0.output.dense.bias")
  }

  private func error(_ variant: CheckpointVariant, on backbone: ConvertedBackbone) throws -> ConversionError? {
    try variant.withDirectory { directory in
      conversionError { () throws(ConversionError) in try OpenTask(directory, on: backbone) }
    }
  }

  @Test func itsBackboneMustBeTheBackbone() throws {
    let backbone = try ConvertedBackbone(golden("backbones/t5_v10"))
    var variant = try variant()
    variant.weights.tensors["encoder.final_layer_norm.weight"]!.values[0] += 1
    try variant.withDirectory { directory in
      let error = conversionError { () throws(ConversionError) in try OpenTask(directory, on: backbone) }
      #expect(error?.subject == "encoder.final_layer_norm.weight")
    }
  }

  @Test func amongSeveralAdaptersANameChooses() throws {
    let backbone = try ConvertedBackbone(golden("backbones/t5_v10"))
    var variant = try variant()
    let adapters = try #require(variant.config.values["adapters"] as? [String: Any])
    let identifier = try #require((adapters["adapters"] as? [String: Any])?["task"])
    variant.config.values["adapters"] = adapters.merging(["adapters": ["task": identifier, "other": identifier]]) { $1 }
    for (name, tensor) in variant.weights.tensors where name.contains(".task.") {
      variant.weights.tensors[name.replacing(".task.", with: ".other.")] = tensor
    }
    try variant.withDirectory { directory in
      let error = conversionError { () throws(ConversionError) in try OpenTask(directory, on: backbone) }
      #expect(error?.sentence.contains("other, task") == true)
      let task = try OpenTask(directory, on: backbone, name: "task")
      #expect(task.section.attachmentCount == 8)
      #expect(task.conversion.notes == ["kept out: 49 tensors of other adapters"])
    }
  }
}
