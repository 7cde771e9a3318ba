import Foundation
import Testing

@Suite("convert")
struct ConvertTests {
  private let folder: TemporaryFolder
  private let checkpoint = CommandLineTool.golden.appendingPathComponent("backbones/t5_v10").path

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: ["int8", "float32"])
  func aBackboneIsConvertedAndGood(weights: String) throws {
    let output = folder.path("b.tusk")
    let outcome = try CommandLineTool.run("convert", "backbone", checkpoint, "--output", output, "--weights", weights)
    #expect(outcome.exitCode == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.text.contains("197,632 parameters"))
    #expect(outcome.text.contains("relative error") == (weights == "int8"))
    #expect(try CommandLineTool.run("verify", output).exitCode == 0)
    let details = try CommandLineTool.run("inspect", "--json", output).object()["backbone"] as? [String: Any]
    #expect(details?["weights"] as? String == weights)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["b.tusk"])
  }

  @Test func bothPacksHaveOneFingerprint() throws {
    let prints = try ["int8", "float32"].map { weights in
      let output = folder.path(weights)
      try CommandLineTool.run("convert", "backbone", checkpoint, "--output", output, "--weights", weights)
      return try CommandLineTool.run("inspect", "--json", output).object()["backbone"] as? [String: Any]
    }
    #expect(prints[0]?["fingerprint"] as? String == prints[1]?["fingerprint"] as? String)
    #expect(prints[0]?["fingerprint"] != nil)
  }

  @Test func faultsOfTheCheckpointAreNamed() throws {
    let none = try CommandLineTool.run("convert", "backbone", folder.path("none"), "--output", folder.path("b.tusk"))
    #expect(none.exitCode == 66)
    let copy = folder.url.appendingPathComponent("copy")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: checkpoint), to: copy)
    let weights = copy.appendingPathComponent("model.safetensors")
    try FileHandle(forWritingTo: weights).truncate(atOffset: 1000)
    try FileManager.default.removeItem(at: copy.appendingPathComponent("pytorch_model.bin"))
    let cut = try CommandLineTool.run("convert", "backbone", copy.path, "--output", folder.path("b.tusk"))
    #expect(cut.exitCode == 65)
    #expect(cut.errors.contains("model.safetensors"))
    #expect(cut.errors.filter { $0 == "\n" }.count == 1)
    #expect(!FileManager.default.fileExists(atPath: folder.path("b.tusk")))
  }

  @Test func aCheckpointIsNeverOverwritten() throws {
    let copy = folder.url.appendingPathComponent("copy")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: checkpoint), to: copy)
    let weights = copy.appendingPathComponent("model.safetensors")
    let before = try Data(contentsOf: weights)
    let outcome = try CommandLineTool.run("convert", "backbone", copy.path, "--output", weights.path)
    #expect(outcome.exitCode == 64)
    #expect(try Data(contentsOf: weights) == before)
  }
}
