import CTuskKernels
import TuskFormat

extension Session {
  /// stream [S, D] = embedding + token type + position, in this order, and the embedding norm: as far as there are any.
  func embedSource(
    _ ids: UnsafeBufferPointer<Int32>, _ types: UnsafeBufferPointer<Int32>?,
    into stream: UnsafeMutablePointer<Float>
  ) {
    let width = config.dModel
    for (row, id) in ids.enumerated() { embed(id, into: stream + row * width) }
    if config.tokenTypeCount > 0 {
      let table = weights.matrix(.tokenTypeEmbedding, .shared)
      for row in 0..<ids.count {
        workspace.kernels.add_f32(stream + row * width, table.floats(row: types.map { Int($0[row]) } ?? 0), width)
      }
    }
    if config.positionScheme == .learned {
      let table = weights.matrix(.positionEmbedding, .shared)
      for row in 0..<ids.count {
        workspace.kernels.add_f32(stream + row * width, table.floats(row: config.positionOffset + row), width)
      }
    }
    if config.hasEmbeddingNorm {
      let norm = weights.matrix(.embeddingNorm, .shared)
      workspace.normalize(stream, rows: ids.count, Norm(weight: norm.floats(), bias: norm.bias), into: stream)
    }
  }

  /// row [D] = embedding of `id`.
  func embed(_ id: Int32, into row: UnsafeMutablePointer<Float>) {
    let table = weights.embedding
    if table.encoding == .int8Rows {
      let codes = table.data.assumingMemoryBound(to: Int8.self) + Int(id) * table.stride
      workspace.kernels.gather_f32_i8(codes, table.scales[Int(id)], config.dModel, row)
    } else {
      row.update(from: table.floats(row: Int(id)), count: config.dModel)
    }
  }

  /// Checks token types before they reach their table. Without one they say nothing.
  func requireTypes(_ types: UnsafeBufferPointer<Int32>?, count: Int) throws(EngineError) {
    guard let types else { return }
    precondition(types.count == count, "as many types as ids")
    let limit = config.tokenTypeCount
    for type in types where limit > 0 && (type < 0 || Int(type) >= limit) {
      throw EngineError(.typeOutOfRange, found: Int(type), required: limit)
    }
  }
}
