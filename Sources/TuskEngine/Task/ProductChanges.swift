import CTuskKernels
import TuskFormat

/// Rows that pass a product together: some of a sequence in which each source has `rowsPerSource`.
struct RowGroups {
  /// Source of the sequence's first row.
  private let firstSource: Int
  private let rowsPerSource: Int
  let rows: Range<Int>

  /// All rows are of one source.
  init(source: Int, rows: Int) {
    firstSource = source
    rowsPerSource = rows
    self.rows = 0..<rows
  }

  init(sources: Int, rowsPerSource: Int) {
    firstSource = 0
    self.rowsPerSource = rowsPerSource
    rows = 0..<sources * rowsPerSource
  }

  private init(_ all: RowGroups, _ rows: Range<Int>) {
    firstSource = all.firstSource
    rowsPerSource = all.rowsPerSource
    self.rows = rows
  }

  /// `count` of these rows from the one at `first` on.
  func part(_ first: Int, count: Int) -> RowGroups {
    RowGroups(self, rows.lowerBound + first..<rows.lowerBound + first + count)
  }

  var sources: Range<Int> {
    firstSource + rows.lowerBound / rowsPerSource..<firstSource + (rows.upperBound - 1) / rowsPerSource + 1
  }

  /// Which of these rows, from 0 on, are of `source`.
  func rows(of source: Int) -> Range<Int> {
    let first = (source - firstSource) * rowsPerSource
    let all = (first..<first + rowsPerSource).clamped(to: rows)
    return all.lowerBound - rows.lowerBound..<all.upperBound - rows.lowerBound
  }
}

/// A product of the backbone, for a task that may change it.
struct ProductSite {
  let slot: Int
  let target: ProductTarget
}

extension Session {
  /// y [M, out] = product of `weight` with `input` [M, in], as the task of each source has it:
  /// `outputScale * (x W^T + bias) + scaling * linear(x)`. Rows of `y` are `yStride` floats apart.
  ///
  /// The backbone's weights are read once for all rows; what tasks add comes from the float input.
  func multiply(
    _ input: ProductInput, _ weight: WeightMatrix, _ y: UnsafeMutablePointer<Float>, yStride: Int, _ site: ProductSite,
    _ groups: RowGroups
  ) {
    guard changesProducts(groups) else {
      workspace.multiply(input, weight, y, yStride: yStride)
      return
    }
    var replacesBias = false
    for source in groups.sources where runners[source].bias(site) != nil { replacesBias = true }
    workspace.multiply(input, replacesBias ? weight.withoutBias : weight, y, yStride: yStride)
    for source in groups.sources {
      let rows = groups.rows(of: source)
      let job = ProductChangeJob(
        workspace: workspace, tasks: runners[source].tasks, site: site,
        x: input.x + rows.lowerBound * input.columns, columns: input.columns, y: y + rows.lowerBound * yStride,
        yStride: yStride,
        bias: replacesBias ? runners[source].bias(site) ?? weight.bias : nil,
        width: site.target == .head ? vocabularySize(source: source) : weight.rows, rows: rows.count)
      guard job.bias != nil || runners[source].changes(site) else { continue }
      let pieces = (rows.count + Regions.adapterChunkRows - 1) / Regions.adapterChunkRows
      workspace.pool.run(pieces, job) { context, index, worker in
        context!.assumingMemoryBound(to: ProductChangeJob.self).pointee.run(index, worker: Int(worker))
      }
    }
  }

  /// rows [M, H K] = the product, kept in the precision of `rows`.
  func multiply(
    _ input: ProductInput, _ weight: WeightMatrix, into rows: KeyValueRows, _ site: ProductSite, _ groups: RowGroups
  ) {
    guard rows.floats == nil else {
      multiply(input, weight, rows.floats!, yStride: rows.width, site, groups)
      return
    }
    // The context is free: it is what comes of keys and values.
    multiply(input, weight, workspace.context, yStride: rows.width, site, groups)
    workspace.store(workspace.context, count: input.rows, rows)
  }

