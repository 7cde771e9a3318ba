import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// A directory appears whole or not at all, and nothing else is touched.
@Suite struct OutputDirectoryTests {
  private let scratch: ScratchDirectory
  private let backbone: ConvertedBackbone
  private let task: OpenTask

  init() throws {
    scratch = try ScratchDirectory()
    backbone = try ConvertedBackbone(golden("backbones/t5_v10"))
    task = try OpenTask(golden("hub/t5_v10_compacter/adapter"), on: backbone, name: "task")
  }

  private var output: String { scratch.path + "/out" }

  private func export(
    _ format: TaskExport.Format = .adapterHub, checkpoint: String? = nil, to path: String? = nil,
    replacing: Bool = false, progress: (ConversionProgress) -> Bool = { _ in true }
  ) throws(ConversionError) {
    let export = try TaskExport(
      task.section, path: "task.tusk", backbone: backbone.file, backbonePath: backbone.path, format: format,
      checkpoint: checkpoint)
    _ = try export.write(to: path ?? output, replacing: replacing, progress: progress)
  }

  private func error(_ body: () throws(ConversionError) -> Void) -> ConversionError? { conversionError(body) }

  private func names(_ path: String? = nil) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path ?? output).sorted()
  }

  private static let files = ["adapter_config.json", "pytorch_adapter.bin"]

  @Test func anEmptyDirectoryIsFilled() throws {
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: false)
    try export(to: output + "//")
    #expect(try names() == Self.files)
    #expect(try names(scratch.path) == ["out"])
  }

  @Test func whatIsThereIsKeptUnlessItMayBeReplaced() throws {
    try export()
    let before = try Data(contentsOf: URL(fileURLWithPath: output + "/pytorch_adapter.bin"))
    try Data("{}".utf8).write(to: URL(fileURLWithPath: output + "/head_config.json"))
    let refusal = error { () throws(ConversionError) in try export() }
    #expect(refusal?.kind == .cannotWrite)
    #expect(refusal?.sentence.contains("'adapter_config.json' among them") == true)
    #expect(try names().count == 3)
    try export(replacing: true)
    #expect(try names() == Self.files)
    #expect(try Data(contentsOf: URL(fileURLWithPath: output + "/pytorch_adapter.bin")) == before)
    #expect(try names(scratch.path) == ["out"])
  }

  @Test func onlyDirectoriesOfExportsAreReplaced() throws {
    try export()
    try scratch.write([1], as: "out/notes.txt")
    let refusal = error { () throws(ConversionError) in try export(replacing: true) }
    #expect(refusal?.kind == .cannotWrite)
    #expect(refusal?.sentence.contains("'notes.txt'") == true)
    #expect(try names() == Self.files.dropLast() + ["notes.txt", "pytorch_adapter.bin"])
    let file = try scratch.write([1], as: "file")
    #expect(error { () throws(ConversionError) in try export(to: file, replacing: true) }?.kind == .cannotWrite)
    #expect(error { () throws(ConversionError) in try export(to: scratch.path + "/no/out") }?.kind == .cannotWrite)
    #expect(error { () throws(ConversionError) in try export(to: "") }?.kind == .cannotWrite)
    #expect(error { () throws(ConversionError) in try export(to: "a\0b") }?.kind == .cannotWrite)
  }

  @Test func whatAKilledExportLeftIsTakenAwayButNothingElse() throws {
    let left = output + ".export.tmp"
    try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: false)
    try scratch.write([1, 2, 3], as: "out.export.tmp/pytorch_model.bin")
    try export()
    #expect(try names() == Self.files)
    #expect(try names(scratch.path) == ["out"])
    try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: false)
    try scratch.write([1], as: "out.export.tmp/mine")
    #expect(error { () throws(ConversionError) in try export(replacing: true) }?.kind == .cannotWrite)
    #expect(try names(left) == ["mine"])
    #expect(try names() == Self.files)
  }

  /// Nothing of an input is removed, though its files have names that exports write.
  @Test func anInputIsNeverTheOutput() throws {
    for path in ["out", "out.export.tmp"] {
      let checkpoint = scratch.path + "/" + path
      try FileManager.default.createDirectory(atPath: checkpoint, withIntermediateDirectories: false)
      let weights = golden("backbones/t5_v10/")
      try FileManager.default.copyItem(atPath: weights + "config.json", toPath: checkpoint + "/config.json")
      try FileManager.default.copyItem(atPath: weights + "pytorch_model.bin", toPath: checkpoint + "/pytorch_model.bin")
      let refusal = error { () throws(ConversionError) in
        try export(.authors, checkpoint: checkpoint, replacing: true)
      }
      #expect(refusal?.kind == .mismatch)
      #expect(try names(checkpoint) == ["config.json", "pytorch_model.bin"])
      try FileManager.default.removeItem(atPath: checkpoint)
    }
  }

  @Test func aStoppedExportLeavesWhatWasThere() throws {
    try export()
    var calls = 0
    let stopped = error { () throws(ConversionError) in
      try export(.authors, checkpoint: golden("backbones/t5_v10"), replacing: true) { step in
        calls += 1
        #expect(step.doneBytes <= step.totalBytes)
        return calls < 20
      }
    }
    #expect(stopped?.kind == .cancelled)
    #expect(stopped?.exitCode == 130)
    #expect(try names() == Self.files)
    #expect(try names(scratch.path) == ["out"])
  }

  @Test func progressEndsAtTheTotal() throws {
    for (format, checkpoint) in [(TaskExport.Format.adapterHub, nil), (.authors, golden("backbones/t5_v10"))] {
      var last = ConversionProgress(doneBytes: 0, totalBytes: 1, tensor: "")
      try export(format, checkpoint: checkpoint, to: scratch.path + "/\(format.rawValue)") { step in
        last = step
        return true
      }
      #expect(last.doneBytes == last.totalBytes)
    }
  }
}
