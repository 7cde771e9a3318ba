import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Directories that `save_adapter` of the `adapters` library wrote.
@Suite struct AdapterDirectoryTests {
  let v10: ConvertedBackbone
  let tied: ConvertedBackbone

  private static let extra = fixturesDirectory + "/golden-extra/"

  init() throws {
    v10 = try ConvertedBackbone(golden("backbones/t5_v10"))
    tied = try ConvertedBackbone(Self.extra + "backbones/t5_tied")
  }

  @Test func compacterHasAllAttentionAndFeedForwardSites() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter/adapter"), on: v10)
    #expect(task.section.attachmentCount == 8)
    #expect(!task.sites.contains { $0.hasSuffix("crossAttention") })
    let adapter = try #require(task.adapter(.decoder, .feedForward, 1))
    #expect(adapter.activation == .gelu)
    #expect(adapter.inputRule == .subLayer)
    #expect(adapter.skipRule == .subLayer)
    #expect(adapter.addsStream)
    #expect(adapter.bottleneckWidth == 16)
    #expect(adapter.scaling == 1)
    #expect(task.section.origin == .adapters)
    #expect(task.section.vocabularySize == 512)
    // One rule for all sixteen linears.
    #expect(task.count(.rule, .ruleLeft, .ruleRight) == 64)
    #expect(task.count(.taskNorm) == 0)
  }

  @Test func valuesAreThoseOfTheFile() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter/adapter"), on: v10)
    let source = try AdapterVariant().weights.tensors
    let adapter = try #require(task.adapter(.decoder, .feedForward, 1))
    let down = task.section.linear(at: adapter.down)
    let up = task.section.linear(at: adapter.up)
    let prefix = "transformer.decoder.block.1.layer.2.adapters.task."
    #expect(task.values(down.leftFactor) == source[prefix + "adapter_down.0.W_left"]?.values)
    #expect(task.values(down.rightFactor) == source[prefix + "adapter_down.0.W_right"]?.values)
    #expect(task.values(down.bias) == source[prefix + "adapter_down.0.b"]?.values)
    #expect(task.values(up.leftFactor) == source[prefix + "adapter_up.W_left"]?.values)
    #expect(task.values(up.rightFactor) == source[prefix + "adapter_up.W_right"]?.values)
    #expect(task.values(up.bias) == source[prefix + "adapter_up.b"]?.values)
    #expect(task.values(down.rule) == source["transformer.shared_parameters.task.phm_rule"]?.values)
    #expect(down.rule == up.rule)
  }

  @Test(arguments: ["t5_v10_compacter", "t5_v10_compacter_shared_W", "t5_v10_phm_unshared"])
  func bothFileFormatsGiveTheSameBytes(name: String) throws {
    let scratch = try ScratchDirectory()
    for file in ["adapter_config.json", "pytorch_adapter.bin"] {
      try FileManager.default.copyItem(
        atPath: golden("hub/\(name)/adapter/") + file, toPath: scratch.path + "/" + file)
    }
    let fromTorch = try OpenTask(scratch.path, on: v10).conversion.section
    #expect(try OpenTask(golden("hub/\(name)/adapter"), on: v10).conversion.section == fromTorch)
  }

  @Test func plusPlusAddsTheStreamToTheInput() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacterpp/adapter"), on: v10)
    #expect(task.section.attachmentCount == 4)
    #expect(task.sites.allSatisfy { $0.hasSuffix("feedForward") })
    #expect(task.adapter(.encoder, .feedForward, 0)?.inputRule == .subLayerPlusStream)
    #expect(task.adapter(.encoder, .feedForward, 0)?.skipRule == .subLayer)
  }

  @Test func geluOfAFileWithoutVersionIsGeluNew() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter_legacy_noversion/adapter"), on: v10)
    #expect(task.adapter(.encoder, .feedForward, 0)?.activation == .geluNew)
    var variant = try AdapterVariant(of: "t5_v10_compacter_legacy_noversion")
    try variant.set("non_linearity", to: "\"gelu_orig\"")
    #expect(try variant.section(on: v10).adapter(.encoder, .feedForward, 0)?.activation == .gelu)
  }

  @Test func rankAndTermsComeOutOfTheShapes() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter_n8_rank2_gelu_new/adapter"), on: v10)
    let linear = task.section.linear(at: 0)
    #expect((linear.phmDim, linear.factorRank) == (8, 2))
    #expect(task.adapter(.encoder, .selfAttention, 1)?.activation == .geluNew)
    #expect(task.adapter(.encoder, .selfAttention, 1)?.bottleneckWidth == 32)
  }

  @Test func sharedWeightsAreStoredOnce() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter_shared_W/adapter"), on: v10)
    #expect(task.count(.leftFactor) == 64 + 16)
    #expect(task.count(.rightFactor) == 16 + 64)
    #expect(task.count(.bias) == 8 * (16 + 64))
  }

  @Test func theUnfactorizedAdapterHasAWholeTensorAndARuleForEachLinear() throws {
    let task = try OpenTask(golden("hub/t5_v10_phm_unshared/adapter"), on: v10)
    #expect(task.count(.full) == 16 * 4 * 16 * 4)
    #expect(task.count(.rule) == 16 * 64)
    #expect(task.count(.leftFactor, .rightFactor) == 0)
  }

  @Test func factorizedRulesAreKept() throws {
    let shared = try OpenTask(golden("hub/t5_v10_compacter_factorized_rule/adapter"), on: v10)
    #expect((shared.count(.rule), shared.count(.ruleLeft), shared.count(.ruleRight)) == (0, 16, 16))
    let own = try OpenTask(Self.extra + "hub/t5_unshared_factorized_rule/adapter", on: tied)
    #expect((own.count(.ruleLeft), own.count(.bias)) == (10 * 2 * 16, 0))
  }

  @Test func variantsOfOneFixtureAllArrive() throws {
    let task = try OpenTask(golden("hub/t5_v10_compacter_variants/adapter"), on: v10)
    // Blocks 0 of the encoder and 3 of all, the decoder's second, are left out.
    #expect(
      task.sites == [
        "encoder 1 selfAttention", "encoder 1 feedForward", "decoder 0 selfAttention", "decoder 0 crossAttention",
        "decoder 0 feedForward",
      ])
    let adapter = try #require(task.adapter(.decoder, .crossAttention, 0))
    #expect(adapter.scaling == 0.5)
    #expect(adapter.activation == .relu)
    #expect(adapter.normBeforeWeight != nil && adapter.normAfterBias != nil)
    #expect(task.count(.bias) == 0)
  }

  @Test func scalingIsANumberALearnedNumberOrAVector() throws {
    let learned = try AdapterVariant(of: "t5_norm_after_learned_scale", in: Self.extra + "hub/")
    let task = try learned.section(on: tied)
    let name = "transformer.encoder.block.0.layer.0.adapters.task.scaling"
    #expect(task.adapter(.encoder, .selfAttention, 0)?.scaling == learned.weights.tensors[name]?.values[0])
    let channel = try OpenTask(Self.extra + "hub/t5_channel_scale/adapter", on: tied)
    #expect(channel.values(channel.adapter(.encoder, .feedForward, 0)?.scalingVector).count == channel.section.dModel)
  }

  @Test func skipAndStreamRulesFollowTheSettings() throws {
    let skip = try OpenTask(Self.extra + "hub/t5_skip_of_input/adapter", on: tied)
    #expect(skip.adapter(.encoder, .feedForward, 0)?.skipRule == .input)
    let without = try OpenTask(Self.extra + "hub/t5_without_stream/adapter", on: tied)
    #expect(without.adapter(.encoder, .feedForward, 0)?.addsStream == false)
  }

  @Test func theReductionMayDifferBetweenLayers() throws {
    let task = try OpenTask(Self.extra + "hub/t5_leave_out_and_map/adapter", on: tied)
    let width = task.section.dModel
    #expect(task.adapter(.encoder, .feedForward, 0)?.bottleneckWidth == width / 2)
    #expect(task.adapter(.encoder, .feedForward, 1) == nil)
    #expect(task.adapter(.encoder, .feedForward, 2)?.bottleneckWidth == width / 4)
    // Block 3 of all is the decoder's first.
    #expect(task.adapter(.decoder, .feedForward, 0) == nil)
    #expect(task.adapter(.decoder, .feedForward, 1)?.bottleneckWidth == width / 4)
  }

  @Test(arguments: ["t5_gated_compacter", "t5_gated_plusplus_n1"])
  func anUnevenGatedBackboneTakesItsAdapters(name: String) throws {
    let backbone = try ConvertedBackbone(Self.extra + "backbones/t5_deep_decoder")
    let task = try OpenTask(Self.extra + "hub/\(name)/adapter", on: backbone)
    #expect(task.section.attachmentCount == (name == "t5_gated_compacter" ? 6 : 3))
  }

  @Test func aDenseAdapterIsTransposed() throws {
    var variant = try AdapterVariant()
    try variant.set("phm_layer", to: "false")
    try variant.set("reduction_factor", to: "4.0")
    var weights: [String: (shape: [Int], values: [Float])] = [:]
    for name in variant.weights.tensors.keys where name.hasSuffix(".b") {
      let isDown = name.contains("adapter_down")
      let base = String(name.dropLast())
      weights[base + "bias"] = variant.weights.tensors[name]
      weights[base + "weight"] = (isDown ? [16, 64] : [64, 16], (0..<1024).map { Float($0) })
    }
    variant.weights.tensors = weights
    let task = try variant.section(on: v10)
    let down = task.section.linear(at: 0)
    #expect((down.phmDim, down.factorRank, down.rule) == (1, 0, nil))
    // Row 3, column 5 of [out, in] is row 5, column 3 of [in, out].
    #expect(task.values(down.full)[5 * 16 + 3] == Float(3 * 64 + 5))
  }

  @Test func presetsAndPrefixesAreOptional() throws {
    var variant = try AdapterVariant()
    try variant.set("reduction_factor", to: "4")
    let expected = try variant.section(on: v10).conversion.section
    variant.weights.tensors = Dictionary(
      uniqueKeysWithValues: variant.weights.tensors.map { (String($0.key.dropFirst("transformer.".count)), $0.value) })
    #expect(try variant.section(on: v10).conversion.section == expected)
    // The preset's reduction of 32 leaves 2 columns, which 4 terms do not divide.
    variant.settings.values["config"] = "compacter"
    let error = conversionError { () throws(ConversionError) in try variant.section(on: v10) }
    #expect(error?.kind == .badSetting)
    #expect(error?.subject == "phm_dim")
  }

  @Test func aTiedHeadBesideTheAdapterTakesNoSpace() throws {
    let backbone = try CheckpointVariant()
    let scratch = try ScratchDirectory()
    var variant = try AdapterVariant()
    try scratch.write(variant.settings.bytes(), as: "adapter_config.json")
    try scratch.write(variant.weights.bytes(), as: "adapter.safetensors")
    variant.weights.tensors = ["heads.task.0.weight": backbone.weights.tensors["shared.weight"]!]
    try scratch.write(variant.weights.bytes(), as: "model_head.safetensors")
    let notes = try OpenTask(scratch.path, on: v10).conversion.notes
    #expect(notes.count == 1)
    variant.weights.tensors["heads.task.0.weight"]!.values[9] += 1
    try scratch.write(variant.weights.bytes(), as: "model_head.safetensors")
    #expect(conversionError { () throws(ConversionError) in try OpenTask(scratch.path, on: v10) }?.kind == .mismatch)
    variant.weights.tensors = ["heads.task.1.weight": ([64, 64], [Float](repeating: 0, count: 4096))]
    try scratch.write(variant.weights.bytes(), as: "model_head.safetensors")
    #expect(conversionError { () throws(ConversionError) in try OpenTask(scratch.path, on: v10) }?.kind == .unsupported)
  }
}
