import ArgumentParser
import CTuskSystem
import Logging
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer

/// The backbone, its tasks, and what a session on them may take.
struct ModelOptions: ParsableArguments {
  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Option(
    help: """
      A task file, or the name of a task in the bundle. Repeatable, up to 4 times: the tasks act together, each behind the \
      one before it.
      """,
    completion: .file(extensions: ["tusk"]))
  var task: [String] = []

  @Option(help: "Threads; without it, one per physical core.")
  var threads: Int?

  @Option(help: "Upper bound on private memory, such as 12MB or 900KiB.")
  var memoryBudget: ByteSize?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads takes 1 to 1024") }
  }

  var threadCount: Int { threads ?? Int(tusk_physical_core_count()) }

  func open() throws(Failure) -> Model { try Model(path: backbone, tasks: task) }
}

/// An open backbone with the tasks that can be mounted on it.
final class Model {
  let path: String
  let file: PackedFile
  let config: BackboneConfig
  let tokenizer: Tokenizer?
  /// The tasks named on the command line, in its order.
  private(set) var chosen: [NamedTask] = []
  private let bundled: [NamedTask]

  struct NamedTask {
    let name: String
    /// Path of the file it comes from.
    let path: String
    let section: TaskSection
  }

  /// - Parameter tasks: paths of task files, or names of tasks in the bundle.
  init(path: String, tasks names: [String]) throws(Failure) {
    self.path = path
    (file, config) = try openBackbone(path)
    tokenizer = try openTokenizer(file, path: path)
    bundled = Model.tasks(of: file, path: path)
    for name in names { chosen.append(try resolve(name)) }
  }

  /// Every task there is, none twice.
  var tasks: [NamedTask] { chosen + bundled.filter { task in !chosen.contains { $0.name == task.name } } }

  /// The task called `name`, if it was named on the command line or is in the bundle. Paths are not opened here: the
  /// name may come from input data.
  func task(named name: String) -> NamedTask? { tasks.first { $0.name == name } }

  /// A plan for what the tasks at hand need.
  func plan(_ request: PlanRequest) throws(Failure) -> MemoryPlan {
    let request = withRoom(request)
    do throws(EngineError) { return try MemoryPlan(config: config, request: request) } catch {
      throw Failure(error, path: path)
    }
  }

  /// Every plan that a budget may lead to.
  func choices(_ request: PlanRequest) throws(Failure) -> [MemoryPlan] {
    let request = withRoom(request)
    do throws(EngineError) { return try MemoryPlan.choices(config: config, request: request) } catch {
      throw Failure(error, path: path)
    }
  }

  private func withRoom(_ request: PlanRequest) -> PlanRequest {
    var request = request
    for task in tasks { request.reserve(for: task.section) }
    if let head = file.head { request.reserve(for: head) }
    return request
  }

  /// Refuses more source tokens than the backbone has positions.
  func requirePositions(_ sourceTokens: Int) throws(Failure) {
    guard let limit = config.maxSourceTokens, sourceTokens > limit else { return }
    throw Failure(
      Failure.badData,
      "\(path.printable): more tokens than the backbone has positions (found \(sourceTokens), required at most "
        + "\(limit)); see --source-tokens")
  }

  /// A session without tasks.
  func session(_ plan: MemoryPlan) throws(Failure) -> Session {
    let session: Session
    do throws(EngineError) {
      session = try Session(file, plan: plan, isaCap: tusk_isa_from_environment())
    } catch { throw Failure(error, path: path) }
    if let notice = session.kernelNotice { log.warning("\(notice.summary)") }
    return session
  }

  /// Mounts `tasks` for every source of the session's batch, to act one behind the other.
  func mount(_ tasks: [NamedTask], on session: Session) throws(Failure) {
    guard tasks.count <= Session.taskLimit else {
      throw Failure(
        Failure.usage, "too many tasks at once (found \(tasks.count), required at most \(Session.taskLimit))")
    }
    let sections = tasks.map(\.section)
    for source in 0..<session.plan.request.batch {
      do throws(FormatError) { try session.setTasks(sections, source: source) } catch {
        throw Failure(error, path: culprit(of: tasks, on: session))
      }
    }
  }

  /// The file of the first task that cannot be mounted behind those before it.
  private func culprit(of tasks: [NamedTask], on session: Session) -> String {
    for count in 1...tasks.count {
      let isMounted = (try? session.setTasks(tasks.prefix(count).map(\.section))) != nil
      if !isMounted { return tasks[count - 1].path }
    }
    return path
  }

  private func resolve(_ name: String) throws(Failure) -> NamedTask {
    if let task = bundled.first(where: { $0.name == name }) { return task }
    let tasks: [NamedTask]
    do throws(FormatError) {
      tasks = Model.tasks(of: try PackedFile(path: name), path: name)
    } catch  where error.kind == .cannotOpen && !bundled.isEmpty {
      let names = bundled.map(\.name.printable).joined(separator: ", ")
      throw Failure(
        Failure.noInput, "\(name.printable): no such file, and the bundle has no task of that name; it has \(names)")
    } catch { throw Failure(error, path: name) }
    guard let task = tasks.first, tasks.count == 1 else {
      throw Failure(Failure.badData, "\(name.printable): byte 12: not a task file")
    }
    try reading(name) { () throws(FormatError) in try task.section.requireFit(to: config) }
    return task
  }

  private static func tasks(of file: PackedFile, path: String) -> [NamedTask] {
    (0..<file.taskCount).map { position in
      let section = file.task(at: position)
      return NamedTask(name: section.nameText, path: path, section: section)
    }
  }
}
