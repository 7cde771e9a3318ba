import CTusk
import CTuskHandles
import TuskEngine
import TuskFormat
import TuskTokenizer

/// A backbone and the files of its tasks.
final class Model: Handle {
  let state: UnsafeMutablePointer<tusk_handle>
  let heap: OpaquePointer?
  /// The backbone's file first; none before it is opened.
  private(set) var files: [PackedFile] = []

  init(heap: OpaquePointer?) {
    self.heap = heap
    state = makeState()
  }

  deinit { state.deallocate() }

  /// The file of the backbone and its configuration.
  func backbone() throws(Failure) -> (file: PackedFile, config: BackboneConfig) {
    guard let file = files.first, let config = file.config else {
      throw Failure(TUSK_ERROR_WRONG_ORDER, "no backbone has been opened")
    }
    return (file, config)
  }

  func open(_ mapping: () throws(FormatError) -> Mapping) throws(Failure) {
    guard files.isEmpty else { throw Failure(TUSK_ERROR_WRONG_ORDER, "a backbone has been opened already") }
    let file = try Self.file(mapping)
    guard let config = file.config else { throw Failure(EngineError(.notABackbone)) }
    guard config.vocabularySize <= Int(Int32.max) else { throw Failure(EngineError(.planTooLarge)) }
    try keep(file)
  }

  /// Takes in a file whose tasks all fit the backbone.
  func mount(_ mapping: () throws(FormatError) -> Mapping) throws(Failure) {
    let config = try backbone().config
    let file = try Self.file(mapping)
    guard file.taskCount > 0 else { throw Failure(TUSK_ERROR_NO_SUCH_TASK, "the file holds no task") }
    do throws(FormatError) {
      for position in 0..<file.taskCount { try file.task(at: position).requireFit(to: config) }
    } catch { throw Failure(error) }
    try keep(file)
  }

  private func keep(_ file: PackedFile) throws(Failure) {
    files.append(file)
    do throws(Failure) { try requireNoOverflow(heap) } catch {
      files.removeLast()
      throw error
    }
  }

  private static func file(_ mapping: () throws(FormatError) -> Mapping) throws(Failure) -> PackedFile {
    do throws(FormatError) { return try PackedFile(try mapping()) } catch { throw Failure(error) }
  }
}

extension [PackedFile] {
  /// Tasks of all files, in their order.
  var taskCount: Int {
    var count = 0
    for file in self { count += file.taskCount }
    return count
  }

  /// The section of a task; of TUSK_NO_TASK, nil.
  func task(_ number: Int32) throws(Failure) -> TaskSection? {
    guard number != TUSK_NO_TASK else { return nil }
    var rest = Int(number)
    if rest >= 0 {
      for file in self {
        if rest < file.taskCount { return file.task(at: rest) }
        rest -= file.taskCount
      }
    }
    throw Failure(TUSK_ERROR_NO_SUCH_TASK, "no such task (number, tasks)", found: Int(number), required: taskCount)
  }

  /// The section with the head of a task; of TUSK_NO_TASK, the backbone's, if it has one.
  func headSection(_ number: Int32) throws(Failure) -> TaskSection? { try task(number) ?? first?.head }

  func taskNumber(named name: UnsafeRawBufferPointer) -> Int32? {
    var number: Int32 = 0
    for file in self {
      for position in 0..<file.taskCount {
        if file.task(at: position).name.isEqual(to: name) { return number }
        number += 1
      }
    }
    return nil
  }

  /// Bytes of all tasks.
  var taskBytes: Int { reduceTasks(self) }

  /// Bytes of the tasks that lie in the backbone's own file.
  var bundledTaskBytes: Int { reduceTasks(self[..<Swift.min(1, count)]) }

  private func reduceTasks(_ files: some Sequence<PackedFile>) -> Int {
    var bytes = 0
    for file in files {
      for position in 0..<file.taskCount { bytes += file.task(at: position).bytes.count }
    }
    return bytes
  }
}

extension MappedBytes {
  /// The bytes where they are mapped; valid as long as their file is open.
  var inPlace: tusk_text { tusk_text(bytes: address.assumingMemoryBound(to: CChar.self), count: count) }

  fileprivate func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    for index in 0..<count where load(index, as: UInt8.self) != other[index] { return false }
    return true
  }
}
