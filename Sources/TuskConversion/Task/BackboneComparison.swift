import TuskFormat

/// Holds a checkpoint that was trained from a backbone against that backbone's pack.
struct BackboneComparison {
  let backbone: PackedFile
  let config: BackboneConfig
  /// Called after every chunk; false stops.
  let progress: (ConversionProgress) -> Bool

  /// Whether the checkpoint's configuration (from the file `file`) is the backbone's, but for a smaller vocabulary.
  /// - Throws: `.mismatch` naming the setting.
  func require(_ other: BackboneConfig, file: String) throws(ConversionError) {
    func facts(_ config: BackboneConfig) -> [(key: String, value: String)] {
      guard config.hasDecoder else {
        return [
          ("hidden_size", "\(config.dModel)"), ("intermediate_size", "\(config.dFF)"),
          ("num_attention_heads", "\(config.headCount)"), ("num_hidden_layers", "\(config.layerCount)"),
          ("max_position_embeddings", "\(config.maxPositions)"), ("pad_token_id", "\(config.padId)"),
          ("type_vocab_size", "\(config.tokenTypeCount)"), ("layer_norm_eps", "\(config.normEpsilon)"),
          ("hidden_act", "\(config.activation.name)"),
        ]
      }
      return [
        ("d_model", "\(config.dModel)"), ("d_ff", "\(config.dFF)"), ("d_kv", "\(config.dKV)"),
        ("num_heads", "\(config.headCount)"), ("num_layers", "\(config.layerCount)"),
        ("num_decoder_layers", "\(config.decoderLayerCount)"),
        ("relative_attention_num_buckets", "\(config.bucketCount)"),
        ("relative_attention_max_distance", "\(config.maxDistance)"),
        ("layer_norm_epsilon", "\(config.normEpsilon)"),
        ("feed_forward_proj", "\(config.isGated ? "gated " : "")\(config.activation.name)"),
        ("tie_word_embeddings", "\(config.hasTiedHead)"), ("pad_token_id", "\(config.padId)"),
        ("eos_token_id", "\(config.eosId)"), ("decoder_start_token_id", "\(config.decoderStartId)"),
      ]
    }
    for (found, required) in zip(facts(other), facts(config)) where found != required {
      throw ConversionError(
        .mismatch, file: file, subject: found.key,
        "the checkpoint's value \(found.value) is not the backbone's \(required.value); it belongs to another backbone")
    }
    // Classes whose heads read the first token leave the pooler out; it is the last of the tensors.
    guard config.hasPooler || !other.hasPooler else {
      throw ConversionError(
        .mismatch, file: file, subject: EncoderNames.pooler, "the checkpoint has a pooler, the backbone has none")
    }
    guard other.vocabularySize <= config.vocabularySize else {
      throw ConversionError(
        .mismatch, file: file, subject: "vocab_size",
        "found \(other.vocabularySize), more than the backbone's \(config.vocabularySize)")
    }
  }

  /// Compares every tensor with the backbone's.
  /// - Parameter allowsNorms: norm weights may differ.
  /// - Returns: whether a norm weight does.
  /// - Throws: `.mismatch` naming the first other tensor that differs.
  func compare(_ source: BackboneSource, allowsNorms: Bool) throws(ConversionError) -> Bool {
    let stream = try TensorStream(source.checkpoint, widestRow: source.widestRow)
    var doneBytes = 0
    var normsDiffer = false
    for (position, tensor) in source.tensors.enumerated() {
      let target = backbone.tensor(at: position)
      let columns = target.spec.columns
      let isWhole = tensor.elementCount == target.spec.rows * columns
      let rows = RowComparison(target)
      let checksum = try stream.forEachChunk(
        of: tensor, columns: columns, pieceCount: isWhole ? 0 : 1, work: { _, chunk in rows.compare(chunk) },
        finish: { (chunk) throws(ConversionError) in
          doneBytes += chunk.values.count * tensor.elementType.byteCount
          guard progress(.init(doneBytes: doneBytes, totalBytes: source.byteCount, tensor: tensor.name)) else {
            throw ConversionError(
              .cancelled, file: tensor.sourceFile, "the conversion was stopped; nothing was written")
          }
        })
      if isWhole ? checksum == target.sourceChecksum : rows.firstDifference == nil { continue }
      if allowsNorms && target.spec.role.isNorm {
        normsDiffer = true
        continue
      }
      throw difference(tensor, row: rows.firstDifference)
    }
    return normsDiffer
  }

  /// - Throws: `.mismatch` when `tensor` is not the head of the backbone: its embedding, if that is tied.
  func requireHead(_ tensor: CheckpointTensor, of checkpoint: Checkpoint) throws(ConversionError) {
    let head = backbone.tensor(at: config.hasTiedHead ? 0 : config.tensorPosition(.head, .shared))
    try tensor.require(shape: [config.vocabularySize, config.dModel])
    let checksum = try TensorStream(checkpoint, widestRow: config.dModel).forEachChunk(
      of: tensor, columns: config.dModel, pieceCount: 0, work: { _, _ in }, finish: { _ in })
    guard checksum == head.sourceChecksum else {
      throw ConversionError(
        .mismatch, file: tensor.sourceFile, subject: tensor.name,
        "the head is not the backbone's; tasks with a language-model head of their own are not supported")
    }
  }

  private func difference(_ tensor: CheckpointTensor, row: Int?) -> ConversionError {
    ConversionError(
      .mismatch, file: tensor.sourceFile, subject: tensor.name,
      (row.map { "row \($0) differs" } ?? "the values differ")
        + " from the backbone's, and only norm weights of a task's checkpoint may; convert the backbone that the "
        + "training started from")
  }
}

/// Compares source rows with the rows of a packed tensor that has more of them, by encoding them again.
private final class RowComparison {
  private let target: Tensor
  private(set) var firstDifference: Int?

  init(_ target: Tensor) { self.target = target }

  func compare(_ chunk: Chunk) {
    guard firstDifference == nil else { return }
    let stride = target.spec.rowStrideBytes
    firstDifference = target.data.withSpan { data in
      target.scales.withSpan { scales in
        withUnsafeTemporaryAllocation(of: Int8.self, capacity: chunk.columns) { codes in
          chunk.rows.first { row in
            let values = chunk.row(row - chunk.rows.lowerBound)
            guard target.spec.encoding == .int8Rows else {
              return (0..<chunk.columns).contains {
                data.unsafeLoad(fromByteOffset: row * stride + 4 * $0, as: UInt32.self) != values[$0].bitPattern
              }
            }
            guard let outcome = RowEncoding.encodeInt8(values, to: codes.baseAddress!),
              outcome.scale == scales.unsafeLoad(fromByteOffset: 4 * row, as: Float.self)
            else { return true }
            return (0..<chunk.columns).contains {
              data.unsafeLoad(fromByteOffset: row * stride + $0, as: Int8.self) != codes[$0]
            }
          }
        }
      }
    }
  }
}
