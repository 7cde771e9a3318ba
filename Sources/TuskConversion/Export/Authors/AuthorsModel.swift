import TuskFormat

/// The backbone's checkpoint, from which the model's own numbers come: held against the pack as it is read.
final class AuthorsModel {
  let settings: Settings
  private let source: BackboneSource
  private let backbone: PackedFile
  private let stream: TensorStream

  /// - Throws: `.mismatch` when the settings are not the backbone's; what is wrong with the files.
  init(_ checkpoint: ExportCheckpoint, _ request: ExportRequest) throws(ConversionError) {
    settings = checkpoint.settings
    backbone = request.backbone
    let config = try T5Configuration.read(settings, weights: request.config.weightEncoding)
    guard config.vocabularySize == request.config.vocabularySize else {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "vocab_size",
        "found \(config.vocabularySize); the backbone has \(request.config.vocabularySize), so it was packed from another "
          + "checkpoint")
    }
    source = try BackboneSource(
      try Checkpoint.open(directory: checkpoint.directory), .t5, config: config, directory: checkpoint.directory)
    try source.requireEqualAliases()
    stream = try TensorStream(source.checkpoint, widestRow: source.widestRow)
  }

  /// The tensor at `position` of the backbone's index.
  /// - Parameters:
  ///   - rows: how many of its rows are wanted, the first ones.
  ///   - values: what is written instead, once the checkpoint's have been held against the backbone.
  func storage(at position: Int, rows: Int, insteadOf values: [Float]? = nil) -> StateDict.Storage {
    let target = backbone.tensor(at: position)
    let tensor = source.tensors[position]
    let columns = target.spec.columns
    return StateDict.Storage(elementCount: rows * columns) { [self] (sink) throws(ConversionError) in
      let checksum = try stream.forEachChunk(
        of: tensor, columns: columns, pieceCount: 0, work: { _, _ in },
        finish: { (chunk) throws(ConversionError) in
          let count = min(chunk.rows.upperBound, rows) - chunk.rows.lowerBound
          guard values == nil, count > 0 else { return }
          try sink(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: chunk.values[..<(count * columns)])))
        })
      guard checksum == target.sourceChecksum else {
        throw ConversionError(
          .mismatch, file: tensor.sourceFile, subject: tensor.name,
          "the values differ from those that the backbone was packed from; its own checkpoint is required")
      }
      try values?.withUnsafeBufferPointer { (values) throws(ConversionError) in
        try sink(UnsafeRawBufferPointer(values))
      }
    }
  }
}
