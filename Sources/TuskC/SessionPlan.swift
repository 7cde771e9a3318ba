import CTusk
import CTuskKernels
import TuskEngine
import TuskFormat
import TuskTokenizer

/// What a caller's options come to: a plan for one source at a time, and what of it is the caller's memory.
struct SessionPlan {
  let file: PackedFile
  let plan: MemoryPlan
  let memory: CallerMemory
  let isa: UnsafePointer<CChar>?
  let truncates: Bool
  let footprint: tusk_footprint

  /// Bounds of the options, above every use, so that a hostile number is refused rather than planned.
  private static let mostTokens: Int32 = 1_000_000
  private static let mostWorkers: Int32 = 1024

  /// - Parameter smallestBudget: receives the smallest budget if the one in `options` cannot be met.
  init(
    _ model: Model, _ options: UnsafePointer<tusk_session_options>?,
    smallestBudget: UnsafeMutablePointer<UInt64>? = nil
  ) throws(Failure) {
    var given = tusk_session_options()
    if let options {
      try requireStructBytes(options.pointee.struct_bytes, MemoryLayout<tusk_session_options>.size)
      given = options.pointee
    }
    let (file, config) = try model.backbone()
    var request = PlanRequest(
      sourceTokens: try Self.count(given.source_tokens, 512, Self.mostTokens, "source_tokens is out of range"),
      targetTokens: try Self.count(given.target_tokens, 64, Self.mostTokens, "target_tokens is out of range"),
      beams: try Self.count(given.beams, 1, Self.mostWorkers, "beams is out of range"),
      threads: try Self.count(given.threads, 1, Self.mostWorkers, "threads is out of range"),
      budgetBytes: given.budget_bytes == 0 ? nil : Int(clamping: given.budget_bytes))
    for file in model.files {
      for position in 0..<file.taskCount { request.reserve(for: file.task(at: position)) }
    }
    if let head = file.head { request.reserve(for: head) }
    var selection = TuskSelection()
    _ = tusk_kernels_select(given.isa, &selection)
    guard !selection.unknownName else {
      throw Failure(TUSK_ERROR_INVALID_ARGUMENT, "isa names no instruction set of this library")
    }
    let plan: MemoryPlan
    do throws(EngineError) { plan = try MemoryPlan(config: config, request: request) } catch {
      if error.kind == .budgetTooSmall { smallestBudget?.pointee = UInt64(error.required) }
      throw Failure(error)
    }
    self.file = file
    self.plan = plan
    memory = try CallerMemory(given.memory, given.memory_bytes)
    isa = given.isa
    truncates = given.truncates
    let textBytes = given.text_bytes == 0 ? 8 * plan.request.sourceTokens : Int(clamping: given.text_bytes)
    guard textBytes <= Tokenizer.textBytesLimit else {
      throw Failure(
        TUSK_ERROR_INVALID_ARGUMENT, "text_bytes is out of range", found: textBytes, required: Tokenizer.textBytesLimit)
    }
    footprint = Self.footprint(
      plan, model.files, objectBytes: Self.objectBytes(plan, config, textBytes: textBytes))
  }

  private static func count(
    _ value: Int32, _ standard: Int, _ most: Int32, _ sentence: StaticString
  ) throws(Failure) -> Int {
    guard value >= 0, value <= most else {
      throw Failure(TUSK_ERROR_INVALID_ARGUMENT, sentence, found: Int(value), required: Int(most))
    }
    return value == 0 ? standard : Int(value)
  }

  /// The arena's part of the caller's memory, and what is behind it, where the objects live.
  func parts() throws(Failure) -> (arena: UnsafeMutableRawBufferPointer?, objects: UnsafeMutableRawBufferPointer?) {
    guard let bytes = memory.bytes else { return (nil, nil) }
    guard bytes.count >= Int(footprint.session_bytes) else {
      throw .tooSmall(bytes.count, Int(footprint.session_bytes))
    }
    let arenaBytes = Self.rounded(plan.arenaBytes)
    return (
      UnsafeMutableRawBufferPointer(rebasing: bytes[..<arenaBytes]),
      UnsafeMutableRawBufferPointer(rebasing: bytes[arenaBytes...])
    )
  }

  private static func rounded(_ bytes: Int) -> Int {
    (bytes + MemoryPlan.alignment - 1) / MemoryPlan.alignment * MemoryPlan.alignment
  }

  /// Room for the objects of a session and the working memory of its tokenizer, of which the Embedded library takes
  /// both from the caller.
  private static func objectBytes(_ plan: MemoryPlan, _ config: BackboneConfig, textBytes: Int) -> Int {
    #if hasFeature(Embedded)
      let tokens = plan.request.sourceTokens + plan.request.targetTokens
      return rounded(8192 + 128 * config.tensorCount + 32 * tokens + 96 * textBytes)
    #else
      return 0
    #endif
  }

  private static func footprint(_ plan: MemoryPlan, _ files: [PackedFile], objectBytes: Int) -> tusk_footprint {
    var footprint = tusk_footprint()
    footprint.struct_bytes = MemoryLayout<tusk_footprint>.size
    footprint.mapped_backbone = UInt64(files[0].mapping.count - files.bundledTaskBytes)
    footprint.mapped_tasks = UInt64(files.taskBytes)
    footprint.key_value_cache = UInt64(plan.bytes(.keyValueCache))
    footprint.activations = UInt64(plan.bytes(.activations))
    footprint.tokenizer = UInt64(plan.bytes(.tokenizer))
    footprint.runtime_floor = UInt64(plan.bytes(.runtimeFloor))
    footprint.private_bytes = UInt64(plan.privateBytes)
    footprint.session_bytes = UInt64(rounded(plan.arenaBytes) + objectBytes)
    footprint.source_tokens = Int32(plan.request.sourceTokens)
    footprint.target_tokens = Int32(plan.request.targetTokens)
    return footprint
  }
}
