import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Tasks that no recorded directory has: what they become in a format that says it otherwise.
@Suite struct ExportMeaningTests {
  private let checkpoint = golden("backbones/t5_v10")
  private let backbone: ConvertedBackbone

  init() throws { backbone = try ConvertedBackbone(golden("backbones/t5_v10")) }

  /// An authors' directory without trained norms, which the library cannot hold.
  private func authors(_ name: String) throws -> (task: OpenTask, backbone: ConvertedBackbone, checkpoint: String) {
    let folder = try AdapterFolder(name)
    let backbone = try ConvertedBackbone(folder.backbone)
    let original = try SafetensorsBuilder(reading: folder.backbone)
    var weights = try SafetensorsBuilder(reading: folder.directory)
    for name in weights.tensors.keys where name.hasSuffix("layer_norm.weight") {
      weights.tensors[name] = original.tensors[name]
    }
    var training = try JSONBuilder(reading: folder.directory + "/training_config.json")
    training.values["unfreeze_layer_norms"] = false
    let scratch = try ScratchDirectory()
    try scratch.write(JSONBuilder(reading: folder.directory + "/config.json").bytes(), as: "config.json")
    try scratch.write(training.bytes(), as: "training_config.json")
    try scratch.write(weights.bytes(), as: "model.safetensors")
    return (try OpenTask(scratch.path, on: backbone, name: "same"), backbone, folder.backbone)
  }

  @Test func aLowRankProductIsASumOfOneTermWhoseRuleIsOne() throws {
    let (task, backbone, checkpoint) = try authors("authors_low_rank")
    let exported = try ExportedTask(task.section, of: backbone, .adapterHub, checkpoint: checkpoint)
    let again = try OpenTask(exported.path, on: backbone, name: "same")
    #expect(again.section.attachmentCount == task.section.attachmentCount)
    for (stack, layer) in [(Stack.encoder, 2), (.decoder, 1)] {
      let before = try #require(task.adapter(stack, .feedForward, layer))
      let after = try #require(again.adapter(stack, .feedForward, layer))
      for (own, other) in [(before.down, after.down), (before.up, after.up)] {
        let (own, other) = (task.section.linear(at: own), again.section.linear(at: other))
        #expect(task.values(own.leftFactor) == again.values(other.leftFactor))
        #expect(task.values(own.rightFactor) == again.values(other.rightFactor))
        #expect(task.values(own.bias) == again.values(other.bias))
        #expect((other.phmDim, other.factorRank) == (1, 1))
        #expect(again.values(other.rule) == [1])
      }
      #expect(after.activation == before.activation)
    }
    #expect(again.count(.rule) == 1)
  }

