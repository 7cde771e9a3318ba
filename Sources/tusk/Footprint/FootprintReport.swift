import TuskEngine
import TuskFormat

/// Planned and measured bytes of one job: the JSON object of `formats/json.md`.
struct FootprintReport: Encodable {
  let sourceTokens: Int
  /// Nil for an encoder.
  let targetTokens: Int?
  let beams: Int
  let threads: Int
  let tileTokens: Int
  let keyValuePrecision: String
  /// Nil for an encoder.
  let crossAttention: String?
  let tasks: Int
  let planned: Planned
  /// Nil with --plan-only.
  let measured: Measured?
  /// Every plan that some budget leads to, fastest first; nil with a measurement.
  let choices: [Choice]?
  let budget: Int?

  struct Choice: Encodable {
    let `private`: Int
    let tileTokens: Int
    let keyValuePrecision: String
    let crossAttention: String?

    init(_ plan: MemoryPlan, hasDecoder: Bool) {
      `private` = plan.privateBytes
      tileTokens = plan.tileTokens
      keyValuePrecision = "\(plan.keyValuePrecision.name)"
      crossAttention = hasDecoder ? "\(plan.crossAttention.name)" : nil
    }
  }

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
    /// Page faults that had to wait for the device.
    let majorFaults: Int
    /// Read from the device, the program's own pages included.
    let deviceBytes: Int
    /// The program that was measured.
    let engine: String
  }

  /// - Parameter engine: the program that was measured and what it printed.
  init(_ model: Model, plan: MemoryPlan, engine: (path: String, values: [String: Int])?) throws(Failure) {
    let plan = try engine.map { engine throws(Failure) in try model.plan(of: engine, plan) } ?? plan
    sourceTokens = plan.request.sourceTokens
    targetTokens = model.config.hasDecoder ? plan.request.targetTokens : nil
    beams = plan.request.beams
    threads = plan.request.threads
    let choice = Choice(plan, hasDecoder: model.config.hasDecoder)
    (tileTokens, keyValuePrecision, crossAttention) = (
      choice.tileTokens, choice.keyValuePrecision, choice.crossAttention
    )
    budget = plan.request.budgetBytes
    tasks = model.tasks.count
    guard let engine else {
      planned = Planned(model, plan: plan, runtimeFloor: plan.bytes(.runtimeFloor))
      measured = nil
      choices = try model.choices(plan.request).map { Choice($0, hasDecoder: model.config.hasDecoder) }
      return
    }
    // An Embedded build plans for a lower floor than this program.
    let floor = engine.values["\(MemoryCategory.runtimeFloor.name)"]
    planned = Planned(model, plan: plan, runtimeFloor: floor ?? plan.bytes(.runtimeFloor))
    measured = try Measured(engine.values, engine: engine.path)
    choices = nil
  }
}

extension Model {
  /// The plan that another engine made of the same request: it has a lower floor, so a budget gave it more.
  fileprivate func plan(
    of engine: (path: String, values: [String: Int]), _ plan: MemoryPlan
  ) throws(Failure) -> MemoryPlan {
    let values = engine.values
    let same = try choices(plan.request).first {
      $0.tileTokens == values["tileTokens"] && Int($0.keyValuePrecision.rawValue) == values["keyValuePrecision"]
        && Int($0.crossAttention.rawValue) == values["crossAttention"]
    }
    guard let same else { throw Failure(Failure.internalFault, "\(engine.path): planned otherwise") }
    return same
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
    deviceBytes = try value("deviceBytes")
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
    var text = sourceTokens.counted("source token") + ", "
    if let targetTokens { text += targetTokens.counted("target token") + ", " }
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
    var lines = [job, ""] + table.lines + ["", "plan: " + choiceText]
    if let measured {
      lines += [
        "peak \(measured.peak.grouped) (VmHWM), measured in \(measured.engine)",
        "read from the device: \(measured.deviceBytes.grouped) bytes, \(measured.majorFaults.counted("wait")) for it",
      ]
    }
    return lines + why
  }

  private var choiceText: String {
    let cross = crossAttention.map { ", cross-attention \($0)" } ?? ""
    return "\(tileTokens.counted("token")) at a time, keys and values \(keyValuePrecision)\(cross)"
  }

  /// Why the planner chose what it did: all it could, fastest first.
  private var why: [String] {
    guard let choices else { return [] }
    let limit =
      budget.map { "the first of these that fits \($0.grouped) bytes" } ?? "the first of these, without a budget"
    var table = Table("private", "tokens at a time", "keys and values", "cross-attention", "", hasRemarks: true)
    for choice in choices {
      let isChosen =
        choice.tileTokens == tileTokens && choice.keyValuePrecision == keyValuePrecision
        && choice.crossAttention == crossAttention
      table.add(
        choice.private.grouped, choice.tileTokens.grouped, choice.keyValuePrecision, choice.crossAttention ?? "none",
        isChosen ? "chosen" : "")
    }
    return [limit + ":", ""] + table.lines
  }
}
