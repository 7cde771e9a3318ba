import CTuskSystem
import Foundation
import TuskFormat

/// Where a training run is: enough to go on bit for bit. `formats/training-state.md` has the bytes.
struct TrainingState: Equatable {
  /// What the run must have in common with the one that goes on.
  var identity: [String: String]
  /// Steps done.
  var step: Int
  var bestEpoch: Int?
  var bestValue: Double?
  /// Sum of the losses of the present epoch's steps so far.
  var epochLoss: Double
  /// The task, and the best one so far; the same length.
  var section: [UInt8]
  var best: [UInt8]
  var firstMoments: [Float]
  var secondMoments: [Float]
}

/// The record in front of a state's arrays.
private struct StateRecord: Codable {
  var identity: [String: String]
  var step: Int
  var bestEpoch: Int?
  var bestValue: Double?
  var epochLoss: Double
  var sectionBytes: Int
  var moments: Int
}

enum StateFile {
  /// A byte above 127 and line ends, so that transfer as text shows.
  private static let magic: [UInt8] = [0x89] + Array("TUSK-TRN".utf8) + [13, 10, 26, 10, 1, 0, 0]
  private static let mostRecordBytes = 1 << 20

  /// Writes `state` beside `path` and renames it there: until then the old one stays.
  /// - Throws: `cannotWrite`.
  static func write(_ state: TrainingState, path: String) throws(TrainingError) {
    let record = StateRecord(
      identity: state.identity, step: state.step, bestEpoch: state.bestEpoch, bestValue: state.bestValue,
      epochLoss: state.epochLoss, sectionBytes: state.section.count, moments: state.firstMoments.count)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let json = try? encoder.encode(record) else {
      throw TrainingError(.cannotWrite, file: path, "the state has numbers that JSON does not: it is not written")
    }
    let temporary = path + ".tmp"
    let descriptor = tusk_create_file(temporary)
    guard descriptor >= 0 else { throw failure(-descriptor, path) }
    var offset: UInt64 = 0
    var checksum: UInt32 = 0
    var errorNumber: Int32 = 0
    func append(_ bytes: UnsafeRawBufferPointer) {
      guard errorNumber == 0, let base = bytes.baseAddress else { return }
      errorNumber = tusk_write_at(descriptor, base, bytes.count, offset)
      checksum = tusk_crc32(checksum, base, bytes.count)
      offset += UInt64(bytes.count)
    }
    magic.withUnsafeBytes(append)
    withUnsafeBytes(of: UInt64(json.count).littleEndian, append)
    json.withUnsafeBytes(append)
    state.section.withUnsafeBytes(append)
    state.best.withUnsafeBytes(append)
    state.firstMoments.withUnsafeBytes(append)
    state.secondMoments.withUnsafeBytes(append)
    withUnsafeBytes(of: checksum.littleEndian, append)
    let closing = tusk_sync_and_close(descriptor)
    if errorNumber == 0 { errorNumber = closing }
    if errorNumber == 0 { errorNumber = tusk_rename_file(temporary, path) }
    guard errorNumber == 0 else {
      tusk_remove_file(temporary)
      throw failure(errorNumber, path)
    }
  }

  private static func failure(_ errorNumber: Int32, _ path: String) -> TrainingError {
    TrainingError(.cannotWrite, file: path, "cannot write: \(String(cString: tusk_error_text(errorNumber)))")
  }

  /// The state in the file at `path`.
  /// - Throws: `cannotOpen`, `malformed` with the byte offset.
  static func read(path: String) throws(TrainingError) -> TrainingState {
    let mapping: Mapping
    do throws(FormatError) { mapping = try Mapping(path: path) } catch {
      throw TrainingError(
        .cannotOpen, file: path, "cannot open: \(String(cString: tusk_error_text(Int32(clamping: error.found))))")
    }
    let file = mapping.bytes
    func refuse(_ offset: Int, _ sentence: String) -> TrainingError {
      TrainingError(.malformed, file: path, "byte \(offset): \(sentence)")
    }
    let start = magic.count + 8
    guard file.count > start + 4, (0..<magic.count).allSatisfy({ file.load($0, as: UInt8.self) == magic[$0] }) else {
      throw refuse(0, "not a state of a training run")
    }
    let checksum: UInt32 = file.load(file.count - 4)
    guard file.slice(0..<file.count - 4).checksum == checksum else {
      throw refuse(file.count - 4, "the checksum is that of other bytes: the file is damaged")
    }
    let jsonBytes = file.load(magic.count, as: UInt64.self)
    guard jsonBytes <= UInt64(min(mostRecordBytes, file.count - 4 - start)) else {
      throw refuse(magic.count, "a record of \(jsonBytes) bytes does not fit in the file")
    }
    let json = start..<start + Int(jsonBytes)
    let record: StateRecord
    do {
      record = try JSONDecoder().decode(StateRecord.self, from: Data(file.copied(json)))
    } catch { throw refuse(start, "the record is not what a training run writes") }
    let required = [2 * record.sectionBytes, 8 * record.moments]
    guard (0...1 << 40).contains(record.sectionBytes), (0...1 << 40).contains(record.moments), record.step >= 0,
      file.count - 4 - json.upperBound == required.reduce(0, +)
    else { throw refuse(json.upperBound, "the arrays are not as long as the record says") }
    let best = json.upperBound + record.sectionBytes
    let moments = best + record.sectionBytes
    func floats(_ start: Int) -> [Float] { (0..<record.moments).map { file.load(start + 4 * $0) } }
    return TrainingState(
      identity: record.identity, step: record.step, bestEpoch: record.bestEpoch, bestValue: record.bestValue,
      epochLoss: record.epochLoss, section: file.copied(json.upperBound..<best), best: file.copied(best..<moments),
      firstMoments: floats(moments), secondMoments: floats(moments + 4 * record.moments))
  }
}
