import TuskFormat

extension Session {
  /// subLayer [M, D] = wo activation(wi x), or wo (activation(wi0 x) * (wi1 x)). x [M, D]. The vectors of F in between
  /// exist for a block of rows at a time.
  func feedForward(_ x: UnsafePointer<Float>, _ stack: Stack, layer: Int, _ groups: RowGroups) {
    let slot = config.slots.slot(stack, .feedForward, layer: layer)
    var first = 0
    while first < groups.rows.count {
      let count = min(workspace.feedForwardRows, groups.rows.count - first)
      feedForwardBlock(
        x + first * config.dModel, stack, layer, slot, groups.part(first, count: count),
        workspace.subLayer + first * config.dModel)
      first += count
    }
  }

  private func feedForwardBlock(
    _ x: UnsafePointer<Float>, _ stack: Stack, _ layer: Int, _ slot: Int, _ groups: RowGroups,
    _ y: UnsafeMutablePointer<Float>
  ) {
    let rows = groups.rows.count
    let width = config.dFF
    let hidden = workspace.hidden
    let input = workspace.setInput(x, rows: rows, columns: config.dModel)
    if config.isGated {
      multiply(
        input, weights.matrix(.wi0, stack, layer: layer), hidden, yStride: width,
        ProductSite(slot: slot, target: .wi0), groups)
      multiply(
        input, weights.matrix(.wi1, stack, layer: layer), workspace.gate, yStride: width,
        ProductSite(slot: slot, target: .wi1), groups)
    } else {
      multiply(
        input, weights.matrix(.wi, stack, layer: layer), hidden, yStride: width,
        ProductSite(slot: slot, target: .wi), groups)
    }
    workspace.activate(rows: rows)
    let wo = ProductSite(slot: slot, target: .wo)
    scaleInput(hidden, columns: width, wo, groups)
    multiply(
      workspace.setInput(hidden, rows: rows, columns: width), weights.matrix(.wo, stack, layer: layer), y,
      yStride: config.dModel, wo, groups)
  }
}
