import CTuskKernels
import TuskFormat

/// Applies a mounted task where it acts: its norms, and its adapters from factors only.
struct TaskRunner {
  let task: TaskSection?

  /// The norm of a sub-layer, or at the end of a stack: what the task replaces, and the rest of the backbone's.
  func norm(_ slot: Int, _ backbone: WeightMatrix) -> Norm {
    guard let task else { return Norm(weight: backbone.floats(), bias: backbone.bias) }
    let own = task.slot(at: slot)
    return Norm(
      weight: task.floats(own.normTensor) ?? backbone.floats(), bias: task.floats(own.normBiasTensor) ?? backbone.bias)
  }

  /// stream [M, D] takes in the output of a sub-layer, through the adapter at `slot` if there is one.
  /// - Parameter norm: the norm behind the sub-layer, of a post-norm backbone.
  func finish(
    _ slot: Int, subLayer: UnsafeMutablePointer<Float>, stream: UnsafeMutablePointer<Float>, rows: Int, norm: Norm?,
    _ workspace: Workspace
  ) {
    let width = workspace.config.dModel
    guard let task, let record = task.adapter(slot: slot) else {
      workspace.kernels.add_f32(stream, subLayer, rows * width)
      if let norm { workspace.normalize(stream, rows: rows, norm, into: stream) }
      return
    }
    let adapter = ResolvedAdapter(record, of: task)
    let pieces = (rows + Regions.adapterChunkRows - 1) / Regions.adapterChunkRows
    let job = AdapterJob(
      workspace: workspace, adapter: adapter, norm: norm, subLayer: subLayer, stream: stream, rows: rows)
    workspace.pool.run(pieces, job) { context, index, worker in
      context!.assumingMemoryBound(to: AdapterJob.self).pointee.run(index, worker: Int(worker))
    }
  }
}

extension TaskSection {
  /// The values of a tensor, in place.
  func floats(_ tensor: Int) -> UnsafePointer<Float> {
    self.tensor(at: tensor).data.address.assumingMemoryBound(to: Float.self)
  }

  func floats(_ tensor: Int?) -> UnsafePointer<Float>? { tensor.map { floats($0) } }
}

/// An adapter's record with the addresses of its factors.
struct ResolvedAdapter {
  let record: TaskAdapter
  let down: TuskKronecker
  let up: TuskKronecker
  /// [D] each, or nil.
  let normBefore: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)?
  let normAfter: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)?
  let scalingVector: UnsafePointer<Float>?

  init(_ record: TaskAdapter, of task: TaskSection) {
    self.record = record
    down = TuskKronecker(task.linear(at: record.down), of: task)
    up = TuskKronecker(task.linear(at: record.up), of: task)
    normBefore = Self.norm(record.normBeforeWeight, record.normBeforeBias, task)
    normAfter = Self.norm(record.normAfterWeight, record.normAfterBias, task)
    scalingVector = task.floats(record.scalingVector)
  }

  private static func norm(
    _ weight: Int?, _ bias: Int?, _ task: TaskSection
  ) -> (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)? {
    guard let weight = task.floats(weight), let bias = task.floats(bias) else { return nil }
    return (weight, bias)
  }
}

extension TuskKronecker {
  init(_ linear: TaskLinear, of task: TaskSection) {
    self.init(
      n: linear.phmDim, in: linear.inWidth, out: linear.outWidth, rank: linear.factorRank,
      rule: task.floats(linear.rule), ruleLeft: task.floats(linear.ruleLeft), ruleRight: task.floats(linear.ruleRight),
      left: task.floats(linear.leftFactor), right: task.floats(linear.rightFactor), full: task.floats(linear.full),
      bias: task.floats(linear.bias))
  }
}

/// One adapter over rows: `y = normAfter(scaling * up(activation(down(normBefore(input))))) + skip`.
private struct AdapterJob {
  unowned(unsafe) let workspace: Workspace
  let adapter: ResolvedAdapter
  let norm: Norm?
  /// [rows, D]
  let subLayer: UnsafeMutablePointer<Float>
  let stream: UnsafeMutablePointer<Float>
  let rows: Int

  func run(_ index: Int, worker: Int) {
    let width = workspace.config.dModel
    let first = index * Regions.adapterChunkRows
    let count = min(Regions.adapterChunkRows, rows - first)
    let sub = subLayer + first * width
    let stream = stream + first * width
    let scratch = workspace.workerScratch(worker)
    let input = scratch
    let output = input + Regions.adapterChunkRows * width
    let bottleneck = output + Regions.adapterChunkRows * width
    let linearScratch = bottleneck + Regions.adapterChunkRows * adapter.record.bottleneckWidth
    let kernels = workspace.kernels
    let elements = count * width

    input.update(from: sub, count: elements)
    if adapter.record.inputRule != .subLayer { kernels.add_f32(input, stream, elements) }
    if let norm, adapter.record.inputRule == .normOfSubLayerPlusStream {
      workspace.normalize(input, rows: count, norm, into: input)
    }
    var entry = input
    if let norm = adapter.normBefore {
      kernels.layernorm_f32(
        input, width, count, width, norm.weight, norm.bias, adapter.record.normEpsilon, output, width)
      entry = output
    }
    var down = adapter.down
    var up = adapter.up
    let bottleneckWidth = adapter.record.bottleneckWidth
    kernels.kronecker_f32(&down, entry, width, count, bottleneck, bottleneckWidth, linearScratch, nil)
    kernels.activate_f32(
      TuskActivation(adapter.record.activation.rawValue), bottleneck, count * bottleneckWidth)
    kernels.kronecker_f32(&up, bottleneck, bottleneckWidth, count, output, width, linearScratch, nil)
    if adapter.record.scaling != 1 { kernels.scale_f32(output, adapter.record.scaling, elements) }
    if let vector = adapter.scalingVector {
      for row in 0..<count { kernels.multiply_f32(output + row * width, vector, width) }
    }
    if let norm = adapter.normAfter {
      kernels.layernorm_f32(
        output, width, count, width, norm.weight, norm.bias, adapter.record.normEpsilon, output, width)
    }
    switch adapter.record.skipRule {
    case .none: break
    case .subLayer: kernels.add_f32(output, sub, elements)
    case .subLayerPlusStream:
      kernels.add_f32(output, sub, elements)
      kernels.add_f32(output, stream, elements)
    case .input: kernels.add_f32(output, input, elements)
    }
    if adapter.record.addsStream {
      kernels.add_f32(stream, output, elements)
      if let norm { workspace.normalize(stream, rows: count, norm, into: stream) }
    } else {
      stream.update(from: output, count: elements)
    }
  }
}
