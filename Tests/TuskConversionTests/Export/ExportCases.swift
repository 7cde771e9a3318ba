import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// A recorded task directory with the backbone it belongs to.
struct RecordedTask: CustomTestStringConvertible {
  /// Below the fixtures.
  let directory: String
  let backbone: String

  var testDescription: String { directory }
  var path: String { fixturesDirectory + "/" + directory }
  var checkpoint: String { fixturesDirectory + "/" + backbone }

  /// Every directory of `golden`, `golden-extra`, `golden-encoders` and `golden-adapters` that converts.
  static let all: [RecordedTask] = golden + authors + adapters

  /// The checkpoints that they belong to, each once.
  static let checkpoints = Set(all.map(\.backbone)).sorted()

  private static let golden: [RecordedTask] = ["golden", "golden-extra", "golden-encoders"].flatMap { root in
    folders(root + "/hub").filter { !$0.hasPrefix("NEGATIVE") }.map { name in
      let folder = "\(root)/hub/\(name)"
      return RecordedTask(
        directory: folder + "/adapter", backbone: "\(root)/backbones/\(text("backbone", in: folder + "/expect.json"))")
    }
  }

  private static let authors = folders("golden/orig").map { name in
    let folder = "golden/orig/\(name)/output_dir"
    return RecordedTask(directory: folder, backbone: name == "t5_v10_compacter" ? "golden/backbones/t5_v10" : folder)
  }

  private static let adapters: [RecordedTask] = folders("golden-adapters/cases").filter { !$0.hasPrefix("REFUSED") }
    .flatMap { name in
      let folder = "golden-adapters/cases/\(name)"
      let backbone = text("backbone", in: folder + "/case.json")
      let path = backbone.hasPrefix("../") ? String(backbone.dropFirst(3)) : "golden-adapters/" + backbone
      return folders(folder).map { RecordedTask(directory: "\(folder)/\($0)", backbone: path) }
    }

  private static func folders(_ directory: String) -> [String] {
    let base = fixturesDirectory + "/" + directory
    let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
    return names.sorted().filter { (try? FileManager.default.contentsOfDirectory(atPath: base + "/" + $0)) != nil }
  }

  private static func text(_ key: String, in file: String) -> String {
    (try? JSONBuilder(reading: fixturesDirectory + "/" + file))?.values[key] as? String ?? ""
  }
}

/// A task that was exported into a directory of its own.
struct ExportedTask {
  let scratch: ScratchDirectory
  let notes: [String]
  let files: [String]

  var path: String { scratch.path + "/exported" }

  init(
    _ section: TaskSection, of backbone: ConvertedBackbone, _ format: TaskExport.Format, name: String? = nil,
    checkpoint: String? = nil, container: TaskExport.Container? = nil
  ) throws(ConversionError) {
    let export = try TaskExport(
      section, path: "task.tusk", backbone: backbone.file, backbonePath: backbone.path, format: format, name: name,
      checkpoint: checkpoint, container: container)
    do { scratch = try ScratchDirectory() } catch { preconditionFailure("\(error)") }
    notes = export.notes
    files = try export.write(to: scratch.path + "/exported").map(\.name)
  }
}

extension OpenTask {
  /// The section but for who wrote its source.
  var bytes: [UInt8] {
    var bytes = conversion.section
    bytes[24] = 0
    return bytes
  }

  /// The format that the task came in.
  var format: TaskExport.Format {
    switch conversion.dialect {
    case .adapterDirectory, .modelWithAdapter: .adapterHub
    case .peftDirectory: .peft
    case .authors: .authors
    }
  }
}