  /// Of rank 2 the authors' low-rank layer cannot be; their hypercomplex one of a single term can.
  @Test func lowRankOfHigherRankIsHypercomplexForTheAuthors() throws {
    let config = backbone.file.config!
    var task = ScratchTask(config)
    task.attachAdapters(on: AdapterSite.all(in: config).filter { $0.subLayer == .feedForward }, width: 8, rank: 2)
    let section = task.section()
    let exported = try ExportedTask(section, of: backbone, .authors, checkpoint: checkpoint)
    let training = try JSONBuilder(reading: exported.path + "/training_config.json").values
    #expect(training["hypercomplex_division"] as? Int == 1)
    #expect(training["phm_rank"] as? Int == 2)
    #expect(training["low_rank_adapters"] == nil)
    let again = try OpenTask(exported.path, on: backbone)
    let linear = again.section.linear(at: try #require(again.adapter(.decoder, .feedForward, 1)).up)
    #expect((linear.phmDim, linear.factorRank) == (1, 2))
    #expect(again.values(linear.rule) == [1])
    #expect(again.section.attachmentCount == 4)
    #expect(again.adapter(.decoder, .selfAttention, 1) == nil)
  }

  /// The library divides the width by a number and rounds down.
  @Test func everyWidthOfABottleneckComesBack() throws {
    let config = backbone.file.config!
    for width in Array(1...40) + [63, 64, 65, 127, 128, 200] {
      var task = ScratchTask(config)
      let sites = AdapterSite.all(in: config).filter { $0.subLayer == .feedForward }
      task.attachAdapters(on: Array(sites.dropLast()), width: width)
      task.attachAdapters(on: Array(sites.suffix(1)), width: width + 1)
      let exported = try ExportedTask(task.section(), of: backbone, .adapterHub)
      let again = try OpenTask(exported.path, on: backbone)
      #expect(again.adapter(.encoder, .feedForward, 1)?.bottleneckWidth == width)
      #expect(again.adapter(.decoder, .feedForward, 1)?.bottleneckWidth == width + 1)
    }
  }

  @Test func widthsThatNoWholeNumberGivesAreNotTheAuthors() throws {
    let config = backbone.file.config!
    // 64 / 5 is 12, 64 / 4 is 16: nothing gives 13.
    for (width, isThere) in [(12, true), (13, false), (16, true), (65, false)] {
      var task = ScratchTask(config)
      task.attachAdapters(on: AdapterSite.all(in: config).filter { $0.subLayer == .feedForward }, width: width)
      let section = task.section()
      let error = conversionError { () throws(ConversionError) in
        try ExportedTask(section, of: backbone, .authors, checkpoint: checkpoint)
      }
      #expect((error == nil) == isThere)
      #expect(error == nil || error?.kind == .inexpressible)
    }
  }

  @Test func adaptersOfSomeSubLayersOnlyAreRefusedByTheMissingPlace() throws {
    let config = backbone.file.config!
    var task = ScratchTask(config)
    task.attachAdapters(on: AdapterSite.all(in: config).filter { $0.subLayer != .crossAttention }.dropLast(), width: 8)
    let section = task.section()
    for format in [TaskExport.Format.adapterHub, .authors] {
      let error = conversionError { () throws(ConversionError) in
        try ExportedTask(section, of: backbone, format, checkpoint: checkpoint)
      }
      #expect(error?.kind == .inexpressible)
      #expect(error?.subject?.hasPrefix("adapter at decoder block 1, ") == true)
    }
  }

  @Test func roundedMatricesAreWrittenAsTheNumbersTheyStandFor() throws {
    let folder = try AdapterFolder("adapters_bert_double_seq_bn")
    let backbone = try ConvertedBackbone(folder.backbone)
    let task = try OpenTask(folder.directory, on: backbone, weights: .int8Rows)
    let exported = try ExportedTask(task.section, of: backbone, .adapterHub)
    let again = try OpenTask(exported.path, on: backbone)
    let linear = task.section.linear(at: try #require(task.adapter(.encoder, .feedForward, 1)).down)
    let full = again.values(again.section.linear(at: try #require(again.adapter(.encoder, .feedForward, 1)).down).full)
    let codes = task.section.tensor(at: try #require(linear.codes)).data
    let scales = task.values(linear.scales)
    #expect(full.count == linear.inWidth * linear.outWidth)
    for row in 0..<linear.outWidth {
      for column in 0..<linear.inWidth {
        let code = codes.load(row * linear.inWidth.roundedUp(to: 64) + column, as: Int8.self)
        #expect(full[column * linear.outWidth + row] == scales[row] * Float(code))
      }
    }
  }

  @Test func aSmallerVocabularyIsThatOfTheExportedModel() throws {
    var variant = try AuthorsVariant()
    variant.config.values["vocab_size"] = 500
    for name in ["shared", "lm_head", "encoder.embed_tokens", "decoder.embed_tokens"].map({ $0 + ".weight" }) {
      variant.weights.tensors[name] = ([500, 64], Array(variant.weights.tensors[name]!.values[..<(500 * 64)]))
    }
    let task = try variant.section(on: backbone, name: "same")
    let exported = try ExportedTask(task.section, of: backbone, .authors, checkpoint: checkpoint)
    let model = try Checkpoint.open(directory: exported.path)
    #expect(model.tensor("shared.weight")?.shape == [500, 64])
    #expect(model.tensor("lm_head.weight")?.view == model.tensor("shared.weight")?.view)
    #expect(try OpenTask(exported.path, on: backbone, name: "same").bytes == task.bytes)
    // Elsewhere nothing can say so.
    var builder = ScratchTask(backbone.file.config!, vocabularySize: 500)
    builder.attachAdapters(
      on: AdapterSite.all(in: backbone.file.config!).filter { $0.subLayer == .feedForward }, width: 8)
    let notes = try ExportedTask(builder.section(), of: backbone, .adapterHub).notes
    #expect(notes.contains { $0.contains("500 of the backbone's 512") })
  }

  /// The model's numbers come from the checkpoint, whatever the pack has made of them.
  @Test func bothPacksOfABackboneGiveOneExport() throws {
    var contents: [Data] = []
    for weights in [WeightEncoding.int8Rows, .float32] {
      let backbone = try ConvertedBackbone(checkpoint, weights: weights)
      let task = try OpenTask(golden("orig/t5_v10_compacter/output_dir"), on: backbone)
      let exported = try ExportedTask(task.section, of: backbone, .authors, checkpoint: checkpoint)
      contents.append(try Data(contentsOf: URL(fileURLWithPath: exported.path + "/pytorch_model.bin")))
    }
    #expect(contents[0] == contents[1])
  }

  @Test func normsOfOneKindComeWithTheBackbonesOther() throws {
    let checkpoint = golden("backbones/bert")
    let backbone = try ConvertedBackbone(checkpoint)
    let config = backbone.file.config!
    var task = ScratchTask(config)
    let slot = config.slots.slot(.encoder, .feedForward, layer: 1)
    let weight = task.values(config.dModel)
    task.builder.setNorm(task.builder.addTensor(.taskNorm, TensorShape(config.dModel), weight), slot: slot)
    let exported = try ExportedTask(task.section(), of: backbone, .peft)
    let again = try OpenTask(exported.path, on: backbone)
    let original = try SafetensorsBuilder(reading: checkpoint).tensors["bert.encoder.layer.1.output.LayerNorm.bias"]
    #expect(again.values(again.section.slot(at: slot).normTensor) == weight)
    #expect(again.values(again.section.slot(at: slot).normBiasTensor) == original?.values)
  }

  /// PEFT has no kind for biases alone.
  @Test func biasesOfAnEncoderStandBesideALoRAOfZeros() throws {
    let backbone = try ConvertedBackbone(golden("backbones/bert"))
    let config = backbone.file.config!
    var task = ScratchTask(config)
    let slot = config.slots.slot(.encoder, .feedForward, layer: 0)
    let (outer, norm) = (task.values(config.dFF), task.values(config.dModel))
    task.builder.attach(
      .product(
        TaskProduct(target: .wi, bias: task.builder.addTensor(.bias, TensorShape(config.dFF), outer))), slot: slot)
    task.builder.setNormBias(
      task.builder.addTensor(.taskNormBias, TensorShape(config.dModel), norm), slot: config.slots.encoderStart)
    let exported = try ExportedTask(task.section(), of: backbone, .peft)
    #expect(exported.notes.contains { $0.contains("one of zeros") })
    let again = try OpenTask(exported.path, on: backbone)
    #expect(again.values(again.section.product(.wi, slot: slot)?.bias) == outer)
    #expect(again.values(again.section.slot(at: config.slots.encoderStart).normBiasTensor) == norm)
    let product = try #require(again.section.product(.q, slot: 0))
    let linear = again.section.linear(at: try #require(product.linear))
    #expect((again.values(linear.leftFactor) + again.values(linear.rightFactor)).allSatisfy { $0 == 0 })
    #expect(again.section.attachmentCount == 2)
  }

  @Test func theKindOfModelIsThatOfTheCheckpoint() throws {
    let encoders = fixturesDirectory + "/golden-encoders/"
    let checkpoint = encoders + "backbones/xlmr_regression"
    let backbone = try ConvertedBackbone(checkpoint)
    let task = try OpenTask(encoders + "hub/xlmr_dense/adapter", on: backbone)
    for (given, name) in [(checkpoint, "XLMRobertaAdapterModel"), (nil, "RobertaAdapterModel")] as [(String?, String)] {
      let exported = try ExportedTask(task.section, of: backbone, .adapterHub, checkpoint: given)
      let settings = try JSONBuilder(reading: exported.path + "/adapter_config.json").values
      #expect(settings["model_class"] as? String == name)
      #expect((settings["model_name"] as? String) == given)
    }
  }
}

/// A task of numbers that follow from their place.
private struct ScratchTask {
  var builder: TaskBuilder
  private let config: BackboneConfig
  private var next: Float = 0

  init(_ config: BackboneConfig, vocabularySize: Int? = nil) {
    builder = TaskBuilder(
      config: config, name: Array("task".utf8), vocabularySize: vocabularySize ?? config.vocabularySize, origin: .tasks)
    self.config = config
  }

  mutating func values(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      next = (next + 7).truncatingRemainder(dividingBy: 101)
      return next / 64 - 0.75
    }
  }

  /// Dense, or of low rank.
  mutating func attachAdapters(on sites: [AdapterSite], width: Int, rank: Int = 0) {
    for site in sites {
      let adapter = TaskAdapter(
        activation: .geluNew, inputRule: .subLayer, skipRule: .subLayer, addsStream: true, bottleneckWidth: width,
        scaling: 1, normEpsilon: 1e-5, down: linear(config.dModel, width, rank), up: linear(width, config.dModel, rank))
      builder.attach(.adapter(adapter), slot: config.slots.slot(site.stack, site.subLayer, layer: site.layer))
    }
  }

  private mutating func linear(_ inWidth: Int, _ outWidth: Int, _ rank: Int) -> Int {
    var linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: rank)
    if rank == 0 {
      linear.full = builder.addTensor(.full, TensorShape(1, inWidth, outWidth), values(inWidth * outWidth))
    } else {
      linear.leftFactor = builder.addTensor(.leftFactor, TensorShape(1, inWidth, rank), values(inWidth * rank))
      linear.rightFactor = builder.addTensor(.rightFactor, TensorShape(1, rank, outWidth), values(rank * outWidth))
    }
    linear.bias = builder.addTensor(.bias, TensorShape(outWidth), values(outWidth))
    return builder.addLinear(linear)
  }

  func section() -> TaskSection {
    do {
      let scratch = try ScratchDirectory()
      try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: scratch.path + "/task.tusk")
      return try PackedFile(path: scratch.path + "/task.tusk").task(at: 0)
    } catch { preconditionFailure("\(error)") }
  }
}
