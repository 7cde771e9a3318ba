import Foundation
import Testing
import TuskFormat

@testable import TuskTraining

/// Settings, backbones and heads that do not go together.
@Suite struct MethodsRefusalTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let method: TrainingMethod
    var dialect = TrainingDialect.authors
    var config = MethodBackbones.t5Small()
    var head: HeadTemplate?
    var name = "task"
    let sentence: String
    var change: @Sendable (inout MethodSettings) -> Void = { _ in }

    var testDescription: String { sentence }
  }

  private static let bert = MethodBackbones.tinyBERT()
  private static let int8 = MethodBackbones.tinyT5(.int8Rows)
  private static func labels(_ labels: String...) -> HeadTemplate { HeadTemplate(.classification(labels: labels)) }

  static let cases = [
    Case(
      method: .phm,
      sentence:
        "found 12 terms, which do not divide the model's width 512; a divisor of 512 and of 512 / 32 = 16 is required"),
    Case(
      method: .compacter,
      sentence: "found 8 terms, which do not divide the bottleneck's width 4; a divisor of 512 and of 512 / 128 = 4 is "
        + "required"
    ) { ($0.phmDim, $0.reductionFactor) = (8, 128) },
    Case(method: .compacter, sentence: "found 0 for the number of terms; 1 to 256 is required") { $0.phmDim = 0 },
    Case(method: .compacter, sentence: "found 129 for the factors' rank; 1 to 128 is required") { $0.factorRank = 129 },
    Case(method: .adapter, sentence: "found 513 for the reduction factor; 1 to 512 is required") {
      $0.reductionFactor = 513
    },
    Case(
      method: .adapterDrop,
      sentence: "found blocks 5 to 11 for adapters; at least one of the backbone's 0 to 5 is required"
    ) { $0.adapterLayers = 5..<12 },
    Case(
      method: .phm, config: MethodBackbones.t5Base(),
      sentence: "only Compacter's layers share factors, and not those of phm"
    ) { $0.sharesFactors = true },
    Case(
      method: .prompt, dialect: .adapterhub,
      sentence: "the adapters library has no prompts for encoder-decoders; train them in the authors' dialect"),
    Case(method: .prompt, sentence: "found 4097 for prompt tokens; 1 to 4096 is required") { $0.promptTokens = 4097 },
    Case(method: .prompt, config: int8, sentence: "found 54 for prompt tokens; 1 to 53 is required") {
      ($0.promptTokens, $0.promptStart) = (54, .vocabulary)
    },
    Case(method: .lora, sentence: "found 0 for LoRA's rank; 1 to 512 is required") { $0.loraRank = 0 },
    Case(method: .lora, sentence: "found nan for LoRA's alpha; a number other than 0 is required") {
      $0.loraAlpha = .nan
    },
    Case(
      method: .bitfit, sentence: "bitfit trains the biases of norms and leaves their weights to the backbone"
    ) { $0.trainsNorms = true },
    Case(
      method: .full, config: int8,
      sentence:
        "full trains the backbone's own weights, and these are int8; convert the checkpoint again with --weights "
        + "float32"),
    Case(
      method: .intrinsicSAID, config: int8,
      sentence:
        "intrinsic-said trains the backbone's own weights, and these are int8; convert the checkpoint again with "
        + "--weights float32"),
    Case(
      method: .full, sentence: "full changes the backbone itself: what it trains is no task beside it"),
    Case(
      method: .lora, head: labels("a", "b"),
      sentence: "an encoder-decoder answers with text; only encoders have heads"),
    Case(
      method: .lora, config: bert, head: labels("a"),
      sentence: "found 1 labels, 1 different ones; 2 or more, all different, are required"),
    Case(
      method: .lora, config: bert, head: labels("a", "b", "a"),
      sentence: "found 3 labels, 2 different ones; 2 or more, all different, are required"),
    Case(
      method: .lora, config: bert, head: labels("a", ""),
      sentence: "found a label of 0 bytes; 1 to 255 without control characters are required"),
    Case(
      method: .lora, name: "a\nb", sentence: "found a name of 3 bytes; 1 to 255 without control characters are required"
    ),
  ]

  @Test(arguments: cases) func refused(item: Case) {
    let settings = MethodSettings(item.method, dialect: item.dialect).with(item.change)
    #expect(throws: TrainingError(.unsupported, item.sentence)) {
      try MethodTask.section(settings, MethodBackbones.values(item.config), name: item.name, head: item.head)
    }
  }

  @Test func poolerThatIsNotThere() {
    var config = Self.bert
    config.hasPooler = false
    #expect(throws: TrainingError(.unsupported, "the backbone has no pooler, which the head was to stand on")) {
      try MethodTask.section(
        MethodSettings(.lora), MethodBackbones.values(config), name: "task",
        head: HeadTemplate(.regression, layers: .onPooler))
    }
  }

  @Test func intrinsicDimensionsBelowOneForEachTensor() {
    let config = MethodBackbones.tinyT5()
    let settings = MethodSettings(.intrinsicSAID).with { $0.intrinsicDim = config.tensorCount }
    #expect(throws: TrainingError.self) { try settings.requireFit(to: config) }
    #expect(throws: Never.self) {
      try settings.with { $0.intrinsicDim += 1 }.requireFit(to: config)
    }
  }

  /// An encoder without any head has no loss, and a task file no backbone.
  @Test func filesWithoutWhatIsNeeded() throws {
    let backbone = try MethodBackbones.file(Self.bert)
    let sentence = "the backbone has no head of its own, and the task none either: nothing to train for"
    #expect(throws: TrainingError(.unsupported, sentence)) {
      try MethodTask.section(MethodSettings(.lora), backbone: backbone, name: "task")
    }
    let path = MethodBackbones.temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let section = try MethodTask.section(
      MethodSettings(.lora), backbone: backbone, name: "task", head: HeadTemplate(.regression))
    try TaskWriter.write(section, provenance: nil, path: path)
    let task = try PackedFile(path: path)
    #expect(throws: TrainingError(.unsupported, "found a task file; a backbone is required")) {
      try MethodTask.section(MethodSettings(.lora), backbone: task, name: "task")
    }
  }
}
