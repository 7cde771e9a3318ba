import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Directories of the PEFT library: what they become. That the numbers are right, `tools/golden` holds.
@Suite struct PEFTTests {
  let t5: ConvertedBackbone
  let bert: ConvertedBackbone

  init() throws {
    t5 = try ConvertedBackbone(AdapterFolder("peft_t5_lora_qv").backbone)
    bert = try ConvertedBackbone(AdapterFolder("peft_bert_lora").backbone)
  }

  @Test func aPairOfMatricesBecomesAProduct() throws {
    let variant = try PEFTVariant(of: "peft_t5_lora_qv")
    let task = try variant.section(on: t5)
    let slot = task.section.slots.slot(.decoder, .crossAttention, layer: 0)
    let product = try #require(task.section.product(.q, slot: slot))
    let linear = task.section.linear(at: try #require(product.linear))
    let name = "base_model.model.decoder.block.0.layer.1.EncDecAttention.q.lora_B.weight"
    let b = try #require(variant.weights.tensors[name])
    let rank = b.shape[1]
    #expect(linear.factorRank == rank)
    #expect(product.scaling == Float(try number(variant, "lora_alpha") / Double(rank)))
    // The second factor lies transposed: [rank, out].
    #expect(task.values(linear.rightFactor)[1] == b.values[rank])
    #expect(task.section.product(.k, slot: slot) == nil)
    #expect(task.section.origin == .peft)
  }

  @Test func rankStabilizedScalingDividesByTheRoot() throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    variant.settings.values["use_rslora"] = true
    variant.settings.values["lora_alpha"] = 8
    let task = try variant.section(on: t5)
    let product = try #require(task.section.product(.q, slot: 0))
    let rank = task.section.linear(at: try #require(product.linear)).factorRank
    #expect(product.scaling == Float(8 / Double(rank).squareRoot()))
  }

  /// The library applies the default to what no pattern matches.
  @Test func patternsOverruleAlpha() throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    variant.settings.values["alpha_pattern"] = ["^encoder.block.0.*\\.(q|k)": 99]
    let task = try variant.section(on: t5)
    let rank = Double(try number(variant, "r"))
    let slots = task.section.slots
    func scaling(_ layer: Int, _ target: ProductTarget) -> Float? {
      task.section.product(target, slot: slots.slot(.encoder, .selfAttention, layer: layer))?.scaling
    }
    #expect(scaling(0, .q) == Float(99 / rank))
    #expect(scaling(0, .v) == Float(try number(variant, "lora_alpha") / rank))
    #expect(scaling(1, .q) == scaling(0, .v))
    variant.settings.values["alpha_pattern"] = ["q": 99, "SelfAttention.q": 98]
    #expect(error(variant)?.subject == "alpha_pattern")
    variant.settings.values["alpha_pattern"] = ["(q": 99]
    #expect(error(variant)?.kind == .unsupported)
  }

  @Test func halfALoRAIsRefusedByTheNameOfWhatIsMissing() throws {
    for part in ["lora_A", "lora_B"] {
      var variant = try PEFTVariant(of: "peft_t5_lora_qv")
      let name = "base_model.model.encoder.block.1.layer.0.SelfAttention.v.\(part).weight"
      #expect(variant.weights.tensors.removeValue(forKey: name) != nil)
      #expect(error(variant)?.kind == .missingTensor)
      #expect(error(variant)?.subject == name)
    }
  }

