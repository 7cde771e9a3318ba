import TuskFormat

/// The head that a checkpoint itself has.
enum CheckpointHead {
  /// Its section, without fingerprint; nil for a checkpoint without a head.
  /// - Parameter sentences: what a directory of sentence-transformers makes of the output.
  /// - Throws: `ConversionError` for a head of another kind, and tensors that are missing, misshapen or too many.
  static func section(
    _ source: BackboneSource, _ settings: Settings, _ sentences: SentenceTransformer?
  ) throws(ConversionError) -> [UInt8]? {
    let file = source.checkpoint.firstFile
    let head: HeadSource
    if let sentences {
      guard source.family.isEncoderOnly else {
        throw ConversionError(
          .unsupported, file: settings.file, subject: "model_type",
          "found a sentence-transformers directory of a \(source.family.title); encoders are supported")
      }
      head = sentences.head
    } else if !source.classifier.isEmpty {
      try requireSequenceClassification(settings)
      let labels = try HeadLabels.read(settings)
      head = .classifier(
        source.family, dModel: source.config.dModel, labels: labels,
        output: try HeadLabels.output(settings, count: labels.count))
      guard head.input != .pooler || source.config.hasPooler else {
        throw ConversionError(
          .missingTensor, file: file, subject: EncoderNames.pooler,
          "found no such tensor; the classifier of a \(source.family.title) reads the pooler's output")
      }
    } else {
      return nil
    }
    var ledger = TensorLedger(source.checkpoint, source.classifier, directory: file)
    if let dense = sentences?.dense {
      var tensors: [String: CheckpointTensor] = [:]
      for name in dense.tensorNames { tensors[name] = dense.tensor(name) }
      try ledger.add(tensors, of: dense)
    }
    var assembly = TaskAssembly(
      ledger, config: source.config,
      builder: TaskBuilder(
        config: source.config, name: Array("head".utf8), vocabularySize: source.config.vocabularySize,
        origin: .adapters))
    try assembly.addHead(head)
    return try assembly.finish()
  }

  /// Other classes call their heads' tensors the same.
  static func requireSequenceClassification(_ settings: Settings) throws(ConversionError) {
    guard case .array(let names)? = settings["architectures"] else { return }
    for case .string(let name) in names where !name.hasSuffix("ForSequenceClassification") {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "architectures",
        "found '\(name.printable)' with a classifier; classifiers of classes ...ForSequenceClassification are supported"
      )
    }
  }
}
