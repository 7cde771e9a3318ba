import TuskFormat

/// The head that the `adapters` library saved beside an adapter of an encoder.
struct SavedHead {
  let source: HeadSource
  /// By their names without prefix.
  let tensors: [String: CheckpointTensor]
  let checkpoint: Checkpoint

  /// nil when the directory has neither a head's settings nor its tensors.
  /// - Parameter directory: ends with a slash.
  init?(ifPresent directory: String, _ family: ModelFamily, _ config: BackboneConfig) throws(ConversionError) {
    let weights = ["model_head.safetensors", "pytorch_model_head.bin"]
    var found: String?
    for name in weights where found == nil {
      if try InputFile.ifPresent(path: directory + name) != nil { found = directory + name }
    }
    let settings = try Settings(ifPresent: directory + "head_config.json")
    guard let settings, let found else {
      guard settings == nil && found == nil else {
        throw ConversionError(
          .cannotOpen, file: directory + (settings == nil ? "head_config.json" : weights[0]),
          "there is no such file, but the other half of a saved head")
      }
      return nil
    }
    checkpoint = try Checkpoint.open(file: found)
    var tensors: [String: CheckpointTensor] = [:]
    for name in checkpoint.tensorNames { tensors[family.canonical(name)] = checkpoint.tensor(name) }
    self.tensors = tensors
    if let width = try settings.optionalInteger("hidden_size"), width != config.dModel {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "hidden_size",
        "found a head for a model of width \(width); the backbone's is \(config.dModel)")
    }
    if let flexible = try settings.optionalObject("config") {
      let name = try settings.optionalText("name") ?? ""
      source = try Self.flexible(flexible, name: name, tensors, dModel: config.dModel)
    } else {
      source = try Self.fixed(settings, family, dModel: config.dModel)
    }
  }

  /// The head in a whole model: its class's, or the library's own of the adapter's name, or the only one.
  /// - Parameter flexible: tensors of the library's own heads.
  init?(
    of source: BackboneSource, _ settings: Settings, named name: String, flexible: [String: CheckpointTensor]
  ) throws(ConversionError) {
    checkpoint = source.checkpoint
    if !source.classifier.isEmpty {
      try CheckpointHead.requireSequenceClassification(settings)
      tensors = source.classifier
      let labels = try HeadLabels.read(settings)
      self.source = HeadSource.classifier(
        source.family, dModel: source.config.dModel, labels: labels,
        output: try HeadLabels.output(settings, count: labels.count))
      return
    }
    let names = Set(
      flexible.keys.map { $0.split(separator: ".", omittingEmptySubsequences: false)[1] }.map { String($0) })
    guard !names.isEmpty else { return nil }
    guard let own = names.contains(name) ? name : names.count == 1 ? names.first : nil else {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "prediction_heads",
        "found \(names.count) heads, none of which has the adapter's name '\(name.printable)'")
    }
    guard let head = try settings.optionalObject("prediction_heads")?.optionalObject(own) else {
      throw settings.error("prediction_heads", required: "an object that describes the head '\(own.printable)'")
    }
    tensors = flexible.filter { $0.key.hasPrefix("heads.\(own).") }
    self.source = try Self.flexible(head, name: own, tensors, dModel: source.config.dModel)
  }

  /// The head of a class of transformers.
  private static func fixed(
    _ settings: Settings, _ family: ModelFamily, dModel: Int
  ) throws(ConversionError) -> HeadSource {
    let modelClass = try settings.optionalText("model_class") ?? ""
    guard modelClass.hasSuffix("ForSequenceClassification") else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "model_class",
        "found a head of \(modelClass.isEmpty ? "an unnamed class" : modelClass.printable); heads of classes "
          + "...ForSequenceClassification are supported")
    }
    let labels = try HeadLabels.read(settings)
    return HeadSource.classifier(
      family, dModel: dModel, labels: labels, output: try HeadLabels.output(settings, count: labels.count))
  }

  /// A head of the library's own: linears with an activation between them. The number in a tensor's name counts
  /// dropouts and activations too.
  private static func flexible(
    _ settings: Settings, name: String, _ tensors: [String: CheckpointTensor], dModel: Int
  ) throws(ConversionError) -> HeadSource {
    let outputs: [String: HeadOutput] = [
      "classification": .exclusiveLabels, "multilabel_classification": .independentLabels,
    ]
    let headType = try settings.optionalText("head_type") ?? ""
    guard var output = outputs[headType] else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "head_type",
        "found '\(headType.printable)'; classification and multilabel_classification are supported")
    }
    let labels = try HeadLabels.read(settings)
    if labels.count == 1 && output == .exclusiveLabels { output = .numbers }
    let prefix = "heads.\(name)."
    var numbers: [Int] = []
    for key in tensors.keys where key.hasPrefix(prefix) && key.hasSuffix(".weight") {
      if let number = Int(key.dropFirst(prefix.count).dropLast(".weight".count)) { numbers.append(number) }
    }
    numbers.sort()
    let layerCount = try settings.integer("layers", in: 1...2)
    guard numbers.count == layerCount else {
      throw ConversionError(
        .missingTensor, file: settings.file, subject: prefix + "1.weight",
        "found \(numbers.count) layers of this head beside the settings, which speak of \(layerCount)")
    }
    let hasBias = try settings.bool("bias", default: true)
    var head = HeadSource(
      input: try settings.bool("use_pooler", default: false) ? .pooler : .firstToken, output: output, labels: labels)
    for (position, number) in numbers.enumerated() {
      let isLast = position == layerCount - 1
      head.layers.append(
        HeadSource.Layer(
          prefix: "\(prefix)\(number).", outWidth: isLast ? labels.count : dModel, hasBias: !isLast || hasBias,
          activation: isLast ? .identity : try activation(settings)))
    }
    return head
  }

  private static func activation(_ settings: Settings) throws(ConversionError) -> Activation {
    guard let name = try settings.optionalText("activation_function") else { return .identity }
    guard let activation = Activation(transformersName: name) else {
      throw settings.error("activation_function", required: Activation.supportedNames)
    }
    return activation
  }
}
