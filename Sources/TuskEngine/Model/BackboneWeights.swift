import TuskFormat

/// A matrix of the backbone as kernels take it: an address in the mapping, read in place.
package struct WeightMatrix {
  /// Rows of int8 codes or of float32, `stride` elements apart.
  package let data: UnsafeRawPointer
  package let stride: Int
  /// [rows]; meaningless for float32.
  package let scales: UnsafePointer<Float>
  package let rows: Int
  package let columns: Int
  package let encoding: WeightEncoding
  /// Of a product [rows], of a LayerNorm [columns]; nil where the backbone has none.
  package var bias: UnsafePointer<Float>?

  fileprivate init(_ tensor: Tensor, bias: UnsafePointer<Float>?) {
    self.bias = bias
    let spec = tensor.spec
    data = tensor.data.address
    stride = spec.encoding == .float32 ? spec.rowStrideBytes / 4 : spec.rowStrideBytes
    scales = tensor.scales.address.assumingMemoryBound(to: Float.self)
    rows = spec.rows
    columns = spec.columns
    encoding = spec.encoding
  }

  /// Row `row` of a float32 tensor: [columns].
  package func floats(row: Int = 0) -> UnsafePointer<Float> {
    precondition(encoding == .float32 && row >= 0 && row < rows, "not a row of floats")
    return data.assumingMemoryBound(to: Float.self) + row * stride
  }
}

/// Views of all weights, resolved once: the only place that holds addresses of the mapping, which `file` keeps alive.
package final class BackboneWeights {
  package let file: PackedFile
  package let config: BackboneConfig
  private let matrices: [WeightMatrix]
  /// By stack and role: the position of the first block's tensor, or of the only one; -1 where there is none.
  private let firstPositions: [Int32]
  /// Tensors from one block to the next, by stack.
  private let blockStrides: [Int]

  /// - Throws: `notABackbone`.
  package init(_ file: PackedFile) throws(EngineError) {
    guard let config = file.config else { throw EngineError(.notABackbone) }
    self.file = file
    self.config = config
    var matrices: [WeightMatrix] = []
    matrices.reserveCapacity(config.tensorCount)
    for position in 0..<config.tensorCount {
      let tensor = file.tensor(at: position)
      let spec = tensor.spec
      var bias: UnsafePointer<Float>?
      if let role = spec.role.bias, config.has(role, spec.stack) {
        let place = config.tensorPosition(role, spec.stack, layer: spec.layer)
        bias = file.tensor(at: place).data.address.assumingMemoryBound(to: Float.self)
      }
      matrices.append(WeightMatrix(tensor, bias: bias))
    }
    self.matrices = matrices
    var positions = [Int32](repeating: -1, count: 3 * Self.roleCount)
    var strides = [0, 0, 0]
    for stack in [Stack.shared, .encoder, .decoder] {
      let layers = stack == .encoder ? config.layerCount : config.decoderLayerCount
      for role in TensorRole.allCases where config.has(role, stack) {
        let first = config.tensorPosition(role, stack)
        positions[Int(stack.rawValue) * Self.roleCount + Int(role.rawValue)] = Int32(first)
        if stack != .shared && role == .wo && layers > 1 {
          strides[Int(stack.rawValue)] = config.tensorPosition(role, stack, layer: 1) - first
        }
      }
    }
    firstPositions = positions
    blockStrides = strides
  }

  private static let roleCount = 64

  /// - Precondition: the configuration has such a tensor.
  package func matrix(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> WeightMatrix {
    let first = Int(firstPositions[Int(stack.rawValue) * Self.roleCount + Int(role.rawValue)])
    precondition(first >= 0, "no such tensor")
    return matrices[first + layer * blockStrides[Int(stack.rawValue)]]
  }

  package var embedding: WeightMatrix { matrix(.embedding, .shared) }
  package var head: WeightMatrix { config.hasTiedHead ? embedding : matrix(.head, .shared) }
}

extension TensorRole {
  /// The role of the bias that belongs to a matrix or a norm.
  package var bias: TensorRole? {
    switch self {
    case .embeddingNorm: .embeddingNormBias
    case .finalNorm: .finalNormBias
    case .selfAttentionNorm: .selfAttentionNormBias
    case .selfAttentionQ: .selfAttentionQBias
    case .selfAttentionK: .selfAttentionKBias
    case .selfAttentionV: .selfAttentionVBias
    case .selfAttentionO: .selfAttentionOBias
    case .feedForwardNorm: .feedForwardNormBias
    case .wi: .wiBias
    case .wi0: .wi0Bias
    case .wi1: .wi1Bias
    case .wo: .woBias
    case .pooler: .poolerBias
    default: nil
    }
  }
}
