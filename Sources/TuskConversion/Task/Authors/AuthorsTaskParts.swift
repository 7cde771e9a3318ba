import TuskFormat

/// What the authors' code wrote: the whole model with the task's parts in it.
extension TaskParts {
  init(authorsDirectory settings: Settings, _ request: TaskRequest) throws(ConversionError) {
    let training = try Settings(ifPresent: request.base + "training_config.json")
    let hasAdapters = try settings.bool("train_task_adapters", default: false)
    let hasPrompt = try settings.bool("prefix_tuning", default: false)
    var hasBiases = false
    if let training { hasBiases = try training.bool("bitfit", default: false) }
    guard hasAdapters || hasPrompt || hasBiases else { throw Self.anotherBackbone(settings, request) }
    let checkpoint = try Checkpoint.open(directory: request.base)
    let source = try Self.source(checkpoint, .t5, settings, request, hasTaskBiases: hasBiases)
    let ledger = TensorLedger(checkpoint, source.others, directory: checkpoint.firstFile)
    var adapters: AuthorsTask?
    if hasAdapters {
      adapters = try AuthorsTask(ledger, training: try Self.required(training, request), config: request.config)
    }
    try source.requireEqualAliases()
    let normsDiffer = try request.comparison.compare(source, allowsNorms: true)

    var ownName = adapters?.name ?? (hasPrompt ? "prompt" : "bitfit")
    if adapters == nil, let training { ownName = try training.optionalText("task_name") ?? ownName }
    name = try Self.taskName(
      request.name ?? ownName, file: settings.file)
    var assembly = TaskAssembly(
      ledger, config: request.config,
      builder: TaskBuilder(
        config: request.config, name: Array(name.utf8), vocabularySize: source.config.vocabularySize, origin: .authors),
      weights: request.weights)
    try adapters?.assemble(&assembly, dModel: request.config.dModel)
    if hasPrompt { try AuthorsPrompt.assemble(&assembly) }
    if hasBiases { try AuthorsBiases.assemble(&assembly, source.config) }
    // The norms are trained with adapters, and beside other methods when somebody asked for it.
    var trainsNorms = hasAdapters
    if hasAdapters, let training { trainsNorms = try training.bool("unfreeze_layer_norms", default: true) }
    if normsDiffer || trainsNorms {
      let count = try Self.addNorms(of: source, to: &assembly)
      notes = ["the task carries the \(count) norms that were trained with it"]
    }
    section = try assembly.finish()
    notes += Self.roundingNotes(assembly, request.weights)
    files = checkpoint.files.map(\.path)
  }

  /// All norms of the checkpoint, which may have been trained.
  private static func addNorms(
    of source: BackboneSource, to assembly: inout TaskAssembly
  ) throws(ConversionError) -> Int {
    let config = assembly.config
    var count = 0
    for (position, tensor) in source.tensors.enumerated() {
      let spec = config.tensorSpec(at: position)
      guard spec.role.isNorm else { continue }
      assembly.setNorm(try source.checkpoint.readFinite(tensor), slot: config.slots.slot(ofNorm: spec))
      count += 1
    }
    return count
  }

  private static func required(_ training: Settings?, _ request: TaskRequest) throws(ConversionError) -> Settings {
    guard let training else {
      throw ConversionError(
        .cannotOpen, file: request.base + "training_config.json",
        """
        there is no such file, and the adapter's activation is written nowhere else: it cannot be read from the \
        weights. If you know it, put a file there that says so: {"non_linearity": "gelu_new"} is what every \
        configuration published with the paper has
        """)
    }
    return training
  }

  /// Fine-tuning of all weights, and of all weights in a subspace (Intrinsic-SAID), leaves a model like any other.
  private static func anotherBackbone(_ settings: Settings, _ request: TaskRequest) -> ConversionError {
    ConversionError(
      .unsupported, file: settings.file,
      """
      found a whole model without the parts of a task: neither 'adapters' (the adapters library), nor \
      'train_task_adapters' or 'prefix_tuning' true, nor a training_config.json with 'bitfit' true (the Compacter \
      authors' code). If all weights were trained, it is another backbone: convert it with `tusk convert backbone`
      """)
  }
}
