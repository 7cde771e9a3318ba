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
      says how much is left to gain. Encoding is bound by multiply-adds, which are measured likewise. The hash of the last \
      logits tells whether two runs computed the same. Source ids are (37 i + 11) mod V for i = 0, 1, ...

      An encoder only encodes, its head included; S above a few tokens, that is bound by arithmetic rather than by \
      memory. The hash is then that of the head's output.

        tusk bench t5.tusk --target-tokens 64 --threads 2
        tusk bench all.tusk --batch 8 --task-per-source
        TUSK_ISA=portable tusk bench t5.tusk --target-tokens 8 --json
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "Length of each source, S.")
  var sourceTokens = 128

  @Option(help: "Tokens to decode, T; an encoder decodes none.")
  var targetTokens = 32

  @Option(help: "Sources that are decoded together.")
  var batch = 1

  @Flag(
    help:
      "Mount the tasks in turn, one for each source of the batch, not together; without --task, those of the bundle.")
  var taskPerSource = false

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
    try model.requirePositions(sourceTokens)
    let plan = try model.plan(
      PlanRequest(
        sourceTokens: sourceTokens, targetTokens: model.config.hasDecoder ? targetTokens : 1, batch: batch,
        threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes))
    let session = try model.session(plan)
    if taskPerSource {
      try mountInTurn(model, session)
    } else {
      try model.mount(model.chosen, on: session)
    }
    let loadSeconds = secondsSince(start)

    let sizes = (0..<batch).map { session.vocabularySize(source: $0) }
    let run = BenchRun(model, session, vocabularySize: sizes.reduce(model.config.vocabularySize, min))
    var encodes: [Double] = []
    var decodes: [Double] = []
    for round in 0...rounds {
      let encode = try run.encode()
      let decode = model.config.hasDecoder ? run.decode() : nil
      // The first round reads the file into memory.
      guard round > 0 else { continue }
      encodes.append(encode)
      if let decode { decodes.append(decode) }
    }
    let report = try report(model, session, run, loadSeconds: loadSeconds, encodes.sorted(), decodes.sorted())
    if json {
      try StandardOutput.write(json: report)
    } else {
      for line in report.lines { try StandardOutput.write(line: line) }
    }
  }

  private func mountInTurn(_ model: Model, _ session: Session) throws(Failure) {
    let tasks = model.chosen.isEmpty ? model.tasks : model.chosen
    guard !tasks.isEmpty else {
      throw Failure(Failure.usage, "\(model.path.printable): no task to mount; see --task")
    }
    for source in 0..<batch {
      let task = tasks[source % tasks.count]
      try reading(task.path) { () throws(FormatError) in try session.setTask(task.section, source: source) }
    }
  }

  /// - Parameter decodes: empty for an encoder.
  private func report(
    _ model: Model, _ session: Session, _ run: BenchRun, loadSeconds: Double, _ encodes: [Double], _ decodes: [Double]
  ) throws(Failure) -> BenchReport {
    let plan = session.plan
    let kernels = tusk_kernels_select(tusk_isa_from_environment(), nil)
    let machine = MachineLimits(kernels: kernels, threads: plan.request.threads)
    let tiles = (sourceTokens + plan.tileTokens - 1) / plan.tileTokens
    let bytesPerSource = model.config.weightBytesPerTile * tiles
    let encoding = Double(batch * bytesPerSource) / encodes.median
    let decode = decodes.isEmpty ? nil : decodeReport(model.config, decodes)
    return BenchReport(
      isa: session.isaName, sourceTokens: sourceTokens, batch: batch, threads: plan.request.threads, rounds: rounds,
      loadMs: loadSeconds * 1000, encodeTokensPerSecond: Double(batch * sourceTokens) / encodes.median,
      encodeTokensPerSecondBest: Double(batch * sourceTokens) / encodes[0],
      textsPerSecond: Double(batch) / encodes.median, weightBytesPerSource: bytesPerSource,
      encodeGbPerSecond: encoding / 1e9, machineReadGbPerSecond: machine.readBytesPerSecond / 1e9,
      encodeGmacPerSecond: Double(batch * sourceTokens) * Double(model.config.multiplyAddsPerToken.encoder)
        / encodes.median / 1e9,
      machineInt8GmacPerSecond: machine.multiplyAddsPerSecond / 1e9,
      machineAvx2Int8GmacPerSecond: machine.avx2MultiplyAddsPerSecond.map { $0 / 1e9 },
      shareOfReadBandwidth: machine.readBytesPerSecond > 0
        ? (decode.map { $0.gbPerSecond * 1e9 } ?? encoding) / machine.readBytesPerSecond : nil,
      decode: decode,
      taskSwitchMicroseconds: try run.switchTask(taskPerSource ? Array(model.chosen.prefix(1)) : model.chosen)
        .map { $0 * 1e6 },
      outputHash: try run.outputHash().hexadecimal,
      planned: FootprintReport.Planned(model, plan: plan, runtimeFloor: plan.bytes(.runtimeFloor)))
  }

  private func decodeReport(_ config: BackboneConfig, _ decodes: [Double]) -> BenchReport.Decode {
    let weightBytes = config.weightBytesPerStep
    return BenchReport.Decode(
      targetTokens: targetTokens, tokensPerSecond: Double(batch * targetTokens) / decodes.median,
      tokensPerSecondBest: Double(batch * targetTokens) / decodes[0], weightBytesPerStep: weightBytes,
      gbPerSecond: Double(weightBytes * targetTokens) / decodes.median / 1e9)
  }
}

extension [Double] {
  /// - Precondition: sorted, not empty.
  var median: Double { (self[(count - 1) / 2] + self[count / 2]) / 2 }
}
