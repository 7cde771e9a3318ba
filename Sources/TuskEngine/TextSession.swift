import TuskFormat
import TuskTokenizer

/// Why a text has no answer.
public enum TextError: Error, Equatable, Sendable {
  case engine(EngineError)
  case tokenizer(TokenizerError)
}

/// Text in, text out: one session with the backbone's tokenizer.
public final class TextSession {
  public let session: Session
  public let tokenizer: Tokenizer

  /// - Parameters:
  ///   - plan: for a batch of one.
  ///   - memory: see `Session`, as `isaCap`.
  /// - Throws: `noTokenizer` for a backbone that takes ids only, and what `Session` and `Tokenizer` throw.
  public init(
    _ file: PackedFile, plan: MemoryPlan, memory: UnsafeMutableRawBufferPointer? = nil,
    isaCap: UnsafePointer<CChar>? = nil
  ) throws(TextError) {
    precondition(plan.request.batch == 1, "one text at a time")
    guard let section = file.section(.tokenizer) else { throw .engine(EngineError(.noTokenizer)) }
    do throws(TokenizerError) { tokenizer = try Tokenizer(section) } catch { throw .tokenizer(error) }
    do throws(EngineError) {
      session = try Session(file, plan: plan, memory: memory, isaCap: isaCap)
    } catch { throw .engine(error) }
  }

  /// Ids of `text` with end-of-sequence, as the encoder takes them.
  public func sourceIds(_ text: [UInt8]) throws(TextError) -> [Int32] {
    do throws(TokenizerError) {
      return try tokenizer.encode(text, appendingEndOfSequence: true)
    } catch { throw .tokenizer(error) }
  }

  /// The answer to `text` with the mounted task: greedy with one planned beam, else the best hypothesis of a beam search.
  /// - Throws: `sourceTooLong`, `targetTooLong` and what the tokenizer throws.
  public func answer(_ text: [UInt8], maxNewTokens: Int) throws(TextError) -> [UInt8] {
    let ids = try sourceIds(text)
    do throws(EngineError) {
      return tokenizer.decode(try session.generate(ids, maxNewTokens: maxNewTokens))
    } catch { throw .engine(error) }
  }

  /// What the head of an encoder makes of a text, or of two that belong together: `Session.headScores`.
  /// - Parameter isTruncating: cuts what is longer than planned as Hugging Face does, rather than refusing it.
  /// - Throws: `sourceTooLong`, `noHead` and what the tokenizer throws.
  public func scores(
    _ first: [UInt8], _ second: [UInt8]? = nil, isTruncating: Bool = false
  ) throws(TextError) -> [Float] {
    let source: (ids: [Int32], typeIds: [Int32])
    do throws(TokenizerError) {
      source = try tokenizer.encodePair(
        first, second, maximumTokens: isTruncating ? session.sourceLimit() : nil)
    } catch { throw .tokenizer(error) }
    do throws(EngineError) {
      try source.ids.withUnsafeBufferPointer { ids throws(EngineError) in
        try source.typeIds.withUnsafeBufferPointer { types throws(EngineError) in
          try session.encode(ids, types: types)
        }
      }
      return Array(try session.headScores())
    } catch { throw .engine(error) }
  }
}

extension Session {
  /// The best answer to one source: ids from the decoder's start token on, end-of-sequence included if it came.
  /// - Throws: as `encode`; `targetTooLong`.
  /// - Precondition: planned for a batch of one.
  public func generate(_ ids: [Int32], maxNewTokens: Int) throws(EngineError) -> [Int32] {
    try ids.withUnsafeBufferPointer { buffer throws(EngineError) in try encode(buffer) }
    if plan.request.beams > 1 {
      try generateByBeams(maxNewTokens: maxNewTokens)
      return Array(hypothesis(0).ids)
    }
    var answer = [Int32(config.decoderStartId)]
    answer.reserveCapacity(maxNewTokens + 1)
    try generateGreedily(maxNewTokens: maxNewTokens) { _, id in
      answer.append(id)
      return true
    }
    return answer
  }
}
