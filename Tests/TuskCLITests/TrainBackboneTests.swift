import Foundation
import Testing

/// Methods that train the backbone itself: what they write is another backbone, with its head.
@Suite("train, the backbone itself")
struct TrainBackboneTests {
  private let files: TrainingFiles
  private let folder: TemporaryFolder
  private let output: String

  init() throws {
    files = try TrainingFiles.shared.get()
    folder = try TemporaryFolder()
    output = folder.path("trained.tusk")
  }

  private func arguments(_ backbone: String, _ data: String, _ method: String, _ options: String...) -> [String] {
    let dimension = method == "intrinsic-said" ? ["--intrinsic-dim", "3000"] : []
    return [
      "train", backbone, "--train", data, "--validation", data, "--output", output, "--method", method, "--epochs", "3",
      "--batch", "4", "--learning-rate", "0.001", "--threads", "1", "--json",
    ] + dimension + options
  }

  @Test(arguments: ["full", "intrinsic-said"], ["t5", "bert"])
  func whatIsTrainedIsAnotherBackbone(method: String, kind: String) throws {
    let (backbone, data) = kind == "t5" ? (files.floatT5, files.texts) : (files.floatBERT, files.labels)
    let before = try Data(contentsOf: URL(fileURLWithPath: backbone))
    let outcome = try CommandLineTool.run(arguments(backbone, data, method))
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let summary = try outcome.object()
    #expect(try Data(contentsOf: URL(fileURLWithPath: backbone)) == before)
    #expect(try CommandLineTool.run("verify", output).exitCode == 0)
    let (found, given) = try (inspect(output), inspect(backbone))
    #expect(found["fingerprint"] as? String != given["fingerprint"] as? String)
    for member in ["parameters", "layer_count", "d_model"] {
      #expect(try #require(found[member] as? Int) == given[member] as? Int)
    }
    let trained = method == "full" ? given["parameters"] as? Int : 3000
    #expect(try #require(summary["trained_parameters"] as? Int) == trained)
    // What it answers is what the summary says of the validation data.
    let judged = try CommandLineTool.run("eval", output, "--data", data, "--json").object()
    #expect(judged["metrics"] as? [String: Double] == summary["metrics"] as? [String: Double])
    let answer = try CommandLineTool.run("run", output, "--json", "the house is ice")
    #expect(answer.exitCode == 0, "\(answer.errors)")
  }

  private func inspect(_ path: String) throws -> [String: Any] {
    try #require(try CommandLineTool.run("inspect", path, "--json").object()["backbone"] as? [String: Any])
  }

  @Test(arguments: ["full", "intrinsic-said"])
  func anInterruptedRunGoesOnToTheSameBytes(method: String) throws {
    let log = folder.path("log.jsonl")
    let whole = arguments(files.floatBERT, files.labels, method, "--epochs", "20", "--log", log)
    try #require(try CommandLineTool.run(whole).exitCode == 0)
    let expected = try folder.bytes("trained.tusk")
    try FileManager.default.removeItem(atPath: output)
    try FileManager.default.removeItem(atPath: log)
    let run = try RunningTool(whole, folder)
    let stopped = try #require(
      try run.stop(SIGINT) {
        ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").contains(#""step":7,"#)
      }, "the run was over too soon")
    #expect(stopped.status == 130, "\(stopped.errors)")
    let resumed = try CommandLineTool.run(whole + ["--resume"])
    #expect(resumed.exitCode == 0, "\(resumed.errors)")
    #expect(try folder.bytes("trained.tusk") == expected)
  }
}
