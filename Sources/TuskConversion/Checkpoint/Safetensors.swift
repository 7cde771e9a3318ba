/// The safetensors format: 8 bytes of header length, a JSON header that names dtype, shape and byte range of each tensor,
/// then the values, in the order of their ranges, without holes.
///
/// - Source: the format section of https://github.com/huggingface/safetensors
enum Safetensors {
  /// The format allows 100 MB. Every tensor costs about 100 bytes of header, so a T5 of 3 billion parameters needs 0.1 MiB.
  static let maximumHeaderBytes: UInt64 = 8 << 20
  static let maximumTensorCount = 1 << 16
  static let maximumRank = 8

  /// The tensors of `file`, in the order of their bytes.
  /// - Throws: `ConversionError.Kind.malformed`, `.tooLarge`, `.unsupported` or `.cannotRead`.
  static func tensors(of file: InputFile, index: Int) throws(ConversionError) -> [CheckpointTensor] {
    let path = file.path
    let start = try file.bytes(at: 0, count: Int(min(file.byteCount, 24)))
    guard !start.starts(with: ConversionError.gitPointerStart) else { throw .gitPointer(path) }
    guard start.count >= 8 else {
      throw ConversionError(
        .malformed, file: path, offset: 0, "found \(start.count) bytes; a safetensors file has at least 8")
    }
    let headerBytes = start.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard headerBytes <= file.byteCount - 8 else {
      throw ConversionError(
        .malformed, file: path, offset: 0,
        "the header is said to have \(headerBytes) bytes, but the file has \(file.byteCount - 8) after its length")
    }
    guard headerBytes <= maximumHeaderBytes else {
      throw ConversionError(
        .tooLarge, file: path, offset: 0,
        "the header has \(headerBytes) bytes; this reader accepts \(maximumHeaderBytes) (T5-3B needs about 100,000)")
    }
    var header = Header(file: file, index: index, dataOffset: 8 + headerBytes)
    var cursor = JSONCursor(try file.bytes(at: 8, count: Int(headerBytes)), file: path, base: 8)
    try cursor.object { (cursor, key) throws(ConversionError) in
      if key == "__metadata__" {
        try cursor.object { (cursor, _) throws(ConversionError) in _ = try cursor.string() }
      } else {
        try header.readTensor(key, from: &cursor)
      }
    }
    try cursor.end()
    return try header.checkedTensors()
  }

  private struct Header {
    let file: InputFile
    let index: Int
    /// Offset in the file of the first value.
    let dataOffset: UInt64
    private var entries: [(begin: Int, end: Int, tensor: CheckpointTensor)] = []

    init(file: InputFile, index: Int, dataOffset: UInt64) {
      self.file = file
      self.index = index
      self.dataOffset = dataOffset
    }

    mutating func readTensor(_ name: String, from cursor: inout JSONCursor) throws(ConversionError) {
      let start = cursor.position
      var typeName: String?
      var shape: [Int]?
      var range: [Int]?
      try cursor.object { (cursor, key) throws(ConversionError) in
        switch key {
        case "dtype": typeName = try cursor.string()
        case "shape": shape = try Self.wholeNumbers(from: &cursor, atMost: maximumRank, subject: name)
        case "data_offsets": range = try Self.wholeNumbers(from: &cursor, atMost: 2, subject: name)
        default: throw cursor.failure("found the key '\(key.printable)', which a tensor does not have", subject: name)
        }
      }
      guard let typeName, let shape, let range, range.count == 2 else {
        throw cursor.failure("dtype, shape and two data_offsets are required", at: start, subject: name)
      }
      guard let elementType = ElementType(safetensorsName: typeName) else {
        throw ConversionError(
          .unsupported, file: file.path, subject: name, "the dtype '\(typeName.printable)' is not supported")
      }
      let valueBytes = file.byteCount - dataOffset
      guard let elementCount = checkedElementCount(shape),
        elementCount <= Int(clamping: valueBytes) / elementType.byteCount, range[0] <= range[1], range[1] <= valueBytes,
        range[1] - range[0] == elementCount * elementType.byteCount
      else {
        throw cursor.failure(
          "data_offsets \(range) do not hold the shape \(shape) of \(elementType) in \(valueBytes) bytes of values",
          at: start, subject: name)
      }
      guard entries.count < maximumTensorCount else {
        throw ConversionError(.tooLarge, file: file.path, "found more than \(maximumTensorCount) tensors")
      }
      let view = StorageView(
        file: index, offset: dataOffset + UInt64(range[0]), byteCount: UInt64(range[1] - range[0]),
        compressedByteCount: nil, elementType: elementType, firstElement: 0, shape: shape,
        strides: StorageView.contiguousStrides(shape))
      let tensor = CheckpointTensor(
        name: name, shape: shape, elementType: elementType, sourceFile: file.path, view: view)
      entries.append((range[0], range[1], tensor))
    }

    private static func wholeNumbers(
      from cursor: inout JSONCursor, atMost maximumCount: Int, subject: String
    ) throws(ConversionError) -> [Int] {
      var numbers: [Int] = []
      try cursor.array { (cursor) throws(ConversionError) in
        let number = try cursor.integer()
        guard number >= 0 else { throw cursor.failure("found a negative number", subject: subject) }
        guard numbers.count < maximumCount else {
          throw cursor.failure("found more than \(maximumCount) numbers in a list", subject: subject)
        }
        numbers.append(number)
      }
      return numbers
    }

    /// The tensors in the order of their bytes: each begins where the one before it ends, the last ends with the file.
    func checkedTensors() throws(ConversionError) -> [CheckpointTensor] {
      let ordered = entries.sorted { ($0.begin, $0.end) < ($1.begin, $1.end) }
      var position = 0
      for entry in ordered {
        guard entry.begin == position else {
          throw ConversionError(
            .malformed, file: file.path, offset: dataOffset + UInt64(entry.begin), subject: entry.tensor.name,
            "its values begin at \(entry.begin) of the values, but those before it end at \(position)")
        }
        position = entry.end
      }
      guard dataOffset + UInt64(position) == file.byteCount else {
        throw ConversionError(
          .malformed, file: file.path, offset: dataOffset + UInt64(position),
          "the tensors end here, but the file has \(file.byteCount) bytes")
      }
      return ordered.map(\.tensor)
    }
  }
}

extension ElementType {
  fileprivate init?(safetensorsName name: String) {
    switch name {
    case "F32": self = .float32
    case "F16": self = .float16
    case "BF16": self = .bfloat16
    case "F64": self = .float64
    case "I64": self = .int64
    case "I32": self = .int32
    case "I16": self = .int16
    case "I8": self = .int8
    case "U8": self = .uint8
    case "BOOL": self = .bool
    default: return nil
    }
  }
}
