import CZlib

/// A file written by `torch.save` since PyTorch 1.6: a zip archive with a pickle that describes the tensors and one member
/// for each storage.
///
/// - Source: PyTorch `torch/serialization.py` and `caffe2/serialize/inline_container.h`
enum TorchArchive {
  static let pickleName = "data.pkl"
  /// Entries of a state dict, or beside it, that are not tensors and carry no weights.
  static let ignorableKeys: Set<String> = ["_metadata", "epoch", "global_step", "step", "version"]
  /// Keys under which training programs nest the state dict.
  static let wrapperKeys = ["state_dict", "model"]

  static func isArchive(_ start: [UInt8]) -> Bool { start.starts(with: [0x50, 0x4B, 3, 4]) }

  /// The tensors of `file` in the order of its dict, and the keys of what is no tensor and was passed over.
  /// - Throws: `ConversionError.Kind.malformed`, `.forbidden`, `.tooLarge`, `.unsupported` or `.cannotRead`.
  static func tensors(
    of file: InputFile, index: Int
  ) throws(ConversionError) -> (tensors: [CheckpointTensor], ignored: [String]) {
    try refuseOtherContainers(file)
    let directory = try ZipDirectory(file)
    let prefix = try pickleFolder(directory, file: file)
    if let order = directory.entries[prefix + "byteorder"] {
      let bytes = order.byteCount <= 16 ? try contents(of: order, file: file) : []
      guard bytes == Array("little".utf8) else {
        throw ConversionError(
          .unsupported, file: file.path, offset: order.dataOffset, subject: order.name,
          "the byte order is not 'little'; save the checkpoint again on a little-endian machine")
      }
    }
    let pickle = directory.entries[prefix + pickleName]!
    guard pickle.byteCount <= Unpickler.maximumPickleBytes else {
      throw ConversionError(
        .tooLarge, file: file.path, offset: pickle.dataOffset, subject: pickle.name,
        "the pickle has \(pickle.byteCount) bytes; this reader accepts \(Unpickler.maximumPickleBytes) "
          + "(T5-3B needs about 100,000)")
    }
    var unpickler = Unpickler(try contents(of: pickle, file: file), file: file.path)
    let (pairs, ignored) = try stateDictionary(&unpickler)
    var builder = TensorBuilder(file: file, index: index, directory: directory, prefix: prefix, unpickler: unpickler)
    var skipped = ignored
    for pair in pairs {
      guard let name = try unpickler.text(of: pair.key) else {
        throw ConversionError(
          .unsupported, file: file.path, subject: pickleName,
          "a key of the state dict is \(pair.key.kindName) where a name is required")
      }
      if case .tensor(let tensor) = pair.value {
        try builder.append(unpickler.tensors[Int(tensor)], name: name)
      } else if ignorableKeys.contains(name) {
        skipped.append(name)
      } else {
        throw ConversionError(
          .unsupported, file: file.path, subject: name,
          "the state dict holds \(pair.value.kindName) where a tensor is required")
      }
    }
    return (builder.tensors, skipped)
  }

  /// Says what to do with the containers that `torch.save` wrote before, and with what is no checkpoint at all.
  private static func refuseOtherContainers(_ file: InputFile) throws(ConversionError) {
    let start = try file.bytes(at: 0, count: Int(min(file.byteCount, 512)))
    guard !isArchive(start) else { return }
    guard !start.starts(with: ConversionError.gitPointerStart) else { throw .gitPointer(file.path) }
    let isTar = start.count >= 262 && start[257..<262].elementsEqual("ustar".utf8)
    guard start.first == 0x80 || isTar else {
      throw ConversionError(
        .malformed, file: file.path, offset: 0,
        "found neither a safetensors file nor a zip archive of torch.save (\(file.byteCount) bytes)")
    }
    throw ConversionError(
      .unsupported, file: file.path, offset: 0,
      "found the format torch.save used before PyTorch 1.6; load it with a recent PyTorch and save it again: "
        + "torch.save(torch.load(path, map_location='cpu', weights_only=True), path)")
  }

