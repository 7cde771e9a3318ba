import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Checkpoints of BERT and its family.
@Suite struct EncoderConversionTests {
  private static func encoders(_ rest: String) -> String { fixturesDirectory + "/golden-encoders/" + rest }

  private static let checkpoints = [
    (golden("backbones/bert"), ModelFamily.bert), (golden("backbones/roberta"), .roberta),
    (encoders("backbones/distilbert"), .distilBert), (encoders("backbones/xlmr_regression"), .xlmRoberta),
    (encoders("backbones/bert_without_head"), .bert),
  ]

  @Test(arguments: checkpoints)
  func everyTensorIsTheCheckpoints(directory: String, family: ModelFamily) throws {
    let backbone = try ConvertedBackbone(directory, weights: .float32)
    let source = try SafetensorsBuilder(reading: directory).tensors
    for position in 0..<backbone.outcome.config.tensorCount {
      let tensor = backbone.file.tensor(at: position)
      let name = family.name(of: tensor.spec)
      let values = try #require(source.first { family.canonical($0.key) == name }?.value.values)
      var stored: [Float] = []
      for row in 0..<tensor.spec.rows {
        for column in 0..<tensor.spec.columns {
          stored.append(tensor.data.load(row * tensor.spec.rowStrideBytes + 4 * column, as: Float.self))
        }
      }
      #expect(stored == values, "\(name)")
    }
  }

  @Test func settingsBecomeTheRecord() throws {
    let bert = try ConvertedBackbone(golden("backbones/bert")).outcome.config
    #expect(bert.architecture == .encoder)
    requireEqual([bert.dModel, bert.dFF, bert.headCount, bert.layerCount, bert.vocabularySize], [48, 96, 4, 2, 120])
    requireEqual([bert.maxPositions, bert.positionOffset, bert.tokenTypeCount, bert.padId], [32, 0, 2, 0])
    #expect(bert.normEpsilon == 1e-12)
    #expect(bert.activation == .gelu)
    #expect(bert.hasPooler)
    let roberta = try ConvertedBackbone(golden("backbones/roberta")).outcome.config
    requireEqual([roberta.maxPositions, roberta.positionOffset, roberta.tokenTypeCount, roberta.padId], [36, 2, 1, 1])
    #expect(roberta.normEpsilon == 1e-5)
    #expect(roberta.eosId == 2)
    #expect(!roberta.hasPooler)
    let distilBert = try ConvertedBackbone(Self.encoders("backbones/distilbert")).outcome.config
    requireEqual([distilBert.dModel, distilBert.dFF, distilBert.headCount, distilBert.layerCount], [32, 48, 2, 2])
    requireEqual([distilBert.tokenTypeCount, distilBert.positionOffset], [0, 0])
  }

  @Test(
    arguments: [
      (golden("backbones/bert"), HeadInput.pooler, HeadOutput.exclusiveLabels, 1, "LABEL_0,LABEL_1,LABEL_2"),
      (golden("backbones/roberta"), .firstToken, .exclusiveLabels, 2, "LABEL_0,LABEL_1,LABEL_2"),
      (encoders("backbones/distilbert"), .firstToken, .exclusiveLabels, 2, "LABEL_0,LABEL_1,LABEL_2,LABEL_3"),
      (encoders("backbones/xlmr_regression"), .firstToken, .numbers, 2, "LABEL_0"),
      (encoders("backbones/bert_multilabel"), .pooler, .independentLabels, 1, "calm,très joyeux,angry"),
    ])
  func theCheckpointsHeadStandsBesideIt(
    directory: String, input: HeadInput, output: HeadOutput, layers: Int, labels: String
  ) throws {
    let section = try #require(try ConvertedBackbone(directory).file.head)
    let head = try #require(section.head)
    #expect(head.input == input)
    #expect(head.output == output)
    #expect((head.second == nil) == (layers == 1))
    #expect(section.labelTexts.joined(separator: ",") == labels)
    #expect(!head.hasUnitLength)
  }

