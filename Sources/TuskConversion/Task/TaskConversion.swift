import TuskFormat

/// Turns the directory of a trained task into a packed task bound to its backbone.
///
/// Creating one reads everything and proves that every slot is filled and every tensor used.
public struct TaskConversion {
  /// Who wrote the directory.
  public enum Dialect: Sendable {
    /// `save_adapter` of the `adapters` library.
    case adapterDirectory
    /// `save_pretrained` of a model with an adapter of that library.
    case modelWithAdapter
    /// `save_pretrained` of the PEFT library.
    case peftDirectory
    /// The output directory of the Compacter authors' code.
    case authors
  }

  public let dialect: Dialect
  public let name: String
  /// The task section, `formats/task.md`.
  public let section: [UInt8]
  /// What a user should know.
  public let notes: [String]
  private let inputs: [String]
  private let provenance: Provenance

  /// - Parameters:
  ///   - backbonePath: the file of `backbone`, which must not be the output.
  ///   - name: of the packed task; also chooses among several adapters of one directory. By default the adapter's own.
  ///   - weights: encoding of the dense matrices of bottleneck adapters; everything else is float32.
  ///   - progress: called while a whole model is compared with the backbone; false stops.
  /// - Throws: `ConversionError`.
  public init(
    directory: String, backbone: PackedFile, backbonePath: String, name: String? = nil,
    weights: WeightEncoding = .float32,
    progress: @escaping (ConversionProgress) -> Bool = { _ in true }
  ) throws(ConversionError) {
    guard let config = backbone.config else {
      throw ConversionError(.mismatch, file: backbonePath, "found a task file; a backbone or a bundle is required")
    }
    let base = directory.hasSuffix("/") ? directory : directory + "/"
    let request = TaskRequest(
      base: base, comparison: BackboneComparison(backbone: backbone, config: config, progress: progress), name: name,
      weights: weights)
    let parts: TaskParts
    if let settings = try Settings(ifPresent: base + "adapter_config.json") {
      let isPEFT = settings["peft_type"] != nil
      dialect = isPEFT ? .peftDirectory : .adapterDirectory
      parts = try isPEFT ? TaskParts(peftDirectory: settings, request) : TaskParts(adapterDirectory: settings, request)
    } else if let settings = try Settings(ifPresent: base + "config.json") {
      let hasAdapters = settings["adapters"] != nil
      dialect = hasAdapters ? .modelWithAdapter : .authors
      parts =
        try hasAdapters ? TaskParts(modelDirectory: settings, request) : TaskParts(authorsDirectory: settings, request)
    } else {
      throw ConversionError(
        .cannotOpen, file: directory,
        "found neither adapter_config.json (a directory of the adapters or the PEFT library) nor config.json (a whole model)"
      )
    }
    self.name = parts.name
    section = parts.section
    notes = parts.notes
    inputs = parts.files + [backbonePath]
    provenance = Provenance(directory: directory, files: parts.files, settings: ["task \(parts.name.printable)"])
  }

  /// Writes the task file at `path`, which is replaced only by a complete one.
  public func write(to path: String) throws(ConversionError) {
    try Output.requireDistinct(path, from: inputs)
    try Output.write(path) { () throws(WriteError) in
      try TaskWriter.write(section, provenance: provenance.bytes, path: path)
    }
  }
}