  /// The folder of the archive's one pickle, with a slash at its end.
  private static func pickleFolder(_ directory: ZipDirectory, file: InputFile) throws(ConversionError) -> String {
    let pickles = directory.entries.keys.filter { $0.hasSuffix("/" + pickleName) }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw ConversionError(
        .malformed, file: file.path, "found \(pickles.count) members named \(pickleName); one is required")
    }
    let prefix = String(pickle.dropLast(pickleName.count))
    guard directory.entries[prefix + "constants.pkl"] == nil else {
      throw ConversionError(
        .unsupported, file: file.path, subject: prefix + "constants.pkl",
        "found a TorchScript program; save the state dict of the module with torch.save instead")
    }
    return prefix
  }

  /// The whole of a small member, checked against its CRC-32 unless the writer left that zero.
  private static func contents(of entry: ZipEntry, file: InputFile) throws(ConversionError) -> [UInt8] {
    var bytes: [UInt8]
    if entry.isDeflated {
      let inflation = try Inflation(
        file: file, offset: entry.dataOffset, compressedByteCount: entry.compressedByteCount,
        byteCount: entry.byteCount, subject: entry.name)
      bytes = [UInt8](repeating: 0, count: Int(entry.byteCount))
      try bytes.withUnsafeMutableBufferPointer { (buffer) throws(ConversionError) in
        try inflation.read(into: UnsafeMutableRawBufferPointer(buffer))
      }
    } else {
      bytes = try file.bytes(at: entry.dataOffset, count: Int(entry.byteCount))
    }
    let crc = bytes.withUnsafeBufferPointer { crc32_z(0, $0.baseAddress, $0.count) }
    guard entry.crc32 == 0 || UInt32(crc) == entry.crc32 else {
      throw ConversionError(
        .malformed, file: file.path, offset: entry.dataOffset, subject: entry.name, "its CRC-32 does not match")
    }
    return bytes
  }

  /// The pairs of the state dict, which may be nested under one of `wrapperKeys`; what lies beside it then is passed over
  /// and its keys are returned.
  private static func stateDictionary(
    _ unpickler: inout Unpickler
  ) throws(ConversionError) -> (pairs: [(key: PickleValue, value: PickleValue)], ignored: [String]) {
    let root = try unpickler.rootDictionary()
    var names: [String] = []
    for pair in root {
      guard let name = try unpickler.text(of: pair.key) else { return (root, []) }
      names.append(name)
    }
    for wrapper in wrapperKeys {
      guard let place = names.firstIndex(of: wrapper), let inner = unpickler.pairs(of: root[place].value) else {
        continue
      }
      for (name, pair) in zip(names, root) {
        guard case .tensor = pair.value else { continue }
        throw ConversionError(
          .unsupported, file: unpickler.file, subject: name, "found a tensor beside the nested dict '\(wrapper)'")
      }
      names.remove(at: place)
      return (inner, names)
    }
    return (root, [])
  }
}

/// Places the pickle's tensors in the file.
private struct TensorBuilder {
  let file: InputFile
  let index: Int
  let directory: ZipDirectory
  let prefix: String
  let unpickler: Unpickler
  private(set) var tensors: [CheckpointTensor] = []
  private var names = Set<String>()

  init(file: InputFile, index: Int, directory: ZipDirectory, prefix: String, unpickler: Unpickler) {
    self.file = file
    self.index = index
    self.directory = directory
    self.prefix = prefix
    self.unpickler = unpickler
  }

  mutating func append(_ tensor: PickleTensor, name: String) throws(ConversionError) {
    let storage = unpickler.storages[tensor.storage]
    let member = prefix + "data/" + storage.key
    guard let entry = directory.entries[member] else {
      throw ConversionError(
        .malformed, file: file.path, subject: name, "its storage '\(member.printable)' is not in the archive")
    }
    let (byteCount, overflow) = UInt64(storage.count).multipliedReportingOverflow(
      by: UInt64(storage.elementType?.byteCount ?? 1))
    guard !overflow, byteCount == entry.byteCount else {
      throw ConversionError(
        .malformed, file: file.path, offset: entry.dataOffset, subject: name,
        "its storage has \(entry.byteCount) bytes where \(storage.count) values are declared")
    }
    guard names.insert(name).inserted else {
      throw ConversionError(.malformed, file: file.path, subject: name, "the state dict has this name twice")
    }
    let view = StorageView(
      file: index, offset: entry.dataOffset, byteCount: entry.byteCount,
      compressedByteCount: entry.isDeflated ? entry.compressedByteCount : nil, elementType: tensor.elementType,
      firstElement: tensor.firstElement, shape: tensor.shape, strides: tensor.strides)
    // Inflating goes only forward: a view of a part, or in another order, could inflate the storage again for every row.
    guard !entry.isDeflated || (view.isContiguous && view.elementCount == tensor.storageCount) else {
      throw ConversionError(
        .unsupported, file: file.path, offset: entry.dataOffset, subject: name,
        "it is a part of a compressed storage; save the checkpoint again with torch.save")
    }
    tensors.append(
      CheckpointTensor(
        name: name, shape: tensor.shape, elementType: tensor.elementType, sourceFile: file.path, view: view))
  }
}
