import CTuskBackward
import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

/// Where the output of a sub-layer joins the stream, through the task's adapter if it has one there:
///
///     x = sub, sub + stream or norm(sub + stream)        y = scaling up(activation(down(x))) + skip
///     joined = y + stream, with a norm behind it on a post-norm backbone
///
/// Without an adapter y = sub. Dropout acts on sub, or in the authors' form on y. M rows, D dModel, W bottleneck.
struct AdapterSite {
  let slot: Int
  /// Nil without an adapter.
  let adapter: TaskAdapter?
  /// Behind the sub-layer, on a post-norm backbone.
  let norm: TrainedNorm?
  let rows: Int
  /// [M, D] that entered the sub-layer.
  let stream: UnsafePointer<Float>
  /// [M, D]: what the adapter takes; with dropout before the adapter, what that left.
  let subLayer: UnsafeMutablePointer<Float>
  /// [M, D] that enters the norm; where there is none, where the joined stream goes.
  let sum: UnsafeMutablePointer<Float>

  /// Rows that pass an adapter together.
  static let chunkRows = 8
}

extension TrainingModel {
  /// Where sub-layer `subLayer` of block `layer` ends.
  func site(
    _ stack: Stack, _ subLayer: SubLayer, layer: Int, rows: Int, stream: UnsafePointer<Float>,
    output: UnsafeMutablePointer<Float>, sum: UnsafeMutablePointer<Float>
  ) -> AdapterSite {
    let slot = config.slots.slot(stack, subLayer, layer: layer)
    let role: TensorRole = subLayer == .feedForward ? .feedForwardNorm : .selfAttentionNorm
    return AdapterSite(
      slot: slot, adapter: task.section.adapter(slot: slot),
      norm: config.normPlacement == .behind ? norm(slot, role, stack, layer: layer) : nil, rows: rows, stream: stream,
      subLayer: output, sum: sum)
  }

  /// joined [M, D] = the stream behind the sub-layer.
  func join(_ site: AdapterSite, into joined: UnsafeMutablePointer<Float>) {
    let count = site.rows * config.dModel
    let target = site.norm == nil ? joined : site.sum
    if dropout.rates.precedesAdapter || site.adapter == nil {
      drop(site.subLayer, count: count, .output, slot: site.slot)
    }
    let chunks = (site.rows + AdapterSite.chunkRows - 1) / AdapterSite.chunkRows
    pool.run(chunks, AdapterForward(model: self, site: site, y: target))
    if !dropout.rates.precedesAdapter && site.adapter != nil { drop(target, count: count, .output, slot: site.slot) }
    pool.run(chunks, AdditionOfRows(model: self, site: site, y: target))
    if let norm = site.norm { normalize(target, rows: site.rows, norm, into: joined) }
  }

  /// From the gradient of the joined stream, in place, that of the stream that entered the sub-layer as far as it passed it by,
  /// and `subLayerGradient` [M, D], that of the sub-layer's output.
  func joinBackward(
    _ site: AdapterSite, _ streamGradient: UnsafeMutablePointer<Float>,
    into subLayerGradient: UnsafeMutablePointer<Float>
  ) {
    let count = site.rows * config.dModel
    if let norm = site.norm {
      subLayerGradient.update(repeating: 0, count: count)
      normalizeBackward(site.sum, rows: site.rows, norm, streamGradient, into: subLayerGradient)
      streamGradient.update(from: subLayerGradient, count: count)
    } else {
      subLayerGradient.update(from: streamGradient, count: count)
    }
    guard let adapter = site.adapter else {
      drop(subLayerGradient, count: count, .output, slot: site.slot)
      return
    }
    if !dropout.rates.precedesAdapter { drop(subLayerGradient, count: count, .output, slot: site.slot) }
    // One piece: all rows add to the same gradients.
    AdapterBackward(model: self, site: site, adapter: adapter, dStream: streamGradient, dy: subLayerGradient).run()
    if dropout.rates.precedesAdapter { drop(subLayerGradient, count: count, .output, slot: site.slot) }
  }
}

/// What an adapter takes and what it leaves, for rows of a chunk.
private struct AdapterRows {
  unowned(unsafe) let model: TrainingModel
  let site: AdapterSite
  let first: Int
  let rows: Int
  let scratch: UnsafeMutablePointer<Float>
  let linearScratch: UnsafeMutablePointer<Float>

  init(_ model: TrainingModel, _ site: AdapterSite, chunk: Int, worker: Int) {
    self.model = model
    self.site = site
    first = chunk * AdapterSite.chunkRows
    rows = min(AdapterSite.chunkRows, site.rows - first)
    scratch = model.workerScratch(worker)
    linearScratch = model.linearScratch(worker)
  }

  var width: Int { model.config.dModel }
  var elements: Int { rows * width }
  var subLayer: UnsafeMutablePointer<Float> { site.subLayer + first * width }
  var stream: UnsafePointer<Float> { site.stream + first * width }
  /// [rows, D]: what enters the adapter, the sum in front of its norm, and a gradient.
  var input: UnsafeMutablePointer<Float> { scratch }
  var summed: UnsafeMutablePointer<Float> { scratch + AdapterSite.chunkRows * width }
  var inputGradient: UnsafeMutablePointer<Float> { scratch + 2 * AdapterSite.chunkRows * width }
  /// [rows, W]: what enters the activation, what leaves it, and a gradient.
  func bottleneck(_ index: Int, _ adapter: TaskAdapter) -> UnsafeMutablePointer<Float> {
    scratch + AdapterSite.chunkRows * (3 * width + index * adapter.bottleneckWidth)
  }

