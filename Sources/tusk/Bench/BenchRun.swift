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
  private let kernels: UnsafePointer<TuskKernels>

  /// - Parameter vocabularySize: of the smallest task that will be mounted.
  init(_ model: Model, _ session: Session, vocabularySize: Int) {
    kernels = tusk_kernels_select(tusk_isa_from_environment(), nil)
    self.model = model
    self.session = session
    sourceIds = (0..<session.plan.request.sourceTokens).map { Int32(($0 * 37 + 11) % vocabularySize) }
    targetIds = (0..<session.plan.request.targetTokens).map { Int32(($0 * 53 + 7) % vocabularySize) }
  }

  /// Seconds to encode every source of the batch, the head of an encoder included.
  func encode() throws(Failure) -> Double {
    let start = tusk_monotonic_nanoseconds()
    do throws(EngineError) {
      for source in 0..<session.plan.request.batch {
        try sourceIds.withUnsafeBufferPointer { ids throws(EngineError) in try session.encode(ids, source: source) }
        if session.headSection(source: source) != nil { _ = try session.headOutput(source: source) }
      }
    } catch { throw Failure(error, path: model.path) }
    return secondsSince(start)
  }

  /// Seconds to decode every target position greedily; all rows are fed the same ids instead of what they chose, so that
  /// none ends early.
  func decode() -> Double {
    let start = tusk_monotonic_nanoseconds()
    session.startDecoding()
    for id in targetIds {
      let row = [Int32](repeating: id, count: session.rowCount)
      row.withUnsafeBufferPointer { session.step($0.baseAddress!) }
      for row in 0..<session.rowCount {
        _ = kernels.pointee.argmax_f32(session.logits(row: row), session.vocabularySize(source: row))
      }
    }
    return secondsSince(start)
  }

  /// Seconds to mount another task, and at the end `tasks` again, which act together; nil without a task.
  func switchTask(_ tasks: [Model.NamedTask]) throws(Failure) -> Double? {
    guard !tasks.isEmpty else { return nil }
    let other = model.tasks.filter { task in !tasks.contains { $0.name == task.name } }.prefix(1)
    let pairs = 500
    let start = tusk_monotonic_nanoseconds()
    for _ in 0..<pairs {
      try model.mount(Array(other), on: session)
      try model.mount(tasks, on: session)
    }
    return secondsSince(start) / Double(2 * pairs)
  }

  /// FNV-1a, 64 bits, of the last output: the logits of every row, what the head of an encoder made of the last source,
  /// or without a head the encoder's output. Equal if and only if the arithmetic was, but for accidents.
  func outputHash() throws(Failure) -> UInt64 {
    var hash: UInt64 = 14_695_981_039_346_656_037
    func combine(_ values: UnsafeBufferPointer<Float>) {
      for byte in UnsafeRawBufferPointer(values) { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
    }
    let lastSource = session.plan.request.batch - 1
    if model.config.hasDecoder {
      for row in 0..<session.rowCount {
        combine(UnsafeBufferPointer(start: session.logits(row: row), count: session.vocabularySize()))
      }
    } else if session.headSection(source: lastSource) != nil {
      do throws(EngineError) { combine(try session.headOutput(source: lastSource)) } catch {
        throw Failure(error, path: model.path)
      }
    } else {
      combine(UnsafeBufferPointer(start: session.encoderOutput, count: sourceIds.count * model.config.dModel))
    }
    return hash
  }
}

extension BackboneConfig {
  /// Bytes of weights that one decoding step reads, whatever the batch: the decoder without the keys and values of
  /// cross-attention, which are computed once per source, and the head.
  var weightBytesPerStep: Int {
    bytes { spec in
      let isHead = spec.role == .head || (spec.role == .embedding && hasTiedHead)
      return isHead || (spec.stack == .decoder && !spec.isPerSource)
    }
  }

  /// Bytes of weights that every tile of a source reads on its way through the encoder and into cross-attention.
  var weightBytesPerTile: Int { bytes { $0.stack == .encoder || $0.isPerSource } }

  private func bytes(where isRead: (TensorSpec) -> Bool) -> Int {
    (0..<tensorCount).reduce(0) { sum, position in
      let spec = tensorSpec(at: position)
      return isRead(spec) ? sum + spec.dataByteCount + spec.scalesByteCount : sum
    }
  }
}

extension TensorSpec {
  /// Whether it is applied to the encoder's output: the keys and values of cross-attention.
  fileprivate var isPerSource: Bool { role == .crossAttentionK || role == .crossAttentionV }
}
