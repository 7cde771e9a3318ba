import Foundation
import Testing

/// A sentence encoder with a tokenizer, made from a checkpoint of the fixtures.
@Suite("embed")
struct EmbedTests {
  private let folder: TemporaryFolder
  private let backbone: String

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    let checkpoint = folder.url.appendingPathComponent("checkpoint")
    let source = CommandLineTool.packageFolder.appendingPathComponent(
      "Tests/Fixtures/golden-encoders/backbones/bert_without_head")
    try FileManager.default.copyItem(at: source, to: checkpoint)
    let pooling = checkpoint.appendingPathComponent("1_Pooling")
    try FileManager.default.createDirectory(at: pooling, withIntermediateDirectories: false)
    let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "house", "is", "blue", ".", "##s", "in"]
    let vocabulary = pieces + (pieces.count..<90).map { "[unused\($0)]" }
    for (name, text) in [
      ("vocab.txt", vocabulary.joined(separator: "\n") + "\n"), ("tokenizer_config.json", #"{"do_lower_case": true}"#),
      (
        "modules.json",
        #"""
        [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
         {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
         {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
        """#
      ),
      ("1_Pooling/config.json", #"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#),
    ] {
      try Data(text.utf8).write(to: checkpoint.appendingPathComponent(name))
    }
    let outcome = try CommandLineTool.run("convert", "backbone", checkpoint.path, "--output", backbone)
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
  }

  private func rows(_ name: String, _ count: Int) throws -> [[Float]] {
    let bytes = try folder.bytes(name)
    let header = String(decoding: bytes[10..<128], as: UTF8.self)
    #expect(header.contains("'shape': (\(count), 32)"), "\(header)")
    try #require(bytes.count == 128 + count * 32 * 4)
    let values = bytes[128...].withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    return (0..<count).map { Array(values[$0 * 32..<($0 + 1) * 32]) }
  }

  @Test func everyTextGivesARowOfLengthOne() throws {
    let outcome = try CommandLineTool.run(
      "embed", backbone, "The house is blue.", "blue", "--output", folder.path("e.npy"))
    #expect(outcome.exitCode == 0 && outcome.output.isEmpty && outcome.errors.isEmpty)
    let found = try rows("e.npy", 2)
    for row in found { #expect(abs(row.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5) }
    let alone = try CommandLineTool.run("run", backbone, "--json", "blue").object()
    let embedding = try #require(alone["embedding"] as? [Double])
    #expect(embedding.map { Float($0) } == found[1])
  }

  @Test func linesComeFromAFileOrStandardInput() throws {
    let lines = Array("the house\nin the houses\n\nblue".utf8)
    try folder.file("texts.txt", lines)
    for arguments in [["--input", folder.path("texts.txt")], ["--input", "-"], []] {
      let outcome = try CommandLineTool.run(
        ["embed", backbone, "--output", folder.path("e.npy")] + arguments, input: lines)
      #expect(outcome.exitCode == 0)
      #expect(try rows("e.npy", 4)[3] == (try embedding("blue")))
    }
    try CommandLineTool.run("embed", backbone, "--output", folder.path("none.npy"), "--input", "/dev/null")
    #expect(try rows("none.npy", 0).isEmpty)
  }

  @Test func longTextsAreCutWithANoteUnlessForbidden() throws {
    // The model has 28 positions: 26 words stay between [CLS] and [SEP].
    let text = { (words: Int) in Array(repeating: "house", count: words).joined(separator: " ") }
    let outcome = try CommandLineTool.run(
      "embed", backbone, text(40), text(26), text(50), "--output", folder.path("e.npy"))
    #expect(outcome.exitCode == 0)
    #expect(
      outcome.errors == """
        tusk: notice: text 1: 42 tokens cut to 28; --no-truncate refuses such texts
        tusk: notice: 2 texts cut in all

        """)
    let found = try rows("e.npy", 3)
    #expect(found[0] == found[1] && found[1] == found[2])
    let refused = try CommandLineTool.run(
      "embed", backbone, "blue", text(40), "--no-truncate", "--output", folder.path("x.npy"))
    #expect(refused.exitCode == 65)
    #expect(refused.errors.contains("text 2: ") && refused.errors.contains("required 28"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("x.npy")))
    #expect(!FileManager.default.fileExists(atPath: folder.path("x.npy.tmp")))
    let shorter = try CommandLineTool.run(
      "run", backbone, "--json", "--max-source-tokens", "3", "house house house"
    ).object()
    #expect((shorter["embedding"] as? [Double])?.map { Float($0) } == (try embedding("house")))
  }

  private func embedding(_ text: String) throws -> [Float] {
    let object = try CommandLineTool.run("run", backbone, "--json", text).object()
    return try #require(object["embedding"] as? [Double]).map { Float($0) }
  }
}
