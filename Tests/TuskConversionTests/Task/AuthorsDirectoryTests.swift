import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Output directories of the Compacter authors' code.
@Suite struct AuthorsDirectoryTests {
  let backbone: ConvertedBackbone

  init() throws { backbone = try ConvertedBackbone(golden("backbones/t5_v10")) }

  private func error(_ variant: AuthorsVariant, on other: ConvertedBackbone? = nil) -> ConversionError? {
    conversionError { () throws(ConversionError) in try variant.section(on: other ?? backbone) }
  }

  @Test func compacterCarriesItsNorms() throws {
    let variant = try AuthorsVariant()
    let task = try OpenTask(golden("orig/t5_v10_compacter/output_dir"), on: backbone)
    #expect(task.conversion.name == "mrpc")
    #expect(task.section.origin == .authors)
    #expect(task.section.attachmentCount == 8)
    #expect(task.count(.taskNorm) == 12 * 64)
    #expect(task.count(.rule) == 64)
    let adapter = try #require(task.adapter(.decoder, .selfAttention, 1))
    #expect(adapter.activation == .geluNew)
    #expect(adapter.inputRule == .subLayer)
    #expect(adapter.skipRule == .subLayer)
    let norms: [(Int, String)] = [
      (task.section.slots.slot(.encoder, .feedForward, layer: 1), "encoder.block.1.layer.1.layer_norm.weight"),
      (task.section.slots.slot(.decoder, .crossAttention, layer: 0), "decoder.block.0.layer.1.layer_norm.weight"),
      (task.section.slots.encoderEnd, "encoder.final_layer_norm.weight"),
      (task.section.slots.decoderEnd, "decoder.final_layer_norm.weight"),
    ]
    for (slot, name) in norms {
      #expect(task.values(task.section.slot(at: slot).normTensor) == variant.weights.tensors[name]?.values)
    }
  }

  @Test func plusPlusHasOnlyFeedForwardSites() throws {
    let directory = golden("orig/t5_small48_compacterpp_n12/output_dir")
    let task = try OpenTask(directory, on: ConvertedBackbone(directory))
    #expect(task.sites.count == 4)
    #expect(task.sites.allSatisfy { $0.hasSuffix("feedForward") })
    #expect(task.adapter(.encoder, .feedForward, 0)?.inputRule == .subLayer)
    #expect(task.section.linear(at: 0).phmDim == 12)
    #expect(task.conversion.name == "superglue-boolq")
  }

  @Test func bothDialectsOfTheSameWeightsGiveTheSameBytesButForTheOrigin() throws {
    var authors = try AuthorsVariant()
    let pretrained = try CheckpointVariant().weights.tensors
    for name in authors.weights.tensors.keys where name.hasSuffix("layer_norm.weight") {
      authors.weights.tensors[name] = pretrained[name]
    }
    authors.training?.values["unfreeze_layer_norms"] = false
    var library = try AdapterVariant()
    try library.set("non_linearity", to: "\"gelu_new\"")
    var tensors: [String: (shape: [Int], values: [Float])] = [:]
    for (name, tensor) in authors.weights.tensors {
      if name == "phm_rule" { tensors["shared_parameters.task.phm_rule"] = tensor }
      guard let range = name.firstRange(of: "adapter_controller.adapters.mrpc."), !name.hasSuffix("phm_rule") else {
        continue
      }
      let rest = name[range.upperBound...]
        .replacing("down_sampler.", with: "adapter_down.0.").replacing("up_sampler.", with: "adapter_up.")
      tensors[name[..<range.lowerBound] + "adapters.task." + rest] = tensor
    }
    library.weights.tensors = tensors
    var fromAuthors = try authors.section(on: backbone, name: "same").conversion.section
    let fromLibrary = try library.section(on: backbone, name: "same").conversion.section
    #expect(fromAuthors[24] == 2 && fromLibrary[24] == 1)
    fromAuthors[24] = 1
    #expect(fromAuthors == fromLibrary)
  }

  @Test(arguments: [WeightEncoding.int8Rows, .float32])
  func aSmallerVocabularyIsHeldAgainstTheBackbonesFirstRows(weights: WeightEncoding) throws {
    let whole = try ConvertedBackbone(golden("backbones/t5_v10"), weights: weights)
    var variant = try AuthorsVariant()
    variant.config.values["vocab_size"] = 500
    for name in ["shared", "lm_head", "encoder.embed_tokens", "decoder.embed_tokens"].map({ $0 + ".weight" }) {
      let values = variant.weights.tensors[name]!.values
      variant.weights.tensors[name] = ([500, 64], Array(values[..<(500 * 64)]))
    }
    #expect(try variant.section(on: whole).section.vocabularySize == 500)
    // A change within half a step of the row's scale is invisible in int8, so the change is a whole value.
    for name in ["shared", "lm_head", "encoder.embed_tokens", "decoder.embed_tokens"].map({ $0 + ".weight" }) {
      variant.weights.tensors[name]!.values[321 * 64 + 9] += 1
    }
    let error = error(variant, on: whole)
    #expect(error?.kind == .mismatch)
    #expect(error?.subject == "shared.weight")
    #expect(error?.sentence.hasPrefix("row 321 differs") == true)
  }

