import TuskEngine
import TuskFormat

/// The encoder and the decoder, forward and backward. Where blocks keep nothing, their forward pass is repeated before their
/// backward pass, from the stream that entered them.
extension TrainingModel {
  private func encoderBlock(_ layer: Int) -> BlockPass {
    let size = plan.rows.source * config.dModel
    let entries = arena.floats(regions.encoderEntries)
    return BlockPass(
      stack: .encoder, layer: layer, rows: examples.sourceRows, regions: regions.encoderBlocks[layer],
      entry: entries + layer * size, exit: entries + (layer + 1) * size)
  }

  private func decoderBlock(_ layer: Int) -> BlockPass {
    let size = plan.rows.target * config.dModel
    let entries = arena.floats(regions.decoderEntries)
    return BlockPass(
      stack: .decoder, layer: layer, rows: examples.targetRows, regions: regions.decoderBlocks[layer],
      entry: entries + layer * size, exit: entries + (layer + 1) * size)
  }

  /// The stream behind the last block: [R, D] and [Q, D].
  var encoderExit: UnsafeMutablePointer<Float> {
    arena.floats(regions.encoderEntries) + config.layerCount * plan.rows.source * config.dModel
  }
  var decoderExit: UnsafeMutablePointer<Float> {
    arena.floats(regions.decoderEntries) + config.decoderLayerCount * plan.rows.target * config.dModel
  }

  /// [R, D] that a head or a decoder takes, and its gradient: on a post-norm backbone the stream behind the last block.
  var encoderOutput: UnsafeMutablePointer<Float> {
    config.normPlacement == .before ? arena.floats(regions.encoded) : encoderExit
  }
  var encoderOutputGradient: UnsafeMutablePointer<Float> {
    arena.floats(config.normPlacement == .before ? regions.encodedGradient : regions.streamGradient)
  }

  func encode() {
    embedSources(into: encoderBlock(0).entry)
    for layer in 0..<config.layerCount { encodeBlock(encoderBlock(layer)) }
    guard config.normPlacement == .before else { return }
    let rows = examples.sourceRows
    let encoded = arena.floats(regions.encoded)
    normalize(encoderExit, rows: rows, norm(config.slots.encoderEnd, .finalNorm, .encoder), into: encoded)
    drop(encoded, count: rows * config.dModel, .end, slot: config.slots.encoderEnd)
  }

  /// From the gradient of the encoder's output, or of an encoder's stream behind the last block, to the embeddings.
  func encodeBackward() {
    let rows = examples.sourceRows
    let streamGradient = arena.floats(regions.streamGradient)
    if config.normPlacement == .before {
      let dEncoded = arena.floats(regions.encodedGradient)
      drop(dEncoded, count: rows * config.dModel, .end, slot: config.slots.encoderEnd)
      streamGradient.update(repeating: 0, count: rows * config.dModel)
      normalizeBackward(
        encoderExit, rows: rows, norm(config.slots.encoderEnd, .finalNorm, .encoder), dEncoded, into: streamGradient)
    }
    clearBiasGradient(.encoder)
    for layer in stride(from: config.layerCount - 1, through: 0, by: -1) {
      let block = encoderBlock(layer)
      // The decoder's blocks lie in the same memory.
      if !plan.keepsActivations && (config.hasDecoder || layer < config.layerCount - 1) { encodeBlock(block) }
      feedForwardBackward(arena.floats(block.regions.afterSelf), block, into: streamGradient)
      selfAttendBackward(block.entry, block, into: streamGradient)
    }
    addBiasGradient(.encoder)
    embedSourcesBackward(streamGradient)
  }

  private func encodeBlock(_ block: BlockPass) {
    let afterSelf = arena.floats(block.regions.afterSelf)
    selfAttend(block.entry, block, into: afterSelf)
    feedForward(afterSelf, block, into: block.exit)
  }

  func decode() {
    let width = config.dModel
    let entry = decoderBlock(0).entry
    for row in 0..<examples.targetRows { embed(examples.decoderIds[row], into: entry + row * width) }
    drop(entry, count: examples.targetRows * width, .embeddings, slot: config.slots.decoderEnd)
    for layer in 0..<config.decoderLayerCount { decodeBlock(decoderBlock(layer)) }
  }

  /// From the gradient of the stream behind the last block, in `streamGradient`, to that of the encoder's output.
  func decodeBackward() {
    let streamGradient = arena.floats(regions.streamGradient)
    arena.floats(regions.encodedGradient).update(repeating: 0, count: examples.sourceRows * config.dModel)
    clearBiasGradient(.decoder)
    for layer in stride(from: config.decoderLayerCount - 1, through: 0, by: -1) {
      let block = decoderBlock(layer)
      if !plan.keepsActivations && layer < config.decoderLayerCount - 1 { decodeBlock(block) }
      feedForwardBackward(arena.floats(block.regions.afterCross), block, into: streamGradient)
      crossAttendBackward(arena.floats(block.regions.afterSelf), block, into: streamGradient)
      selfAttendBackward(block.entry, block, into: streamGradient)
    }
    addBiasGradient(.decoder)
    drop(streamGradient, count: examples.targetRows * config.dModel, .embeddings, slot: config.slots.decoderEnd)
    addTargetEmbeddingGradients(streamGradient)
  }

  private func decodeBlock(_ block: BlockPass) {
    let afterSelf = arena.floats(block.regions.afterSelf)
    let afterCross = arena.floats(block.regions.afterCross)
    selfAttend(block.entry, block, into: afterSelf)
    crossAttend(afterSelf, block, into: afterCross)
    feedForward(afterCross, block, into: block.exit)
  }
}