  @Test func aModuleThatTheSettingsListMustBeThere() throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    for part in ["lora_A", "lora_B"] {
      variant.weights.tensors["base_model.model.encoder.block.1.layer.0.SelfAttention.v.\(part).weight"] = nil
    }
    #expect(error(variant)?.subject == "encoder.block.1.layer.0.SelfAttention.v")
    variant.settings.values["exclude_modules"] = ["encoder.block.1.layer.0.SelfAttention.v"]
    #expect(error(variant) == nil)
  }

  @Test func whatTheBackboneDoesNotHaveIsNamed() throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    for part in ["lora_A", "lora_B"] {
      let tensor = variant.weights.tensors["base_model.model.encoder.block.1.layer.0.SelfAttention.v.\(part).weight"]
      variant.weights.tensors["base_model.model.encoder.block.77.layer.0.SelfAttention.v.\(part).weight"] = tensor
    }
    #expect(error(variant)?.kind == .mismatch)
    #expect(error(variant)?.sentence.contains("'encoder.block.77.layer.0.SelfAttention.v'") == true)
    let encoder = try AdapterFolder("peft_bert_lora_features").directory
    #expect(
      conversionError { () throws(ConversionError) in try OpenTask(encoder, on: t5) }?.kind == .mismatch)
  }

  @Test(
    arguments: [
      ("use_dora", "true", .unsupported), ("layer_replication", "[[0, 1]]", .unsupported),
      ("trainable_token_indices", "[3]", .unsupported), ("target_parameters", "[\"x\"]", .unsupported),
      ("a_setting_of_tomorrow", "3", .unsupported), ("init_lora_weights", "\"pissa_niter_4\"", .unsupported),
      ("r", "7", .mismatch), ("r", "0", .badSetting), ("r", "1e9", .badSetting), ("r", "null", .badSetting),
      ("lora_alpha", "null", .badSetting), ("lora_alpha", "1e300", .badSetting), ("bias", "\"some\"", .badSetting),
      ("use_rslora", "1", .badSetting), ("rank_pattern", "[]", .badSetting),
      ("rank_pattern", "{\"q\": -1}", .badSetting),
      ("target_modules", "[1]", .badSetting), ("task_type", "\"TOKEN_CLS\"", .unsupported),
      ("lora_bias", "true", .missingTensor), ("peft_type", "\"BOFT\"", .unsupported),
    ] as [(String, String, ConversionError.Kind)])
  func settingsThatDoNotHoldAreRefused(key: String, json: String, kind: ConversionError.Kind) throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    try variant.settings.set(key, to: json)
    #expect(error(variant)?.kind == kind)
    if kind == .badSetting || kind == .unsupported { #expect(error(variant)?.subject == key) }
  }

  @Test func switchesThatAreOffChangeNothing() throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    let expected = try variant.section(on: t5).conversion.section
    for (key, json) in [
      ("use_dora", "false"), ("of_tomorrow", "false"), ("arrow_config", "null"), ("lora_dropout", "0.5"),
    ] {
      try variant.settings.set(key, to: json)
    }
    #expect(try variant.section(on: t5).conversion.section == expected)
  }

  @Test func labelsComeFromTheModelsSettingsOrAreNumbers() throws {
    var variant = try PEFTVariant(of: "peft_bert_lora")
    let count = try #require(variant.weights.tensors["base_model.model.classifier.weight"]?.shape[0])
    #expect(try variant.section(on: bert).section.head?.outWidth == count)
    let names = (0..<count).map { "\"\($0)\": \"name \($0)\"" }.joined(separator: ", ")
    variant.modelSettings = "{\"id2label\": {\(names)}}"
    #expect(try variant.section(on: bert).section.labelTexts == (0..<count).map { "name \($0)" })
    variant.modelSettings = "{\"id2label\": {\(names), \"\(count)\": \"one more\"}}"
    #expect(bertError(variant)?.kind == .mismatch)
    #expect(bertError(variant)?.subject == "id2label")
  }

  @Test(arguments: ["{\"feed_forward_proj\": \"gated-gelu\"}", "{\"d_ff\": 7}", "{\"num_decoder_layers\": 24}"])
  func settingsOfAnotherModelBesideTheAdapterAreSeen(json: String) throws {
    var variant = try PEFTVariant(of: "peft_t5_lora_qv")
    variant.modelSettings = json
    #expect(error(variant)?.kind == .mismatch)
    variant.modelSettings = "{\"feed_forward_proj\": \"relu\"}"
    #expect(error(variant) == nil)
  }

  @Test func headsOfOtherKindsAreRefused() throws {
    var variant = try PEFTVariant(of: "peft_bert_lora")
    variant.settings.values["task_type"] = "FEATURE_EXTRACTION"
    #expect(bertError(variant)?.subject == "task_type")
    variant.settings.values["task_type"] = nil
    #expect(bertError(variant)?.subject == "task_type")
    variant.settings.values["auto_mapping"] = ["base_model_class": "BertForSequenceClassification"]
    #expect(bertError(variant) == nil)
  }

  /// Of the operands, w1 [a, c] and w2 [b, d], the layer holds the transposes.
  @Test func loKrBecomesOneKroneckerProduct() throws {
    let variant = try PEFTVariant(of: "peft_t5_lokr_full")
    let folder = try AdapterFolder("peft_t5_lokr_full")
    let task = try variant.section(on: try ConvertedBackbone(folder.backbone))
    let product = try #require(task.section.product(.k, slot: 0))
    let linear = task.section.linear(at: try #require(product.linear))
    let w1 = try #require(
      variant.weights.tensors["base_model.model.encoder.block.0.layer.0.SelfAttention.k.lokr_w1"])
    #expect((linear.outBlocks, linear.inBlocks) == (w1.shape[0], w1.shape[1]))
    #expect(task.values(linear.rule)[1] == w1.values[w1.shape[1]])
    #expect(linear.phmDim == 1)
  }

  @Test func valuesThatAreNoNumbersAreRefused() throws {
    for (name, key) in [
      ("peft_t5_lora_qv", "encoder.block.0.layer.0.SelfAttention.q.lora_A.weight"),
      ("peft_t5_ia3", "encoder.block.0.layer.0.SelfAttention.k.ia3_l"),
    ] {
      for value in [Float.nan, .infinity] {
        var variant = try PEFTVariant(of: name)
        variant.weights.tensors["base_model.model." + key]?.values[1] = value
        #expect(error(variant)?.kind == .notFinite)
        #expect(error(variant)?.subject == "base_model.model." + key)
      }
    }
  }

  private func number(_ variant: PEFTVariant, _ key: String) throws -> Double {
    try #require(variant.settings.values[key] as? NSNumber).doubleValue
  }

  private func error(_ variant: PEFTVariant) -> ConversionError? {
    conversionError { () throws(ConversionError) in try variant.section(on: t5) }
  }

  private func bertError(_ variant: PEFTVariant) -> ConversionError? {
    conversionError { () throws(ConversionError) in try variant.section(on: bert) }
  }
}
