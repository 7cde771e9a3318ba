import CTuskKernels
import TuskFormat

extension Session {
  /// Greedy decoding of all encoded sources together: each ends after its end-of-sequence token or `maxNewTokens`.
  ///
  /// - Parameter onToken: called with source and id of each new token, end-of-sequence included; false ends that source.
  /// - Throws: `targetTooLong` if more tokens are asked for than planned.
  /// - Precondition: every source of the batch has been encoded; the plan has one beam.
  public func generateGreedily(
    maxNewTokens: Int, onToken: (_ source: Int, _ id: Int32) -> Bool
  ) throws(EngineError) {
    precondition(plan.request.beams == 1, "planned for beam search")
    guard config.hasDecoder else { throw EngineError(.noDecoder) }
    guard maxNewTokens <= plan.request.targetTokens else {
      throw EngineError(.targetTooLong, found: maxNewTokens, required: plan.request.targetTokens)
    }
    let inputs = workspace.arena.pointer(plan.regions.generation.inputs, to: Int32.self)
    let lengths = workspace.arena.pointer(plan.regions.generation.finishedLengths, to: Int32.self)
    let batch = plan.request.batch
    for source in 0..<batch {
      inputs[source] = Int32(config.decoderStartId)
      lengths[source] = 0
    }
    var live = batch
    startDecoding()
    while live > 0 && position < maxNewTokens {
      step(inputs)
      for source in 0..<batch where lengths[source] == 0 {
        let id = Int32(workspace.kernels.argmax_f32(logits(row: source), vocabularySize(source: source)))
        inputs[source] = id
        let continues = onToken(source, id)
        if id == config.eosId || !continues {
          lengths[source] = 1
          live -= 1
        }
      }
    }
  }

  /// Teacher-forced logits: feeds `ids` one by one to source 0 and gives the logits after each.
  ///
  /// - Parameter onLogits: called with the position and [vocabulary size of the task] logits.
  /// - Throws: `targetTooLong`, `idOutOfRange`, `emptySource` for no ids.
  /// - Precondition: planned for a batch of one and one beam; the source has been encoded.
  public func teacherForce(
    _ ids: UnsafeBufferPointer<Int32>, onLogits: (_ position: Int, _ logits: UnsafeBufferPointer<Float>) -> Void
  ) throws(EngineError) {
    precondition(rowCount == 1, "planned for several rows")
    guard config.hasDecoder else { throw EngineError(.noDecoder) }
    try requireIds(ids, atMost: plan.request.targetTokens, .targetTooLong, source: 0)
    startDecoding()
    for index in 0..<ids.count {
      step(ids.baseAddress! + index)
      onLogits(index, UnsafeBufferPointer(start: logits(row: 0), count: vocabularySize()))
    }
  }
}
