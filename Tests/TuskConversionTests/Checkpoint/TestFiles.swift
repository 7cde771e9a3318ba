import Foundation
import TuskConversion

/// A directory of its own for one test, removed when the test lets go of it.
final class ScratchDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "tusk-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file into the directory and returns its path.
  @discardableResult
  func write(_ bytes: [UInt8], as name: String) throws -> String {
    let file = path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }
}

/// `Tests/Fixtures` of this package.
let fixturesDirectory =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  .path + "/Fixtures"

/// The committed golden backbone in both formats, written by transformers 4.57.6.
enum GoldenBackbone {
  static let directory = fixturesDirectory + "/golden/backbones/t5_v11"

  static func bytes(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
  }
}

/// The error that opening and reading every tensor of a file of these bytes throws, nil when it succeeds.
func conversionError(reading bytes: [UInt8], as name: String) throws -> ConversionError? {
  let scratch = try ScratchDirectory()
  let path = try scratch.write(bytes, as: name)
  do throws(ConversionError) {
    try readEverything(try Checkpoint.open(file: path))
    return nil
  } catch {
    return error
  }
}

/// Reads every floating-point tensor of a checkpoint, a few rows at a time.
func readEverything(_ checkpoint: Checkpoint) throws(ConversionError) {
  for name in checkpoint.tensorNames {
    guard let tensor = checkpoint.tensor(name), tensor.elementType.isFloatingPoint else { continue }
    let rowsAtOnce = max(1, 4096 / max(1, tensor.rowElementCount))
    for start in stride(from: 0, to: tensor.rowCount, by: rowsAtOnce) {
      let rows = start..<min(start + rowsAtOnce, tensor.rowCount)
      let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * tensor.rowElementCount)
      defer { buffer.deallocate() }
      try checkpoint.readRows(of: tensor, rows: rows, into: buffer)
    }
  }
}

extension [UInt8] {
  init(littleEndian value: some FixedWidthInteger) {
    self = Swift.withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  init(floats: [Float]) { self = floats.flatMap { Array(littleEndian: $0.bitPattern) } }
}
