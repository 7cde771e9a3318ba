import CTuskKernels
import TuskEngine
import TuskFormat

extension TrainingModel {
  /// row [D] = the embedding of `id`.
  func embed(_ id: Int32, into row: UnsafeMutablePointer<Float>) {
    let table = weights.embedding
    if table.encoding == .int8Rows {
      let codes = table.data.assumingMemoryBound(to: Int8.self) + Int(id) * table.stride
      kernels.gather_f32_i8(codes, table.scales[Int(id)], config.dModel, row)
    } else {
      row.update(from: table.floats(row: Int(id)), count: config.dModel)
    }
  }

  /// stream [R, D] = embedding + token type + position and the embedding norm, as far as there are any. A prompt's rows
  /// are words like the others, or finished as they are.
  func embedSources(into stream: UnsafeMutablePointer<Float>) {
    let rows = examples.sourceRows
    sumEmbeddings(into: stream)
    if config.hasEmbeddingNorm { normalize(stream, rows: rows, embeddingNorm, into: stream) }
    if task.section.prompt?.stage == .embeddings { placePrompts(in: stream) }
    drop(stream, count: rows * config.dModel, .embeddings, slot: config.slots.encoderStart)
  }

  /// The gradients of what a task trains of the embeddings: a prompt, the norm.
  func embedSourcesBackward(_ streamGradient: UnsafeMutablePointer<Float>) {
    let width = config.dModel
    let rows = examples.sourceRows
    let prompt = task.section.prompt
    drop(streamGradient, count: rows * width, .embeddings, slot: config.slots.encoderStart)
    let finished = prompt?.stage == .embeddings ? prompt : nil
    if let finished { addPromptGradient(finished, streamGradient) }
    var dSums = streamGradient
    if config.hasEmbeddingNorm, embeddingNorm.isTrained || prompt?.stage == .wordEmbeddings {
      let sums = arena.floats(regions.normed)
      dSums = arena.floats(regions.normedGradient)
      // What stands in the place of finished embeddings has not passed the norm.
      if finished != nil {
        for example in 0..<examples.count {
          (streamGradient + examples.sources[example].start * width).update(
            repeating: 0, count: examples.promptTokens * width)
        }
      }
      sumEmbeddings(into: sums)
      dSums.update(repeating: 0, count: rows * width)
      normalizeBackward(sums, rows: rows, embeddingNorm, streamGradient, into: dSums)
    }
    addSourceEmbeddingGradients(dSums)
    if let prompt, finished == nil { addPromptGradient(prompt, dSums) }
  }

  /// The gradient of the prompt takes in those of its rows.
  private func addPromptGradient(_ prompt: TaskPrompt, _ rows: UnsafePointer<Float>) {
    let gradient = task.gradient(prompt.embeddings)
    for example in 0..<examples.count {
      kernels.add_f32(
        gradient, rows + examples.sources[example].start * config.dModel, prompt.tokenCount * config.dModel)
    }
  }

  private var embeddingNorm: TrainedNorm { norm(config.slots.encoderStart, .embeddingNorm, .shared) }

  private func placePrompts(in stream: UnsafeMutablePointer<Float>) {
    guard let prompt = task.section.prompt else { return }
    for example in 0..<examples.count {
      (stream + examples.sources[example].start * config.dModel).update(
        from: task.section.floats(prompt.embeddings), count: prompt.tokenCount * config.dModel)
    }
  }

  private func sumEmbeddings(into stream: UnsafeMutablePointer<Float>) {
    let width = config.dModel
    // Where the first token stands: words of a prompt take positions, finished ones none.
    let positionsBehind = task.section.prompt?.stage == .embeddings ? examples.promptTokens : 0
    placePrompts(in: stream)
    for example in 0..<examples.count {
      let segment = examples.sources[example]
      for position in 0..<segment.count {
        let row = segment.start + position
        let x = stream + row * width
        if position >= examples.promptTokens { embed(examples.sourceIds[row], into: x) }
        if config.tokenTypeCount > 0 {
          let table = weights.matrix(.tokenTypeEmbedding, .shared)
          kernels.add_f32(x, table.floats(row: Int(examples.typeIds[row])), width)
        }
        if config.positionScheme == .learned {
          let table = weights.matrix(.positionEmbedding, .shared)
          kernels.add_f32(x, table.floats(row: config.positionOffset + max(position - positionsBehind, 0)), width)
        }
      }
    }
  }
}
