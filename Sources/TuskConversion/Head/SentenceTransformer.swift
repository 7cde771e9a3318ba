import TuskFormat

/// A directory of sentence-transformers: a checkpoint, and how a sentence's vector is made of its output.
struct SentenceTransformer {
  /// Where the checkpoint is: the directory itself, or one in it.
  let checkpointDirectory: String
  let head: HeadSource
  /// The weights of the layer behind the pooling; nil without one.
  let dense: Checkpoint?

  /// nil when the directory has no `modules.json`.
  /// - Parameter directory: ends with a slash.
  init?(ifPresent directory: String) throws(ConversionError) {
    let file = directory + "modules.json"
    guard let value = try JSONValue.read(path: file) else { return nil }
    guard case .array(let elements) = value else {
      throw ConversionError(.malformed, file: file, "found \(value.summary); a list of modules is required")
    }
    var modules: [(kind: String, path: String)] = []
    for element in elements {
      guard case .object(let object) = element else {
        throw ConversionError(.malformed, file: file, "found \(element.summary) in the list; an object is required")
      }
      let settings = Settings(object, file: file)
      guard let type = try settings.optionalText("type") else { throw settings.error("type", required: "a text") }
      let kind = type.split(separator: ".").last.map { String($0) } ?? type
      modules.append((kind, try settings.optionalText("path") ?? ""))
    }
    let kinds = modules.map(\.kind)
    let expected = [["Dense"], ["Normalize"], ["Dense", "Normalize"], []].map { ["Transformer", "Pooling"] + $0 }
    guard expected.contains(kinds) else {
      throw ConversionError(
        .unsupported, file: file, subject: "type",
        "found the modules \(kinds.joined(separator: ", ").printable); Transformer, Pooling and perhaps Dense and "
          + "Normalize are supported")
    }
    for module in modules where module.path.split(separator: "/").contains("..") || module.path.hasPrefix("/") {
      throw ConversionError(.malformed, file: file, subject: module.path, "a path outside the directory")
    }
    checkpointDirectory = modules[0].path.isEmpty ? directory : directory + modules[0].path + "/"
    let poolingFile = directory + modules[1].path + "/config.json"
    guard let pooling = try Settings(ifPresent: poolingFile) else {
      throw ConversionError(
        .cannotOpen, file: poolingFile, "there is no such file; the pooling's settings are required")
    }
    var head = HeadSource(
      input: try Self.input(pooling), output: .embedding, hasUnitLength: kinds.last == "Normalize")
    if kinds.contains("Dense") {
      let folder = directory + modules[2].path + "/"
      head.layers = [try Self.layer(folder)]
      dense = try Checkpoint.open(directory: folder)
    } else {
      dense = nil
    }
    self.head = head
  }

  /// What the settings of a Dense module say.
  /// - Parameter folder: ends with a slash.
  private static func layer(_ folder: String) throws(ConversionError) -> HeadSource.Layer {
    let file = folder + "config.json"
    guard let settings = try Settings(ifPresent: file) else {
      throw ConversionError(.cannotOpen, file: file, "there is no such file; the settings of the layer are required")
    }
    // The class of torch.nn that is applied behind it.
    let classes: [String: Activation] = [
      "Tanh": .tanh, "Identity": .identity, "ReLU": .relu, "GELU": .gelu, "Sigmoid": .sigmoid, "SiLU": .silu,
    ]
    let name = try settings.optionalText("activation_function") ?? "torch.nn.modules.activation.Tanh"
    guard let activation = classes[name.split(separator: ".").last.map { String($0) } ?? ""] else {
      throw settings.error("activation_function", required: classes.keys.sorted().joined(separator: ", "))
    }
    return HeadSource.Layer(
      prefix: "linear.", outWidth: try settings.integer("out_features", in: 1...65_536),
      hasBias: try settings.bool("bias", default: true), activation: activation)
  }

  private static func input(_ pooling: Settings) throws(ConversionError) -> HeadInput {
    let prefix = "pooling_mode_"
    var modes: [String] = []
    for key in pooling.values.keys.sorted() where key.hasPrefix(prefix) {
      if try pooling.bool(key, default: false) { modes.append(String(key.dropFirst(prefix.count))) }
    }
    switch modes {
    case ["mean_tokens"]: return .mean
    case ["cls_token"]: return .firstToken
    default:
      throw ConversionError(
        .unsupported, file: pooling.file, subject: modes.first.map { prefix + $0 },
        "found the pooling modes \(modes.isEmpty ? "none" : modes.joined(separator: ", ").printable); mean_tokens or "
          + "cls_token alone is supported")
    }
  }
}
