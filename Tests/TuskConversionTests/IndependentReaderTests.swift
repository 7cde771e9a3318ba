import Foundation
import Testing
import TuskConversion
import TuskFormat

/// Every file the converter writes, read by `tools/read_tusk.py`: a reader written from `formats/` alone. It checks all
/// rules, dequantizes each tensor and compares it with the checkpoint.
@Suite struct IndependentReaderTests {
  private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static let backbones = [
    "Tests/Fixtures/golden/backbones/t5_v10", "Tests/Fixtures/golden/backbones/t5_v11",
    "Tests/Fixtures/golden-extra/backbones/t5_tied", "Tests/Fixtures/golden-extra/backbones/t5_deep_decoder",
    "Tests/Fixtures/golden/backbones/bert", "Tests/Fixtures/golden/backbones/roberta",
    "Tests/Fixtures/golden-encoders/backbones/distilbert", "tools/demo/t5-backbone",
  ]

  /// Exit code and all output of the reader.
  private func read(_ file: String, _ options: String...) throws -> (exitCode: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["python3", Self.package.appendingPathComponent("tools/read_tusk.py").path, file, "--verify"] + options
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }

  private func temporaryPath(_ name: String) -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString)-\(name)").path
  }

  @Test(arguments: backbones, [WeightEncoding.int8Rows, .float32])
  func backbonesHoldTheCheckpoint(directory: String, weights: WeightEncoding) throws {
    let source = Self.package.appendingPathComponent(directory).path
    let file = temporaryPath("backbone.tusk")
    defer { try? FileManager.default.removeItem(atPath: file) }
    _ = try BackboneConversion(directory: source, weights: weights).write(to: file)
    let found = try read(file, "--compare", source)
    #expect(found.exitCode == 0, "\(found.output)")
  }

  @Test func aBackboneOfOtherValuesIsToldApart() throws {
    let file = temporaryPath("backbone.tusk")
    defer { try? FileManager.default.removeItem(atPath: file) }
    let directory = Self.package.appendingPathComponent(Self.backbones[0]).path
    _ = try BackboneConversion(directory: directory).write(to: file)
    let other = Self.package.appendingPathComponent(Self.backbones[2]).path
    #expect(try read(file, "--compare", other).exitCode != 0)
  }

  @Test func tasksKeepEveryRule() throws {
    for (golden, hub) in [
      ("golden", "t5_v10"), ("golden", "t5_v11"), ("golden-extra", "t5_tied"), ("golden", "bert"),
      ("golden-encoders", "bert_without_head"), ("golden-encoders", "distilbert"),
    ] {
      let root = Self.package.appendingPathComponent("Tests/Fixtures/\(golden)")
      let backbone = temporaryPath("backbone.tusk")
      defer { try? FileManager.default.removeItem(atPath: backbone) }
      _ = try BackboneConversion(directory: root.appendingPathComponent("backbones/\(hub)").path).write(to: backbone)
      let packed = try PackedFile(path: backbone)
      var written = 0
      for name in try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent("hub").path) {
        let directory = root.appendingPathComponent("hub/\(name)/adapter").path
        guard
          let task = try? TaskConversion(directory: directory, backbone: packed, backbonePath: backbone)
        else { continue }
        let file = temporaryPath("task.tusk")
        defer { try? FileManager.default.removeItem(atPath: file) }
        try task.write(to: file)
        let found = try read(file)
        #expect(found.exitCode == 0, "\(name): \(found.output)")
        written += 1
      }
      #expect(written >= 2, "\(golden)/\(hub)")
    }
  }
}
