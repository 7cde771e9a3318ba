/// Writes what `torch.save` makes of a state dict: a zip archive with a pickle that describes the tensors, and one member
/// for each storage. Tensors that are the same numbers share a storage.
///
/// - Source: PyTorch `torch/serialization.py` and `caffe2/serialize/inline_container.h`
enum TorchArchiveWriter {
  private static let folder = "archive/"

  /// - Parameters:
  ///   - wideFrom: numbers from here on get zip64 records.
  ///   - progress: called with the number of bytes that have been written since the last call.
  static func write(
    _ state: StateDict, to file: OutputFile, wideFrom: UInt64 = 0xFFFF_FFFF,
    progress: (Int) throws(ConversionError) -> Void
  ) throws(ConversionError) {
    var zip = ZipWriter(file, wideFrom: wideFrom)
    try zip.add(folder + "data.pkl", pickle(state))
    try zip.add(folder + "byteorder", Array("little".utf8))
    for (number, storage) in state.storages.enumerated() {
      try zip.begin("\(folder)data/\(number)", byteCount: UInt64(4 * storage.elementCount))
      try storage.write { (bytes) throws(ConversionError) in
        try zip.append(bytes)
        try progress(bytes.count)
      }
    }
    try zip.add(folder + "version", Array("3\n".utf8))
    try zip.finish()
  }

  /// An OrderedDict of names and tensors, in protocol 2, without a memo: what is needed twice is written twice.
  private static func pickle(_ state: StateDict) -> [UInt8] {
    var pickle = PickleWriter()
    pickle.addEmptyOrderedDict()
    pickle.add(.mark)
    for entry in state.entries {
      pickle.add(text: entry.name)
      pickle.addGlobal("torch._utils", "_rebuild_tensor_v2")
      pickle.add(.mark)
      pickle.add(.mark)
      pickle.add(text: "storage")
      pickle.addGlobal("torch", "FloatStorage")
      pickle.add(text: "\(entry.storage)")
      pickle.add(text: "cpu")
      pickle.add(state.storages[entry.storage].elementCount)
      pickle.add(.tuple)
      pickle.add(.persistentId)
      // First element, shape, strides; no gradient, no hooks.
      pickle.add(0)
      pickle.add(tuple: entry.shape)
      pickle.add(tuple: StorageView.contiguousStrides(entry.shape))
      pickle.add(.newFalse)
      pickle.addEmptyOrderedDict()
      pickle.add(.tuple)
      pickle.add(.reduce)
    }
    pickle.add(.setItems)
    pickle.add(.stop)
    return pickle.bytes
  }
}

/// The few instructions that a state dict needs.
private struct PickleWriter {
  enum Opcode: UInt8 {
    case mark = 0x28  // (
    case stop = 0x2E  // .
    case persistentId = 0x51  // Q
    case reduce = 0x52  // R
    case emptyTuple = 0x29  // )
    case tuple = 0x74  // t
    case setItems = 0x75  // u
    case newFalse = 0x89
  }

  /// Protocol 2.
  private(set) var bytes: [UInt8] = [0x80, 2]

  mutating func add(_ opcode: Opcode) { bytes.append(opcode.rawValue) }

  mutating func add(text: String) {
    let text = Array(text.utf8)
    add(0x58, UInt32(text.count))
    bytes += text
  }

  mutating func addGlobal(_ module: String, _ name: String) { bytes += Array("c\(module)\n\(name)\n".utf8) }

  mutating func addEmptyOrderedDict() {
    addGlobal("collections", "OrderedDict")
    add(.emptyTuple)
    add(.reduce)
  }

  /// - Precondition: `number` is not negative.
  mutating func add(_ number: Int) {
    if let number = Int32(exactly: number) { return add(0x4A, UInt32(number)) }
    // LONG1 of 8 bytes.
    bytes += [0x8A, 8]
    withUnsafeBytes(of: Int64(number).littleEndian) { bytes += Array($0) }
  }

  mutating func add(tuple numbers: [Int]) {
    add(.mark)
    for number in numbers { add(number) }
    add(.tuple)
  }

  private mutating func add(_ opcode: UInt8, _ argument: UInt32) {
    bytes.append(opcode)
    withUnsafeBytes(of: argument.littleEndian) { bytes += Array($0) }
  }
}
