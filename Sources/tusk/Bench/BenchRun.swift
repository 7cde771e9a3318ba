import CTuskKernels
import CTuskSystem
import TuskEngine
import TuskFormat

/// Times of one session on ids that mean nothing.
struct BenchRun {
  private let model: Model
  private let session: Session
  private let sourceIds: [Int32]
  private let targetIds: [Int32]

  init(_ model: Model, _ session: Session) {
    self.model = model
    self.session = session
    let size = session.vocabularySize()
    sourceIds = (0..<session.plan.request.sourceTokens).map { Int32(($0 * 37 + 11) % size) }
    targetIds = (0..<session.plan.request.targetTokens).map { Int32(($0 * 53 + 7) % size) }
  }

  /// Seconds to encode every source of the batch.
  func encode() throws(Failure) -> Double {
    let start = tusk_monotonic_nanoseconds()
    for source in 0..<session.plan.request.batch {
      do throws(EngineError) {
        try sourceIds.withUnsafeBufferPointer { ids throws(EngineError) in try session.encode(ids, source: source) }
      } catch { throw Failure(error, path: model.path) }
    }
    return secondsSince(start)
  }

  /// Seconds to decode every target position; all rows are fed the same ids, so that none ends early.
  func decode() -> Double {
    let start = tusk_monotonic_nanoseconds()
    session.startDecoding()
    for id in targetIds {
      let row = [Int32](repeating: id, count: session.rowCount)
      row.withUnsafeBufferPointer { session.step($0.baseAddress!) }
    }
    return secondsSince(start)
  }

  /// Seconds to mount another task, and at the end the first again; nil without a task.
  func switchTask() throws(Failure) -> Double? {
    guard let first = model.chosen.first else { return nil }
    let other = model.tasks.first { $0.name != first.name }
    let pairs = 500
    let start = tusk_monotonic_nanoseconds()
    for _ in 0..<pairs {
      try model.mount(other, on: session)
      try model.mount(first, on: session)
    }
    return secondsSince(start) / Double(2 * pairs)
  }

  /// FNV-1a, 64 bits, of the last logits of every row: equal if and only if the arithmetic was, but for accidents.
  var logitsHash: UInt64 {
    var hash: UInt64 = 14_695_981_039_346_656_037
    for row in 0..<session.rowCount {
      let logits = UnsafeBufferPointer(start: session.logits(row: row), count: session.vocabularySize())
      for byte in UnsafeRawBufferPointer(logits) { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
    }
    return hash
  }
}

extension BackboneConfig {
  /// Bytes of weights that one decoding step reads, whatever the batch: the decoder without the keys and values of
  /// cross-attention, which are computed once per source, and the head.
  var weightBytesPerStep: Int {
    (0..<tensorCount).reduce(0) { sum, position in
      let spec = tensorSpec(at: position)
      let isHead = spec.role == .head || (spec.role == .embedding && hasTiedHead)
      let isRead = spec.stack == .decoder && spec.role != .crossAttentionK && spec.role != .crossAttentionV
      return isHead || isRead ? sum + spec.dataByteCount + spec.scalesByteCount : sum
    }
  }
}

/// What `bench` prints: the JSON object of `formats/json.md`.
struct BenchReport: Encodable {
  let isa: String
  let sourceTokens, targetTokens, batch, threads, rounds: Int
  let loadMs: Double
  let encodeTokensPerSecond, encodeTokensPerSecondBest: Double
  let decodeTokensPerSecond, decodeTokensPerSecondBest: Double
  let weightBytesPerStep: Int
  /// Weight bytes per second of the median decode.
  let decodeGbPerSecond: Double
  let machineReadGbPerSecond: Double
  /// Of the machine's read bandwidth; nil where that could not be measured.
  let shareOfReadBandwidth: Double?
  /// Nil without a task.
  let taskSwitchMicroseconds: Double?
  let logitsHash: String
  let planned: FootprintReport.Planned
}
