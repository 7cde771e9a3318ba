import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// Directories of earlier releases of the `adapters` library.
@Suite struct LibraryReleaseTests {
  private func variant(of name: String) throws -> (AdapterVariant, ConvertedBackbone) {
    let folder = try AdapterFolder(name)
    return (
      try AdapterVariant(of: name, in: fixturesDirectory + "/golden-adapters/cases/", folder: "task"),
      try ConvertedBackbone(folder.backbone)
    )
  }

  /// The library reads files of these releases with alpha equal to r.
  @Test(
    arguments: [
      ("adapters.0.1.2", true), ("adapters.1.0.1", true), ("adapters.1.1.0", false), ("adapters.1.10.0", false),
      ("3.2.1", false),
    ])
  func aLoRAOfTheFirstReleasesHasScaleOne(version: String, isOne: Bool) throws {
    var (variant, backbone) = try variant(of: "adapters_bert_lora")
    variant.settings.values["version"] = version
    try variant.set("alpha", to: "64")
    let product = try #require(variant.section(on: backbone).section.product(.q, slot: 0))
    #expect((product.scaling == 1) == isOne)
  }

  @Test func namesOfTheFirstReleasesAreUnderstood() throws {
    var (variant, backbone) = try variant(of: "adapters_bert_double_seq_bn")
    let expected = try variant.section(on: backbone).conversion.section
    for (name, tensor) in variant.weights.tensors where name.contains(".adapters.") {
      let place = name.contains("attention.output") ? "attention" : "layer"
      variant.weights.tensors[name] = nil
      variant.weights.tensors[name.replacing(".adapters.", with: ".\(place)_text_task_adapters.")] = tensor
    }
    variant.settings.values["type"] = "text_task"
    try variant.set("invertible_adapter", to: "{\"block_type\": \"nice\", \"reduction_factor\": 2}")
    #expect(try variant.section(on: backbone).conversion.section == expected)
    variant.settings.values["type"] = "text_lang"
    #expect(
      conversionError { () throws(ConversionError) in try variant.section(on: backbone) }?.subject
        == "invertible_adapter")
  }
}
