import Foundation
import Testing

@Suite("export")
struct ExportTests {
  private let folder: TemporaryFolder
  private let checkpoint = CommandLineTool.golden.appendingPathComponent("backbones/t5_v10").path
  private let backbone: String
  private let task: String

  init() throws {
    folder = try TemporaryFolder()
    backbone = folder.path("b.tusk")
    task = folder.path("t.tusk")
    let adapter = CommandLineTool.golden.appendingPathComponent("orig/t5_v10_compacter/output_dir").path
    try CommandLineTool.run("convert", "backbone", checkpoint, "--output", backbone, "--weights", "float32")
    try CommandLineTool.run("convert", "task", adapter, "--backbone", backbone, "--output", task)
  }

  private func export(_ options: String..., task: String? = nil) throws -> CommandLineTool.Outcome {
    try CommandLineTool.run(
      ["export", "task", task ?? self.task, "--backbone", backbone, "--output", folder.path("out")] + options)
  }

  private func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  @Test func aTaskGoesOutAndComesBack() throws {
    let outcome = try export("--format", "authors", "--checkpoint", checkpoint)
    #expect(outcome.exitCode == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.text.hasPrefix("\(folder.path("out")): mrpc as authors, 2,752 parameters, 3 files, "))
    #expect(try names(folder.path("out")) == ["config.json", "pytorch_model.bin", "training_config.json"])
    try CommandLineTool.run(
      "convert", "task", folder.path("out"), "--backbone", backbone, "--output", folder.path("again.tusk"))
    let tasks = try [task, folder.path("again.tusk")].map { path in
      let object = try CommandLineTool.run("inspect", "--json", path).object()
      let sections = try #require(object["sections"] as? [[String: Any]])
      return sections.first { $0["kind"] as? String == "task" }?["crc32"] as? String
    }
    #expect(tasks[0] != nil && tasks[0] == tasks[1])
  }

  @Test func aTaskOfABundleIsNamed() throws {
    let bundle = folder.path("all.tusk")
    try CommandLineTool.run("bundle", "--output", bundle, backbone, task)
    let outcome = try CommandLineTool.run(
      "export", "task", "mrpc", "--backbone", bundle, "--format", "authors", "--checkpoint", checkpoint, "--output",
      folder.path("out"), "--name", "renamed")
    #expect(outcome.exitCode == 0)
    #expect(outcome.text.contains("renamed as authors"))
  }

  @Test func everyMemberOfTheReportIsDescribed() throws {
    let outcome = try export("--format", "authors", "--checkpoint", checkpoint, "--json")
    #expect(outcome.exitCode == 0)
    let report = try outcome.object()
    #expect(report["name"] as? String == "mrpc")
    #expect(report["parameters"] as? Int == 2752)
    let files = try #require(report["files"] as? [[String: Any]])
    #expect(files.compactMap { $0["name"] as? String } == (try names(folder.path("out"))))
    for file in files {
      let path = "\(folder.path("out"))/\(try #require(file["name"] as? String))"
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.size] as? Int == file["bytes"] as? Int)
    }
    let page = try String(
      contentsOf: CommandLineTool.packageFolder.appendingPathComponent("formats/json.md"), encoding: .utf8)
    let section = try #require(
      page.components(separatedBy: "\n## ").first { $0.hasPrefix("`tusk export task`") })
    for member in report.keys { #expect(section.contains("`\(member)`"), "\(member)") }
  }

  @Test func whatTheFormatCannotHoldIs65AndNamed() throws {
    let outcome = try export("--format", "adapterhub")
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.hasPrefix("tusk: \(task): 'norm at encoder block 0, self-attention': "))
    #expect(outcome.errors.filter { $0 == "\n" }.count == 1)
    #expect(try names(folder.url.path) == ["b.tusk", "t.tusk"])
  }

  @Test func wrongUsageIs64() throws {
    for options in [
      ["--format", "onnx"], [], ["--format", "authors"],
      ["--format", "authors", "--checkpoint", checkpoint, "--tensors", "safetensors"],
    ] {
      let outcome = try CommandLineTool.run(
        ["export", "task", task, "--backbone", backbone, "--output", folder.path("out")] + options)
      #expect(outcome.exitCode == 64)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
  }

  @Test func aDamagedTaskIsNotExported() throws {
    var bytes = try folder.bytes("t.tusk")
    bytes[bytes.count - 3] ^= 1
    let damaged = try folder.file("damaged.tusk", bytes).path
    let outcome = try export("--format", "authors", "--checkpoint", checkpoint, task: damaged)
    #expect(outcome.exitCode == 65)
    #expect(outcome.errors.contains("checksum"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
  }

  @Test func whatIsThereIsReplacedOnlyByForce() throws {
    let options = ["--format", "authors", "--checkpoint", checkpoint]
    let command = ["export", "task", task, "--backbone", backbone, "--output", folder.path("out")] + options
    for (more, exitCode) in [([], 0), ([], 74), (["--force"], 0)] as [([String], Int32)] {
      #expect(try CommandLineTool.run(command + more).exitCode == exitCode)
    }
    #expect(try names(folder.url.path) == ["b.tusk", "out", "t.tusk"])
  }

  /// The limit on a file's length stands for a full disk: the write fails in the middle of the model.
  @Test func aDiskThatFillsUpIs74AndLeavesNothing() throws {
    let tusk = CommandLineTool.productFolder.appendingPathComponent("tusk").path
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = [
      "-c", "trap '' XFSZ; ulimit -f 600; exec \"$@\"", "sh", tusk, "export", "task", task, "--backbone", backbone,
      "--format", "authors", "--checkpoint", checkpoint, "--output", folder.path("out"),
    ]
    let errors = try folder.file("errors", [])
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 74)
    let text = String(decoding: try folder.bytes("errors"), as: UTF8.self)
    #expect(text.contains("pytorch_model.bin: cannot write: "))
    #expect(try names(folder.url.path) == ["b.tusk", "errors", "t.tusk"])
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func anInterruptedExportLeavesNothing(number: Int32) throws {
    let large = folder.url.appendingPathComponent("large")
    try SparseCheckpoint.write(to: large)
    let backbone = folder.path("large.tusk")
    let task = folder.path("prompt.tusk")
    try CommandLineTool.run("convert", "backbone", large.path, "--output", backbone)
    try TinyFiles.writePrompt(task, of: backbone)
    let process = Process()
    process.executableURL = CommandLineTool.productFolder.appendingPathComponent("tusk")
    process.arguments = [
      "export", "task", task, "--backbone", backbone, "--format", "authors", "--checkpoint", large.path, "--output",
      folder.path("out"),
    ]
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let end = Date(timeIntervalSinceNow: 60)
    let partial = folder.path("out.export.tmp/pytorch_model.bin")
    while !FileManager.default.fileExists(atPath: partial) && Date() < end && process.isRunning {
      Thread.sleep(forTimeInterval: 0.001)
    }
    kill(process.processIdentifier, number)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 130)
    #expect(try names(folder.url.path).filter { $0.hasPrefix("out") } == [])
  }
}
