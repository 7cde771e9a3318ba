import TuskEngine
import TuskFormat

/// Planned and measured bytes of one job: the JSON object of `formats/json.md`.
struct FootprintReport: Encodable {
  let sourceTokens: Int
  let targetTokens: Int
  let beams: Int
  let threads: Int
  let tileTokens: Int
  let tasks: Int
  let planned: Planned
  /// Nil with --plan-only.
  let measured: Measured?

  struct Planned: Encodable {
    let mappedBackbone, mappedTasks: Int
    let keyValueCache, activations, tokenizer, runtimeFloor: Int
    let mapped, `private`: Int
  }

  struct Measured: Encodable {
    /// RssFile: resident pages of mapped files, those of the program included.
    let mapped: Int
    /// RssAnon after the last token.
    let `private`: Int
    /// RssAnon before there was a session.
    let runtimeFloor: Int
    /// VmHWM: the largest resident size, mapped and private together.
    let peak: Int
    /// Pages that had to be read from the device.
    let majorFaults: Int
    /// The program that was measured.
    let engine: String
  }

  /// - Parameter engine: the program that was measured and what it printed.
  init(_ model: Model, plan: MemoryPlan, engine: (path: String, values: [String: Int])?) throws(Failure) {
    sourceTokens = plan.request.sourceTokens
    targetTokens = plan.request.targetTokens
    beams = plan.request.beams
    threads = plan.request.threads
    tileTokens = plan.tileTokens
    tasks = model.tasks.count
    guard let engine else {
      planned = Planned(model, plan: plan, runtimeFloor: plan.bytes(.runtimeFloor))
      measured = nil
      return
    }
    // An Embedded build plans for a lower floor than this program.
    let floor = engine.values["\(MemoryCategory.runtimeFloor.name)"]
    planned = Planned(model, plan: plan, runtimeFloor: floor ?? plan.bytes(.runtimeFloor))
    measured = try Measured(engine.values, engine: engine.path)
  }
}

extension FootprintReport.Planned {
  init(_ model: Model, plan: MemoryPlan, runtimeFloor: Int) {
    let bundledBytes = (0..<model.file.taskCount).reduce(0) { $0 + model.file.task(at: $1).bytes.count }
    mappedBackbone = model.file.mapping.count - bundledBytes
    mappedTasks = model.tasks.reduce(0) { $0 + $1.section.bytes.count }
    mapped = mappedBackbone + mappedTasks
    keyValueCache = plan.bytes(.keyValueCache)
    activations = plan.bytes(.activations)
    tokenizer = plan.bytes(.tokenizer)
    self.runtimeFloor = runtimeFloor
    `private` = keyValueCache + activations + tokenizer + runtimeFloor
  }
}

extension FootprintReport.Measured {
  /// - Parameter values: what `tusk-nano --measure` printed.
  init(_ values: [String: Int], engine: String) throws(Failure) {
    func value(_ name: String) throws(Failure) -> Int {
      guard let value = values[name] else {
        throw Failure(Failure.internalFault, "\(engine): did not print \(name)")
      }
      return value
    }
    mapped = try value("measuredFile")
    `private` = try value("measuredAnonymous")
    runtimeFloor = try value("floorAnonymous")
    peak = try value("measuredPeak")
    majorFaults = try value("majorFaults")
    self.engine = engine
  }
}

extension FootprintReport {
  /// A share of the private memory, or of the mapped.
  struct Part {
    let category: MemoryCategory
    let bytes: Int
  }

  var parts: [Part] {
    [
      Part(category: .mappedBackbone, bytes: planned.mappedBackbone),
      Part(category: .mappedTasks, bytes: planned.mappedTasks),
      Part(category: .keyValueCache, bytes: planned.keyValueCache),
      Part(category: .activations, bytes: planned.activations),
      Part(category: .tokenizer, bytes: planned.tokenizer),
      Part(category: .runtimeFloor, bytes: planned.runtimeFloor),
    ]
  }

  /// What was run, in words.
  var job: String {
    var text = "\(sourceTokens.counted("source token")), \(targetTokens.counted("target token")), "
    if beams > 1 { text += "\(beams) beams, " }
    return text + "\(tasks.counted("task")), \(threads.counted("thread"))"
  }

  /// The report for people.
  var lines: [String] {
    var table = Table("bytes", "planned", "measured", "", hasRemarks: true)
    func add(_ isPrivate: Bool, _ title: String, _ total: Int, _ measured: Int?, _ what: String) {
      for part in parts where part.category.isPrivate == isPrivate {
        let floor = part.category == .runtimeFloor ? self.measured?.runtimeFloor.grouped : nil
        table.add("  \(part.category.name)", part.bytes.grouped, floor ?? "", part.bytes.byteText)
      }
      table.add(title, total.grouped, measured?.grouped ?? "", what)
    }
    add(false, "mapped", planned.mapped, measured?.mapped, "shared by all processes, droppable")
    add(true, "private", planned.private, measured?.private, "of this process alone")
    var lines = [job, ""] + table.lines
    if let measured {
      lines += ["", "peak \(measured.peak.grouped) (VmHWM), measured in \(measured.engine)"]
    }
    return lines
  }
}
