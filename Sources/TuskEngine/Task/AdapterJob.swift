import CTuskKernels
import TuskFormat

/// The adapters of one slot over rows: `y = normAfter(gate * scaling * up(activation(down(normBefore(input))))) + skip`,
/// each taking the y of the one before it for the sub-layer's output. The last one says how the stream takes in its y.
struct AdapterJob {
  unowned(unsafe) let workspace: Workspace
  let tasks: TaskStack
  /// Of the tasks, from the first to the last whose adapters act.
  let range: ClosedRange<Int>
  let slot: Int
  let norm: Norm?
  let gates: GateMeans
  /// [rows, D]; overwritten.
  let subLayer: UnsafeMutablePointer<Float>
  /// [rows, D]; left alone while a gate is open.
  let stream: UnsafeMutablePointer<Float>
  let rows: Int

  func run(_ index: Int, worker: Int) {
    let width = workspace.config.dModel
    let first = index * Regions.adapterChunkRows
    let chunk = Chunk(
      first: first, rows: min(Regions.adapterChunkRows, rows - first), width: width, sub: subLayer + first * width,
      stream: stream + first * width, scratch: workspace.workerScratch(worker))
    var gate = 0
    for index in range {
      guard let record = tasks[index].adapter(slot: slot) else { continue }
      let adapter = ResolvedAdapter(record, of: tasks[index])
      setInput(adapter, chunk)
      var factor: Float = 1
      if let weight = adapter.gateWeight, let bias = adapter.gateBias {
        guard gates.open != gate else {
          measure(weight, bias, chunk)
          return
        }
        factor = gates[gate]
        gate += 1
      }
      let isLast = index == range.upperBound
      // The sub-layer beside which an adapter stands joins behind the last adapter only.
      apply(adapter, gate: factor, skip: isLast || record.inputRule != .stream ? record.skipRule : .none, chunk)
      if isLast {
        finish(record, chunk)
      } else {
        chunk.sub.copy(from: chunk.output, count: chunk.elements)
      }
    }
  }

  /// Rows that pass together, and working memory for them.
  private struct Chunk {
    let first: Int
    let rows: Int
    let width: Int
    /// [rows, D]
    let sub: UnsafeMutablePointer<Float>
    let stream: UnsafeMutablePointer<Float>
    let scratch: UnsafeMutablePointer<Float>

    var elements: Int { rows * width }
    /// [rows, D]
    var input: UnsafeMutablePointer<Float> { scratch }
    var output: UnsafeMutablePointer<Float> { scratch + Regions.adapterChunkRows * width }
    /// [rows, W], and behind it the scratch of a linear.
    var bottleneck: UnsafeMutablePointer<Float> { scratch + 2 * Regions.adapterChunkRows * width }
  }

  private func setInput(_ adapter: ResolvedAdapter, _ chunk: Chunk) {
    let rule = adapter.record.inputRule
    chunk.input.copy(from: rule == .stream ? chunk.stream : chunk.sub, count: chunk.elements)
    if rule == .subLayerPlusStream || rule == .normOfSubLayerPlusStream {
      workspace.kernels.add_f32(chunk.input, chunk.stream, chunk.elements)
    }
    if let norm, rule == .normOfSubLayerPlusStream {
      workspace.normalize(chunk.input, rows: chunk.rows, norm, into: chunk.input)
    }
  }

  /// The values of the open gate: sigmoid(input . weight + bias) of each row.
  private func measure(_ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ chunk: Chunk) {
    let gates = workspace.rowGates + chunk.first
    var product = TuskMatmulF32(
      x: chunk.input, xStride: chunk.width, M: chunk.rows, weights: weight, weightsStride: chunk.width, K: chunk.width,
      bias: bias, y: gates, yStride: 1)
    workspace.kernels.matmul_f32_f32_f32(&product, 0, 1)
    workspace.kernels.activate_f32(TuskActivationSigmoid, gates, chunk.rows)
  }

