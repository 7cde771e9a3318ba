import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// What a format has no form for is refused by its name, before anything is written.
@Suite struct ExportRefusalTests {
  private static let adapters = "golden-adapters/cases/"

  /// A recorded task, the format asked for, and what the error names.
  @Test(
    arguments: [
      ("golden/orig/t5_v10_compacter/output_dir", .adapterHub, "norm at encoder block 0, self-attention"),
      ("golden/orig/t5_v10_compacter/output_dir", .peft, "adapter at encoder block 0, self-attention"),
      (adapters + "authors_bitfit/task", .adapterHub, "bias of a norm at encoder block 0, self-attention"),
      (adapters + "authors_bitfit/task", .peft, "bias of a product at q of encoder block 0, self-attention"),
      (adapters + "authors_prompt/task", .adapterHub, "prompt"),
      ("golden/hub/t5_v10_compacterpp/adapter", .authors, "adapter at encoder block 0, feed-forward"),
      ("golden/hub/t5_v10_compacter_variants/adapter", .authors, "adapter at encoder block 1, self-attention"),
      (adapters + "adapters_t5_cross_adapter/task", .authors, "adapter at encoder block 0, self-attention"),
      (adapters + "adapters_t5_prefix/task", .authors, "prefix at encoder block 0, self-attention"),
      (adapters + "adapters_t5_prefix/task", .peft, "prefix at encoder block 0, self-attention"),
      (adapters + "adapters_t5_prefix_and_parallel/task", .peft, "adapter at encoder block 0, feed-forward"),
      (adapters + "adapters_bert_prompt/task", .peft, "prompt"),
      (adapters + "adapters_bert_lora_flexible_head/task", .peft, "head"),
      (adapters + "peft_t5_lora_qv/task", .authors, "change of a product at encoder block 0, self-attention"),
      (
        adapters + "peft_t5_lora_patterns/task", .adapterHub,
        "change of a product at v of encoder block 0, self-attention"
      ),
      (
        adapters + "peft_t5_lora_everywhere/task", .adapterHub,
        "change of a product at o of encoder block 0, self-attention"
      ),
      (adapters + "peft_t5_lokr/task", .adapterHub, "change of a product at q of encoder block 0, self-attention"),
      (adapters + "peft_t5_ia3/task", .adapterHub, "scale of a product at wo of encoder block 0, feed-forward"),
      (adapters + "peft_t5_norms/task", .authors, "norm"),
      (adapters + "peft_t5_prefix/task", .adapterHub, "prefix at decoder block 0, self-attention"),
      (adapters + "peft_bert_prompt/task", .adapterHub, "prompt"),
      (adapters + "peft_bert_norms/task", .adapterHub, "norm at encoder block 0, self-attention"),
      (adapters + "peft_bert_lora_bias_all/task", .adapterHub, "bias of a norm at encoder block 0, self-attention"),
    ] as [(String, TaskExport.Format, String)])
  func whatAFormatDoesNotHaveIsNamed(directory: String, format: TaskExport.Format, subject: String) throws {
    let recorded = try #require(RecordedTask.all.first { $0.directory == directory })
    let backbone = try ConvertedBackbone(recorded.checkpoint)
    let task = try OpenTask(recorded.path, on: backbone, name: "task")
    let error = conversionError { () throws(ConversionError) in
      try ExportedTask(task.section, of: backbone, format, checkpoint: recorded.checkpoint)
    }
    #expect(error?.kind == .inexpressible)
    #expect(error?.subject == subject)
    #expect(error?.exitCode == 65)
    #expect(error?.file == "task.tusk")
  }

  @Test func encodersAreNotTheAuthors() throws {
    let checkpoint = golden("backbones/bert")
    let backbone = try ConvertedBackbone(checkpoint)
    let task = try OpenTask(golden("hub/bert_compacter_static_head/adapter"), on: backbone)
    let error = conversionError { () throws(ConversionError) in
      try ExportedTask(task.section, of: backbone, .authors, checkpoint: checkpoint)
    }
    #expect(error?.kind == .inexpressible)
    #expect(error?.sentence.contains("T5 only") == true)
  }

  @Test func theAuthorsFormatNeedsTheBackbonesOwnCheckpoint() throws {
    let checkpoint = golden("backbones/t5_v10")
    let backbone = try ConvertedBackbone(checkpoint)
    let task = try OpenTask(golden("orig/t5_v10_compacter/output_dir"), on: backbone)
    func error(_ checkpoint: String?) -> ConversionError? {
      conversionError { () throws(ConversionError) in
        try ExportedTask(task.section, of: backbone, .authors, checkpoint: checkpoint)
      }
    }
    #expect(error(nil)?.kind == .cannotOpen)
    #expect(error(nil)?.sentence.contains("--checkpoint") == true)
    #expect(error(golden("backbones/none"))?.kind == .cannotOpen)
    // Another shape, another kind of model, another vocabulary, and the same shape with other values.
    #expect(error(golden("backbones/t5_v11"))?.kind == .mismatch)
    #expect(error(golden("backbones/bert"))?.subject == "model_type")
    var smaller = try CheckpointVariant()
    smaller.config.values["vocab_size"] = 500
    smaller.weights.tensors["shared.weight"] = (
      [500, 64], Array(smaller.weights.tensors["shared.weight"]!.values[..<(500 * 64)])
    )
    try smaller.withDirectory { #expect(error($0)?.subject == "vocab_size") }
    for name in ["decoder.block.1.layer.2.DenseReluDense.wo.weight", "encoder.final_layer_norm.weight"] {
      var other = try CheckpointVariant()
      other.weights.tensors[name]!.values[5] += 1e-3
      try other.withDirectory { directory in
        #expect(error(directory)?.kind == .mismatch)
        #expect(error(directory)?.subject == name)
      }
    }
  }

  @Test func aTaskOfAnotherBackboneIsRefused() throws {
    let backbone = try ConvertedBackbone(golden("backbones/t5_v10"))
    let other = try ConvertedBackbone(golden("backbones/t5_v11"))
    let task = try OpenTask(golden("hub/t5_v10_compacter/adapter"), on: backbone)
    for format in TaskExport.Format.allCases {
      let error = conversionError { () throws(ConversionError) in try ExportedTask(task.section, of: other, format) }
      #expect(error?.kind == .mismatch)
    }
  }

  @Test func namesThatModulesCannotHaveAreRefused() throws {
    let checkpoint = golden("backbones/t5_v10")
    let backbone = try ConvertedBackbone(checkpoint)
    var variant = try AdapterVariant()
    try variant.set("non_linearity", to: "\"gelu_new\"")
    let task = try variant.section(on: backbone, name: "superglue-wsc.fixed")
    for format in [TaskExport.Format.adapterHub, .authors] {
      func export(_ name: String?) throws(ConversionError) -> ExportedTask {
        try ExportedTask(task.section, of: backbone, format, name: name, checkpoint: checkpoint)
      }
      let error = conversionError { () throws(ConversionError) in try export(nil) }
      #expect(error?.kind == .inexpressible)
      #expect(error?.subject == "superglue-wsc.fixed")
      let exported = try export("wsc")
      #expect(try OpenTask(exported.path, on: backbone).conversion.name == "wsc")
    }
  }
}
