import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Checkpoints that are not what their configuration says.
@Suite struct BackboneRefusalTests {
  @Test func aMissingTensorIsNamedWithItsShape() throws {
    var variant = try CheckpointVariant()
    variant.weights.tensors["decoder.block.1.layer.1.EncDecAttention.k.weight"] = nil
    let error = try variant.conversionError()
    #expect(error?.kind == .missingTensor)
    #expect(error?.subject == "decoder.block.1.layer.1.EncDecAttention.k.weight")
    #expect(error?.sentence.contains("[64, 64]") == true)
  }

  @Test func anUnknownTensorIsNamed() throws {
    var variant = try CheckpointVariant()
    variant.weights.tensors["encoder.block.0.layer.0.SelfAttention.q.bias"] = ([64], [Float](repeating: 0, count: 64))
    let error = try variant.conversionError()
    #expect(error?.kind == .unknownTensor)
    #expect(error?.subject == "encoder.block.0.layer.0.SelfAttention.q.bias")
  }

  @Test func aMisshapenTensorIsNamedWithBothShapes() throws {
    var variant = try CheckpointVariant()
    let name = "encoder.block.1.layer.1.DenseReluDense.wo.weight"
    variant.weights.tensors[name]!.shape = [128, 64]
    let error = try variant.conversionError()
    #expect(error?.kind == .misshapenTensor)
    #expect(error?.subject == name)
    #expect(error?.sentence == "found shape [128, 64]; [64, 128] is required")
  }

  @Test(arguments: [Float.nan, .infinity], ["shared.weight", "encoder.final_layer_norm.weight"])
  func aValueThatIsNotFiniteIsNamedWithItsRow(value: Float, name: String) throws {
    var variant = try CheckpointVariant()
    let isNorm = name != "shared.weight"
    variant.weights.tensors[name]!.values[isNorm ? 7 : 64 * 300 + 7] = value
    let error = try variant.conversionError()
    #expect(error?.kind == .notFinite)
    #expect(error?.subject == name)
    #expect(error?.sentence.contains(isNorm ? "row 0, column 7" : "row 300, column 7") == true)
  }

  @Test func aTiedHeadMustEqualTheEmbedding() throws {
    var variant = try CheckpointVariant()
    variant.weights.tensors["lm_head.weight"] = variant.weights.tensors["shared.weight"]
    #expect(try variant.conversionError() == nil)
    variant.weights.tensors["lm_head.weight"]!.values[64 * 100] += 1
    let error = try variant.conversionError()
    #expect(error?.kind == .mismatch)
    #expect(error?.subject == "lm_head.weight")
    #expect(error?.sentence.contains("row 100") == true)
  }

  @Test func prefixesAreStrippedAndIgnorableKeysPassedOver() throws {
    var variant = try CheckpointVariant()
    variant.weights.tensors = Dictionary(
      uniqueKeysWithValues: variant.weights.tensors.map { ("transformer." + $0.key, $0.value) })
    let ignorable = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    variant.weights.tensors[ignorable] = ([32, 4], [Float](repeating: 0, count: 128))
    #expect(try variant.conversionError() == nil)
    try variant.withDirectory { directory in
      let notes = try BackboneConversion(directory: directory).notes
      #expect(notes.contains { $0.contains(ignorable) })
    }
    variant.weights.tensors["shared.weight"] = variant.weights.tensors["transformer.shared.weight"]
    #expect(try variant.conversionError()?.kind == .unknownTensor)
  }

  @Test func theEmbeddingMayBeStoredUnderAnotherOfItsNames() throws {
    var variant = try CheckpointVariant()
    variant.weights.tensors["encoder.embed_tokens.weight"] = variant.weights.tensors.removeValue(
      forKey: "shared.weight")
    #expect(try variant.conversionError() == nil)
  }

