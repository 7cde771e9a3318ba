/// The tensors of a checkpoint, read from files nobody vouches for.
///
/// Opening reads and checks every header; no value is read before it is asked for, and then only as many rows as asked for,
/// so memory does not grow with the tensors. Not for use from two threads at once.
public final class Checkpoint {
  /// Every tensor's name, sorted.
  public let tensorNames: [String]
  /// Keys of a torch file that hold no tensor and were passed over.
  public let ignoredEntries: [String]
  let files: [InputFile]
  private let tensors: [String: CheckpointTensor]
  /// The deflated storage read last, where its reading stopped.
  var openInflation: (view: StorageView, inflation: Inflation)?

  /// The backbone in `directory`: `model.safetensors`, or the shards its index names, or `pytorch_model.bin`, or the
  /// shards its index names; the first of these that is there.
  /// - Throws: `ConversionError`, of kind `.cannotOpen` when none of them is there.
  public static func open(directory: String) throws(ConversionError) -> Checkpoint {
    let base = directory.hasSuffix("/") ? directory : directory + "/"
    for name in ["model.safetensors", "pytorch_model.bin"] {
      if let file = try InputFile.ifPresent(path: base + name) { return try Checkpoint(files: [file], index: nil) }
      if let index = try ShardIndex.ifPresent(path: base + name + ".index.json") {
        return try Checkpoint(files: try index.openShards(in: base), index: index)
      }
    }
    throw ConversionError(
      .cannotOpen, file: directory,
      "found none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json")
  }

  /// One safetensors or torch file; its content tells which.
  /// - Throws: `ConversionError`.
  public static func open(file path: String) throws(ConversionError) -> Checkpoint {
    try Checkpoint(files: [try InputFile(path: path)], index: nil)
  }

  private init(files: [InputFile], index: ShardIndex?) throws(ConversionError) {
    var tensors: [String: CheckpointTensor] = [:]
    var ignored: [String] = []
    for (number, file) in files.enumerated() {
      let content = try Checkpoint.read(file, index: number)
      ignored += content.ignored
      for tensor in content.tensors {
        try index?.check(tensor)
        guard tensors.updateValue(tensor, forKey: tensor.name) == nil else {
          throw ConversionError(.malformed, file: file.path, subject: tensor.name, "the tensor is in two shards")
        }
      }
    }
    try index?.checkComplete(tensors)
    tensorNames = tensors.keys.sorted()
    var firstName: [StorageView: String] = [:]
    for name in tensorNames {
      let view = tensors[name]!.view
      if let first = firstName[view] {
        tensors[name]!.aliasOf = first
      } else if view.elementCount > 0 {
        firstName[view] = name
      }
    }
    self.files = files
    self.tensors = tensors
    ignoredEntries = ignored
  }

  private static func read(
    _ file: InputFile, index: Int
  ) throws(ConversionError) -> (tensors: [CheckpointTensor], ignored: [String]) {
    let start = try file.bytes(at: 0, count: Int(min(file.byteCount, 9)))
    let looksLikeSafetensors = start.count == 9 && start[8] == UInt8(ascii: "{")
    if file.path.hasSuffix(".safetensors") || looksLikeSafetensors, !TorchArchive.isArchive(start) {
      return (try Safetensors.tensors(of: file, index: index), [])
    }
    return try TorchArchive.tensors(of: file, index: index)
  }

  /// The tensor of this name, nil when the checkpoint has none.
  public func tensor(_ name: String) -> CheckpointTensor? { tensors[name] }

  /// Bytes of all values that are stored, tied tensors once: what a converter that reads each once will read.
  public var storedByteCount: UInt64 {
    tensors.values.reduce(0) { sum, tensor in
      tensor.aliasOf == nil ? sum + UInt64(tensor.elementCount * tensor.elementType.byteCount) : sum
    }
  }
}

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`: which shard holds which tensor.
struct ShardIndex {
  static let maximumBytes: UInt64 = 8 << 20
  static let maximumShardCount = 256

  private let path: String
  private let shardOfTensor: [String: String]

  static func ifPresent(path: String) throws(ConversionError) -> ShardIndex? {
    guard let file = try InputFile.ifPresent(path: path) else { return nil }
    return try ShardIndex(file)
  }

  private init(_ file: InputFile) throws(ConversionError) {
    path = file.path
    guard file.byteCount <= ShardIndex.maximumBytes else {
      throw ConversionError(
        .tooLarge, file: path, "the index has \(file.byteCount) bytes; this reader accepts \(ShardIndex.maximumBytes)")
    }
    var cursor = JSONCursor(try file.bytes(at: 0, count: Int(file.byteCount)), file: path)
    var shards: [String: String]?
    try cursor.object { (cursor, key) throws(ConversionError) in
      guard key == "weight_map" else {
        _ = try cursor.value()
        return
      }
      var map: [String: String] = [:]
      try cursor.object { (cursor, name) throws(ConversionError) in map[name] = try cursor.string() }
      shards = map
    }
    try cursor.end()
    guard let shards, !shards.isEmpty else {
      throw ConversionError(.malformed, file: path, subject: "weight_map", "the index names no tensor")
    }
    shardOfTensor = shards
  }

  /// Opens each shard the index names. A shard is a file of the same directory: a name that leads elsewhere is refused.
  func openShards(in directory: String) throws(ConversionError) -> [InputFile] {
    let names = Set(shardOfTensor.values).sorted()
    guard names.count <= ShardIndex.maximumShardCount else {
      throw ConversionError(
        .tooLarge, file: path,
        "the index names \(names.count) shards; this reader opens \(ShardIndex.maximumShardCount)")
    }
    var files: [InputFile] = []
    for name in names {
      guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")) else {
        throw ConversionError(.malformed, file: path, subject: name, "a shard is a file name without a directory")
      }
      files.append(try InputFile(path: directory + name))
    }
    return files
  }

  /// Checks that the index expects `tensor` where it is.
  func check(_ tensor: CheckpointTensor) throws(ConversionError) {
    guard let shard = shardOfTensor[tensor.name] else {
      throw ConversionError(
        .unknownTensor, file: tensor.sourceFile, subject: tensor.name, "the shard's tensor is not in \(path.printable)")
    }
    guard tensor.sourceFile.hasSuffix("/" + shard) else {
      throw ConversionError(
        .malformed, file: tensor.sourceFile, subject: tensor.name,
        "the tensor is here, but the index says '\(shard.printable)'")
    }
  }

  /// Checks that every tensor of the index was found.
  func checkComplete(_ tensors: [String: CheckpointTensor]) throws(ConversionError) {
    if let name = shardOfTensor.keys.filter({ tensors[$0] == nil }).min() {
      throw ConversionError(
        .missingTensor, file: path, subject: name,
        "the index puts the tensor in '\(shardOfTensor[name]!.printable)', which does not hold it")
    }
  }
}
