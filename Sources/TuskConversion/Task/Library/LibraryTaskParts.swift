import TuskFormat

/// What the `adapters` library wrote.
extension TaskParts {
  /// A directory that `save_adapter` wrote.
  init(adapterDirectory settings: Settings, _ request: TaskRequest) throws(ConversionError) {
    let config = request.config
    let base = request.base
    guard let ownName = try settings.optionalText("name") else { throw settings.error("name", required: "a text") }
    let family = try Self.family(settings, config)
    let checkpoint = try Self.open(base, ["adapter.safetensors", "pytorch_adapter.bin"])
    let release = try LibraryRelease(settings)
    let task = try LibraryTask(
      release.mended(try Self.librarySettings(settings["config"], settings, "config"), checkpoint.tensorNames), family,
      name: ownName, isUnversioned: settings["version"] == nil)
    try task.requireRule(in: checkpoint.tensorNames, file: checkpoint.firstFile)
    try Self.require(settings, config)

    var tensors: [String: CheckpointTensor] = [:]
    for name in checkpoint.tensorNames {
      tensors[LibraryRelease.presentName(family.canonical(name))] = checkpoint.tensor(name)
    }
    guard tensors.count == checkpoint.tensorNames.count else {
      throw ConversionError(.unknownTensor, file: checkpoint.firstFile, "found one tensor under two prefixes")
    }
    let ledger = TensorLedger(checkpoint, tensors, directory: checkpoint.firstFile)
    let head = try family.isEncoderOnly ? SavedHead(ifPresent: base, family, config) : nil
    files = (checkpoint.files + (head?.checkpoint.files ?? [])).map(\.path)
    name = try Self.taskName(request.name ?? ownName, file: settings.file)
    (section, notes) = try Self.section(task, ledger, head, request, name: name)
    if !family.isEncoderOnly { notes += try Self.headNotes(base, request.comparison) }
  }

  /// A whole model that `save_pretrained` wrote with its adapters.
  init(modelDirectory settings: Settings, _ request: TaskRequest) throws(ConversionError) {
    let comparison = request.comparison
    let adapters = try settings.optionalObject("adapters")
    guard let identifiers = try adapters?.optionalObject("adapters"), !identifiers.values.isEmpty else {
      throw settings.error("adapters", required: "an object that names at least one adapter")
    }
    let names = identifiers.values.keys.sorted()
    guard let ownName = names.count == 1 ? names[0] : names.first(where: { $0 == request.name }) else {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "adapters",
        "found \(names.count) adapters; a name among \(names.joined(separator: ", ").printable) is required")
    }
    let family = try Self.family(settings, request.config)
    let identifier = try identifiers.optionalText(ownName) ?? ""
    let stored = try adapters?.optionalObject("config_map")?[identifier]
    let task = try LibraryTask(
      try Self.librarySettings(stored ?? .string(identifier), settings, "adapters"), family, name: ownName,
      isUnversioned: false)
    let checkpoint = try Checkpoint.open(directory: request.base)
    try task.requireRule(in: checkpoint.tensorNames, file: checkpoint.firstFile)
    let source = try Self.source(checkpoint, family, settings, request)
    _ = try comparison.compare(source, allowsNorms: false)

