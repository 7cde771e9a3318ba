import TuskFormat

/// A task as `save_pretrained` of the PEFT library writes it.
struct PEFTExport {
  let request: ExportRequest
  let modules: BackboneModules
  private let kind: PEFTKind
  private let head: PEFTHeadExport?
  private var state = StateDict()
  private var settings: [String: JSONValue] = [:]
  private var notes: [String] = []

  var contents: TaskContents { request.contents }

  init(_ request: ExportRequest) throws(ConversionError) {
    self.request = request
    modules = BackboneModules(request.family, request.config)
    kind = try Self.kind(request.contents)
    head = try PEFTHeadExport(request)
    switch kind {
    case .lora: try addLoRA()
    case .lokr: try addLoKr()
    case .ia3: try addScales()
    case .normTuning: addNorms()
    case .prefixTuning: try addPrefixes()
    case .promptTuning, .promptEncoder: try addPrompt()
    }
  }

  func files() throws(ConversionError) -> ExportFiles {
    var settings = settings
    var state = state
    settings["peft_type"] = .string(kind.rawValue)
    settings["base_model_name_or_path"] = request.modelName
    settings["inference_mode"] = .bool(true)
    settings["modules_to_save"] = .null
    settings["task_type"] = .string(request.family.isEncoderOnly ? "FEATURE_EXTRACTION" : "SEQ_2_SEQ_LM")
    var files = ExportFiles(notes: notes)
    if let head {
      settings["task_type"] = .string("SEQ_CLS")
      settings["modules_to_save"] = .array(head.modules.map { .string($0) })
      head.add(to: &state, prefix: kind.isPromptLearning ? "base_model." : "base_model.model.")
      // Of the labels the library saves nothing.
      files.settings.append(("config.json", head.labels))
    }
    files.settings.append(("adapter_config.json", .object(settings)))
    files.tensors.append((request.container == .torch ? "adapter_model.bin" : "adapter_model.safetensors", state))
    return files
  }

  /// The one kind that has a form for everything in the task.
  /// - Throws: `.inexpressible` naming the first part that none has, or that does not go with the others.
  private static func kind(_ contents: TaskContents) throws(ConversionError) -> PEFTKind {
    try contents.requireOnly(
      [.linear, .scale, .bias, .prefix, .prompt, .norm, .normBias, .head],
      "PEFT changes products (LoRA, LoKr, IA3), norms (LN_TUNING), and adds prefixes and prompts; it has no adapter behind a "
        + "sub-layer")
    func only(_ kind: PEFTKind, _ parts: Set<TaskContents.Part>) throws(ConversionError) -> PEFTKind {
      try contents.requireOnly(
        parts.union([.head]), "the rest of the task is of kind \(kind.rawValue), which has no such part")
      return kind
    }
    if contents.prompt != nil { return try only(.promptTuning, [.prompt]) }
    if !contents.prefixes.isEmpty { return try only(.prefixTuning, [.prefix]) }
    let linears = contents.products.compactMap(\.part.linear).map { contents.section.linear(at: $0) }
    if let first = linears.first, !contents.isLowRank(first) { return try only(.lokr, [.linear]) }
    if !linears.isEmpty || contents.products.contains(where: { $0.part.bias != nil }) {
      return try only(.lora, [.linear, .bias, .normBias])
    }
    if !contents.products.isEmpty { return try only(.ia3, [.scale]) }
    if !contents.norms.isEmpty { return try only(.normTuning, [.norm, .normBias]) }
    if !contents.normBiases.isEmpty { return try only(.lora, [.normBias]) }
    throw ConversionError(
      .inexpressible, file: contents.file, "the task has nothing but a head; PEFT saves heads beside an adapter")
  }

  mutating func set(_ key: String, to value: JSONValue) { settings[key] = value }

  mutating func addNote(_ note: String) { notes.append(note) }

  /// Adds a tensor of a module of the backbone.
  mutating func add(_ module: String, _ rest: String, _ shape: [Int], _ values: [Float]) {
    // The classes with a classifier hold the encoder under its name; the encoder alone, and a T5, are the model.
    state.add("base_model.model.\(head == nil ? "" : request.family.modelPrefix)\(module)\(rest)", shape, values)
  }

  /// Adds the vectors of prompt learning, which have one name for all models.
  mutating func add(vectors: [Float], rows: Int) {
    state.add(PEFTVectors.name, [rows, vectors.count / rows], vectors)
  }

  /// Name and place of a product in words, for errors.
  func place(_ product: TaskProduct, slot: Int) -> String {
    "\(product.target.name) of \(contents.place(ofSlot: slot))"
  }

  /// The shortest endings of names that `chosen` have, and no other module.
  func endings(of chosen: some Sequence<String>) -> JSONValue {
    let chosen = Set(chosen)
    let others = Set(modules.products.keys).union(modules.norms.keys).union(Self.headModules).subtracting(chosen)
    var endings: Set<String> = []
    for name in chosen {
      let parts = name.split(separator: ".")
      let ending = (1...parts.count).lazy.map { parts.suffix($0).joined(separator: ".") }
        .first { ending in !others.contains { $0 == ending || $0.hasSuffix("." + ending) } }
      endings.insert(ending ?? name)
    }
    return .array(endings.sorted().map { .string($0) })
  }

  private static let headModules = ["classifier.dense", "classifier.out_proj", "classifier", "pre_classifier"]
}

/// Numbers as PEFT's settings hold them.
enum PEFTNumber {
  /// Alpha of a scale: what gives it when divided by the rank.
  static func alpha(_ scaling: Float, rank: Int) -> JSONValue {
    // Exact: 24 bits times at most 17.
    let alpha = Double(scaling) * Double(rank)
    return Int(exactly: alpha).map { .integer($0) } ?? .number(alpha)
  }
}
