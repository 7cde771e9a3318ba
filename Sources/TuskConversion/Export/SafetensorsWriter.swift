/// Writes the safetensors format. It has no way to share numbers: tensors with several names are written several times.
///
/// - Source: the format section of https://github.com/huggingface/safetensors
enum SafetensorsWriter {
  /// - Parameter progress: called with the number of bytes that have been written since the last call.
  static func write(
    _ state: StateDict, to file: OutputFile, progress: (Int) throws(ConversionError) -> Void
  ) throws(ConversionError) {
    var header = #"{"__metadata__":{"format":"pt"}"#
    var end = 0
    for entry in state.entries {
      let byteCount = 4 * state.storages[entry.storage].elementCount
      header += ",\(JSONText.quoted(entry.name)):{\"dtype\":\"F32\",\"shape\":["
      header += entry.shape.map { "\($0)" }.joined(separator: ",")
      header += "],\"data_offsets\":[\(end),\(end + byteCount)]}"
      end += byteCount
    }
    header += "}"
    // So that the numbers lie aligned.
    var text = Array(header.utf8)
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    try file.append((0..<8).map { UInt8(truncatingIfNeeded: UInt64(text.count) >> (8 * UInt64($0))) })
    try file.append(text)
    for entry in state.entries {
      try state.storages[entry.storage].write { (bytes) throws(ConversionError) in
        try file.append(bytes)
        try progress(bytes.count)
      }
    }
  }
}
