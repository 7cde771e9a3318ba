import CTuskKernels
import CTuskSystem
import TuskFormat

/// A backbone in use: planned memory, threads, and the tasks that are mounted now.
///
/// Everything is allocated by the initializer; encoding, decoding and switching tasks allocate nothing. A session is
/// used by one thread at a time; any number of sessions share one `PackedFile`.
public final class Session {
  public let plan: MemoryPlan
  public let config: BackboneConfig
  /// Name of the kernels in use: "portable", "avx2", ...
  public var isaName: String { String(cString: workspace.kernels.name) }
  /// What choosing them has to tell, for a log.
  public let kernelNotice: KernelNotice?
  let weights: BackboneWeights
  let workspace: Workspace
  /// The tasks of each source of the batch.
  private(set) var runners: [TaskRunner]
  /// The head that answers where the task has none.
  let backboneHead: TaskSection?
  var encodedSources: [EncodedSource]
  /// The texts that were encoded last, the first `textCount` of these.
  var texts = Array(repeating: EncodedSource(), count: Session.textLimit)
  var textCount = 0
  /// Decoder positions done since `startDecoding`.
  var position = 0
  var residency = Residency()

  /// Opens the backbone of `file` with all memory `plan` names.
  /// - Parameters:
  ///   - memory: `plan.arenaBytes` of the caller's to work in, on a multiple of `MemoryPlan.alignment`, whatever they
  ///     hold; they have to outlive the session, and belong to it until then. nil asks the operating system.
  ///   - isaCap: name of the best instruction set that may be used; nil for no cap.
  /// - Throws: `notABackbone`, `outOfMemory`, `threadsUnavailable`, `taskTooWide` if the backbone's own head has no room;
  ///   of a caller's memory `memoryTooSmall`, `misalignedMemory`.
  public init(
    _ file: PackedFile, plan: MemoryPlan, memory: UnsafeMutableRawBufferPointer? = nil,
    isaCap: UnsafePointer<CChar>? = nil
  ) throws(EngineError) {
    weights = try BackboneWeights(file)
    self.plan = plan
    config = weights.config
    var selection = TuskSelection()
    let kernels = tusk_kernels_select(isaCap, &selection).pointee
    kernelNotice = KernelNotice(selection)
    let arena: Arena
    if let memory {
      arena = try Arena(byteCount: plan.arenaBytes, in: memory)
    } else {
      arena = try Arena(byteCount: plan.arenaBytes)
    }
    workspace = Workspace(
      config, kernels, try ThreadPool(threadCount: plan.request.threads), arena, plan.regions)
    runners = Array(repeating: TaskRunner(), count: plan.request.batch)
    encodedSources = Array(repeating: EncodedSource(), count: plan.request.batch)
    backboneHead = file.head
    if let backboneHead { try requireRoom(for: backboneHead) }
    guard config.positionScheme == .relativeBias else { return }
    let request = plan.request
    RelativeBias.fill(
      workspace.arena.floats(plan.regions.encoderBias), firstDistance: -request.encoderDistancesBehind,
      distanceCount: request.encoderDistances, isBidirectional: true, weights.matrix(.relativeBias, .encoder), config)
    guard config.hasDecoder else { return }
    RelativeBias.fill(
      workspace.arena.floats(plan.regions.decoderBias), firstDistance: -request.decoderDistancesBehind,
      distanceCount: request.decoderDistances, isBidirectional: false, weights.matrix(.relativeBias, .decoder), config)
  }

  /// Mounts `task` for source `source` of the batch, or none. Allocates nothing, writes to no weight.
  /// - Throws: `FormatError` if the task belongs to another backbone, or is wider than the plan has room for
  ///   (`wrongWidth`; see `PlanRequest.reserve`).
  /// - Precondition: the source is below the batch.
  public func setTask(_ task: TaskSection?, source: Int = 0) throws(FormatError) {
    var tasks = TaskStack()
    if let task { tasks.append(task) }
    try mount(tasks, source: source)
  }

  /// Tasks that one source can have at once.
  public static let taskLimit = TaskStack.limit

  /// Mounts `tasks` for source `source` of the batch, in place of what is mounted, to act one behind the other as
  /// `adapters.composition.Stack` does: an adapter takes what comes out of the one before it for the sub-layer's output, a
  /// low-rank change of a product what comes out of the one before it for its input. Of norms, biases and heads the last one
  /// counts; ids must be in every task's vocabulary. Allocates nothing, writes to no weight.
  /// - Throws: as `setTask`, and `tasksNotStackable` if tasks have no meaning together; what is mounted stays then.
  /// - Precondition: at most `taskLimit` tasks; the source is below the batch.
  public func setTasks(_ tasks: [TaskSection], source: Int = 0) throws(FormatError) {
    try mount(TaskStack(tasks), source: source)
  }

  private func mount(_ tasks: TaskStack, source: Int) throws(FormatError) {
    var runner = TaskRunner()
    for index in 0..<tasks.count {
      try tasks[index].requireFit(to: config)
      let needs = AdapterNeeds(of: tasks[index])
      if let (found, required) = plan.shortage(for: needs) {
        throw FormatError(
          .wrongWidth, at: tasks[index].bytes.offset, found: UInt64(found), required: UInt64(required))
      }
      runner.append(tasks[index], needs)
    }
    try tasks.requireStackable()
    runners[source] = runner
  }

  private func requireRoom(for head: TaskSection) throws(EngineError) {
    if let (found, required) = plan.shortage(for: AdapterNeeds(of: head)) {
      throw EngineError(.taskTooWide, found: required, required: found)
    }
  }

  /// Ids that have logits for source `source`: the task's vocabulary may be smaller than the backbone's.
  public func vocabularySize(source: Int = 0) -> Int {
    runners[source].vocabularySize ?? config.vocabularySize
  }

  /// Most tokens a source can have with the tasks mounted now: as planned, and as far as learned positions reach.
  public func sourceLimit(source: Int = 0) -> Int {
    guard let positions = config.maxSourceTokens else { return plan.request.sourceTokens }
    let taken = runners[source].firstPosition(config) + (runners[source].prompt?.prompt.positionCount ?? 0)
    return min(plan.request.sourceTokens, max(positions - taken, 0))
  }

  /// Rows of the encoder's output for source `source`: its tokens, and those of a prompt.
  /// - Precondition: it has been encoded.
  public func encodedRowCount(source: Int = 0) -> Int {
    precondition(encodedSources[source].count > 0, "nothing has been encoded")
    return encodedSources[source].count
  }

  /// Checks ids before they reach the embedding.
  func requireIds(
    _ ids: UnsafeBufferPointer<Int32>, atMost limit: Int, _ tooLong: EngineError.Kind, source: Int
  ) throws(EngineError) {
    guard !ids.isEmpty else { throw EngineError(.emptySource, found: 0, required: 1) }
    guard ids.count <= limit else { throw EngineError(tooLong, found: ids.count, required: limit) }
    let size = vocabularySize(source: source)
    for id in ids where id < 0 || Int(id) >= size {
      throw EngineError(.idOutOfRange, found: Int(id), required: size)
    }
  }
}