  func setInput(_ adapter: TaskAdapter) {
    let kernels = model.kernels
    switch adapter.inputRule {
    case .subLayer: input.update(from: subLayer, count: elements)
    case .stream: input.update(from: stream, count: elements)
    case .subLayerPlusStream:
      input.update(from: subLayer, count: elements)
      kernels.add_f32(input, stream, elements)
    case .normOfSubLayerPlusStream:
      summed.update(from: subLayer, count: elements)
      kernels.add_f32(summed, stream, elements)
      site.norm!.norm.apply(
        summed, rows: rows, width: width, epsilon: model.config.normEpsilon, kernels, into: input)
    }
  }

  /// z [rows, W] = down(input), and h = activation(z).
  func enter(_ adapter: TaskAdapter) {
    let z = bottleneck(0, adapter)
    let h = bottleneck(1, adapter)
    let count = rows * adapter.bottleneckWidth
    MountedLinear(adapter.down, of: model.task.section).apply(
      input, width, rows: rows, z, adapter.bottleneckWidth, scratch: linearScratch, model.kernels)
    h.update(from: z, count: count)
    model.kernels.activate_f32(TuskActivation(adapter.activation.rawValue), h, count)
  }
}

private struct AdapterForward: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let site: AdapterSite
  /// [M, D]
  let y: UnsafeMutablePointer<Float>

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: AdapterForward.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let chunk = AdapterRows(model, site, chunk: piece, worker: worker)
    let y = y + chunk.first * chunk.width
    guard let adapter = site.adapter else {
      y.update(from: chunk.subLayer, count: chunk.elements)
      return
    }
    let kernels = model.kernels
    chunk.setInput(adapter)
    chunk.enter(adapter)
    MountedLinear(adapter.up, of: model.task.section).apply(
      chunk.bottleneck(1, adapter), adapter.bottleneckWidth, rows: chunk.rows, y, chunk.width,
      scratch: chunk.linearScratch, kernels)
    if adapter.scaling != 1 { kernels.scale_f32(y, adapter.scaling, chunk.elements) }
    switch adapter.skipRule {
    case .none: break
    case .subLayer: kernels.add_f32(y, chunk.subLayer, chunk.elements)
    case .subLayerPlusStream:
      kernels.add_f32(y, chunk.subLayer, chunk.elements)
      kernels.add_f32(y, chunk.stream, chunk.elements)
    case .input: kernels.add_f32(y, chunk.input, chunk.elements)
    }
  }
}

/// y += stream
private struct AdditionOfRows: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let site: AdapterSite
  let y: UnsafeMutablePointer<Float>

  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: AdditionOfRows.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let chunk = AdapterRows(model, site, chunk: piece, worker: worker)
    model.kernels.add_f32(y + chunk.first * chunk.width, chunk.stream, chunk.elements)
  }
}

private struct AdapterBackward {
  unowned(unsafe) let model: TrainingModel
  let site: AdapterSite
  let adapter: TaskAdapter
  /// [M, D]: the gradient of the stream, so far of what passed the sub-layer by.
  let dStream: UnsafeMutablePointer<Float>
  /// [M, D]: the gradient of y; at the end that of the sub-layer's output.
  let dy: UnsafeMutablePointer<Float>

  func run() {
    var down = model.task.kroneckerGradient(adapter.down)
    var up = model.task.kroneckerGradient(adapter.up, scaling: adapter.scaling)
    for chunk in 0..<(site.rows + AdapterSite.chunkRows - 1) / AdapterSite.chunkRows {
      run(AdapterRows(model, site, chunk: chunk, worker: 0), &down, &up)
    }
  }

  private func run(_ chunk: AdapterRows, _ down: inout TuskKroneckerGradient, _ up: inout TuskKroneckerGradient) {
    let kernels = model.kernels
    let width = chunk.width
    let bottleneck = adapter.bottleneckWidth
    let dy = dy + chunk.first * width
    let dStream = dStream + chunk.first * width
    let dx = chunk.inputGradient
    let dz = chunk.bottleneck(2, adapter)
    chunk.setInput(adapter)
    chunk.enter(adapter)
    dz.update(repeating: 0, count: chunk.rows * bottleneck)
    model.back.kronecker(
      &up, chunk.bottleneck(1, adapter), bottleneck, chunk.rows, dy, width, dz, bottleneck, chunk.linearScratch)
    model.back.activate(
      TuskActivation(adapter.activation.rawValue), chunk.bottleneck(0, adapter), dz, chunk.rows * bottleneck)
    if adapter.skipRule == .input {
      dx.update(from: dy, count: chunk.elements)
    } else {
      dx.update(repeating: 0, count: chunk.elements)
    }
    model.back.kronecker(
      &down, chunk.input, width, chunk.rows, dz, bottleneck, dx, width, chunk.linearScratch)
    // dy becomes the gradient of the sub-layer's output: what the skip takes of it, then what the input does.
    switch adapter.skipRule {
    case .subLayer: break
    case .subLayerPlusStream: kernels.add_f32(dStream, dy, chunk.elements)
    case .none, .input: dy.update(repeating: 0, count: chunk.elements)
    }
    switch adapter.inputRule {
    case .subLayer: kernels.add_f32(dy, dx, chunk.elements)
    case .stream: kernels.add_f32(dStream, dx, chunk.elements)
    case .subLayerPlusStream:
      kernels.add_f32(dy, dx, chunk.elements)
      kernels.add_f32(dStream, dx, chunk.elements)
    case .normOfSubLayerPlusStream:
      // The gradient of the sum goes both ways; the input is no longer needed.
      let dSum = chunk.input
      dSum.update(repeating: 0, count: chunk.elements)
      model.normalizeBackward(chunk.summed, rows: chunk.rows, site.norm!, dx, into: dSum)
      kernels.add_f32(dy, dSum, chunk.elements)
      kernels.add_f32(dStream, dSum, chunk.elements)
    }
  }
}
