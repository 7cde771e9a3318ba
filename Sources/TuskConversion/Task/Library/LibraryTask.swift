import TuskFormat

/// A task in the names of the `adapters` library: one method, or several that act side by side.
struct LibraryTask {
  private enum Method {
    case bottleneck(BottleneckTask)
    case lowRank(LibraryLowRank)
    case prefix(LibraryPrefix)
    case prompt(LibraryPrompt)
  }

  /// Whose names the tensors have.
  let family: ModelFamily
  /// What the tensors' names call the adapter.
  let name: String
  private let methods: [Method]

  /// - Parameter isUnversioned: the file names no version: the library then takes "gelu" for gelu_new.
  init(_ settings: Settings, _ family: ModelFamily, name: String, isUnversioned: Bool) throws(ConversionError) {
    self.family = family
    self.name = name
    guard try settings.optionalText("architecture") == "union" else {
      methods = [try Self.method(settings, family, name: name, isUnversioned: isUnversioned)]
      return
    }
    try settings.requireKnown(["architecture", "configs"], refused: [:])
    guard case .array(let elements)? = settings["configs"], !elements.isEmpty else {
      throw settings.error("configs", required: "a list of configurations")
    }
    var methods: [Method] = []
    var architectures: Set<String> = []
    for element in elements {
      guard case .object(let object) = element else {
        throw settings.error("configs", required: "a list of objects")
      }
      let part = Settings(object, file: settings.file)
      let architecture = try part.optionalText("architecture") ?? "bottleneck"
      guard architectures.insert(architecture).inserted || architecture == "bottleneck" else {
        throw ConversionError(
          .unsupported, file: settings.file, subject: "configs",
          "found two configurations of kind '\(architecture.printable)' in a union, which the library refuses too")
      }
      methods.append(try Self.method(part, family, name: name, isUnversioned: isUnversioned))
    }
    self.methods = methods
  }

  private static func method(
    _ settings: Settings, _ family: ModelFamily, name: String, isUnversioned: Bool
  ) throws(ConversionError) -> Method {
    switch try settings.optionalText("architecture") {
    case nil, "bottleneck":
      return .bottleneck(
        BottleneckTask(
          configuration: try BottleneckConfiguration(settings, family, isUnversioned: isUnversioned), family: family,
          name: name))
    case "lora": return .lowRank(try LibraryLowRank(settings))
    case "prefix_tuning": return .prefix(try LibraryPrefix(settings))
    case "prompt_tuning": return .prompt(try LibraryPrompt(settings))
    case .some(let other):
      throw ConversionError(
        .unsupported, file: settings.file, subject: "architecture",
        "found an adapter of kind '\(other.printable)'; bottleneck adapters (no architecture), lora, prefix_tuning, "
          + "prompt_tuning and a union of these are supported")
    }
  }

  /// Whether `tensor` (a name without prefix) is that of an adapter called `name`.
  static func owns(_ tensor: String, name: String) -> Bool {
    tensor.hasPrefix("shared_parameters.\(name).")
      || [".adapters.", ".loras.", "prefix_tunings.", "prefix_gates.", "prompt_tunings."].contains {
        tensor.contains("\($0)\(name).")
      }
  }

  /// - Throws: `.lostRule` when the adapters share a rule that was not saved with them.
  func requireRule(in names: some Sequence<String>, file: String) throws(ConversionError) {
    for method in methods {
      if case .bottleneck(let task) = method { try task.requireRule(in: names, file: file) }
    }
  }

  /// Puts everything the configuration asks for into `assembly`.
  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    for method in methods {
      switch method {
      case .bottleneck(let task): try task.assemble(&assembly, config: assembly.config)
      case .lowRank(let task): try task.assemble(&assembly, self)
      case .prefix(let task): try task.assemble(&assembly, self)
      case .prompt(let task): try task.assemble(&assembly, self)
      }
    }
  }
}
