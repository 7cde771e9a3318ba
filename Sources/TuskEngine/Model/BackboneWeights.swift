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
  let role: TensorRole
  /// Of a product [rows], of a LayerNorm [columns]; nil where the backbone has none.
  package var bias: UnsafePointer<Float>?

  fileprivate init(_ tensor: Tensor) {
    let spec = tensor.spec
    role = spec.role
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
    var positions = [Int32](repeating: -1, count: 3 * Self.roleCount)
    var strides = [0, 0, 0]
    file.forEachTensor { tensor in
      let spec = tensor.spec
      // A bias is the tensor behind its matrix.
      if let last = matrices.last, last.role.bias == spec.role {
        matrices[matrices.count - 1].bias = tensor.data.address.assumingMemoryBound(to: Float.self)
      }
      let first = Int(spec.stack.rawValue) * Self.roleCount + Int(spec.role.rawValue)
      if spec.layer == 0 {
        positions[first] = Int32(matrices.count)
      } else if spec.layer == 1 {
        strides[Int(spec.stack.rawValue)] = matrices.count - Int(positions[first])
      }
      matrices.append(WeightMatrix(tensor))
    }
    // Rows of an embedding are read here and there, unless it is the head, too.
    let shared = file.weights(group: 0)
    let isHead = config.hasDecoder && config.hasTiedHead
    let last = file.weights(group: config.groupCount - 1)
    file.mapping.expectReads(
      scattered: shared.offset..<shared.offset + (isHead ? 0 : shared.count), wholeTo: last.offset + last.count)
    self.matrices = matrices
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
