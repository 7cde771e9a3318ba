import ArgumentParser
import CTuskKernels
import CTuskSystem
import Foundation
import TuskConversion
import TuskEngine
import TuskFormat

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure speed, beside the limit that the machine's memory sets.",
    discussion: """
      Encodes S ids and decodes T, several rounds; the figures are medians, the best in brackets. A decoded token must \
      read every weight of the decoder once, so the share of the machine's read bandwidth, measured in the same run, \
      says how much is left to gain. The hash of the last logits tells whether two runs computed the same.

        tusk bench t5.tusk --target-tokens 64 --threads 2
        TUSK_ISA=portable tusk bench t5.tusk --target-tokens 8 --json
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "Length of each source, S.")
  var sourceTokens = 128

  @Option(help: "Tokens to decode, T.")
  var targetTokens = 32

  @Option(help: "Sources that are decoded together.")
  var batch = 1

  @Option(help: "How often to measure, after one round that is not counted.")
  var rounds = 3

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    for (name, value, limit) in [
      ("--source-tokens", sourceTokens, 1_000_000), ("--target-tokens", targetTokens, 1_000_000),
      ("--batch", batch, 10_000), ("--rounds", rounds, 1000),
    ] where !(1...limit).contains(value) {
      throw ValidationError("\(name) takes 1 to \(limit)")
    }
  }

  func run() throws {
    let start = tusk_monotonic_nanoseconds()
    let model = try model.open()
    guard model.config.hasDecoder else {
      throw Failure(
        Failure.badData, "\(model.path.printable): an encoder, which decodes nothing; encoders are not measured yet")
    }
    let plan = try model.plan(
      PlanRequest(
        sourceTokens: sourceTokens, targetTokens: targetTokens, batch: batch, threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes))
    let session = try model.session(plan)
    let loadSeconds = secondsSince(start)

    let run = BenchRun(model, session)
    var encodes: [Double] = []
    var decodes: [Double] = []
    for round in 0...rounds {
      let (encode, decode) = (try run.encode(), run.decode())
      // The first round reads the file into memory.
      if round > 0 {
        encodes.append(encode)
        decodes.append(decode)
      }
    }
    let report = try report(model, session, run, loadSeconds: loadSeconds, encodes.sorted(), decodes.sorted())
    if json {
      try StandardOutput.write(json: report)
    } else {
      for line in report.lines { try StandardOutput.write(line: line) }
    }
  }

  private func report(
    _ model: Model, _ session: Session, _ run: BenchRun, loadSeconds: Double, _ encodes: [Double], _ decodes: [Double]
  ) throws(Failure) -> BenchReport {
    let kernels = tusk_kernels_select(tusk_isa_from_environment(), nil)
    let machine = ReadBandwidth.measure(kernels: kernels, threads: session.plan.request.threads)
    let weightBytes = model.config.weightBytesPerStep
    let achieved = Double(weightBytes * targetTokens) / decodes.median
    return BenchReport(
      isa: session.isaName, sourceTokens: sourceTokens, targetTokens: targetTokens, batch: batch,
      threads: session.plan.request.threads, rounds: rounds, loadMs: loadSeconds * 1000,
      encodeTokensPerSecond: Double(batch * sourceTokens) / encodes.median,
      encodeTokensPerSecondBest: Double(batch * sourceTokens) / encodes[0],
      decodeTokensPerSecond: Double(batch * targetTokens) / decodes.median,
      decodeTokensPerSecondBest: Double(batch * targetTokens) / decodes[0], weightBytesPerStep: weightBytes,
      decodeGbPerSecond: achieved / 1e9, machineReadGbPerSecond: machine / 1e9,
      shareOfReadBandwidth: machine > 0 ? achieved / machine : nil,
      taskSwitchMicroseconds: try run.switchTask().map { $0 * 1e6 }, logitsHash: run.logitsHash.hexadecimal,
      planned: FootprintReport.Planned(model, plan: session.plan, runtimeFloor: session.plan.bytes(.runtimeFloor)))
  }
}

extension [Double] {
  /// - Precondition: sorted, not empty.
  fileprivate var median: Double { (self[(count - 1) / 2] + self[count / 2]) / 2 }
}

extension BenchReport {
  fileprivate var lines: [String] {
    func speed(_ median: Double, _ best: Double) -> String {
      String(format: "%.1f tokens/s (%.1f)", median, best)
    }
    let share = shareOfReadBandwidth.map { String(format: "%.0f %%", 100 * $0) } ?? "an unknown share"
    let lines = [
      "\(isa), \(threads.counted("thread")), batch \(batch), \(sourceTokens.counted("source token")), "
        + "\(targetTokens.counted("target token"))",
      String(format: "load       %.1f ms", loadMs),
      "encode     " + speed(encodeTokensPerSecond, encodeTokensPerSecondBest),
      "decode     " + speed(decodeTokensPerSecond, decodeTokensPerSecondBest),
      String(format: "weights    %.1f GB/s, ", decodeGbPerSecond) + share
        + String(format: " of the machine's %.1f GB/s", machineReadGbPerSecond),
      "memory     \(planned.mapped.byteText) mapped, \(planned.private.byteText) private "
        + "(key/value cache \(planned.keyValueCache.byteText), activations \(planned.activations.byteText))",
    ]
    let task = taskSwitchMicroseconds.map { [String(format: "switch     %.2f us to another task", $0)] } ?? []
    return lines + task + ["logits     \(logitsHash)"]
  }
}
