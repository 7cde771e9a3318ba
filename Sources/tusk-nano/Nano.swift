import CTuskSystem
import TuskEngine
import TuskFormat

@_cdecl("tusk_nano_main")
func main(argc: Int32, argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
  let options: Options
  do throws(Options.Failure) {
    options = try Options(UnsafeBufferPointer(start: argv, count: Int(argc)))
  } catch {
    if case .help = error {
      var line = Line()
      line.add(Options.help)
      line.write()
      return 0
    }
    let failure = Failure(error)
    failure.line.write(to: 2)
    return failure.exitCode
  }
  do throws(Failure) {
    if options.measures {
      try Measurement(options).run()
    } else if !options.inputIds.isEmpty {
      try RawLogits(options).run()
    } else {
      try Answers(options).run()
    }
  } catch {
    error.line.write(to: 2)
    return error.exitCode
  }
  return 0
}

/// The files of a command line, open: one backbone or bundle, and tasks.
struct Model {
  let backbone: PackedFile
  let config: BackboneConfig
  private let files: [PackedFile]

  init(_ paths: [UnsafePointer<CChar>]) throws(Failure) {
    var files: [PackedFile] = []
    for path in paths {
      do throws(FormatError) { files.append(try PackedFile(path: path)) } catch { throw Failure(error, path: path) }
    }
    guard let config = files[0].config else { throw Failure(EngineError(.notABackbone)) }
    for (file, path) in zip(files, paths).dropFirst() {
      guard file.taskCount > 0 else {
        throw Failure(65) { line in
          line.add(path)
          line.add(": byte 12: not a task file")
        }
      }
      do throws(FormatError) {
        for position in 0..<file.taskCount { try file.task(at: position).requireFit(to: config) }
      } catch { throw Failure(error, path: path) }
    }
    backbone = files[0]
    self.config = config
    self.files = files
  }

  /// Tasks of all files, in their order.
  var taskCount: Int {
    var count = 0
    for file in files { count += file.taskCount }
    return count
  }

  func task(at position: Int) -> TaskSection {
    var rest = position
    for file in files {
      if rest < file.taskCount { return file.task(at: rest) }
      rest -= file.taskCount
    }
    preconditionFailure("no such task")
  }

  func task(named name: [UInt8]) -> TaskSection? {
    for position in 0..<taskCount {
      let task = task(at: position)
      let isEqual = task.name.withSpan { span in
        guard span.byteCount == name.count else { return false }
        for index in 0..<name.count
        where unsafe span.unsafeLoad(fromByteOffset: index, as: UInt8.self) != name[index] { return false }
        return true
      }
      if isEqual { return task }
    }
    return nil
  }

  func plan(_ options: Options) throws(Failure) -> MemoryPlan {
    var request = PlanRequest(
      sourceTokens: options.sourceTokens, targetTokens: options.maxNewTokens, beams: options.beams,
      threads: options.threads, budgetBytes: options.budgetBytes)
    for position in 0..<taskCount { request.reserve(for: task(at: position)) }
    if let head = backbone.head { request.reserve(for: head) }
    do throws(EngineError) { return try MemoryPlan(config: config, request: request) } catch { throw Failure(error) }
  }
}

/// Answers one text, or lines.
struct Answers {
  private let options: Options
  private let model: Model
  private let plan: MemoryPlan
  private let text: TextSession

  init(_ options: Options) throws(Failure) {
    self.options = options
    model = try Model(options.files)
    plan = try model.plan(options)
    do throws(TextError) {
      text = try TextSession(model.backbone, plan: plan, isaCap: tusk_isa_from_environment())
    } catch { throw Failure(error) }
    if let notice = text.session.kernelNotice { Line.warn(notice.summary) }
    try mount(model.taskCount > 0 ? model.task(at: 0) : nil)
  }

  func run() throws(Failure) {
    if let line = options.text {
      try answer(line)
    } else {
      var reader = LineReader()
      while let line = reader.next() { try answerLine(line) }
    }
    guard options.reportsFootprint else { return }
    var mappedTasks = 0
    for position in 0..<model.taskCount { mappedTasks += model.task(at: position).bytes.count }
    FootprintLines(stream: 2).add(plan, model, mappedTasks: mappedTasks)
  }

  /// `NAME<tab>TEXT` switches to a task first.
  private func answerLine(_ line: [UInt8]) throws(Failure) {
    guard let tab = line.firstIndex(of: 0x09) else {
      try answer(line)
      return
    }
    let name = Array(line[..<tab])
    guard let task = model.task(named: name) else {
      throw Failure(65) { message in
        message.add("no such task: ")
        message.add(name)
      }
    }
    try mount(task)
    try answer(Array(line[(tab + 1)...]))
  }

  private func mount(_ task: TaskSection?) throws(Failure) {
    do throws(FormatError) {
      try text.session.setTask(task)
    } catch { throw Failure(error, path: options.files[options.files.count - 1]) }
  }

  private func answer(_ bytes: [UInt8]) throws(Failure) {
    do throws(TextError) {
      var line = Line()
      if model.config.hasDecoder {
        line.add(try text.answer(bytes, maxNewTokens: options.maxNewTokens))
      } else {
        let tab = bytes.firstIndex(of: 0x09)
        let second = tab.map { Array(bytes[($0 + 1)...]) }
        let scores = try text.scores(tab.map { Array(bytes[..<$0]) } ?? bytes, second)
        line.add(scores, of: text.session.headSection()!)
      }
      line.write()
    } catch { throw Failure(error) }
  }
}

/// Lines of standard input, of any length, without their line feed.
struct LineReader {
  private var pending: [UInt8] = []
  private var start = 0
  private var isAtEnd = false

  mutating func next() -> [UInt8]? {
    var searched = start
    while true {
      if let end = pending[searched...].firstIndex(of: 0x0A) {
        defer { start = end + 1 }
        return Array(pending[start..<end])
      }
      searched = pending.count
      if isAtEnd {
        defer { start = pending.count }
        return start < pending.count ? Array(pending[start...]) : nil
      }
      pending.removeSubrange(..<start)
      searched -= start
      start = 0
      let old = pending.count
      pending.append(contentsOf: repeatElement(0, count: 4096))
      let received = pending.withUnsafeMutableBytes { tusk_read_stream($0.baseAddress! + old, 4096) }
      pending.removeLast(4096 - max(received, 0))
      isAtEnd = received <= 0
    }
  }
}