  private func requireEqual(_ found: [Int], _ wanted: [Int]) { #expect(found == wanted) }

  /// The int8 and the float32 pack, with the head and without, are one backbone.
  @Test func theHeadIsNoPartOfTheIdentity() throws {
    var variant = try CheckpointVariant(of: "bert")
    let withHead = try ConvertedBackbone(golden("backbones/bert")).outcome.config.fingerprint
    for name in variant.weights.tensors.keys where name.hasPrefix("classifier.") {
      variant.weights.tensors[name] = nil
    }
    try variant.withDirectory { directory in
      let backbone = try ConvertedBackbone(directory, weights: .float32)
      #expect(backbone.file.head == nil)
      #expect(backbone.outcome.config.fingerprint == withHead)
    }
  }

  @Test func namesOfEarlyCheckpointsAreUnderstood() throws {
    var variant = try CheckpointVariant(of: "bert")
    let wanted = try variant.withDirectory { try ConvertedBackbone($0).outcome.config.fingerprint }
    variant.weights.tensors = Dictionary(
      uniqueKeysWithValues: variant.weights.tensors.map { name, tensor in
        var name = name.hasPrefix("bert.") ? String(name.dropFirst("bert.".count)) : name
        if name.hasSuffix("LayerNorm.weight") { name = name.dropLast("weight".count) + "gamma" }
        if name.hasSuffix("LayerNorm.bias") { name = name.dropLast("bias".count) + "beta" }
        return (name, tensor)
      })
    variant.weights.tensors["embeddings.position_ids"] = ([1, 32], (0..<32).map { Float($0) })
    variant.weights.tensors["cls.predictions.bias"] = ([120], [Float](repeating: 0, count: 120))
    try variant.withDirectory { directory in
      #expect(try ConvertedBackbone(directory).outcome.config.fingerprint == wanted)
      let notes = try BackboneConversion(directory: directory).notes
      #expect(notes.contains { $0.contains("cls.predictions.bias") && $0.contains("embeddings.position_ids") })
    }
  }

  @Test func tensorsThatAreMissingMisshapenOrUnknownAreNamed() throws {
    let bias = "bert.encoder.layer.1.attention.self.key.bias"
    var variant = try CheckpointVariant(of: "bert")
    variant.weights.tensors[bias] = nil
    #expect(try variant.conversionError()?.kind == .missingTensor)
    #expect(try variant.conversionError()?.subject == String(bias.dropFirst("bert.".count)))

    variant = try CheckpointVariant(of: "bert")
    variant.weights.tensors[bias] = ([1, 48], [Float](repeating: 0, count: 48))
    #expect(try variant.conversionError()?.sentence == "found shape [1, 48]; [48] is required")

    variant = try CheckpointVariant(of: "bert")
    variant.weights.tensors["bert.encoder.layer.2.output.dense.bias"] = ([48], [Float](repeating: 0, count: 48))
    #expect(try variant.conversionError()?.kind == .unknownTensor)

    variant = try CheckpointVariant(of: "bert")
    variant.weights.tensors["classifier.weight"]?.values[3] = .infinity
    #expect(try variant.conversionError()?.kind == .notFinite)

    variant = try CheckpointVariant(of: "bert")
    for part in ["weight", "bias"] { variant.weights.tensors["bert.pooler.dense.\(part)"] = nil }
    #expect(try variant.conversionError()?.subject == "pooler.dense.weight")

    variant = try CheckpointVariant(of: "roberta")
    variant.weights.tensors["classifier.dense.extra"] = ([1], [0])
    #expect(try variant.conversionError()?.kind == .unknownTensor)
  }

  @Test func anElectraWhoseEmbeddingsAreProjectedIsRefused() throws {
    var variant = try CheckpointVariant(of: "bert")
    try variant.config.set("model_type", to: "\"electra\"")
    try variant.config.set("embedding_size", to: "128")
    let error = try #require(try variant.conversionError())
    #expect(error.kind == .unsupported && error.subject == "embedding_size")
  }

  @Test(arguments: ["mpnet", "albert", "deberta-v2"])
  func otherFamiliesAreRefusedByName(modelType: String) throws {
    var variant = try CheckpointVariant(of: "bert")
    try variant.config.set("model_type", to: "\"\(modelType)\"")
    let error = try #require(try variant.conversionError())
    #expect(error.kind == .unsupported && error.subject == "model_type")
    #expect(error.description.contains("'\(modelType)'"))
  }

  @Test(
    arguments: [
      ("hidden_size", "0", ConversionError.Kind.badSetting),
      ("num_attention_heads", "5", .badSetting),
      ("intermediate_size", "\"96\"", .badSetting),
      ("max_position_embeddings", "1048577", .badSetting),
      ("max_position_embeddings", "31", .misshapenTensor),
      ("type_vocab_size", "-1", .badSetting),
      ("layer_norm_eps", "0", .badSetting),
      ("hidden_act", "\"prelu\"", .badSetting),
      ("pad_token_id", "120", .badSetting),
      ("is_decoder", "true", .unsupported),
      ("position_embedding_type", "\"relative_key\"", .unsupported),
      ("quantization_config", "{}", .unsupported),
      ("architectures", "[\"BertForTokenClassification\"]", .unsupported),
      ("label2id", "{\"a\": 0, \"b\": 2, \"c\": 3}", .badSetting),
      ("label2id", "{\"a\": 0, \"b\": 1}", .misshapenTensor),
      ("problem_type", "\"ranking\"", .badSetting),
    ])
  func faultySettingsAreRefused(key: String, json: String, kind: ConversionError.Kind) throws {
    var variant = try CheckpointVariant(of: "bert")
    try variant.config.set(key, to: json)
    #expect(try variant.conversionError()?.kind == kind)
  }
}

/// Directories of sentence-transformers.
@Suite struct SentenceTransformerTests {
  private static let transformer = "{\"type\": \"sentence_transformers.models.Transformer\", \"path\": \"\"}"
  private static let pooling = "{\"type\": \"sentence_transformers.models.Pooling\", \"path\": \"1_Pooling\"}"
  private static let normalize = "{\"type\": \"sentence_transformers.models.Normalize\", \"path\": \"2_Normalize\"}"

