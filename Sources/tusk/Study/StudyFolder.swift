import CTuskSystem
import Foundation
import TuskConversion

/// The folder of a study: its settings, a line for each finished run, samples of the data, and the report.
final class StudyFolder {
  let path: String
  private(set) var records: [StudyRecord] = []
  private let runs: FileHandle

  private static let mostSettingsBytes = 1 << 20

  /// Opens or begins the folder at `path`.
  /// - Throws: bad data for a folder of other settings or damaged lines; input or output, also if another process has it.
  init(_ path: String, settings: [String: String]) throws(Failure) {
    self.path = path
    for folder in [path, path + "/data", path + "/work"] {
      do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
        throw Failure(Failure.inputOutput, "\(folder.printable): \(error.localizedDescription)")
      }
    }
    let runsPath = path + "/runs.jsonl"
    let descriptor = open(runsPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Failure(Failure.inputOutput, path: runsPath, errorNumber: errno) }
    runs = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw Failure(Failure.inputOutput, "\(path.printable): another study is running in this folder")
    }
    try keep(settings)
    try readRecords(runsPath)
  }

  /// The settings of all calls so far, each name with one value.
  private func keep(_ settings: [String: String]) throws(Failure) {
    let path = self.path + "/settings.json"
    var all: [String: String] = [:]
    if FileManager.default.fileExists(atPath: path) {
      guard let data = FileManager.default.contents(atPath: path), data.count < Self.mostSettingsBytes,
        let found = try? JSONDecoder().decode([String: String].self, from: data)
      else { throw Failure(Failure.badData, "\(path.printable): not the settings of a study") }
      all = found
    }
    for (name, required) in settings.sorted(by: { $0.key < $1.key }) {
      if let found = all[name], found != required {
        throw Failure(
          Failure.badData,
          "\(self.path.printable): the folder is of another study: its \(name) is '\(found.printable)', required "
            + "'\(required.printable)'; choose another --output")
      }
      all[name] = required
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(all) else { preconditionFailure("texts are JSON") }
    try ResultFile.write(Array(data) + [10], path: path)
  }

  /// What stands behind the last line end was never finished, and is cut off.
  private func readRecords(_ path: String) throws(Failure) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      let data = try runs.readToEnd() ?? Data()
      let whole = data.lastIndex(of: 10).map { $0 + 1 } ?? 0
      for (number, line) in data.prefix(whole).split(separator: 10, omittingEmptySubsequences: false).dropLast()
        .enumerated()
      {
        guard let record = try? decoder.decode(StudyRecord.self, from: Data(line)) else {
          throw Failure(Failure.badData, "\(path.printable): line \(number + 1): not a run of a study")
        }
        records.append(record)
      }
      try runs.truncate(atOffset: UInt64(whole))
      try runs.seekToEnd()
    } catch {
      throw error as? Failure
        ?? Failure(Failure.inputOutput, "\(path.printable): \(error.localizedDescription)")
    }
  }

  func record(_ key: StudyKey) -> StudyRecord? { records.last { $0.belongs(to: key) } }

  /// Adds the line of a finished run; it is on the device when the call returns.
  func append(_ record: StudyRecord) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      try runs.write(contentsOf: try encoder.encode(record) + Data([10]))
      try runs.synchronize()
    } catch {
      throw Failure(Failure.inputOutput, "\(path.printable)/runs.jsonl: \(error.localizedDescription)")
    }
    records.append(record)
  }

  /// The path of the file `name` in the folder of samples, which `body` makes if it is not there.
  func sample(_ name: String, _ body: () throws(Failure) -> [UInt8]) throws(Failure) -> String {
    let path = self.path + "/data/" + name
    if !FileManager.default.fileExists(atPath: path) { try ResultFile.write(try body(), path: path) }
    return path
  }

  func work(_ name: String) -> String { path + "/work/" + name }

  func write(_ report: StudyReport) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let json = try? encoder.encode(report) else {
      throw Failure(Failure.badData, "\(path.printable): the results have numbers that JSON does not")
    }
    try ResultFile.write(Array(json) + [10], path: path + "/study.json")
    try ResultFile.write(Array((report.markdown.joined(separator: "\n") + "\n").utf8), path: path + "/study.md")
    try ResultFile.write(Array(StudyChart(report).svg.utf8), path: path + "/study.svg")
  }
}