  @Test(arguments: [
    "shared.weight", "decoder.block.1.layer.1.EncDecAttention.v.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
  ])
  func onlyNormsMayDifferFromTheBackbone(name: String) throws {
    var variant = try AuthorsVariant()
    let aliases = ["lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    for changed in [name] + (name == "shared.weight" ? aliases : []) {
      variant.weights.tensors[changed]!.values[17] += 0.001
    }
    #expect(error(variant)?.kind == .mismatch)
    #expect(error(variant)?.subject == name)
  }

  @Test func anotherBackboneIsRefused() throws {
    let other = try ConvertedBackbone(fixturesDirectory + "/golden-extra/backbones/t5_tied")
    #expect(error(try AuthorsVariant(), on: other)?.kind == .mismatch)
  }

  @Test func withoutTrainingSettingsTheActivationIsUnknown() throws {
    var variant = try AuthorsVariant()
    variant.training = nil
    #expect(error(variant)?.kind == .cannotOpen)
    #expect(error(variant)?.sentence.contains("activation") == true)
    // What little the file must say.
    variant.training = try AuthorsVariant().training
    let whole = try variant.section(on: backbone).conversion.section
    variant.training?.values = ["non_linearity": "gelu_new"]
    #expect(try variant.section(on: backbone).conversion.section == whole)
    variant.training?.values = [:]
    #expect(try variant.section(on: backbone).adapter(.encoder, .feedForward, 0)?.activation == .silu)
  }

  @Test(arguments: [
    ("hypercomplex_division", "8"), ("task_reduction_factor", "8"), ("task_reduction_factor", "0"), ("phm_rank", "2"),
    ("hypercomplex_adapters", "false"), ("low_rank_adapters", "true"), ("factorized_phm", "false"),
    ("factorized_phm_rule", "true"), ("shared_phm_rule", "false"), ("shared_W_phm", "true"),
    ("non_linearity", "\"prelu\""), ("task_adapter_layers_encoder", "\"all\""), ("add_layer_norm_before_adapter", "1"),
  ])
  func settingsThatContradictTheTensorsAreRefused(key: String, json: String) throws {
    var variant = try AuthorsVariant()
    try variant.training?.set(key, to: json)
    #expect(error(variant)?.kind == .badSetting)
    #expect(error(variant)?.subject == key)
  }

  @Test func sitesFollowTheSettingsOrTheCheckpoint() throws {
    var variant = try AuthorsVariant()
    try variant.training?.set("task_adapter_layers_encoder", to: "[1]")
    #expect(error(variant)?.kind == .unknownTensor)
    for name in variant.weights.tensors.keys where name.hasPrefix("encoder.block.0") && name.contains("adapter_") {
      variant.weights.tensors[name] = nil
    }
    #expect(try variant.section(on: backbone).section.attachmentCount == 6)
    // Without the list, a block that lacks its adapter is a hole.
    variant.training?.values["task_adapter_layers_encoder"] = nil
    #expect(error(variant)?.kind == .missingTensor)
  }

  @Test func copiesOfTheRuleMustBeCopies() throws {
    let copy = "encoder.block.1.layer.0.adapter_controller.adapters.mrpc.up_sampler.phm_rule"
    var variant = try AuthorsVariant()
    variant.weights.tensors[copy]!.values[3] += 1
    #expect(error(variant)?.subject == copy)
    #expect(error(variant)?.kind == .mismatch)
    // A rule for each layer is another model: nothing is shared, nothing is copied.
    variant.weights.tensors["phm_rule"] = nil
    variant.training?.values["shared_phm_rule"] = false
    #expect(try variant.section(on: backbone).count(.rule) == 16 * 64)
    for name in variant.weights.tensors.keys where name.hasSuffix("phm_rule") { variant.weights.tensors[name] = nil }
    #expect(error(variant)?.kind == .lostRule)
  }

  @Test func lowRankAdaptersAreColumnsTimesRows() throws {
    var variant = try AuthorsVariant()
    variant.training?.values = ["non_linearity": "gelu_new", "low_rank_adapters": true, "task_reduction_factor": 4]
    for (name, tensor) in variant.weights.tensors where name.contains(".adapters.") || name == "phm_rule" {
      let isDown = name.contains("down_sampler")
      let count = tensor.shape.reduce(1, *)
      if name.hasSuffix("W_left") {
        variant.weights.tensors[name] = ([isDown ? 64 : 16, 1], tensor.values)
        #expect(count == (isDown ? 64 : 16))
      } else if name.hasSuffix("W_right") {
        variant.weights.tensors[name] = ([1, isDown ? 16 : 64], tensor.values)
      } else if name.hasSuffix("phm_rule") {
        variant.weights.tensors[name] = nil
      }
    }
    let task = try variant.section(on: backbone)
    let down = task.section.linear(at: 0)
    #expect((down.phmDim, down.factorRank, down.rule) == (1, 1, nil))
    #expect(task.count(.leftFactor, .rightFactor) == 8 * 2 * (64 + 16))
  }

  @Test func anotherTasksAdapterBesideItIsRefused() throws {
    var variant = try AuthorsVariant()
    variant.weights.tensors["encoder.block.0.layer.0.adapter_controller.adapters.rte.up_sampler.b"] = (
      [64], [Float](repeating: 0, count: 64)
    )
    #expect(error(variant)?.kind == .unsupported)
  }
}
