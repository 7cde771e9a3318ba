import CTuskSystem
import Foundation
import TuskConversion
import TuskFormat

/// The file beside a task that is being trained. `formats/training-state.md` has its bytes.
struct StateFile {
  let state: TrainingState
  /// The sections of the task and of the best one so far, and the moments of the task's numbers.
  let section: MappedBytes
  let best: MappedBytes
  let firstMoments: MappedBytes
  let secondMoments: MappedBytes
  /// What a method that trains the backbone adds.
  let backbone: MappedBytes
  private let mapping: Mapping

  /// Begins with a byte above 127 and has line ends, so that transfer as text shows.
  private static let magic: [UInt8] = [0x89] + Array("TUSK-TRN".utf8) + [13, 10, 26, 10]
  private static let version: UInt8 = 1
  private static let versionOffset = 13
  private static let recordOffset = 64
  private static let mostRecordBytes = 1 << 20

  /// Offsets of the header's numbers, each of 8 bytes.
  private static let recordBytesOffset = 16
  private static let sectionBytesOffset = 24
  private static let momentCountOffset = 32
  private static let backboneBytesOffset = 40

  /// Writes beside `path` and renames the new file there: until then the old one stays.
  /// - Parameters:
  ///   - best: a section as long as the task's.
  ///   - backbone: what a method that trains the backbone adds.
  /// - Throws: `cannotWrite`.
  static func write(
    _ state: TrainingState, _ task: TrainableTask, best: [UInt8], backbone: [UnsafeMutableRawBufferPointer] = [],
    path: String
  ) throws(TrainingError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.keyEncodingStrategy = .convertToSnakeCase
    guard let record = try? encoder.encode(state), record.count <= mostRecordBytes else {
      throw TrainingError(
        .cannotWrite, file: path.printable, "the state has numbers that JSON does not, or too many of them")
    }
    var header = [UInt8](repeating: 0, count: recordOffset)
    header.replaceSubrange(0..<magic.count, with: magic)
    header[versionOffset] = version
    header.withUnsafeMutableBytes { bytes in
      for (offset, count) in [
        (recordBytesOffset, record.count), (sectionBytesOffset, best.count), (momentCountOffset, task.count),
        (backboneBytesOffset, backbone.reduce(0) { $0 + $1.count }),
      ] { bytes.storeBytes(of: UInt64(count).littleEndian, toByteOffset: offset, as: UInt64.self) }
    }
    var output = try Output(path: path)
    header.withUnsafeBytes { output.append($0) }
    record.withUnsafeBytes { output.append($0) }
    output.append(UnsafeRawBufferPointer(start: task.section.bytes.address, count: best.count))
    best.withUnsafeBytes { output.append($0) }
    output.append(UnsafeRawBufferPointer(start: task.firstMoments, count: 4 * task.count))
    output.append(UnsafeRawBufferPointer(start: task.secondMoments, count: 4 * task.count))
    for bytes in backbone { output.append(UnsafeRawBufferPointer(bytes)) }
    try output.finish()
  }

