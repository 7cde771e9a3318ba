import CTuskSystem

/// A directory that appears under its name only when it is complete. Until then its files are in `PATH.export.tmp`;
/// if it goes away unfinished, so do they.
final class OutputDirectory {
  /// Names an export may write; a directory with others was not made by one.
  static let fileNames: Set<String> = [
    "adapter_config.json", "pytorch_adapter.bin", "adapter.safetensors", "head_config.json", "pytorch_model_head.bin",
    "model_head.safetensors", "config.json", "training_config.json", "pytorch_model.bin", "adapter_model.bin",
    "adapter_model.safetensors",
  ]

  private let path: String
  private let temporaryPath: String
  private let replacing: Bool
  /// Whether what is at `temporaryPath` is this object's to remove; not before it was made, when its initializer throws.
  private var ownsTemporary = false

  /// - Parameters:
  ///   - replacing: whether a directory that an export has made may be at `path`.
  ///   - inputs: files and directories that are read.
  /// - Throws: `.cannotWrite`, also when there is something that may not be replaced; `.mismatch` when that is an input.
  init(path: String, replacing: Bool, inputs: [String]) throws(ConversionError) {
    guard !path.utf8.contains(0) else { throw ConversionError(.cannotWrite, file: path, "a path holds no null byte") }
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    self.path = path
    self.replacing = replacing
    temporaryPath = path + ".export.tmp"
    for written in [path, temporaryPath] { try Output.requireDistinct(written, from: inputs) }
    if let names = try Self.names(in: path), !names.isEmpty {
      guard replacing else {
        throw ConversionError(
          .cannotWrite, file: path,
          "the directory is not empty: it holds \(names.count) entries, '\(names[0].printable)' among them; an empty one, "
            + "or a path where nothing is yet, is required")
      }
      try Self.requireExport(names, path)
    }
    // What a killed export has left.
    if let names = try Self.names(in: temporaryPath) {
      try Self.requireExport(names, temporaryPath)
      Self.remove(temporaryPath, names)
    }
    let failure = tusk_create_directory(temporaryPath)
    guard failure == 0 else { throw Output.failure(temporaryPath, failure) }
    ownsTemporary = true
  }

  deinit {
    if ownsTemporary { removeTemporary() }
  }

  /// A new file in the directory.
  /// - Precondition: `name` is one of `fileNames`.
  func file(_ name: String) throws(ConversionError) -> OutputFile {
    precondition(Self.fileNames.contains(name), "the name is not listed")
    return try OutputFile(path: temporaryPath + "/" + name)
  }

  /// Puts the directory in its place.
  /// - Precondition: its files are finished.
  func finish() throws(ConversionError) {
    let failure = tusk_replace_directory(temporaryPath, path, replacing)
    guard failure == 0 else { throw Output.failure(path, failure) }
    // The directory that was there before, if there was one.
    removeTemporary()
    ownsTemporary = false
  }

  private func removeTemporary() {
    guard let names = try? Self.names(in: temporaryPath) else { return }
    Self.remove(temporaryPath, names)
  }

  private static func remove(_ directory: String, _ names: [String]) {
    for name in names where fileNames.contains(name) { tusk_remove_file(directory + "/" + name) }
    _ = tusk_remove_directory(directory)
  }

  private static func requireExport(_ names: [String], _ directory: String) throws(ConversionError) {
    guard let other = names.first(where: { !fileNames.contains($0) }) else { return }
    throw ConversionError(
      .cannotWrite, file: directory,
      "the directory holds '\(other.printable)', which no export has written; only directories of exports are replaced")
  }

  /// Names of the entries in order, nil when there is no such directory.
  private static func names(in directory: String) throws(ConversionError) -> [String]? {
    var names: [String] = []
    let failure = withUnsafeMutablePointer(to: &names) { names in
      tusk_list_directory(
        directory,
        { context, name in
          context!.assumingMemoryBound(to: [String].self).pointee.append(String(cString: name!))
        }, names)
    }
    if failure == ENOENT { return nil }
    guard failure == 0 else { throw Output.failure(directory, failure) }
    return names.sorted()
  }
}
