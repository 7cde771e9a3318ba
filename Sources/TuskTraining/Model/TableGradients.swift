import CTuskKernels
import TuskEngine
import TuskFormat

/// Gradients of the backbone's tables, where it is trained: words, token types, positions, and the relative bias.
extension TrainingModel {
  /// Adds `gradient` [R, D], of the sums of embeddings, to the rows of the tables that a source's tokens took.
  func addSourceEmbeddingGradients(_ gradient: UnsafePointer<Float>) {
    guard backbone != nil else { return }
    for segment in examples.sources {
      for token in 0..<segment.count - examples.promptTokens {
        let row = segment.start + examples.promptTokens + token
        let values = gradient + row * config.dModel
        addRow(.embedding, Int(examples.sourceIds[row]), values)
        if config.tokenTypeCount > 0 { addRow(.tokenTypeEmbedding, Int(examples.typeIds[row]), values) }
        if config.positionScheme == .learned { addRow(.positionEmbedding, config.positionOffset + token, values) }
      }
    }
  }

  /// The same for the decoder's words: `gradient` [Q, D].
  func addTargetEmbeddingGradients(_ gradient: UnsafePointer<Float>) {
    guard backbone != nil else { return }
    for row in 0..<examples.targetRows {
      addRow(.embedding, Int(examples.decoderIds[row]), gradient + row * config.dModel)
    }
  }

  private func addRow(_ role: TensorRole, _ row: Int, _ values: UnsafePointer<Float>) {
    guard let backbone else { return }
    let position = config.tensorPosition(role, .shared)
    kernels.add_f32(backbone.gradient(position) + row * backbone.stride(position), values, config.dModel)
  }

  /// Forgets the gradient of a stack's relative bias by distance.
  func clearBiasGradient(_ stack: Stack) {
    let region = stack == .decoder ? regions.decoderBiasGradient : regions.encoderBiasGradient
    arena.floats(region).update(repeating: 0, count: region.byteCount / 4)
  }

  /// Adds the gradient by distance, which all blocks of a stack have summed, to that of the table of buckets.
  func addBiasGradient(_ stack: Stack) {
    guard let backbone, config.positionScheme == .relativeBias else { return }
    let isDecoder = stack == .decoder
    let longest = isDecoder ? plan.rows.longestTarget : plan.rows.longestSource
    let distances = isDecoder ? longest : 2 * longest - 1
    let table = arena.floats(isDecoder ? regions.decoderBiasGradient : regions.encoderBiasGradient)
    let position = config.tensorPosition(.relativeBias, stack)
    for place in 0..<distances {
      let bucket = RelativeBias.bucket(
        distance: place + 1 - longest, isBidirectional: !isDecoder, bucketCount: config.bucketCount,
        maxDistance: config.maxDistance)
      let row = backbone.gradient(position) + bucket * backbone.stride(position)
      for head in 0..<config.headCount { row[head] += table[head * distances + place] }
    }
  }
}
