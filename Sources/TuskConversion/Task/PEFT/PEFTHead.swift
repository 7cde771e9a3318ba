import TuskFormat

/// The classifier that was trained with an adapter and saved beside it.
struct PEFTHead {
  let source: HeadSource
  let notes: [String]

  /// nil when the directory has none: then the backbone's own answers.
  /// - Parameter backboneHead: the head of the backbone itself: names its labels, and has what the file lacks.
  init?(
    _ directory: PEFTDirectory, base: String, _ config: BackboneConfig, backboneHead: TaskSection?
  ) throws(ConversionError) {
    let family = directory.family
    guard let last = try Self.lastLayer(directory) else { return nil }
    guard last.shape.count == 2, (1...65_536).contains(last.shape[0]) else {
      throw ConversionError(
        .misshapenTensor, file: last.sourceFile, subject: last.name,
        "found shape \(last.shape); a matrix with a row for each of at most 65536 labels is required")
    }
    try Self.requireSequenceClassification(directory)
    let labels = try Self.labels(count: last.shape[0], base: base, backboneHead)
    var source = HeadSource.classifier(family, dModel: config.dModel, labels: labels.texts, output: labels.output)
    if source.input == .pooler, directory.tensors[EncoderNames.pooler] != nil {
      source.input = .firstToken
      source.layers.insert(
        HeadSource.Layer(prefix: "pooler.dense.", outWidth: config.dModel, hasBias: true, activation: .tanh), at: 0)
    }
    guard source.input != .pooler || config.hasPooler else {
      throw ConversionError(
        .missingTensor, file: directory.checkpoint.firstFile, subject: EncoderNames.pooler,
        "the classifier of a \(family.title) reads the pooler's output, and neither the adapter nor the backbone has one"
      )
    }
    if source.layers.count == 2, directory.tensors[source.layers[0].prefix + "weight"] == nil {
      source.layers[0].stored = try Self.firstLayer(of: backboneHead, source, directory)
    }
    self.source = source
    notes = labels.notes
  }

  /// - Throws: `.unsupported` for heads of other kinds.
  private static func lastLayer(_ directory: PEFTDirectory) throws(ConversionError) -> CheckpointTensor? {
    let name = directory.family == .roberta ? "classifier.out_proj.weight" : "classifier.weight"
    guard directory.family.isEncoderOnly else {
      let heads = ["classification_head.", "classifier.", "score.", "qa_outputs."]
      guard
        let other = directory.tensors.filter({ entry in heads.contains { entry.key.hasPrefix($0) } })
          .min(by: { $0.key < $1.key })?.value
      else { return nil }
      throw ConversionError(
        .unsupported, file: other.sourceFile, subject: other.name,
        "found a classifier behind a T5; a T5 answers with text, and classifiers are supported on encoders")
    }
    return directory.tensors[name]
  }

  /// Classes for other jobs call their heads' tensors the same.
  private static func requireSequenceClassification(_ directory: PEFTDirectory) throws(ConversionError) {
    let settings = directory.settings
    if let taskType = try settings.optionalText("task_type") {
      guard taskType == "SEQ_CLS" else { throw settings.error("task_type", required: "SEQ_CLS, for a classifier,") }
      return
    }
    let name = try settings.optionalObject("auto_mapping")?.optionalText("base_model_class") ?? ""
    guard name.hasSuffix("ForSequenceClassification") else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "task_type",
        "found a classifier, but neither task_type SEQ_CLS nor a class ...ForSequenceClassification in auto_mapping, so "
          + "what it classifies is not known")
    }
  }

  /// Names of the outputs: in the `config.json` beside the adapter, else those of the backbone's own head, if it has as
  /// many.
  private static func labels(
    count: Int, base: String, _ backboneHead: TaskSection?
  ) throws(ConversionError) -> (texts: [String], output: HeadOutput, notes: [String]) {
    if let settings = try Settings(ifPresent: base + "config.json"),
      ["id2label", "label2id", "num_labels"].contains(where: { settings[$0] != nil })
    {
      let texts = try HeadLabels.read(settings)
      guard texts.count == count else {
        throw ConversionError(
          .mismatch, file: settings.file, subject: settings["id2label"] == nil ? "num_labels" : "id2label",
          "found \(texts.count) labels; the head saved with the adapter has \(count) outputs")
      }
      return (texts, try HeadLabels.output(settings, count: count), [])
    }
    if let head = backboneHead?.head, head.labelCount == count {
      let texts = (0..<count).map { backboneHead!.labelText($0) }
      return (texts, head.output, ["the labels are those of the backbone's own head"])
    }
    return (
      (0..<count).map { "LABEL_\($0)" }, count == 1 ? .numbers : .exclusiveLabels,
      count == 1
        ? [] : ["nothing names the \(count) labels; a config.json beside the adapter with an id2label would"]
    )
  }

  /// The layer in front of the last that the file does not have: it was not trained, and is the backbone's.
  private static func firstLayer(
    of backboneHead: TaskSection?, _ source: HeadSource, _ directory: PEFTDirectory
  ) throws(ConversionError) -> HeadSource.Stored {
    let width = source.layers[0].outWidth
    guard let section = backboneHead, let head = section.head, let first = head.first, head.second != nil,
      head.input == source.input, head.firstActivation == source.layers[0].activation
    else {
      throw ConversionError(
        .missingTensor, file: directory.checkpoint.firstFile, subject: source.layers[0].prefix + "weight",
        "found no such tensor of the classifier, and the backbone has no head with one either: it was left at random "
          + "numbers that were not saved (modules_to_save)")
    }
    let linear = section.linear(at: first)
    guard let full = linear.full, let bias = linear.bias, linear.outWidth == width else {
      throw ConversionError(
        .mismatch, file: directory.checkpoint.firstFile, subject: source.layers[0].prefix + "weight",
        "found no such tensor of the classifier, and the backbone's head has another shape")
    }
    return HeadSource.Stored(full: section.values(of: full), bias: section.values(of: bias))
  }
}

extension TaskSection {
  func labelText(_ position: Int) -> String {
    let bytes = label(at: position)
    return String(decoding: (0..<bytes.count).map { bytes.load($0, as: UInt8.self) }, as: UTF8.self)
  }

  /// The numbers of a float32 tensor.
  func values(of tensor: Int) -> [Float] {
    let data = self.tensor(at: tensor).data
    return (0..<data.count / 4).map { data.load(4 * $0, as: Float.self) }
  }
}
