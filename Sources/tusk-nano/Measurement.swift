import CTuskSystem
import TuskEngine
import TuskFormat

/// What a run costs, measured in a process that holds nothing but the engine.
///
/// Every task is mounted once; then a source of the planned length is encoded and the planned number of tokens decoded.
/// Prints `name=value` lines, bytes unless named otherwise.
struct Measurement {
  private let options: Options
  private let model: Model
  private let plan: MemoryPlan

  init(_ options: Options) throws(Failure) {
    self.options = options
    model = try Model(options.files)
    plan = try model.plan(options)
  }

  func run() throws(Failure) {
    let lines = FootprintLines(stream: 1)
    lines.add("floorAnonymous", tusk_measure_memory().anonymous)
    let started = tusk_monotonic_nanoseconds()
    let session: Session
    do throws(EngineError) {
      session = try Session(model.backbone, plan: plan, isaCap: tusk_isa_from_environment())
    } catch { throw Failure(error) }
    var mappedTasks = 0
    for position in 0..<model.taskCount {
      let task = model.task(at: position)
      do throws(FormatError) { try session.setTask(task) } catch { throw Failure(error, path: options.files[0]) }
      mappedTasks += task.bytes.count
    }
    lines.add("openNanoseconds", tusk_monotonic_nanoseconds() - started)
    try decode(session)
    lines.add(plan, model, mappedTasks: mappedTasks)
  }

  private func decode(_ session: Session) throws(Failure) {
    let size = session.vocabularySize()
    let ids = (0..<options.sourceTokens).map { Int32(($0 * 37 + 11) % size) }
    do throws(EngineError) {
      try ids.withUnsafeBufferPointer { buffer throws(EngineError) in try session.encode(buffer) }
      guard model.config.hasDecoder else {
        if session.headSection() != nil { _ = try session.headOutput() }
        return
      }
      if options.beams > 1 {
        try session.generateByBeams(maxNewTokens: options.maxNewTokens)
      } else {
        let target = (0..<options.maxNewTokens).map { Int32(($0 * 53 + 7) % size) }
        try target.withUnsafeBufferPointer { buffer throws(EngineError) in
          try session.teacherForce(buffer) { _, _ in }
        }
      }
    } catch { throw Failure(error) }
  }
}

/// Planned and measured bytes as `name=value` lines.
struct FootprintLines {
  let stream: Int32

  func add(_ name: StaticString, _ value: UInt64) {
    var line = Line()
    line.add(name)
    line.add("=")
    line.add(value)
    line.write(to: stream)
  }

  /// All there is to say at the end of a run.
  func add(_ plan: MemoryPlan, _ model: Model, mappedTasks: Int) {
    let use = tusk_measure_memory()
    add("measuredAnonymous", use.anonymous)
    add("measuredFile", use.file)
    add("measuredPeak", use.peak)
    add("majorFaults", use.majorFaults)
    add("mappedBackbone", UInt64(model.backbone.mapping.count))
    add("mappedTasks", UInt64(mappedTasks))
    add("mountedTasks", UInt64(model.taskCount))
    add("deviceBytes", use.deviceBytes)
    add("tileTokens", UInt64(plan.tileTokens))
    add("keyValuePrecision", UInt64(plan.keyValuePrecision.rawValue))
    add("crossAttention", UInt64(plan.crossAttention.rawValue))
    for category in MemoryCategory.allCases where category.isPrivate {
      add(category.name, UInt64(plan.bytes(category)))
    }
    add("plannedPrivate", UInt64(plan.privateBytes))
  }
}
