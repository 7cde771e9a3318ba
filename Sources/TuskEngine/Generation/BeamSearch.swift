import CTuskKernels
import TuskFormat

/// Beam search over all encoded sources together, as transformers 4.57 does it with length penalty 1 and without early
/// stopping.
///
/// Per step and source, the 2 k best continuations of k hypotheses by summed log-probability are looked at in order.
/// One that ends (end-of-sequence, or the longest length) is finished if it is among the first k, with its sum divided
/// by the tokens it generated as score; the first k that go on are the next hypotheses. A source is done when k are
/// finished and the best that goes on scores no better than the worst of them.
extension Session {
  /// - Throws: `targetTooLong`.
  /// - Precondition: every source of the batch has been encoded.
  public func generateByBeams(maxNewTokens: Int) throws(EngineError) {
    guard config.hasDecoder else { throw EngineError(.noDecoder) }
    guard maxNewTokens <= plan.request.targetTokens else {
      throw EngineError(.targetTooLong, found: maxNewTokens, required: plan.request.targetTokens)
    }
    var search = BeamState(self)
    search.start(config.decoderStartId)
    startDecoding()
    let sources = plan.request.batch
    while position < maxNewTokens && search.liveSources > 0 {
      step(search.inputs, cacheRows: search.cacheRows)
      for source in 0..<sources where search.isLive(source) {
        collectCandidates(source, &search)
        search.advance(source, step: position, maxNewTokens: maxNewTokens, eosId: config.eosId)
      }
      search.exchange(step: position)
    }
  }

  /// Hypotheses of `source`, best first: ids from the start token on, and score.
  public func hypothesis(_ rank: Int, source: Int = 0) -> (ids: UnsafeBufferPointer<Int32>, score: Float) {
    BeamState(self).finished(rank, source)
  }

  /// How many hypotheses of `source` are finished: up to the number of beams.
  public func hypothesisCount(source: Int = 0) -> Int { BeamState(self).finishedCount(source) }

  private func collectCandidates(_ source: Int, _ search: inout BeamState) {
    let size = vocabularySize(source: source)
    search.clearCandidates()
    for beam in 0..<search.hypothesisCount(step: position) {
      let row = source * plan.request.beams + beam
      guard search.sums[row] > -.infinity else { continue }
      let logits = logits(row: row)
      let total = workspace.kernels.logsumexp_f32(logits, size)
      search.take(row: row, logits: logits, count: size, logSum: total)
    }
  }
}