  @Test(
    arguments: [
      ("model_type", "\"gpt2\"", .unsupported),
      ("model_type", "null", .unsupported),
      ("prefix_tuning", "true", .unsupported),
      ("is_encoder_decoder", "false", .unsupported),
      ("quantization_config", "{\"bits\": 8}", .unsupported),
      ("d_model", "0", .badSetting),
      ("d_model", "-64", .badSetting),
      ("d_model", "1099511627776", .badSetting),
      ("d_model", "\"64\"", .badSetting),
      ("d_model", "64.5", .badSetting),
      ("d_model", "null", .badSetting),
      ("vocab_size", "16777217", .badSetting),
      ("num_layers", "1048576", .badSetting),
      ("num_heads", "0", .badSetting),
      ("num_decoder_layers", "1025", .badSetting),
      ("d_ff", "9000000", .badSetting),
      ("d_kv", "5000", .badSetting),
      ("relative_attention_num_buckets", "7", .badSetting),
      ("relative_attention_num_buckets", "4097", .badSetting),
      ("relative_attention_max_distance", "16", .badSetting),
      ("layer_norm_epsilon", "0", .badSetting),
      ("layer_norm_epsilon", "\"tiny\"", .badSetting),
      ("pad_token_id", "512", .badSetting),
      ("eos_token_id", "-1", .badSetting),
      ("eos_token_id", "[1, 2]", .badSetting),
      ("feed_forward_proj", "\"gated-prelu\"", .badSetting),
      ("feed_forward_proj", "\"\"", .badSetting),
      ("dense_act_fn", "\"gelu\"", .badSetting),
      ("is_gated_act", "true", .badSetting),
      ("tie_word_embeddings", "\"yes\"", .badSetting),
      ("d_model", "32", .misshapenTensor),
      ("num_layers", "3", .missingTensor),
      ("num_layers", "1", .unknownTensor),
      ("vocab_size", "511", .misshapenTensor),
      ("tie_word_embeddings", "false", .missingTensor),
    ] as [(String, String, ConversionError.Kind)])
  func settingsThatDoNotHoldAreRefused(key: String, json: String, kind: ConversionError.Kind) throws {
    var variant = try CheckpointVariant()
    try variant.config.set(key, to: json)
    let error = try variant.conversionError()
    #expect(error?.kind == kind)
    if kind == .badSetting { #expect(error?.subject == key) }
  }

  @Test func absentSettingsMeanWhatTransformersMeans() throws {
    var variant = try CheckpointVariant()
    for key in [
      "tie_word_embeddings", "num_decoder_layers", "relative_attention_max_distance", "relative_attention_num_buckets",
      "layer_norm_epsilon", "feed_forward_proj", "dense_act_fn", "is_gated_act", "pad_token_id", "eos_token_id",
      "decoder_start_token_id", "is_encoder_decoder",
    ] { variant.config.values[key] = nil }
    let full = try BackboneConversion(directory: golden("backbones/t5_v10")).config
    #expect(try variant.withDirectory { try BackboneConversion(directory: $0).config } == full)
  }

  @Test(arguments: [
    ("relu", Activation.relu, false), ("gated-gelu", .geluNew, true), ("gelu", .gelu, false),
    ("gated-silu", .silu, true),
    ("gated-relu", .relu, true), ("gelu_new", .geluNew, false),
  ])
  func feedForwardNamesAreThoseOfTransformers(name: String, activation: Activation, isGated: Bool) throws {
    var config = try JSONBuilder(reading: golden("backbones/t5_v10/config.json"))
    config.values["feed_forward_proj"] = name
    config.values["dense_act_fn"] = nil
    config.values["is_gated_act"] = nil
    let scratch = try ScratchDirectory()
    let path = try scratch.write(config.bytes(), as: "config.json")
    let read = try T5Configuration.read(try #require(try Settings(ifPresent: path)), weights: .int8Rows)
    #expect(read.activation == activation)
    #expect(read.isGated == isGated)
  }
}
