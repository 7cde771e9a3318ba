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
    print("floorAnonymous", tusk_measure_memory().anonymous)
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
    print("openNanoseconds", tusk_monotonic_nanoseconds() - started)
    try decode(session)
    let use = tusk_measure_memory()
    print("measuredAnonymous", use.anonymous)
    print("measuredFile", use.file)
    print("measuredPeak", use.peak)
    print("majorFaults", use.majorFaults)
    print("mappedBackbone", UInt64(model.backbone.mapping.count))
    print("mappedTasks", UInt64(mappedTasks))
    print("mountedTasks", UInt64(model.taskCount))
    print("deviceBytes", use.deviceBytes)
    print("tileTokens", UInt64(plan.tileTokens))
    print("keyValuePrecision", UInt64(plan.keyValuePrecision.rawValue))
    print("crossAttention", UInt64(plan.crossAttention.rawValue))
    for category in MemoryCategory.allCases where category.isPrivate {
      print(category.name, UInt64(plan.bytes(category)))
    }
    print("plannedPrivate", UInt64(plan.privateBytes))
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

  private func print(_ name: StaticString, _ value: UInt64) {
    var line = Line()
    line.add(name)
    line.add("=")
    line.add(value)
    line.write()
  }
}
