import TuskFormat

/// What the PEFT library wrote.
extension TaskParts {
  /// A directory that `save_pretrained` of a PEFT model wrote. Such adapters have no name: the directory's is taken.
  init(peftDirectory settings: Settings, _ request: TaskRequest) throws(ConversionError) {
    let config = request.config
    let directory = try PEFTDirectory(request.base, settings, config)
    let checkpoint = directory.checkpoint
    let head = try PEFTHead(directory, base: request.base, config, backboneHead: request.comparison.backbone.head)
    var tensors = directory.tensors
    if let tensor = tensors[T5Names.head], config.hasDecoder {
      try request.comparison.requireHead(tensor, of: checkpoint)
      tensors[T5Names.head] = nil
    }
    let own = request.base.split(separator: "/").last { $0 != "." && $0 != ".." }.map { String($0) } ?? "task"
    name = try Self.taskName(request.name ?? own, file: settings.file)
    files = checkpoint.files.map(\.path)
    var assembly = TaskAssembly(
      TensorLedger(checkpoint, tensors, directory: checkpoint.firstFile), config: config,
      builder: TaskBuilder(
        config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .peft))
    try directory.assemble(&assembly)
    if let head { try assembly.addHead(head.source) }
    section = try assembly.finish()
    notes = (head?.notes ?? []) + Self.roundingNotes(assembly, request.weights)
  }
}
