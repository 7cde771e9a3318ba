import TuskFormat

/// What each dialect's directory gives.
struct TaskParts {
  let name: String
  let section: [UInt8]
  var notes: [String] = []
  let files: [String]
}

extension TaskParts {
  /// A directory that `save_adapter` wrote.
  init(
    adapterDirectory base: String, _ settings: Settings, _ comparison: BackboneComparison, name: String?
  ) throws(ConversionError) {
    let config = comparison.config
    if let kind = try settings.optionalText("peft_type") {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "peft_type",
        "found an adapter of the PEFT library of kind '\(kind.printable)', which is not supported yet")
    }
    guard let ownName = try settings.optionalText("name") else { throw settings.error("name", required: "a text") }
    let family = try Self.family(settings, config)
    let task = LibraryTask(
      configuration: try LibraryConfiguration(
        try Self.librarySettings(settings["config"], settings, "config"), family,
        isUnversioned: settings["version"] == nil), family: family, name: ownName)
    let checkpoint = try Self.open(base, ["adapter.safetensors", "pytorch_adapter.bin"])
    try task.requireRule(in: checkpoint.tensorNames, file: checkpoint.firstFile)
    try Self.require(settings, config)

    var tensors: [String: CheckpointTensor] = [:]
    for name in checkpoint.tensorNames { tensors[family.canonical(name)] = checkpoint.tensor(name) }
    guard tensors.count == checkpoint.tensorNames.count else {
      throw ConversionError(.unknownTensor, file: checkpoint.firstFile, "found one tensor under two prefixes")
    }
    let ledger = TensorLedger(checkpoint, tensors, directory: checkpoint.firstFile)
    self.name = try Self.taskName(name ?? ownName, file: settings.file)
    let head = try family.isEncoderOnly ? SavedHead(ifPresent: base, family, config) : nil
    section = try Self.section(task, ledger, head, config, name: self.name)
    files = (checkpoint.files + (head?.checkpoint.files ?? [])).map(\.path)
    if !family.isEncoderOnly { notes = try Self.headNotes(base, comparison) }
  }

  /// A whole model that `save_pretrained` wrote with its adapters.
  init(
    modelDirectory base: String, _ settings: Settings, _ comparison: BackboneComparison, name: String?
  ) throws(ConversionError) {
    let adapters = try settings.optionalObject("adapters")
    guard let identifiers = try adapters?.optionalObject("adapters"), !identifiers.values.isEmpty else {
      throw settings.error("adapters", required: "an object that names at least one adapter")
    }
    let names = identifiers.values.keys.sorted()
    guard let ownName = names.count == 1 ? names[0] : names.first(where: { $0 == name }) else {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "adapters",
        "found \(names.count) adapters; a name among \(names.joined(separator: ", ").printable) is required")
    }
    guard try ModelFamily(settings) == .t5 else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "adapters",
        "found a whole encoder saved with its adapters; save the adapter alone, with its head, by save_adapter")
    }
    let identifier = try identifiers.optionalText(ownName) ?? ""
    let stored = try adapters?.optionalObject("config_map")?[identifier]
    let task = LibraryTask(
      configuration: try LibraryConfiguration(
        try Self.librarySettings(stored ?? .string(identifier), settings, "adapters"), .t5, isUnversioned: false),
      family: .t5, name: ownName)
    let checkpoint = try Checkpoint.open(directory: base)
    try task.requireRule(in: checkpoint.tensorNames, file: checkpoint.firstFile)
    let source = try Self.source(checkpoint, settings, comparison, directory: base)
    _ = try comparison.compare(source, allowsNorms: false)

    var own: [String: CheckpointTensor] = [:]
    var others = 0
    for (key, tensor) in source.others {
      if key.hasPrefix("heads.") {
        try Self.requireHead(tensor, name: key, checkpoint, comparison)
      } else if !task.owns(key),
        names.contains(where: { LibraryTask(configuration: task.configuration, family: .t5, name: $0).owns(key) })
      {
        others += 1
      } else {
        own[key] = tensor
      }
    }
    self.name = try Self.taskName(name ?? ownName, file: settings.file)
    section = try Self.section(
      task, TensorLedger(checkpoint, own, directory: checkpoint.firstFile), nil, comparison.config, name: self.name)
    files = checkpoint.files.map(\.path)
    if others > 0 { notes = ["kept out: \(others) tensors of other adapters"] }
  }

  /// An output directory of the authors' code: the whole model, its norms trained with the adapter.
  init(
    authorsDirectory base: String, _ settings: Settings, _ comparison: BackboneComparison, name: String?
  ) throws(ConversionError) {
    let config = comparison.config
    guard try settings.bool("train_task_adapters", default: false) else {
      throw ConversionError(
        .unsupported, file: settings.file,
        "found neither 'adapters' (the adapters library) nor 'train_task_adapters' true (the Compacter authors' code)")
    }
    guard let training = try Settings(ifPresent: base + "training_config.json") else {
      throw ConversionError(
        .cannotOpen, file: base + "training_config.json",
        """
        there is no such file, and the adapter's activation is written nowhere else: it cannot be read from the \
        weights. If you know it, put a file there that says so: {"non_linearity": "gelu_new"} is what every \
        configuration published with the paper has
        """)
    }
    let checkpoint = try Checkpoint.open(directory: base)
    let source = try Self.source(checkpoint, settings, comparison, directory: base)
    let ledger = TensorLedger(checkpoint, source.others, directory: checkpoint.firstFile)
    let task = try AuthorsTask(ledger, training: training, config: config)
    try source.requireEqualAliases()
    let normsDiffer = try comparison.compare(source, allowsNorms: true)

    self.name = try Self.taskName(name ?? task.name, file: settings.file)
    var assembly = TaskAssembly(
      ledger, config: config,
      builder: TaskBuilder(
        config: config, name: Array(self.name.utf8), vocabularySize: source.config.vocabularySize, origin: .authors))
    try task.assemble(&assembly, dModel: config.dModel)
    let trainsNorms = try training.bool("unfreeze_layer_norms", default: true)
    if normsDiffer || trainsNorms {
      var normCount = 0
      for (position, tensor) in source.tensors.enumerated() {
        let spec = config.tensorSpec(at: position)
        guard spec.role.isNorm else { continue }
        assembly.setNorm(try checkpoint.readFinite(tensor), slot: config.slots.slot(ofNorm: spec))
        normCount += 1
      }
      notes = ["the task carries the \(normCount) norms that were trained with its adapter"]
    }
    section = try assembly.finish()
    files = checkpoint.files.map(\.path)
  }

  private static func source(
    _ checkpoint: Checkpoint, _ settings: Settings, _ comparison: BackboneComparison, directory: String
  ) throws(ConversionError) -> BackboneSource {
    let config = try T5Configuration.read(settings, weights: comparison.config.weightEncoding)
    try comparison.require(config, file: settings.file)
    return try BackboneSource(checkpoint, .t5, config: config, directory: directory)
  }

  private static func section(
    _ task: LibraryTask, _ ledger: TensorLedger, _ head: SavedHead?, _ config: BackboneConfig, name: String
  ) throws(ConversionError) -> [UInt8] {
    var ledger = ledger
    if let head { try ledger.add(head.tensors, of: head.checkpoint) }
    var assembly = TaskAssembly(
      ledger, config: config,
      builder: TaskBuilder(
        config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .adapters))
    try task.assemble(&assembly, config: config)
    if let head { try assembly.addHead(head.source) }
    return try assembly.finish()
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
      case .bert: !config.hasDecoder && config.positionOffset == 0 && config.tokenTypeCount > 0
      case .roberta, .xlmRoberta: !config.hasDecoder && config.positionOffset > 0
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

  /// Whatever the packed file must be able to hold as a name.
  private static func taskName(_ name: String, file: String) throws(ConversionError) -> String {
    guard (1...255).contains(name.utf8.count),
      !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw ConversionError(
        .badSetting, file: file, subject: name, "a task's name has 1 to 255 bytes and no control characters")
    }
    return name
  }

  private static func open(_ base: String, _ names: [String]) throws(ConversionError) -> Checkpoint {
    for name in names where try InputFile.ifPresent(path: base + name) != nil {
      return try Checkpoint.open(file: base + name)
    }
    throw ConversionError(.cannotOpen, file: base, "found none of \(names.joined(separator: ", "))")
  }

  /// A head saved beside an adapter must be the one the backbone has.
  private static func headNotes(_ base: String, _ comparison: BackboneComparison) throws(ConversionError) -> [String] {
    for file in ["model_head.safetensors", "pytorch_model_head.bin"]
    where try InputFile.ifPresent(path: base + file) != nil {
      let checkpoint = try Checkpoint.open(file: base + file)
      for name in checkpoint.tensorNames {
        try requireHead(checkpoint.tensor(name)!, name: ModelFamily.t5.canonical(name), checkpoint, comparison)
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
