import TuskFormat

/// A matrix of the backbone as kernels take it: an address in the mapping, read in place.
struct WeightMatrix {
  /// Rows of int8 codes or of float32, `stride` elements apart.
  let data: UnsafeRawPointer
  let stride: Int
  /// [rows]; meaningless for float32.
  let scales: UnsafePointer<Float>
  let rows: Int
  let columns: Int
  let encoding: WeightEncoding

  fileprivate init(_ tensor: Tensor) {
    let spec = tensor.spec
    data = tensor.data.address
    stride = spec.encoding == .float32 ? spec.rowStrideBytes / 4 : spec.rowStrideBytes
    scales = tensor.scales.address.assumingMemoryBound(to: Float.self)
    rows = spec.rows
    columns = spec.columns
    encoding = spec.encoding
  }

  /// Row `row` of a float32 tensor: [columns].
  func floats(row: Int = 0) -> UnsafePointer<Float> {
    precondition(encoding == .float32 && row >= 0 && row < rows, "not a row of floats")
    return data.assumingMemoryBound(to: Float.self) + row * stride
  }
}

/// Views of all weights, resolved once: the only place that holds addresses of the mapping, which `file` keeps alive.
final class BackboneWeights {
  let file: PackedFile
  let config: BackboneConfig
  private let matrices: [WeightMatrix]

  /// - Throws: `notABackbone`.
  init(_ file: PackedFile) throws(EngineError) {
    guard let config = file.config else { throw EngineError(.notABackbone) }
    self.file = file
    self.config = config
    var matrices: [WeightMatrix] = []
    matrices.reserveCapacity(config.tensorCount)
    for position in 0..<config.tensorCount { matrices.append(WeightMatrix(file.tensor(at: position))) }
    self.matrices = matrices
  }

  func matrix(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> WeightMatrix {
    matrices[config.tensorPosition(role, stack, layer: layer)]
  }

  var embedding: WeightMatrix { matrix(.embedding, .shared) }
  var head: WeightMatrix { config.hasTiedHead ? embedding : matrix(.head, .shared) }
}