    var own: [String: CheckpointTensor] = [:]
    var others = 0
    var heads: [String: CheckpointTensor] = [:]
    for (key, tensor) in source.others {
      if key.hasPrefix("heads."), family.isEncoderOnly {
        heads[key] = tensor
      } else if key.hasPrefix("heads.") {
        try Self.requireHead(tensor, name: key, checkpoint, comparison)
      } else if !LibraryTask.owns(key, name: ownName), names.contains(where: { LibraryTask.owns(key, name: $0) }) {
        others += 1
      } else {
        own[key] = tensor
      }
    }
    name = try Self.taskName(request.name ?? ownName, file: settings.file)
    files = checkpoint.files.map(\.path)
    let head = try SavedHead(of: source, settings, named: ownName, flexible: heads)
    (section, notes) = try Self.section(
      task, TensorLedger(checkpoint, own, directory: checkpoint.firstFile), head, request, name: name)
    if others > 0 { notes += ["kept out: \(others) tensors of other adapters"] }
  }

  private static func section(
    _ task: LibraryTask, _ ledger: TensorLedger, _ head: SavedHead?, _ request: TaskRequest, name: String
  ) throws(ConversionError) -> (bytes: [UInt8], notes: [String]) {
    let config = request.config
    var ledger = ledger
    if let head { try ledger.add(head.tensors, of: head.checkpoint) }
    var assembly = TaskAssembly(
      ledger, config: config,
      builder: TaskBuilder(
        config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .adapters),
      weights: request.weights)
    try task.assemble(&assembly)
    if let head { try assembly.addHead(head.source) }
    return (try assembly.finish(), roundingNotes(assembly, request.weights))
  }

  /// The settings of an adapter: spelled out, or the name of a preset.
  private static func librarySettings(
    _ value: JSONValue?, _ settings: Settings, _ key: String
  ) throws(ConversionError) -> Settings {
    switch value {
    case .object(let object): return Settings(object, file: settings.file)
    case .string(let preset): return try LibraryPresets.settings(preset, file: settings.file)
    default: throw settings.error(key, required: "an object")
    }
  }

  /// Whose names the tensors of an adapter have. What the backbone is called its pack does not say, but what
  /// distinguishes the families' arithmetic does.
  private static func family(_ settings: Settings, _ config: BackboneConfig) throws(ConversionError) -> ModelFamily {
    let modelType = try settings.optionalText("model_type")
    if modelType == nil && config.hasDecoder { return .t5 }
    let family = try ModelFamily(settings)
    let fits =
      switch family {
      case .t5: config.hasDecoder
      case .bert, .electra: !config.hasDecoder && config.positionOffset == 0 && config.tokenTypeCount > 0
      case .roberta, .xlmRoberta, .camembert: !config.hasDecoder && config.positionOffset > 0
      case .distilBert: !config.hasDecoder && config.positionOffset == 0 && config.tokenTypeCount == 0
      }
    guard fits else {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "model_type",
        "found an adapter for a \(family.title); the backbone is \(config.hasDecoder ? "a T5" : "another encoder")")
    }
    return family
  }

  private static func require(_ settings: Settings, _ config: BackboneConfig) throws(ConversionError) {
    if let width = try settings.optionalInteger("hidden_size"), width != config.dModel {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "hidden_size",
        "found an adapter for a model of width \(width); the backbone's is \(config.dModel)")
    }
  }

  /// A head saved beside an adapter must be the one the backbone has.
  private static func headNotes(_ base: String, _ comparison: BackboneComparison) throws(ConversionError) -> [String] {
    for file in ["model_head.safetensors", "pytorch_model_head.bin"]
    where try InputFile.ifPresent(path: base + file) != nil {
      let checkpoint = try Checkpoint.open(file: base + file)
      for name in checkpoint.tensorNames {
        let canonical = ModelFamily.t5.canonical(name)
        // A model without a prefix of its own names takes everything outside its stacks for the head: prefixes too.
        if canonical.hasPrefix("prefix_tuning.prefix_tunings.") { continue }
        try requireHead(checkpoint.tensor(name)!, name: canonical, checkpoint, comparison)
      }
      return ["the saved head is the backbone's own and takes no space in the task"]
    }
    return []
  }

  private static func requireHead(
    _ tensor: CheckpointTensor, name: String, _ checkpoint: Checkpoint, _ comparison: BackboneComparison
  ) throws(ConversionError) {
    let isFlexibleHead = name.hasPrefix("heads.") && name.hasSuffix(".0.weight")
    guard name == T5Names.head || isFlexibleHead else {
      throw ConversionError(
        .unsupported, file: tensor.sourceFile, subject: tensor.name,
        "found a prediction head, perhaps for classification; only the language-model head of the backbone is supported"
      )
    }
    try comparison.requireHead(tensor, of: checkpoint)
  }
}
