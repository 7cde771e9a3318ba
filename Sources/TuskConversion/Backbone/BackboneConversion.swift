import CTuskSystem
import TuskFormat

/// How far a conversion has come.
public struct ConversionProgress: Sendable {
  public let doneBytes: Int
  public let totalBytes: Int
  /// The tensor that is being read.
  public let tensor: String
}

/// Turns a Hugging Face directory into a packed backbone.
///
/// Creating one reads the configuration and the headers and proves that every tensor is there; `write` streams the values.
public struct BackboneConversion {
  /// Its `fingerprint` is still zero: it depends on the values.
  public var config: BackboneConfig { source.config }
  /// What a user should know: tensors that were kept out, and why.
  public let notes: [String]
  /// Bytes of values that `write` will read.
  public var sourceByteCount: Int { source.byteCount }

  private let source: BackboneSource
  private let directory: String
  /// The section of the checkpoint's own head, its fingerprint still zero.
  private let head: [UInt8]?

  public struct Outcome: Sendable {
    /// With the fingerprint of the checkpoint.
    public let config: BackboneConfig
    public let fileByteCount: Int
    /// Per role in registry order; empty for a float32 pack.
    public let distortions: [Distortion]
  }

  /// - Throws: `ConversionError`.
  public init(directory: String, weights: WeightEncoding = .int8Rows) throws(ConversionError) {
    let given = directory.hasSuffix("/") ? directory : directory + "/"
    let sentences = try SentenceTransformer(ifPresent: given)
    let base = sentences?.checkpointDirectory ?? given
    guard let settings = try Settings(ifPresent: base + "config.json") else {
      throw ConversionError(
        .cannotOpen, file: base + "config.json", "there is no such file; a Hugging Face checkpoint directory has one")
    }
    let family = try ModelFamily(settings)
    let checkpoint = try Checkpoint.open(directory: base)
    let config =
      try family.isEncoderOnly
      ? EncoderConfiguration.read(
        settings, family,
        hasPooler: checkpoint.tensorNames.contains { family.canonical($0) == EncoderNames.pooler }, weights: weights)
      : T5Configuration.read(settings, weights: weights)
    self.directory = base
    source = try BackboneSource(checkpoint, family, config: config, directory: base)
    head = try CheckpointHead.section(source, settings, sentences)
    notes = Self.notes(source)
  }

  /// Streams the backbone into the file at `path`, which is replaced only when everything succeeded.
  /// - Parameter progress: called after every chunk; false stops the conversion.
  /// - Throws: `ConversionError`, of kind `.cancelled` when `progress` returned false.
  public func write(
    to path: String, progress: (ConversionProgress) -> Bool = { _ in true }
  ) throws(ConversionError) -> Outcome {
    try Output.requireDistinct(path, from: source.checkpoint.files.map(\.path))
    try source.requireEqualAliases()
    let writer = try makeWriter(path)
    let stream = try TensorStream(source.checkpoint, widestRow: source.widestRow)
    let encoder = TensorEncoder(byteCount: largestChunkByteCount(stream))
    var distortions: [TensorRole: Distortion] = [:]
    var doneBytes = 0
    for tensor in source.tensors {
      let spec = writer.currentTensor!
      var distortion = distortions[spec.role] ?? Distortion(spec.role)
      distortion.tensorCount += 1
      var scales: [Float] = []
      let checksum = try stream.forEachChunk(
        of: tensor, columns: spec.columns, pieceCount: encoder.pieceCount,
        work: { piece, chunk in encoder.encode(chunk, piece: piece, spec: spec) },
        finish: { (chunk) throws(ConversionError) in
          scales += try encoder.finishChunk(chunk, of: tensor, spec: spec, &distortion)
          try Output.write(path) { () throws(WriteError) in
            try writer.append(encoder.encodedRows(count: chunk.rows.count, spec: spec))
          }
          doneBytes += chunk.values.count * tensor.elementType.byteCount
          guard progress(.init(doneBytes: doneBytes, totalBytes: sourceByteCount, tensor: tensor.name)) else {
            throw ConversionError(.cancelled, file: path, "the conversion was stopped; nothing was written")
          }
        })
      try Output.write(path) { () throws(WriteError) in
        try scales.withUnsafeBufferPointer { (scales) throws(WriteError) in
          try writer.append(UnsafeRawBufferPointer(scales))
        }
        try writer.finishTensor(sourceChecksum: checksum)
      }
      if spec.encoding == .int8Rows { distortions[spec.role] = distortion }
    }
    try Output.write(path) { () throws(WriteError) in try writer.finish() }
    return Outcome(
      config: writer.finishedConfig, fileByteCount: writer.fileByteCount,
      distortions: TensorRole.allCases.compactMap { distortions[$0] })
  }

  private func makeWriter(_ path: String) throws(ConversionError) -> BackboneWriter {
    let tokenizer: [UInt8]?
    do throws(TokenizerBuilderError) {
      tokenizer = try TokenizerBuilder.section(
        checkpointDirectory: directory, vocabularySize: config.vocabularySize,
        fairseqIds: source.family == .camembert ? .camembert : .xlmRoberta)
    } catch {
      throw ConversionError(.malformed, file: directory, "\(error)")
    }
    let provenance = Provenance(
      directory: directory, files: source.checkpoint.files.map(\.path),
      settings: ["weights \(config.weightEncoding == .int8Rows ? "int8" : "float32")"])
    return try Output.write(path) { () throws(WriteError) in
      try BackboneWriter(path: path, config: config, tokenizer: tokenizer, provenance: provenance.bytes, head: head)
    }
  }

  private func largestChunkByteCount(_ stream: TensorStream) -> Int {
    (0..<config.tensorCount).map { position in
      let spec = config.tensorSpec(at: position)
      return min(stream.chunkRowCount(columns: spec.columns), spec.rows) * spec.rowStrideBytes
    }.max()!
  }

  private static func notes(_ source: BackboneSource) -> [String] {
    var notes: [String] = []
    if !source.ignored.isEmpty {
      notes.append("passed over, because nothing uses them: " + source.ignored.map(\.printable).joined(separator: ", "))
    }
    let kinds = source.others.keys.map { AdapterKey($0)! }
    let adapterCount = kinds.count { $0 != .head }
    if adapterCount > 0 {
      notes.append("kept out: \(adapterCount) tensors of adapters; 'tusk convert task' takes them")
    }
    if kinds.contains(.head) { notes.append("kept out: prediction heads") }
    if kinds.contains(.authors) {
      notes.append(
        "the norms of this checkpoint were trained with its adapter and belong to that task; a backbone for several "
          + "tasks is better made from the checkpoint the training started from")
    }
    return notes
  }
}
