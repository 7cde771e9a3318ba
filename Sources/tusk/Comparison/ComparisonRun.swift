import TuskEngine
import TuskFormat

/// Times every task against the bare backbone in one session.
struct ComparisonRun {
  private let model: Model
  private let session: Session
  private let run: BenchRun
  private let rounds: Int

  init(_ model: Model, _ request: PlanRequest, rounds: Int) throws(Failure) {
    self.model = model
    self.rounds = rounds
    session = try model.session(try model.plan(request))
    let sizes = model.tasks.map(\.section.vocabularySize)
    run = BenchRun(model, session, vocabularySize: sizes.reduce(model.config.vocabularySize, min))
  }

  /// Each round runs the bare backbone and then every task, so that what disturbs the machine disturbs all of them; a
  /// task is compared with the backbone of its own round.
  func comparison() throws(Failure) -> Comparison {
    let request = session.plan.request
    let tasks = model.tasks
    var bare: [(encode: Double, decode: Double)] = []
    var added = Array(repeating: [(encode: Double, decode: Double)](), count: tasks.count)
    for round in 0...rounds {
      let base = try seconds(nil)
      // The first round reads the files into memory.
      if round > 0 { bare.append(base) }
      for (position, task) in tasks.enumerated() {
        let time = try seconds(task)
        if round > 0 { added[position].append((time.encode - base.encode, time.decode - base.decode)) }
      }
    }
    func encodeMs(_ times: [(encode: Double, decode: Double)]) -> Double {
      1000 * times.map(\.encode).sorted().median / Double(request.sourceTokens)
    }
    func decodeMs(_ times: [(encode: Double, decode: Double)]) -> Double? {
      model.config.hasDecoder ? 1000 * times.map(\.decode).sorted().median / Double(request.targetTokens) : nil
    }
    let products = model.config.multiplyAddsPerToken
    let bundledBytes = (0..<model.file.taskCount).reduce(0) { $0 + model.file.task(at: $1).bytes.count }
    return Comparison(
      isa: session.isaName, sourceTokens: request.sourceTokens,
      targetTokens: model.config.hasDecoder ? request.targetTokens : nil, threads: request.threads, rounds: rounds,
      backbone: Comparison.Backbone(
        parameters: model.config.parameterCount, bytes: model.file.mapping.count - bundledBytes,
        privateBytes: try privateBytes(nil), encoderMultiplyAdds: products.encoder,
        decoderMultiplyAdds: products.decoder, encodeMsPerToken: encodeMs(bare), decodeMsPerToken: decodeMs(bare)),
      tasks: try zip(tasks, added).map { task, times throws(Failure) in
        Comparison.Task(
          task, privateBytes: try privateBytes(task), encodeMs: encodeMs(times), decodeMs: decodeMs(times))
      })
  }

  private func seconds(_ task: Model.NamedTask?) throws(Failure) -> (encode: Double, decode: Double) {
    try model.mount(task.map { [$0] } ?? [], on: session)
    let encode = try run.encode()
    return (encode, model.config.hasDecoder ? run.decode() : 0)
  }

  /// Planned for one task, or for the bare backbone.
  private func privateBytes(_ task: Model.NamedTask?) throws(Failure) -> Int {
    let request = session.plan.request
    var alone = PlanRequest(
      sourceTokens: request.sourceTokens, targetTokens: request.targetTokens, threads: request.threads,
      budgetBytes: request.budgetBytes)
    for section in [task?.section, model.file.head] { section.map { alone.reserve(for: $0) } }
    do throws(EngineError) {
      return try MemoryPlan(config: model.config, request: alone).privateBytes
    } catch { throw Failure(error, path: model.path) }
  }
}