  /// The state in the file at `path`; the arrays stay where they are.
  /// - Throws: `cannotOpen`, `malformed` with the byte offset.
  init(path: String) throws(TrainingError) {
    do throws(FormatError) { mapping = try Mapping(path: path) } catch {
      let text = error.kind == .cannotOpen ? String(cString: tusk_error_text(Int32(clamping: error.found))) : nil
      throw TrainingError(.cannotOpen, file: path.printable, "cannot open: \(text ?? "\(error.summary)")")
    }
    let file = mapping.bytes
    func refuse(_ offset: Int, _ sentence: String) -> TrainingError {
      TrainingError(.malformed, file: path.printable, "byte \(offset): \(sentence)")
    }
    guard file.count >= Self.magic.count, file.copied(0..<Self.magic.count) == Self.magic else {
      throw refuse(0, "not the state of a training run")
    }
    guard file.count >= Self.recordOffset + 4 else {
      throw refuse(file.count, "the file ends too early (found \(file.count) bytes)")
    }
    let end = file.count - 4
    let checksum: UInt32 = file.load(end)
    let found = file.slice(0..<end).checksum
    guard found == checksum else {
      throw refuse(
        end,
        "the file is damaged or cut (found a checksum of 0x\(String(found, radix: 16)), required "
          + "0x\(String(checksum, radix: 16)))")
    }
    let version: UInt8 = file.load(Self.versionOffset)
    guard version == Self.version else {
      throw refuse(
        Self.versionOffset, "a state of another release (found version \(version), required \(Self.version))")
    }
    for range in [Self.versionOffset + 1..<Self.recordBytesOffset, Self.backboneBytesOffset + 8..<Self.recordOffset] {
      if let offset = file.firstNonZero(in: range) { throw refuse(offset, "a reserved byte is not 0") }
    }
    func count(_ offset: Int, atMost limit: Int) throws(TrainingError) -> Int {
      let count: UInt64 = file.load(offset)
      guard count <= UInt64(limit) else {
        throw refuse(offset, "more than the file holds (found \(count), required at most \(limit))")
      }
      return Int(count)
    }
    var rest = end - Self.recordOffset
    let recordBytes = try count(Self.recordBytesOffset, atMost: min(rest, Self.mostRecordBytes))
    rest -= recordBytes
    let sectionBytes = try count(Self.sectionBytesOffset, atMost: rest / 2)
    rest -= 2 * sectionBytes
    let momentCount = try count(Self.momentCountOffset, atMost: rest / 8)
    rest -= 8 * momentCount
    let backboneBytes = try count(Self.backboneBytesOffset, atMost: rest)
    guard rest == backboneBytes else {
      throw refuse(end - rest, "the arrays are not as long as the file (\(rest - backboneBytes) bytes are left)")
    }
    var offset = Self.recordOffset
    func next(_ byteCount: Int) -> MappedBytes {
      defer { offset += byteCount }
      return file.slice(offset..<offset + byteCount)
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let record = next(recordBytes)
    guard let state = try? decoder.decode(TrainingState.self, from: Data(record.copied(0..<recordBytes))) else {
      throw refuse(Self.recordOffset, "the record is not what a training run writes")
    }
    self.state = state
    section = next(sectionBytes)
    best = next(sectionBytes)
    firstMoments = next(4 * momentCount)
    secondMoments = next(4 * momentCount)
    backbone = next(backboneBytes)
  }
}

/// A file that is written from front to back under another name, with a checksum at its end.
private struct Output {
  private let path: String
  private let temporary: String
  private let descriptor: Int32
  private var offset: UInt64 = 0
  private var checksum: UInt32 = 0
  private var errorNumber: Int32 = 0

  init(path: String) throws(TrainingError) {
    self.path = path
    temporary = path + ".tmp"
    descriptor = tusk_create_file(temporary)
    if descriptor < 0 { throw failure(-descriptor) }
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard errorNumber == 0, let base = bytes.baseAddress else { return }
    errorNumber = tusk_write_at(descriptor, base, bytes.count, offset)
    checksum = tusk_crc32(checksum, base, bytes.count)
    offset += UInt64(bytes.count)
  }

  mutating func finish() throws(TrainingError) {
    let sum = checksum.littleEndian
    withUnsafeBytes(of: sum) { append($0) }
    let closing = tusk_sync_and_close(descriptor)
    if errorNumber == 0 { errorNumber = closing }
    if errorNumber == 0 { errorNumber = tusk_rename_file(temporary, path) }
    guard errorNumber == 0 else {
      tusk_remove_file(temporary)
      throw failure(errorNumber)
    }
  }

  private func failure(_ errorNumber: Int32) -> TrainingError {
    TrainingError(.cannotWrite, file: path.printable, "cannot write: \(String(cString: tusk_error_text(errorNumber)))")
  }
}
