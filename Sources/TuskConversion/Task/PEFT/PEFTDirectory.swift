import TuskFormat

/// A directory that `save_pretrained` of the PEFT library wrote.
struct PEFTDirectory {
  let kind: PEFTKind
  let settings: Settings
  let family: ModelFamily
  let modules: BackboneModules
  let checkpoint: Checkpoint
  /// By their names without the prefixes and infixes of wrapping classes.
  let tensors: [String: CheckpointTensor]
  private let targets: Targets

  private enum Targets {
    case list([String])
    /// Nothing can be said of what must be there.
    case unknown
  }

  /// - Parameter directory: ends with a slash.
  init(_ directory: String, _ settings: Settings, _ config: BackboneConfig) throws(ConversionError) {
    kind = try PEFTKind(settings)
    self.settings = settings
    try kind.requireSupported(settings)
    family = ModelFamily(of: config)
    modules = BackboneModules(family, config)
    targets = try Self.targets(settings)
    try Self.requireTaskType(settings)
    try Self.requireModel(directory, family, config)
    checkpoint = try TaskParts.open(directory, ["adapter_model.safetensors", "adapter_model.bin"])
    var tensors: [String: CheckpointTensor] = [:]
    for name in checkpoint.tensorNames where !name.contains(".original_module.") {
      let tensor = checkpoint.tensor(name)!
      if let other = tensors.updateValue(tensor, forKey: Self.canonical(name, family)) {
        try Self.requireCopy(tensor, of: other, checkpoint)
      }
    }
    self.tensors = tensors
  }

