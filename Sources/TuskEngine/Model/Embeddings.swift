import CTuskKernels
import TuskFormat

/// The rows of a source in the encoder.
struct EncodedSource {
  /// Where it begins, of several that are encoded together.
  var firstRow = 0
  /// Tokens and prompt; 0 before anything is encoded.
  var count = 0
  /// Rows of the prompt.
  var prompt = 0..<0
  /// The row that a head takes for the first token's.
  var firstToken = 0

  var rows: Range<Int> { firstRow..<firstRow + count }
}

extension Session {
  /// stream [rows, D] = embedding + token type + position, in this order, and the embedding norm: as far as there are any.
  /// A prompt stands among them, finished or as words that take part in all of it with type 0.
  func embedSource(
    _ ids: UnsafeBufferPointer<Int32>, _ types: UnsafeBufferPointer<Int32>?,
    into stream: UnsafeMutablePointer<Float>, _ source: Int
  ) -> EncodedSource {
    let runner = runners[source]
    let width = config.dModel
    let found = runner.prompt
    let prompt = found?.prompt
    let rows = EncodedSource(ids.count, prompt)
    if let (prompt, task) = found {
      (stream + rows.prompt.lowerBound * width).copy(
        from: task.floats(prompt.embeddings), count: prompt.tokenCount * width)
    }
    let firstPosition = runner.firstPosition(config)
    var token = 0
    for row in 0..<rows.count {
      let x = stream + row * width
      let isPrompt = rows.prompt.contains(row)
      if isPrompt && prompt?.stage == .embeddings { continue }
      if !isPrompt { embed(ids[token], into: x) }
      if config.tokenTypeCount > 0 {
        let type = isPrompt ? 0 : types.map { Int($0[token]) } ?? 0
        workspace.kernels.add_f32(x, weights.matrix(.tokenTypeEmbedding, .shared).floats(row: type), width)
      }
      if config.positionScheme == .learned {
        let position = firstPosition + (prompt?.stage == .wordEmbeddings ? row : token)
        let table = weights.matrix(.positionEmbedding, .shared)
        workspace.kernels.add_f32(x, table.floats(row: config.positionOffset + position), width)
      }
      if !isPrompt { token += 1 }
    }
    if config.hasEmbeddingNorm {
      let norm = runner.norm(config.slots.encoderStart, weights.matrix(.embeddingNorm, .shared), config.normKind)
      for row in 0..<rows.count where prompt?.stage == .wordEmbeddings || !rows.prompt.contains(row) {
        workspace.normalize(stream + row * width, rows: 1, norm, into: stream + row * width)
      }
    }
    return rows
  }

  /// row [D] = embedding of `id`.
  func embed(_ id: Int32, into row: UnsafeMutablePointer<Float>) {
    let table = weights.embedding
    if table.encoding == .int8Rows {
      let codes = table.data.assumingMemoryBound(to: Int8.self) + Int(id) * table.stride
      workspace.kernels.gather_f32_i8(codes, table.scales[Int(id)], config.dModel, row)
    } else {
      row.copy(from: table.floats(row: Int(id)), count: config.dModel)
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

extension EncodedSource {
  fileprivate init(_ tokenCount: Int, _ prompt: TaskPrompt?) {
    count = tokenCount + (prompt?.tokenCount ?? 0)
    guard let prompt else { return }
    let first = prompt.place == .front ? 0 : 1
    self.prompt = first..<first + prompt.tokenCount
    firstToken = prompt.firstToken
  }
}

extension TaskPrompt {
  /// Learned positions that the prompt takes from the text.
  var positionCount: Int { stage == .wordEmbeddings ? tokenCount : 0 }
}

extension TaskRunner {
  /// Learned position of the first row: behind the positions that the first block's prefix stands at, if it does.
  func firstPosition(_ config: BackboneConfig) -> Int {
    prefix(config.slots.slot(.encoder, .selfAttention, layer: 0))?.prefix.queryOffset ?? 0
  }
}
