import TuskFormat

/// The numbers of a backbone that tasks begin with.
struct BackboneValues {
  let config: BackboneConfig
  /// Row `row` of a tensor.
  let row: (_ position: Int, _ row: Int) -> [Float]

  init(config: BackboneConfig, row: @escaping (_ position: Int, _ row: Int) -> [Float]) {
    self.config = config
    self.row = row
  }

  /// - Precondition: `backbone` has a configuration.
  init(_ backbone: PackedFile) {
    self.init(config: backbone.config!) { position, row in backbone.tensor(at: position).row(row) }
  }

  /// The only row of `role`, or nil where the backbone has no such tensor.
  func vector(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> [Float]? {
    guard config.has(role, stack) else { return nil }
    return row(config.tensorPosition(role, stack, layer: layer), 0)
  }
}

extension Tensor {
  /// Row `row` as float32: [columns].
  func row(_ row: Int) -> [Float] {
    let start = row * spec.rowStrideBytes
    var values: [Float] = []
    values.reserveCapacity(spec.columns)
    switch spec.encoding {
    case .float32:
      for column in 0..<spec.columns { values.append(data.load(start + 4 * column)) }
    case .int8Rows:
      let scale: Float = scales.load(4 * row)
      for column in 0..<spec.columns { values.append(Float(data.load(start + column, as: Int8.self)) * scale) }
    }
    return values
  }
}
