import TuskFormat

/// The tensors of a task's source, each to be taken exactly once; what nobody took is an error.
struct TensorLedger {
  let directory: String
  private var tensors: [String: (tensor: CheckpointTensor, checkpoint: Checkpoint)]

  /// - Parameter tensors: by the names their dialect gives them, without prefixes.
  init(_ checkpoint: Checkpoint, _ tensors: [String: CheckpointTensor], directory: String) {
    self.tensors = tensors.mapValues { ($0, checkpoint) }
    self.directory = directory
  }

  /// Adds the tensors of a further file.
  /// - Throws: `.unknownTensor` for a name that is there already.
  mutating func add(_ others: [String: CheckpointTensor], of checkpoint: Checkpoint) throws(ConversionError) {
    for (name, tensor) in others {
      guard tensors.updateValue((tensor, checkpoint), forKey: name) == nil else {
        throw ConversionError(
          .unknownTensor, file: tensor.sourceFile, subject: tensor.name, "found one tensor in two files")
      }
    }
  }

  /// The tensor called `name`, if it is there and was not taken.
  subscript(name: String) -> CheckpointTensor? { tensors[name]?.tensor }

  var names: some Collection<String> { tensors.keys }

  /// The values of the tensor called `name`, row-major.
  /// - Throws: `ConversionError` when it is missing, misshapen, or holds a value that is not finite.
  mutating func take(_ name: String, shape: [Int]) throws(ConversionError) -> [Float] {
    guard let values = try takeIfPresent(name, shape: shape) else {
      throw ConversionError(
        .missingTensor, file: directory, subject: name, "found no such tensor; one of shape \(shape) is required")
    }
    return values
  }

  mutating func takeIfPresent(_ name: String, shape: [Int]) throws(ConversionError) -> [Float]? {
    guard let (tensor, checkpoint) = tensors.removeValue(forKey: name) else { return nil }
    try tensor.require(shape: shape)
    return try checkpoint.readFinite(tensor)
  }

  /// Takes a further copy of what is `values`, if it is there.
  /// - Throws: `.mismatch` when it differs.
  mutating func takeCopy(_ name: String, shape: [Int], of values: [Float]) throws(ConversionError) {
    guard let tensor = self[name], let copy = try takeIfPresent(name, shape: shape) else { return }
    guard copy == values else {
      throw ConversionError(
        .mismatch, file: tensor.sourceFile, subject: tensor.name,
        "the tensor differs from the shared one that it must be a copy of")
    }
  }

  /// Takes what is stored under several names, all of which end with `suffix`.
  /// - Throws: `.mismatch` when one differs from another.
  mutating func takeCopies(endingWith suffix: String, shape: [Int]) throws(ConversionError) -> [Float] {
    let names = tensors.keys.filter { $0 == suffix || $0.hasSuffix("." + suffix) }.sorted()
    guard let first = names.first else { return try take(suffix, shape: shape) }
    let view = self[first]!.view
    let values = try take(first, shape: shape)
    for name in names.dropFirst() {
      guard self[name]!.view != view else {
        tensors[name] = nil
        continue
      }
      try takeCopy(name, shape: shape, of: values)
    }
    return values
  }

  /// - Throws: `.unknownTensor` naming the first tensor that nobody took.
  func requireEmpty() throws(ConversionError) {
    guard let (tensor, _) = tensors.min(by: { $0.key < $1.key })?.value else { return }
    throw ConversionError(
      .unknownTensor, file: tensor.sourceFile, subject: tensor.name,
      "found a tensor of shape \(tensor.shape) that this configuration has no place for")
  }
}

extension Checkpoint {
  /// All values of a small tensor.
  /// - Throws: `.notFinite` naming the element.
  func readFinite(_ tensor: CheckpointTensor) throws(ConversionError) -> [Float] {
    let values = try readAll(tensor, maximumElementCount: 1 << 26)
    if let index = values.withUnsafeBufferPointer({ $0.firstNonFiniteIndex }) {
      throw ConversionError(
        .notFinite, file: tensor.sourceFile, subject: tensor.name,
        "found \(values[index]) in element \(index); weights are finite")
    }
    return values
  }
}