  /// x [M, columns] *= the input scales of each source's tasks; before `setInput`.
  func scaleInput(_ x: UnsafeMutablePointer<Float>, columns: Int, _ site: ProductSite, _ groups: RowGroups) {
    guard changesProducts(groups) else { return }
    for source in groups.sources {
      let tasks = runners[source].tasks
      for index in 0..<tasks.count {
        guard let product = tasks[index].product(site.target, slot: site.slot),
          let scale = tasks[index].floats(product.inputScale)
        else { continue }
        for row in groups.rows(of: source) { workspace.kernels.multiply_f32(x + row * columns, scale, columns) }
      }
    }
  }

  private func changesProducts(_ groups: RowGroups) -> Bool {
    for source in groups.sources where runners[source].changesProducts { return true }
    return false
  }
}

extension TaskRunner {
  /// The bias [out] in the place of the backbone's, of the last task that has one; or nil.
  fileprivate func bias(_ site: ProductSite) -> UnsafePointer<Float>? {
    var bias: UnsafePointer<Float>?
    for index in 0..<tasks.count {
      if let own = tasks[index].product(site.target, slot: site.slot)?.bias { bias = tasks[index].floats(own) }
    }
    return bias
  }

  fileprivate func changes(_ site: ProductSite) -> Bool {
    for index in 0..<tasks.count where tasks[index].product(site.target, slot: site.slot) != nil { return true }
    return false
  }
}

extension WeightMatrix {
  fileprivate var withoutBias: WeightMatrix {
    var weight = self
    weight.bias = nil
    return weight
  }
}

/// What the tasks of one source change of a product's output.
private struct ProductChangeJob {
  unowned(unsafe) let workspace: Workspace
  let tasks: TaskStack
  let site: ProductSite
  /// [rows, columns]
  let x: UnsafePointer<Float>
  let columns: Int
  /// [rows, width]; of a head, as many as the tasks have words.
  let y: UnsafeMutablePointer<Float>
  let yStride: Int
  /// [width] to be added, if the product came without one.
  let bias: UnsafePointer<Float>?
  let width: Int
  let rows: Int

  func run(_ index: Int, worker: Int) {
    let first = index * Regions.adapterChunkRows
    let count = min(Regions.adapterChunkRows, rows - first)
    let y = y + first * yStride
    let kernels = workspace.kernels
    let scratch = workspace.workerScratch(worker)
    // Of several linears the next takes what the one before it gives: [rows, in] in turn in two halves of the adapters' rows.
    var entry = (x: x + first * columns, stride: columns)
    var half = scratch
    let linearScratch = scratch + 2 * Regions.adapterChunkRows * workspace.config.dModel
    var linears = linearCount
    for row in 0..<count {
      if let bias { kernels.add_f32(y + row * yStride, bias, width) }
    }
    for index in 0..<tasks.count {
      guard let product = tasks[index].product(site.target, slot: site.slot) else { continue }
      if let scale = tasks[index].floats(product.outputScale) {
        for row in 0..<count { kernels.multiply_f32(y + row * yStride, scale, width) }
      }
      guard let linear = product.linear else { continue }
      let mounted = MountedLinear(linear, of: tasks[index])
      linears -= 1
      guard linears > 0 else {
        mounted.apply(
          entry.x, entry.stride, rows: count, y, yStride, scaling: product.scaling, accumulates: true,
          scratch: linearScratch, kernels)
        break
      }
      mounted.apply(
        entry.x, entry.stride, rows: count, half, width, scaling: product.scaling, scratch: linearScratch, kernels)
      entry = (UnsafePointer(half), width)
      half = half == scratch ? scratch + Regions.adapterChunkRows * workspace.config.dModel : scratch
    }
  }

  private var linearCount: Int {
    var count = 0
    for index in 0..<tasks.count where tasks[index].product(site.target, slot: site.slot)?.linear != nil { count += 1 }
    return count
  }
}
