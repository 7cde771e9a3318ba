import TuskFormat

/// Writes a packed task back as a directory that PyTorch's libraries load, and that converts into the same task again.
///
/// Creating one takes the task apart and proves that the format has a form for everything in it.
public struct TaskExport {
  /// Who reads the directory.
  public enum Format: String, CaseIterable, Sendable {
    /// `load_adapter` of the `adapters` library.
    case adapterHub = "adapterhub"
    /// The Compacter authors' code.
    case authors
    /// `PeftModel.from_pretrained` of the PEFT library.
    case peft
  }

  /// How tensors are stored.
  public enum Container: String, CaseIterable, Sendable {
    /// A zip archive as `torch.save` writes it.
    case torch
    case safetensors
  }

  public struct WrittenFile: Sendable {
    public let name: String
    public let byteCount: Int
  }

  public let name: String
  /// What a user should know.
  public let notes: [String]
  /// Bytes of numbers that `write` will write.
  public var byteCount: Int { files.byteCount }

  private let files: ExportFiles
  private let inputs: [String]

  /// - Parameters:
  ///   - path: the file of `task`, for errors.
  ///   - backbone: that the task belongs to.
  ///   - checkpoint: the Hugging Face directory that the backbone was packed from. The authors' format takes the model's
  ///     numbers from there; the others take the kind of model, which else follows from the backbone's arithmetic: it does
  ///     not tell an XLM-RoBERTa or CamemBERT from a RoBERTa, or an ELECTRA from a BERT.
  ///   - container: nil for what the format's reader looks for by itself.
  /// - Throws: `ConversionError`: `.mismatch` for a task or checkpoint of another backbone, `.inexpressible` for a part of
  ///   the task that the format has no form for.
  public init(
    _ task: TaskSection, path: String, backbone: PackedFile, backbonePath: String, format: Format, name: String? = nil,
    checkpoint: String? = nil, container: Container? = nil
  ) throws(ConversionError) {
    guard let config = backbone.config else {
      throw ConversionError(.mismatch, file: backbonePath, "found a task file; a backbone or a bundle is required")
    }
    do throws(FormatError) { try task.requireFit(to: config) } catch {
      throw ConversionError(
        .mismatch, file: path, offset: UInt64(error.offset), "the task belongs to another backbone: \(error.summary)")
    }
    let contents = TaskContents(task, config, file: path)
    self.name = try TaskParts.taskName(
      name ?? String(decoding: (0..<task.name.count).map { task.name.load($0, as: UInt8.self) }, as: UTF8.self),
      file: path)
    let opened = try checkpoint.map { (directory) throws(ConversionError) in try Self.open(directory) }
    let request = ExportRequest(
      contents: contents, name: self.name, family: try Self.family(config, opened, backbone),
      container: container ?? (format == .peft ? .safetensors : .torch), backbone: backbone, checkpoint: opened)
    guard format != .authors || request.container == .torch else {
      throw ConversionError(
        .inexpressible, file: path,
        "the authors' code reads pytorch_model.bin only; safetensors is for the other formats")
    }
    files =
      switch format {
      case .adapterHub: try LibraryExport(request).files()
      case .authors: try AuthorsExport(request).files()
      case .peft: try PEFTExport(request).files()
      }
    notes = files.notes
    inputs = [backbonePath, path] + (checkpoint.map { [$0] } ?? [])
  }

  /// Writes the directory at `path`, which appears there only when it is complete.
  /// - Parameters:
  ///   - replacing: whether a directory that an export has made may be there.
  ///   - progress: called after every piece; false stops.
  /// - Throws: `ConversionError`, of kind `.cancelled` when `progress` returned false.
  public func write(
    to path: String, replacing: Bool = false, progress: (ConversionProgress) -> Bool = { _ in true }
  ) throws(ConversionError) -> [WrittenFile] {
    let directory = try OutputDirectory(path: path, replacing: replacing, inputs: inputs)
    var written: [WrittenFile] = []
    for (name, value) in files.settings {
      let bytes = JSONText.bytes(value)
      let file = try directory.file(name)
      try file.append(bytes)
      try file.finish()
      written.append(WrittenFile(name: name, byteCount: bytes.count))
    }
    var doneBytes = 0
    for (name, state) in files.tensors {
      let file = try directory.file(name)
      func report(_ count: Int) throws(ConversionError) {
        doneBytes += count
        guard progress(ConversionProgress(doneBytes: doneBytes, totalBytes: byteCount, tensor: name)) else {
          throw ConversionError(.cancelled, file: path, "the export was stopped; nothing was written")
        }
      }
      if name.hasSuffix(".safetensors") {
        try SafetensorsWriter.write(state, to: file, progress: report)
      } else {
        try TorchArchiveWriter.write(state, to: file, progress: report)
      }
      try file.finish()
      written.append(WrittenFile(name: name, byteCount: Int(file.byteCount)))
    }
    try directory.finish()
    return written.sorted { $0.name < $1.name }
  }

  private static func open(_ directory: String) throws(ConversionError) -> ExportCheckpoint {
    var path = directory
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    guard let settings = try Settings(ifPresent: path + "/config.json") else {
      throw ConversionError(
        .cannotOpen, file: path + "/config.json", "there is no such file; a Hugging Face checkpoint directory has one")
    }
    return ExportCheckpoint(directory: path, settings: settings)
  }

  /// Whose names tensors get: what the checkpoint says, else what the backbone's arithmetic tells.
  private static func family(
    _ config: BackboneConfig, _ checkpoint: ExportCheckpoint?, _ backbone: PackedFile
  ) throws(ConversionError) -> ModelFamily {
    guard let checkpoint else { return ModelFamily(of: config) }
    let family = try ModelFamily(checkpoint.settings)
    guard family.isEncoderOnly != config.hasDecoder else {
      throw ConversionError(
        .mismatch, file: checkpoint.settings.file, subject: "model_type",
        "found a \(family.title); the backbone is \(config.hasDecoder ? "a T5" : "an encoder")")
    }
    let own =
      try family.isEncoderOnly
      ? EncoderConfiguration.read(
        checkpoint.settings, family, hasPooler: config.hasPooler, weights: config.weightEncoding)
      : T5Configuration.read(checkpoint.settings, weights: config.weightEncoding)
    try BackboneComparison(backbone: backbone, config: config, progress: { _ in true })
      .require(own, file: checkpoint.settings.file)
    return family
  }
}
