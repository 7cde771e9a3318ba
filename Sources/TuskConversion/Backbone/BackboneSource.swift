import TuskFormat

/// The backbone in a checkpoint: every tensor the configuration demands, found, of the right shape and type.
struct BackboneSource {
  let checkpoint: Checkpoint
  let family: ModelFamily
  let config: BackboneConfig
  /// In index order.
  let tensors: [CheckpointTensor]
  /// Further copies of the embedding under other names.
  let embeddingAliases: [CheckpointTensor]
  /// Tensors of adapters and of the heads beside them, by their names without prefix.
  let others: [String: CheckpointTensor]
  /// Tensors of the checkpoint's own head for sequence classification, by their names without prefix.
  let classifier: [String: CheckpointTensor]
  /// Keys passed over because nothing uses them.
  let ignored: [String]

  /// - Parameters:
  ///   - directory: names the checkpoint in errors about what is not in it.
  ///   - hasTaskBiases: whether biases that a T5 does not have are a task's.
  /// - Throws: `ConversionError` naming the first tensor that is missing, misshapen or unknown.
  init(
    _ checkpoint: Checkpoint, _ family: ModelFamily, config: BackboneConfig, directory: String,
    hasTaskBiases: Bool = false
  ) throws(ConversionError) {
    var rest = try Self.byName(checkpoint, family)
    let aliasNames = family.embeddingAliases(config)
    // Writers that store tied tensors once choose which name stays.
    if rest[family.embedding] == nil, let name = aliasNames.first(where: { rest[$0] != nil }) {
      rest[family.embedding] = rest.removeValue(forKey: name)
    }
    var tensors: [CheckpointTensor] = []
    for position in 0..<config.tensorCount {
      let spec = config.tensorSpec(at: position)
      let name = family.name(of: spec)
      guard let tensor = rest.removeValue(forKey: name) else {
        throw ConversionError(
          .missingTensor, file: directory, subject: name,
          "found no such tensor; one of shape \(spec.sourceShape) is required")
      }
      try tensor.require(shape: spec.sourceShape)
      tensors.append(tensor)
    }
    var aliases: [CheckpointTensor] = []
    for name in aliasNames {
      guard let tensor = rest.removeValue(forKey: name) else { continue }
      try tensor.require(shape: tensors[0].shape)
      aliases.append(tensor)
    }
    var ignored: [String] = []
    var others: [String: CheckpointTensor] = [:]
    var classifier: [String: CheckpointTensor] = [:]
    for (name, tensor) in rest.sorted(by: { $0.key < $1.key }) {
      if family.ignores(name) {
        ignored.append(tensor.name)
      } else if family.isClassifier(name) {
        classifier[name] = tensor
      } else if AdapterKey(name) != nil || (hasTaskBiases && T5Names.isBias(name)) {
        others[name] = tensor
      } else {
        throw ConversionError(
          .unknownTensor, file: tensor.sourceFile, subject: tensor.name,
          "found a tensor of shape \(tensor.shape) that a \(family.title) of this configuration does not have")
      }
    }
    self.checkpoint = checkpoint
    self.family = family
    self.config = config
    self.tensors = tensors
    embeddingAliases = aliases
    self.others = others
    self.classifier = classifier
    self.ignored = ignored + checkpoint.ignoredEntries
  }

  private static func byName(
    _ checkpoint: Checkpoint, _ family: ModelFamily
  ) throws(ConversionError) -> [String: CheckpointTensor] {
    var tensors: [String: CheckpointTensor] = [:]
    for name in checkpoint.tensorNames {
      let tensor = checkpoint.tensor(name)!
      if let other = tensors.updateValue(tensor, forKey: family.canonical(name)) {
        throw ConversionError(
          .unknownTensor, file: tensor.sourceFile, subject: name,
          "found a tensor that is '\(other.name.printable)' under another prefix")
      }
    }
    return tensors
  }

  /// Columns of the widest row.
  var widestRow: Int { (0..<config.tensorCount).map { config.tensorSpec(at: $0).columns }.max()! }

  /// Bytes that converting reads.
  var byteCount: Int { tensors.reduce(0) { $0 + $1.elementCount * $1.elementType.byteCount } }

  /// Checks that each further copy of the embedding is one: the same storage, or the same values.
  /// - Throws: `ConversionError.Kind.mismatch` naming the copy.
  func requireEqualAliases() throws(ConversionError) {
    let embedding = tensors[0]
    let columns = config.dModel
    let step = max(1, (1 << 16) / columns)
    var values = [Float](repeating: 0, count: step * columns)
    var others = values
    for alias in embeddingAliases where alias.view != embedding.view {
      for start in stride(from: 0, to: embedding.rowCount, by: step) {
        let rows = start..<min(start + step, embedding.rowCount)
        let count = rows.count * columns
        try values.withUnsafeMutableBufferPointer { (buffer) throws(ConversionError) in
          try checkpoint.readRows(
            of: embedding, rows: rows, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        }
        try others.withUnsafeMutableBufferPointer { (buffer) throws(ConversionError) in
          try checkpoint.readRows(of: alias, rows: rows, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        }
        guard let difference = (0..<count).first(where: { values[$0].bitPattern != others[$0].bitPattern }) else {
          continue
        }
        let isHead = family.canonical(alias.name) == T5Names.head
        throw ConversionError(
          .mismatch, file: alias.sourceFile, subject: alias.name,
          "row \(start + difference / columns) differs from '\(embedding.name.printable)', which it must equal"
            + (isHead ? " because config.json ties them (tie_word_embeddings is not false)" : ""))
      }
    }
  }
}

extension TensorSpec {
  /// The shape in a checkpoint, where norms and biases are vectors.
  var sourceShape: [Int] {
    switch role {
    case .relativeBias, .positionEmbedding, .tokenTypeEmbedding: [rows, columns]
    default: role.isMatrix ? [rows, columns] : [columns]
    }
  }
}

extension CheckpointTensor {
  /// - Throws: `.misshapenTensor`, or `.unsupported` for values that are not floating-point.
  func require(shape required: [Int]) throws(ConversionError) {
    guard shape == required else {
      throw ConversionError(
        .misshapenTensor, file: sourceFile, subject: name, "found shape \(shape); \(required) is required")
    }
    guard elementType.isFloatingPoint else {
      throw ConversionError(
        .unsupported, file: sourceFile, subject: name,
        "found values of type \(elementType.rawValue); floating-point values are required")
    }
  }
}

extension Checkpoint {
  var firstFile: String { files.first?.path ?? "" }
}
