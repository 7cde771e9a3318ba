import CTuskKernels
import TuskFormat

/// Applies the tasks mounted for one source where they act.
package struct TaskRunner {
  package private(set) var tasks = TaskStack()
  /// Whether any task changes products, or gates an adapter; else slots are not searched for them.
  private(set) var changesProducts = false
  private(set) var gatesAdapters = false

  /// Adds a task behind those that are there; `needs` are its own.
  mutating func append(_ task: TaskSection, _ needs: AdapterNeeds) {
    tasks.append(task)
    changesProducts = changesProducts || needs.changesProducts
    gatesAdapters = gatesAdapters || needs.gatesAdapters
  }

  /// The task whose head answers: the last that has one.
  var headTask: TaskSection? {
    var found: TaskSection?
    for index in 0..<tasks.count where tasks[index].hasHead { found = tasks[index] }
    return found
  }

  /// Rows of the smallest vocabulary; nil without tasks.
  var vocabularySize: Int? {
    var size: Int?
    for index in 0..<tasks.count { size = min(size ?? Int.max, tasks[index].vocabularySize) }
    return size
  }

  /// The norm of a sub-layer, at the end of a stack, or of the embeddings: what the last task that replaces it gives, and the
  /// rest of the backbone's.
  package func norm(_ slot: Int, _ backbone: WeightMatrix, _ kind: NormKind) -> Norm {
    var norm = Norm(kind: kind, weight: backbone.floats(), bias: backbone.bias)
    for index in 0..<tasks.count {
      let own = tasks[index].slot(at: slot)
      if let weight = tasks[index].floats(own.normTensor) { norm.weight = weight }
      if let bias = tasks[index].floats(own.normBiasTensor) { norm.bias = bias }
    }
    return norm
  }

  /// The prefix at `slot`, and the task it is of.
  func prefix(_ slot: Int) -> (prefix: TaskPrefix, task: TaskSection)? {
    for index in 0..<tasks.count {
      if let prefix = tasks[index].prefix(slot: slot) { return (prefix, tasks[index]) }
    }
    return nil
  }

  /// The prompt, and the task it is of: only the first may have one.
  var prompt: (prompt: TaskPrompt, task: TaskSection)? {
    guard tasks.count > 0, let prompt = tasks[0].prompt else { return nil }
    return (prompt, tasks[0])
  }

  /// The tasks of which the first and the last adapter at `slot` are that have a say; nil without adapters. One that stands
  /// beside its sub-layer takes nothing from those before it.
  private func adapters(_ slot: Int) -> ClosedRange<Int>? {
    var range: ClosedRange<Int>?
    for index in 0..<tasks.count {
      guard let adapter = tasks[index].adapter(slot: slot) else { continue }
      range = adapter.inputRule == .stream ? index...index : (range?.lowerBound ?? index)...index
    }
    return range
  }

  /// How many of the adapters at `slot` are gated: so often the sub-layer is run over the text before its output counts.
  func gateCount(_ slot: Int) -> Int {
    guard gatesAdapters, let range = adapters(slot) else { return 0 }
    var count = 0
    for index in range where tasks[index].adapter(slot: slot)?.gateWeight != nil { count += 1 }
    return count
  }

  /// stream [M, D] takes in the output of a sub-layer, through the adapters at `slot` if there are any.
  /// - Parameters:
  ///   - norm: the norm behind the sub-layer, of a post-norm backbone.
  ///   - gates: those of the slot. While one of them is open, this tile goes into its mean and the stream stays.
  func finish(
    _ slot: Int, subLayer: UnsafeMutablePointer<Float>, stream: UnsafeMutablePointer<Float>, rows: Int, norm: Norm?,
    gates: inout GateMeans, _ workspace: Workspace
  ) {
    guard let range = adapters(slot) else {
      workspace.kernels.add_f32(stream, subLayer, rows * workspace.config.dModel)
      if let norm { workspace.normalize(stream, rows: rows, norm, into: stream) }
      return
    }
    let pieces = (rows + Regions.adapterChunkRows - 1) / Regions.adapterChunkRows
    let job = AdapterJob(
      workspace: workspace, tasks: tasks, range: range, slot: slot, norm: norm, gates: gates, subLayer: subLayer,
      stream: stream, rows: rows)
    workspace.pool.run(pieces, job) { context, index, worker in
      context!.assumingMemoryBound(to: AdapterJob.self).pointee.run(index, worker: Int(worker))
    }
    gates.take(workspace.rowGates, count: rows)
  }
}

extension TaskSection {
  /// The values of a tensor, in place.
  package func floats(_ tensor: Int) -> UnsafePointer<Float> {
    self.tensor(at: tensor).data.address.assumingMemoryBound(to: Float.self)
  }

  package func floats(_ tensor: Int?) -> UnsafePointer<Float>? { tensor.map { floats($0) } }
}

/// The gates of a slot's adapters: each a mean over all positions of a text, found in a pass over its tiles. Until all are
/// found, sub-layers are run for the next one only.
struct GateMeans {
  private let count: Int
  private var found = 0
  private var means: (Float, Float, Float, Float) = (1, 1, 1, 1)
  private var sum = 0.0
  private var rows = 0

  /// - Parameter count: gated adapters at the slot, at most `TaskStack.limit`.
  init(count: Int) { self.count = count }

  static var none: GateMeans { GateMeans(count: 0) }

  /// The gate that the pass at hand is for; nil if it is the last pass.
  var open: Int? { found < count ? found : nil }

  subscript(position: Int) -> Float {
    switch position {
    case 0: means.0
    case 1: means.1
    case 2: means.2
    default: means.3
    }
  }

  /// Takes the open gate's values of `count` rows, in their order.
  mutating func take(_ values: UnsafePointer<Float>, count: Int) {
    guard open != nil else { return }
    for row in 0..<count { sum += Double(values[row]) }
    rows += count
  }

  /// Ends a pass; false if it was the last one.
  mutating func endPass() -> Bool {
    guard open != nil else { return false }
    let mean = Float(sum / Double(rows))
    switch found {
    case 0: means.0 = mean
    case 1: means.1 = mean
    case 2: means.2 = mean
    default: means.3 = mean
    }
    (sum, rows) = (0, 0)
    found += 1
    return true
  }
}
