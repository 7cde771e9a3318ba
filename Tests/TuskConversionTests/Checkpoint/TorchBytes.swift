import CZlib

/// Writes zip archives, valid by default and broken on request.
struct ZipBuilder {
  struct Member {
    var name: String
    var content: [UInt8]
    var isDeflated = false
    /// Replaces the true inflated size in both headers.
    var declaredByteCount: UInt32?
    var crc32: UInt32?
    var flags: UInt16 = 0
    var method: UInt16?
    /// Added to the offset the directory gives.
    var offsetShift: UInt32 = 0
  }

  var members: [Member] = []
  /// Ends the archive as torch does, with zip64 records.
  var isZip64 = false
  var comment: [UInt8] = []

  func bytes() -> [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for member in members {
      let stored = member.isDeflated ? deflated(member.content) : member.content
      let crc = member.crc32 ?? UInt32(TuskConversionTests.crc32(member.content))
      var fields: [UInt8] = Array(littleEndian: UInt16(20)) + Array(littleEndian: member.flags)
      fields += Array(littleEndian: member.method ?? (member.isDeflated ? 8 : 0)) + [0, 0, 0, 0]
      fields += Array(littleEndian: crc) + Array(littleEndian: UInt32(stored.count))
      fields += Array(littleEndian: member.declaredByteCount ?? UInt32(member.content.count))
      fields += Array(littleEndian: UInt16(member.name.utf8.count)) + [0, 0]
      directory += Array(littleEndian: UInt32(0x0201_4B50)) + [20, 0] + fields + [UInt8](repeating: 0, count: 10)
      directory += Array(littleEndian: UInt32(file.count) + member.offsetShift) + Array(member.name.utf8)
      file += Array(littleEndian: UInt32(0x0403_4B50)) + fields + Array(member.name.utf8) + stored
    }
    let start = UInt32(file.count)
    file += directory
    let count = Array(littleEndian: UInt16(members.count))
    if isZip64 {
      let record = UInt64(file.count)
      file += Array(littleEndian: UInt32(0x0606_4B50)) + Array(littleEndian: UInt64(44)) + [20, 0, 20, 0]
      file += [UInt8](repeating: 0, count: 8) + Array(littleEndian: UInt64(members.count))
      file += Array(littleEndian: UInt64(members.count)) + Array(littleEndian: UInt64(directory.count))
      file += Array(littleEndian: UInt64(start))
      file += Array(littleEndian: UInt32(0x0706_4B50)) + [0, 0, 0, 0] + Array(littleEndian: record) + [1, 0, 0, 0]
    }
    file += Array(littleEndian: UInt32(0x0605_4B50)) + [0, 0, 0, 0] + count + count
    file += Array(littleEndian: UInt32(directory.count)) + Array(littleEndian: start)
    return file + Array(littleEndian: UInt16(comment.count)) + comment
  }
}

func crc32(_ bytes: [UInt8]) -> UInt { UInt(crc32_z(0, bytes, bytes.count)) }

/// Raw deflate, as zip stores it.
func deflated(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  deflateInit2_(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  defer { deflateEnd(&stream) }
  var input = bytes
  return [UInt8](unsafeUninitializedCapacity: bytes.count + 64) { output, count in
    input.withUnsafeMutableBufferPointer { input in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      deflate(&stream, Z_FINISH)
      count = output.count - Int(stream.avail_out)
    }
  }
}

/// Builds pickles opcode by opcode.
enum Pickle {
  static let start: [UInt8] = [0x80, 2]
  static let mark = Array("(".utf8)
  static let stop = Array(".".utf8)
  static let emptyDictionary = Array("}".utf8)
  static let setItem = Array("s".utf8)
  static let setItems = Array("u".utf8)
  static let reduce = Array("R".utf8)
  static let none = Array("N".utf8)
  static let emptyTuple = Array(")".utf8)

  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  static func string(_ text: String) -> [UInt8] {
    Array("X".utf8) + Array(littleEndian: UInt32(text.utf8.count)) + text.utf8
  }
  static func integer(_ value: Int) -> [UInt8] { [0x8A, 8] + Array(littleEndian: Int64(value)) }
  static func tuple(_ items: [[UInt8]]) -> [UInt8] { mark + items.flatMap { $0 } + Array("t".utf8) }

  static func storage(_ key: String, _ type: [UInt8], count: Int) -> [UInt8] {
    tuple([string("storage"), type, string(key), string("cpu"), integer(count)]) + Array("Q".utf8)
  }

  /// A tensor as `torch.save` writes it.
  static func tensor(
    storage key: String = "0", type: String = "FloatStorage", count: Int, offset: Int = 0, shape: [Int], strides: [Int]
  ) -> [UInt8] {
    let orderedDictionary = global("collections", "OrderedDict") + emptyTuple + reduce
    return global("torch._utils", "_rebuild_tensor_v2")
      + tuple([
        storage(key, global("torch", type), count: count), integer(offset), tuple(shape.map(integer)),
        tuple(strides.map(integer)), [0x89], orderedDictionary,
      ]) + reduce
  }

  /// A whole pickle of one dict.
  static func dictionary(_ pairs: [(String, [UInt8])]) -> [UInt8] {
    start + emptyDictionary + mark + pairs.flatMap { string($0.0) + $0.1 } + setItems + stop
  }
}

/// A torch archive of a pickle and storages.
func torchArchive(
  pickle: [UInt8], storages: [String: [UInt8]] = [:], byteorder: String? = "little", isDeflated: Bool = false
) -> [UInt8] {
  var zip = ZipBuilder()
  zip.members.append(.init(name: "m/data.pkl", content: pickle, isDeflated: isDeflated))
  if let byteorder { zip.members.append(.init(name: "m/byteorder", content: Array(byteorder.utf8))) }
  for (key, content) in storages.sorted(by: { $0.key < $1.key }) {
    zip.members.append(.init(name: "m/data/" + key, content: content, isDeflated: isDeflated))
  }
  return zip.bytes()
}
