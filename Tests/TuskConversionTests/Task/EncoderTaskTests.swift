import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Adapters on BERT and its family, with the heads saved beside them.
@Suite struct EncoderTaskTests {
  private static let encoders = fixturesDirectory + "/golden-encoders/"
  private let bert: ConvertedBackbone

  init() throws { bert = try ConvertedBackbone(golden("backbones/bert")) }

  @Test func compacterActsBehindBothSubLayers() throws {
    let task = try OpenTask(golden("hub/bert_compacter_static_head/adapter"), on: bert)
    #expect(
      task.sites == [
        "encoder 0 selfAttention", "encoder 0 feedForward", "encoder 1 selfAttention", "encoder 1 feedForward",
      ])
    let adapter = try #require(task.adapter(.encoder, .selfAttention, 1))
    #expect(adapter.inputRule == .subLayer)
    #expect(adapter.skipRule == .subLayer)
    #expect(adapter.activation == .gelu)
    let weights = try AdapterVariant(of: "bert_compacter_static_head").weights.tensors
    let name = "bert.encoder.layer.1.attention.output.adapters.task.adapter_down.0.W_left"
    #expect(task.values(task.section.linear(at: adapter.down).leftFactor) == weights[name]?.values)
    let head = try #require(task.section.head)
    #expect(head == TaskHead(input: .pooler, output: .exclusiveLabels, first: head.first, outWidth: 3, labelCount: 3))
    #expect(task.section.labelTexts == ["LABEL_0", "LABEL_1", "LABEL_2"])
  }

  @Test func plusPlusReadsTheNormOfTheSum() throws {
    let task = try OpenTask(golden("hub/bert_compacterpp_flex_head/adapter"), on: bert)
    #expect(task.sites == ["encoder 0 feedForward", "encoder 1 feedForward"])
    let adapter = try #require(task.adapter(.encoder, .feedForward, 0))
    #expect(adapter.inputRule == .normOfSubLayerPlusStream)
    #expect(adapter.skipRule == .subLayer)
    let head = try #require(task.section.head)
    #expect(head.input == .firstToken)
    #expect(head.firstActivation == .tanh)
    #expect(head.secondActivation == .identity)
    #expect(head.second != nil)
  }

  @Test(
    arguments: [
      (
        "bert_post_add_pooler_head", "bert_without_head", InputRule.normOfSubLayerPlusStream,
        SkipRule.subLayerPlusStream, HeadInput.pooler
      ),
      ("bert_skip_of_input", "bert_without_head", .normOfSubLayerPlusStream, .input, .firstToken),
      ("bert_dense_norm_before", "bert_without_head", .normOfSubLayerPlusStream, .subLayer, .firstToken),
      ("bert_dense_leave_out", "bert_without_head", .subLayer, .subLayer, .firstToken),
      ("distilbert_phm", "distilbert", .subLayer, .subLayer, .firstToken),
      ("distilbert_plusplus", "distilbert", .normOfSubLayerPlusStream, .subLayer, .firstToken),
      ("xlmr_dense", "xlmr_regression", .normOfSubLayerPlusStream, .subLayer, .firstToken),
    ])
  func settingsBecomeRules(
    name: String, backbone: String, inputRule: InputRule, skipRule: SkipRule, input: HeadInput
  ) throws {
    let backbone = try ConvertedBackbone(Self.encoders + "backbones/" + backbone)
    let task = try OpenTask(Self.encoders + "hub/\(name)/adapter", on: backbone)
    let adapter = try #require(task.adapter(.encoder, .feedForward, 0))
    #expect(adapter.inputRule == inputRule)
    #expect(adapter.skipRule == skipRule)
    #expect(task.section.head?.input == input)
  }

  @Test func aTaskWithoutASavedHeadHasNone() throws {
    #expect(try AdapterVariant(of: "bert_compacter_static_head").section(on: bert).section.head == nil)
  }

  @Test func halfASavedHeadIsRefused() throws {
    for missing in ["head_config.json", "heads"] {
      let error = try headError { scratch, directory in
        try FileManager.default.removeItem(atPath: directory + "/head_config.json")
        guard missing == "heads" else { return }
        try scratch.write(Array("{}".utf8), as: "head_config.json")
        for file in ["model_head.safetensors", "pytorch_model_head.bin"] {
          try FileManager.default.removeItem(atPath: directory + "/" + file)
        }
      }
      #expect(error?.kind == .cannotOpen)
    }
  }

  @Test(
    arguments: [
      ("{\"head_type\": \"tagging\", \"layers\": 1}", ConversionError.Kind.unsupported),
      ("{\"head_type\": \"classification\", \"layers\": 3, \"num_labels\": 3}", .badSetting),
      ("{\"head_type\": \"classification\", \"layers\": 1, \"num_labels\": 3}", .missingTensor),
      ("{\"head_type\": \"classification\", \"layers\": 2, \"num_labels\": 4}", .misshapenTensor),
      (
        "{\"head_type\": \"classification\", \"layers\": 2, \"num_labels\": 3, \"activation_function\": \"prelu\"}",
        .badSetting
      ),
      (
        "{\"head_type\": \"classification\", \"layers\": 2, \"num_labels\": 3, \"label2id\": {\"\": 0, \"b\": 1, \"c\": 2}}",
        .badSetting
      ),
    ])
  func headsThatDoNotFitAreRefused(config: String, kind: ConversionError.Kind) throws {
    let error = try headError(of: "bert_compacterpp_flex_head") { scratch, _ in
      try scratch.write(Array("{\"name\": \"task\", \"config\": \(config)}".utf8), as: "head_config.json")
    }
    #expect(error?.kind == kind)
  }

  @Test func adaptersOfOtherModelsAreRefused() throws {
    let roberta = golden("hub/roberta_compacter_static_head/adapter")
    #expect(conversionError { () throws(ConversionError) in try OpenTask(roberta, on: bert) }?.subject == "model_type")
    let t5 = golden("hub/t5_v10_compacter/adapter")
    #expect(conversionError { () throws(ConversionError) in try OpenTask(t5, on: bert) }?.kind == .mismatch)
    var variant = try AdapterVariant(of: "bert_compacter_static_head")
    variant.weights.tensors["bert.shared_parameters.task.phm_rule"] = nil
    #expect(conversionError { () throws(ConversionError) in try variant.section(on: bert) }?.kind == .lostRule)
  }

  /// The error of a directory that `change` makes of a recorded one.
  private func headError(
    of name: String = "bert_compacter_static_head", _ change: (ScratchDirectory, String) throws -> Void
  ) throws -> ConversionError? {
    let scratch = try ScratchDirectory()
    let source = golden("hub/\(name)/adapter/")
    for file in try FileManager.default.contentsOfDirectory(atPath: source) {
      try FileManager.default.copyItem(atPath: source + file, toPath: scratch.path + "/" + file)
    }
    try change(scratch, scratch.path)
    return conversionError { () throws(ConversionError) in try OpenTask(scratch.path, on: bert) }
  }
}

extension TaskSection {
  /// Names of the head's outputs.
  var labelTexts: [String] {
    (0..<(head?.labelCount ?? 0)).map { position in
      let bytes = label(at: position)
      return String(decoding: (0..<bytes.count).map { bytes.load($0, as: UInt8.self) }, as: UTF8.self)
    }
  }
}
