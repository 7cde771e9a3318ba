import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Adapter directories that are not converted, and what the error says.
@Suite struct AdapterRefusalTests {
  let backbone: ConvertedBackbone

  init() throws { backbone = try ConvertedBackbone(golden("backbones/t5_v10")) }

  private func error(_ variant: AdapterVariant) -> ConversionError? {
    conversionError { () throws(ConversionError) in try variant.section(on: backbone) }
  }

  @Test func aLostRuleIsRefusedWithTheReasonAndTheRemedy() throws {
    let error = conversionError { () throws(ConversionError) in
      try OpenTask(golden("hub/NEGATIVE_missing_phm_rule/adapter"), on: backbone)
    }
    #expect(error?.kind == .lostRule)
    #expect(error?.subject == "shared_parameters.task.phm_rule")
    for word in ["before 1.2.0", "T5ForConditionalGeneration", "save_pretrained", "T5AdapterModel"] {
      #expect(error?.sentence.contains(word) == true)
    }
  }

  @Test(
    arguments: [
      ("use_gating", "true", .unsupported), ("is_parallel", "\"yes\"", .badSetting),
      ("inv_adapter", "\"nice\"", .unsupported),
      ("residual_before_ln", "\"post_add\"", .unsupported), ("architecture", "\"reft\"", .unsupported),
      ("something_new", "1", .unsupported), ("non_linearity", "\"prelu\"", .badSetting),
      ("non_linearity", "null", .badSetting), ("scaling", "\"often\"", .badSetting),
      ("mh_adapter", "null", .badSetting),
      ("phm_dim", "0", .badSetting), ("phm_dim", "1000000", .badSetting), ("phm_dim", "3", .badSetting),
      ("phm_rank", "-1", .badSetting), ("reduction_factor", "0", .badSetting), ("reduction_factor", "-4", .badSetting),
      ("reduction_factor", "{\"7\": 4}", .badSetting), ("reduction_factor", "1e-300", .badSetting),
      ("leave_out", "[\"1\"]", .badSetting), ("phm_layer", "\"yes\"", .badSetting), ("phm_dim", "8", .misshapenTensor),
      ("phm_rank", "2", .misshapenTensor), ("reduction_factor", "8", .misshapenTensor),
      ("cross_adapter", "true", .missingTensor), ("ln_before", "true", .missingTensor),
      ("ln_after", "true", .missingTensor),
      ("scaling", "\"learned\"", .missingTensor), ("shared_phm_rule", "false", .missingTensor),
      ("factorized_phm_W", "false", .missingTensor), ("shared_W_phm", "true", .missingTensor),
      ("factorized_phm_rule", "true", .lostRule), ("mh_adapter", "false", .unknownTensor),
      ("leave_out", "[1]", .unknownTensor),
      ("phm_bias", "false", .unknownTensor),
    ] as [(String, String, ConversionError.Kind)])
  func settingsThatDoNotHoldAreRefused(key: String, json: String, kind: ConversionError.Kind) throws {
    var variant = try AdapterVariant()
    try variant.set(key, to: json)
    #expect(error(variant)?.kind == kind)
    if kind == .badSetting || kind == .unsupported { #expect(error(variant)?.subject == key) }
  }

  @Test func combinationsThatNothingRunsAreRefused() throws {
    var variant = try AdapterVariant()
    try variant.set("shared_W_phm", to: "true")
    try variant.set("factorized_phm_W", to: "false")
    #expect(error(variant)?.subject == "shared_W_phm")
  }

  @Test func tensorsThatDoNotFitAreNamed() throws {
    let name = "transformer.encoder.block.1.layer.1.adapters.task.adapter_up.b"
    var variant = try AdapterVariant()
    variant.weights.tensors[name] = nil
    #expect(error(variant)?.kind == .missingTensor)
    #expect(error(variant)?.subject.map { name.hasSuffix($0) } == true)

    variant = try AdapterVariant()
    variant.weights.tensors["transformer.encoder.block.2.layer.1.adapters.task.adapter_up.b"] =
      variant.weights.tensors[name]
    #expect(error(variant)?.kind == .unknownTensor)

    variant = try AdapterVariant()
    variant.weights.tensors[name]! = ([63], [Float](repeating: 0, count: 63))
    #expect(error(variant)?.sentence == "found shape [63]; [64] is required")

    variant = try AdapterVariant()
    variant.weights.tensors[name]!.values[5] = .nan
    #expect(error(variant)?.kind == .notFinite)
    #expect(error(variant)?.subject == name)
  }

  @Test func anAdapterOfAnotherModelIsRefused() throws {
    var variant = try AdapterVariant()
    variant.settings.values["model_type"] = "bert"
    #expect(error(variant)?.kind == .mismatch)
    variant = try AdapterVariant()
    variant.settings.values["hidden_size"] = 768
    #expect(error(variant)?.subject == "hidden_size")
    let other = conversionError { () throws(ConversionError) in
      try OpenTask(golden("hub/t5_v11_compacter/adapter"), on: backbone)
    }
    #expect(other?.kind == .mismatch)
  }

  @Test func otherDirectoriesAreRefusedForWhatTheyAre() throws {
    let scratch = try ScratchDirectory()
    func error() -> ConversionError? {
      conversionError { () throws(ConversionError) in try OpenTask(scratch.path, on: backbone) }
    }
    #expect(error()?.kind == .cannotOpen)
    try scratch.write(Array("{\"peft_type\": \"BOFT\"}".utf8), as: "adapter_config.json")
    #expect(error()?.kind == .unsupported)
    #expect(error()?.sentence.contains("found 'BOFT'; of the PEFT library's kinds LORA, ") == true)
    try scratch.write(Array("[]".utf8), as: "adapter_config.json")
    #expect(error()?.kind == .malformed)
  }

  @Test(arguments: ["", "a\u{7}b", String(repeating: "n", count: 256)])
  func namesThatAFileCannotHoldAreRefused(name: String) throws {
    let variant = try AdapterVariant()
    let error = conversionError { () throws(ConversionError) in try variant.section(on: backbone, name: name) }
    #expect(error?.kind == .badSetting)
  }

  @Test func theOutputIsNeitherTheBackboneNorTheAdapter() throws {
    let directory = golden("hub/t5_v10_compacter/adapter")
    let conversion = try TaskConversion(
      directory: directory, backbone: backbone.file, backbonePath: backbone.path, name: "é 1")
    #expect(conversion.name == "é 1")
    for path in [backbone.path, directory + "/adapter.safetensors"] {
      #expect(conversionError { () throws(ConversionError) in try conversion.write(to: path) }?.kind == .mismatch)
    }
  }
}