  /// The parts of the task that are no head. Everything of the ledger that they do not take belongs to a head.
  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    switch kind {
    case .lora: try PEFTLoRA(self).assemble(&assembly)
    case .lokr: try PEFTLoKr(self).assemble(&assembly)
    case .ia3: try PEFTIA3(self).assemble(&assembly)
    case .normTuning: try PEFTNorms(self).assemble(&assembly)
    case .prefixTuning: try PEFTPrefix(self, assembly.config).assemble(&assembly)
    case .promptTuning, .promptEncoder: try PEFTPrompt(self, assembly.config).assemble(&assembly)
    }
  }

  /// Of a module that is saved whole, biases that were trained everywhere are in the file twice.
  private static func requireCopy(
    _ tensor: CheckpointTensor, of other: CheckpointTensor, _ checkpoint: Checkpoint
  ) throws(ConversionError) {
    guard tensor.shape == other.shape, try checkpoint.readFinite(tensor) == checkpoint.readFinite(other) else {
      throw ConversionError(
        .mismatch, file: tensor.sourceFile, subject: tensor.name,
        "the tensor differs from '\(other.name.printable)', which is the same parameter")
    }
  }

  /// The name without prefixes, and without what the library puts between a module and its parameters.
  private static func canonical(_ name: String, _ family: ModelFamily) -> String {
    var rest = Substring(name)
    for prefix in ["base_model.model.", "base_model."] where rest.hasPrefix(prefix) {
      rest = rest.dropFirst(prefix.count)
      break
    }
    let infixes: Set<Substring> = ["default", "base_layer", "modules_to_save"]
    let parts = rest.split(separator: ".", omittingEmptySubsequences: false).filter { !infixes.contains($0) }
    return family.canonical(parts.joined(separator: "."))
  }

  /// Names of the modules with a tensor that ends in one of `suffixes`, in order.
  func modules(with suffixes: [String]) -> [String] {
    var names: Set<String> = []
    for tensor in tensors.keys {
      for suffix in suffixes where tensor.hasSuffix(suffix) { names.insert(String(tensor.dropLast(suffix.count))) }
    }
    return names.sorted()
  }

  /// What the class that was trained calls the module whose tensor is `name` + `suffix`.
  func trainedName(_ name: String, _ suffix: String) -> String {
    guard let tensor = tensors[name + suffix] else { return name }
    var rest = Substring(tensor.name)
    if rest.hasPrefix("base_model.model.") { rest = rest.dropFirst("base_model.model.".count) }
    let marker = suffix.prefix { $0 == "." } + suffix.dropFirst().prefix { $0 != "." }
    if let range = rest.ranges(of: marker).last { rest = rest[..<range.lowerBound] }
    return String(rest)
  }

  /// The product of the module called `name`.
  /// - Parameter suffix: of one of its tensors, to name it in errors.
  func place(of name: String, _ suffix: String) throws(ConversionError) -> ProductPlace {
    if let place = modules.products[name], place.target != .head { return place }
    let tensor = tensors[name + suffix]
    let isEmbedding = modules.products[name] != nil || name.contains("embed") || name == "shared"
    throw ConversionError(
      isEmbedding ? .unsupported : .mismatch, file: checkpoint.firstFile, subject: tensor?.name ?? name,
      isEmbedding
        ? "found a change of '\(name.printable)'; changes of embeddings and of the language-model head are not supported"
        : "the backbone has no linear '\(name.printable)'; the adapter belongs to another model")
  }

  /// Checks that every module that the settings list by name has been found in the file: loading what is left of a
  /// broken file would pass unnoticed.
  func requireTargets(_ found: [String], among candidates: some Sequence<String>) throws(ConversionError) {
    guard !found.isEmpty else {
      throw ConversionError(
        .missingTensor, file: checkpoint.firstFile, "found no tensor of an adapter of kind \(kind.rawValue)")
    }
    guard case .list(let targets) = targets else { return }
    let there = Set(found)
    for name in candidates.sorted() where !there.contains(name) && name != "pooler.dense" && name != T5Names.headModule
    {
      let target = targets.first { target in
        let target = family.canonical(target)
        return name == target || name.hasSuffix("." + target)
      }
      if let target {
        throw ConversionError(
          .missingTensor, file: checkpoint.firstFile, subject: name,
          "target_modules has '\(target.printable)', but the file nothing for this module")
      }
    }
  }

  private static func targets(_ settings: Settings) throws(ConversionError) -> Targets {
    var isPartial = settings["exclude_modules"] != nil || settings["layers_to_transform"] != nil
    if case .array(let saved)? = settings["modules_to_save"] {
      // A module that is saved whole is no target, whatever it is called.
      isPartial = isPartial || saved.contains { !["classifier", "score", "pre_classifier"].contains($0.asText) }
    }
    switch settings["target_modules"] {
    case nil, .string: return .unknown
    case .array(let elements):
      var names: [String] = []
      for element in elements {
        guard case .string(let name) = element else {
          throw settings.error("target_modules", required: "a list of names")
        }
        names.append(name)
      }
      return isPartial ? .unknown : .list(names)
    default: throw settings.error("target_modules", required: "a text or a list of names")
    }
  }

  /// An adapter of q alone fits T5 v1.0 as well as v1.1. Where the settings of its model lie beside it, they must be the
  /// backbone's.
  private static func requireModel(
    _ directory: String, _ family: ModelFamily, _ config: BackboneConfig
  ) throws(ConversionError) {
    guard let model = try Settings(ifPresent: directory + "config.json") else { return }
    var facts: [(key: String, required: Int)] =
      family == .distilBert
      ? [("dim", config.dModel), ("hidden_dim", config.dFF), ("n_layers", config.layerCount)]
      : [("hidden_size", config.dModel), ("intermediate_size", config.dFF), ("num_hidden_layers", config.layerCount)]
    if config.hasDecoder {
      facts = [("d_model", config.dModel), ("d_ff", config.dFF), ("num_layers", config.layerCount)]
      facts += [("d_kv", config.dKV), ("num_decoder_layers", config.decoderLayerCount)]
      let feedForward = try model.optionalText("feed_forward_proj")
      if let feedForward, feedForward.hasPrefix("gated-") != config.isGated {
        throw ConversionError(
          .mismatch, file: model.file, subject: "feed_forward_proj",
          "found '\(feedForward.printable)'; the backbone's feed-forward is \(config.isGated ? "" : "not ")gated, so the "
            + "adapter belongs to another backbone")
      }
    }
    for (key, required) in facts {
      guard let found = try model.optionalInteger(key), found != required else { continue }
      throw ConversionError(
        .mismatch, file: model.file, subject: key,
        "found \(found); the backbone has \(required), so the adapter belongs to another backbone")
    }
  }

  private static func requireTaskType(_ settings: Settings) throws(ConversionError) {
    let supported: Set<String> = ["SEQ_2_SEQ_LM", "SEQ_CLS", "FEATURE_EXTRACTION"]
    guard let taskType = try settings.optionalText("task_type"), !supported.contains(taskType) else { return }
    throw ConversionError(
      .unsupported, file: settings.file, subject: "task_type",
      "found '\(taskType.printable)'; \(supported.sorted().joined(separator: ", ")) are supported")
  }
}

extension ModelFamily {
  /// The family whose names the tensors of a directory have that does not say so. RoBERTa and XLM-RoBERTa name theirs
  /// alike.
  init(of config: BackboneConfig) {
    if config.hasDecoder {
      self = .t5
    } else if config.positionOffset > 0 {
      self = .roberta
    } else {
      self = config.tokenTypeCount > 0 ? .bert : .distilBert
    }
  }
}
