import CTusk
import Foundation
import Testing
import TuskFormat

/// A model opened through the C interface; destroyed with the last reference.
final class CModel {
  private(set) var pointer: OpaquePointer?

  /// A model without files.
  init() throws {
    try #require(tusk_model_create(nil, 0, &pointer) == TUSK_OK)
  }

  convenience init(path: String, tasks: String...) throws {
    try self.init()
    try #require(tusk_model_open_path(pointer, path) == TUSK_OK, "\(message)")
    for task in tasks { try #require(tusk_model_mount_path(pointer, task) == TUSK_OK, "\(message)") }
  }

  deinit { #expect(tusk_model_destroy(pointer) == TUSK_OK) }

  var message: String { String(cString: tusk_model_last_message(pointer)) }
}

/// A session made through the C interface.
final class CSession {
  let model: CModel
  private(set) var pointer: OpaquePointer?

  init(_ model: CModel, _ options: tusk_session_options? = nil) throws {
    self.model = model
    var status: tusk_status
    if var options {
      options.struct_bytes = MemoryLayout<tusk_session_options>.size
      status = tusk_session_create(model.pointer, &options, &pointer)
    } else {
      status = tusk_session_create(model.pointer, nil, &pointer)
    }
    try #require(status == TUSK_OK, "\(model.message)")
  }

  deinit { #expect(tusk_session_destroy(pointer) == TUSK_OK) }

  var message: String { String(cString: tusk_session_last_message(pointer)) }

  func generate(_ text: String, maxTokens: Int32 = 0) throws -> String {
    var answer = tusk_text()
    let status = tusk_session_generate_text(pointer, text, text.utf8.count, maxTokens, nil, nil, &answer)
    try #require(status == TUSK_OK, "\(message)")
    return answer.string
  }
}

extension tusk_text {
  var string: String {
    String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
  }
}

extension tusk_matrix {
  var array: [Float] { Array(UnsafeBufferPointer(start: values, count: rows * columns)) }
}

extension tusk_tokens {
  var idArray: [Int32] { Array(UnsafeBufferPointer(start: ids, count: count)) }
}

func == (left: tusk_status, right: Int) -> Bool { Int(left) == right }

/// Model files, written once for all tests.
enum Files {
  static let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  static let demo = packageFolder.appendingPathComponent("tools/demo").path
  static let encoders = packageFolder.appendingPathComponent("Tests/Fixtures/golden-encoders").path
  /// The format's example: a T5 with a vocabulary of a few letters.
  static let nano = packageFolder.appendingPathComponent("formats/examples/nano.tusk").path
  static let nanoBytes = try! [UInt8](Data(contentsOf: URL(fileURLWithPath: nano)))

  /// A folder that lives as long as the process, for converted files.
  static let folder: String = {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tusk-c-\(UUID().uuidString)")
    try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: Files.folder) }
    return url.path
  }()
}

/// A file's bytes where memory may be used in place.
final class AlignedBytes {
  let buffer: UnsafeMutableRawBufferPointer

  init(_ bytes: [UInt8], offset: Int = 0) {
    buffer = .allocate(byteCount: bytes.count + offset, alignment: 4096)
    for index in bytes.indices { buffer[offset + index] = bytes[index] }
  }

  /// Uninitialized memory of a caller's.
  init(count: Int) { buffer = .allocate(byteCount: count, alignment: 4096) }

  deinit { buffer.deallocate() }
}
