import Foundation
import Testing

@testable import TuskConversion

/// A small valid file of each format, with a header worth breaking.
private let smallFiles: [(String, [UInt8])] = {
  let header =
    "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
    + "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[16,22]}}"
  let safetensors =
    Array(littleEndian: UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 1, count: 22)
  let pickle = Pickle.dictionary([
    ("a", Pickle.tensor(count: 4, shape: [2, 2], strides: [1, 2])),
    ("b", Pickle.tensor(storage: "1", type: "HalfStorage", count: 3, shape: [3], strides: [1])),
  ])
  let storages = ["0": Array(floats: [1, 2, 3, 4]), "1": [0, 1, 2, 3, 4, 5] as [UInt8]]
  // Without a CRC to hide behind, every byte of the pickle reaches the unpickler.
  var zip = ZipBuilder(isZip64: true)
  zip.members.append(.init(name: "m/data.pkl", content: pickle, crc32: 0))
  for (key, content) in storages { zip.members.append(.init(name: "m/data/" + key, content: content)) }
  var deflated = Array(zip.members)
  for index in deflated.indices { deflated[index].isDeflated = true }
  deflated[0].content = Pickle.dictionary([
    ("b", Pickle.tensor(storage: "0", count: 4, shape: [2, 2], strides: [2, 1]))
  ])
  return [
    ("x.safetensors", safetensors), ("stored.bin", zip.bytes()),
    ("deflated.bin", ZipBuilder(members: deflated).bytes()),
  ]
}()

@Test(arguments: smallFiles) func theSmallFilesAreValid(name: String, bytes: [UInt8]) throws {
  #expect(try conversionError(reading: bytes, as: name) == nil)
}

/// Reads all of a file whose bytes the test keeps changing in place, which is far cheaper than writing it anew.
private func readingError(_ path: String) -> ConversionError? {
  do throws(ConversionError) {
    try readEverything(try Checkpoint.open(file: path))
    return nil
  } catch {
    return error
  }
}

@Test(arguments: smallFiles) func aFileCutOffAnywhereIsRefused(name: String, bytes: [UInt8]) throws {
  let scratch = try ScratchDirectory()
  let path = try scratch.write(bytes, as: name)
  for count in (0..<bytes.count).reversed() {
    truncate(path, count)
    #expect(readingError(path) != nil, "\(count)")
  }
}

/// A changed byte may be a value or a name; it must never trap, hang, or ask for memory the file does not justify.
@Test(arguments: smallFiles) func aChangedByteIsReadOrRefused(name: String, bytes: [UInt8]) throws {
  let scratch = try ScratchDirectory()
  let path = try scratch.write(bytes, as: name)
  let descriptor = open(path, O_WRONLY)
  defer { close(descriptor) }
  var refused = 0
  for index in bytes.indices {
    for change: UInt8 in [0x01, 0x80, 0xFF, 0x00] {
      var byte = bytes[index] ^ change
      pwrite(descriptor, &byte, 1, index)
      guard let error = readingError(path) else { continue }
      refused += 1
      #expect([65, 74].contains(error.exitCode) && change != 0, "byte \(index): \(error)")
    }
  }
  #expect(refused > bytes.count)
}

@Test func theGoldenFilesCutOffAreRefused() throws {
  let scratch = try ScratchDirectory()
  for name in ["model.safetensors", "pytorch_model.bin"] {
    let bytes = try GoldenBackbone.bytes(name)
    let path = try scratch.write(bytes, as: name)
    for count in stride(from: bytes.count - 1, through: 0, by: -4999) {
      truncate(path, count)
      #expect(readingError(path) != nil, "\(count)")
    }
  }
}