  /// output = y
  private func apply(_ adapter: ResolvedAdapter, gate: Float, skip: SkipRule, _ chunk: Chunk) {
    let record = adapter.record
    let kernels = workspace.kernels
    let width = chunk.width
    let output = chunk.output
    var entry = chunk.input
    if let norm = adapter.normBefore {
      kernels.layernorm_f32(
        chunk.input, width, chunk.rows, width, norm.weight, norm.bias, record.normEpsilon, output, width)
      entry = output
    }
    let bottleneckWidth = record.bottleneckWidth
    let linearScratch = chunk.bottleneck + Regions.adapterChunkRows * bottleneckWidth
    adapter.down.apply(
      entry, width, rows: chunk.rows, chunk.bottleneck, bottleneckWidth, scratch: linearScratch, kernels)
    kernels.activate_f32(TuskActivation(record.activation.rawValue), chunk.bottleneck, chunk.rows * bottleneckWidth)
    adapter.up.apply(
      chunk.bottleneck, bottleneckWidth, rows: chunk.rows, output, width, scratch: linearScratch, kernels)
    if record.scaling != 1 { kernels.scale_f32(output, record.scaling, chunk.elements) }
    if let vector = adapter.scalingVector {
      for row in 0..<chunk.rows { kernels.multiply_f32(output + row * width, vector, width) }
    }
    if adapter.gateWeight != nil { kernels.scale_f32(output, gate, chunk.elements) }
    if record.normsSkip { addSkip(skip, chunk) }
    if let norm = adapter.normAfter {
      kernels.layernorm_f32(
        output, width, chunk.rows, width, norm.weight, norm.bias, record.normEpsilon, output, width)
    }
    if !record.normsSkip { addSkip(skip, chunk) }
  }

  private func addSkip(_ rule: SkipRule, _ chunk: Chunk) {
    let kernels = workspace.kernels
    switch rule {
    case .none: break
    case .subLayer: kernels.add_f32(chunk.output, chunk.sub, chunk.elements)
    case .subLayerPlusStream:
      kernels.add_f32(chunk.output, chunk.sub, chunk.elements)
      kernels.add_f32(chunk.output, chunk.stream, chunk.elements)
    case .input: kernels.add_f32(chunk.output, chunk.input, chunk.elements)
    }
  }

  private func finish(_ last: TaskAdapter, _ chunk: Chunk) {
    if last.addsStream {
      workspace.kernels.add_f32(chunk.stream, chunk.output, chunk.elements)
      if let norm { workspace.normalize(chunk.stream, rows: chunk.rows, norm, into: chunk.stream) }
    } else {
      chunk.stream.copy(from: chunk.output, count: chunk.elements)
    }
  }
}

/// An adapter's record with the addresses of its factors.
private struct ResolvedAdapter {
  let record: TaskAdapter
  let down: MountedLinear
  let up: MountedLinear
  /// [D] each, or nil.
  let normBefore: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)?
  let normAfter: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)?
  let scalingVector: UnsafePointer<Float>?
  /// [D] and [1], or nil.
  let gateWeight: UnsafePointer<Float>?
  let gateBias: UnsafePointer<Float>?

  init(_ record: TaskAdapter, of task: TaskSection) {
    self.record = record
    down = MountedLinear(record.down, of: task)
    up = MountedLinear(record.up, of: task)
    normBefore = Self.norm(record.normBeforeWeight, record.normBeforeBias, task)
    normAfter = Self.norm(record.normAfterWeight, record.normAfterBias, task)
    scalingVector = task.floats(record.scalingVector)
    gateWeight = task.floats(record.gateWeight)
    gateBias = task.floats(record.gateBias)
  }

  private static func norm(
    _ weight: Int?, _ bias: Int?, _ task: TaskSection
  ) -> (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)? {
    guard let weight = task.floats(weight), let bias = task.floats(bias) else { return nil }
    return (weight, bias)
  }
}