  private static let dense = "{\"type\": \"sentence_transformers.models.Dense\", \"path\": \"2_Dense\"}"

  /// - Parameter dense: the settings of a layer [5, 48] behind the pooling.
  private func head(_ modules: [String], pooling: String, dense: String = "{}") throws -> TaskHead? {
    var variant = try CheckpointVariant(of: "bert")
    for name in variant.weights.tensors.keys where name.hasPrefix("classifier.") {
      variant.weights.tensors[name] = nil
    }
    return try variant.withDirectory { directory in
      try FileManager.default.createDirectory(
        atPath: directory + "/1_Pooling", withIntermediateDirectories: false)
      let list = "[" + modules.joined(separator: ",") + "]"
      try FileManager.default.createDirectory(atPath: directory + "/2_Dense", withIntermediateDirectories: false)
      var layer = SafetensorsBuilder()
      layer.tensors["linear.weight"] = ([5, 48], [Float](repeating: 0.5, count: 5 * 48))
      layer.tensors["linear.bias"] = ([5], [Float](repeating: 0.25, count: 5))
      try Data(layer.bytes()).write(to: URL(fileURLWithPath: directory + "/2_Dense/model.safetensors"))
      for (path, text) in [
        ("/modules.json", list), ("/1_Pooling/config.json", pooling), ("/2_Dense/config.json", dense),
      ] {
        try Data(text.utf8).write(to: URL(fileURLWithPath: directory + path))
      }
      return try ConvertedBackbone(directory).file.head?.head
    }
  }

  @Test func poolingAndNormalizationBecomeTheHead() throws {
    let mean = "{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}"
    let head = try #require(try head([Self.transformer, Self.pooling, Self.normalize], pooling: mean))
    #expect(head == TaskHead(input: .mean, output: .embedding, outWidth: 48, hasUnitLength: true))
    let first = try #require(
      try self.head([Self.transformer, Self.pooling], pooling: "{\"pooling_mode_cls_token\": true}"))
    #expect(first == TaskHead(input: .firstToken, output: .embedding, outWidth: 48))
  }

  @Test func aDenseModuleIsALayerOfTheHead() throws {
    let pooling = "{\"pooling_mode_cls_token\": true}"
    let modules = [Self.transformer, Self.pooling, Self.dense, Self.normalize]
    let settings = """
      {"in_features": 48, "out_features": 5, "bias": true, "activation_function": "torch.nn.modules.activation.Tanh"}
      """
    let head = try #require(try head(modules, pooling: pooling, dense: settings))
    #expect(
      head
        == TaskHead(
          input: .firstToken, output: .embedding, first: 0, firstActivation: .tanh, outWidth: 5, hasUnitLength: true))
    for (faulty, kind) in [
      (settings.replacing("\"out_features\": 5", with: "\"out_features\": 6"), ConversionError.Kind.misshapenTensor),
      (settings.replacing("true", with: "false"), .unknownTensor),
      (settings.replacing("Tanh", with: "Hardswish"), .badSetting), ("{}", .badSetting),
    ] {
      let error = try #require(throws: ConversionError.self) {
        try self.head(modules, pooling: pooling, dense: faulty)
      }
      #expect(error.kind == kind)
    }
  }

  @Test(
    arguments: [
      ([transformer, pooling], "{\"pooling_mode_max_tokens\": true}"),
      ([transformer, pooling], "{}"),
      ([transformer], "{}"),
      (
        [transformer, pooling, dense, dense],
        "{\"pooling_mode_cls_token\": true}"
      ),
    ])
  func otherModulesAreRefused(modules: [String], pooling: String) throws {
    let error = try #require(throws: ConversionError.self) { try head(modules, pooling: pooling) }
    #expect(error.kind == .unsupported)
  }
}
