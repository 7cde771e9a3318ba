import TuskFormat

/// A task as `save_adapter` of the `adapters` library writes it from a class with flexible heads, whose names have the
/// prefix without which the library loses shared rules.
struct LibraryExport {
  /// The release whose reading of the settings is meant.
  private static let version = "adapters.1.3.0"

  let request: ExportRequest
  private var state = StateDict()
  private var configs: [JSONValue] = []
  private var notes: [String] = []

  var contents: TaskContents { request.contents }
  /// Begins the names of all tensors.
  var modelPrefix: String { request.family.modelPrefix }
  var name: String { request.name }

  init(_ request: ExportRequest) throws(ConversionError) {
    self.request = request
    let contents = request.contents
    try contents.requireOnly(
      [.adapter, .linear, .scale, .prefix, .prompt, .head],
      "an adapter of the adapters library adds bottleneck adapters, LoRA, (IA)3, prefixes and prompts; it leaves the "
        + "model's own norms and biases as they are")
    guard request.family != .camembert else {
      throw ConversionError(
        .inexpressible, file: contents.file, "the adapters library has no class for a \(request.family.title)")
    }
    guard !name.utf8.contains(UInt8(ascii: ".")) else {
      throw ConversionError(
        .inexpressible, file: contents.file, subject: name,
        "the library puts the name into those of modules, which hold no dot; choose another with --name")
    }
    if !contents.adapters.isEmpty { try addBottlenecks() }
    if !contents.products.isEmpty { try addProducts() }
    if !contents.prefixes.isEmpty { try addPrefixes() }
    if let prompt = contents.prompt { try addPrompt(prompt) }
    guard !configs.isEmpty else {
      throw ConversionError(
        .inexpressible, file: contents.file,
        "the task has nothing but a head; the adapters library saves heads beside an adapter")
    }
    if contents.section.vocabularySize < request.config.vocabularySize {
      notes.append(
        "the task knows the first \(contents.section.vocabularySize) of the backbone's \(request.config.vocabularySize) "
          + "tokens; the format cannot say so, and the model gives logits to the others too")
    }
  }

  func files() throws(ConversionError) -> ExportFiles {
    let isTorch = request.container == .torch
    var files = ExportFiles(notes: notes)
    let config =
      configs.count == 1 ? configs[0] : .object(["architecture": .string("union"), "configs": .array(configs)])
    files.settings.append(("adapter_config.json", described(config)))
    files.tensors.append((isTorch ? "pytorch_adapter.bin" : "adapter.safetensors", state))
    if let head = try LibraryHeadExport(request) {
      files.settings.append(("head_config.json", described(head.config)))
      files.tensors.append((isTorch ? "pytorch_model_head.bin" : "model_head.safetensors", head.state))
    }
    return files
  }

  /// Adds a method's settings.
  mutating func add(_ config: [String: JSONValue]) { configs.append(.object(config)) }

  mutating func add(_ tensor: String, _ shape: [Int], _ values: [Float]) {
    state.add(modelPrefix + tensor, shape, values)
  }

  mutating func add(_ tensor: String, sameAs other: String) {
    state.add(modelPrefix + tensor, sameAs: modelPrefix + other)
  }

  func contains(_ tensor: String) -> Bool { state.contains(modelPrefix + tensor) }

  /// Settings with what the library says beside them.
  private func described(_ config: JSONValue) -> JSONValue {
    .object([
      "config": config, "hidden_size": .integer(request.config.dModel),
      "model_class": .string("\(request.family.classPrefix)AdapterModel"), "model_name": request.modelName,
      "model_type": .string(request.family.rawValue), "name": .string(name), "version": .string(Self.version),
    ])
  }
}
