import Foundation
import TuskConversion
import TuskEngine
import TuskFormat

/// Recorded answers of PyTorch below Tests/Fixtures/golden, converted on first use.
enum GoldenFixtures {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/golden").path

  /// The pack of the golden backbone `name`.
  static func backbone(_ name: String, _ weights: WeightEncoding) throws -> PackedFile {
    try packed("\(root)/backbones/\(name)", weights)
  }

  /// The pack of a checkpoint directory.
  static func packed(_ directory: String, _ weights: WeightEncoding) throws -> PackedFile {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try BackboneConversion(directory: directory, weights: weights).write(to: path)
    return try PackedFile(path: path)
  }

  /// The task of the adapter directory `directory`, for `backbone`.
  static func task(_ directory: String, _ backbone: PackedFile) throws -> TaskSection {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TaskConversion(directory: directory, backbone: backbone, backbonePath: "backbone").write(to: path)
    return try PackedFile(path: path).task(at: 0)
  }

  static func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).tusk").path
  }
}

/// One recorded case: inputs, encoder output, logits, sequences.
struct GoldenCase: Sendable {
  let name: String
  let backbone: String

  static let base = [
    GoldenCase(name: "base/t5_v10", backbone: "t5_v10"), GoldenCase(name: "base/t5_v11", backbone: "t5_v11"),
  ]
  static let tasks = [
    "t5_v10_compacter", "t5_v10_compacter_factorized_rule", "t5_v10_compacter_legacy_noversion",
    "t5_v10_compacter_n8_rank2_gelu_new", "t5_v10_compacter_shared_W", "t5_v10_compacter_variants",
    "t5_v10_compacterpp", "t5_v10_phm_unshared", "t5_v11_compacter", "t5_v11_compacterpp_n12",
  ].map { GoldenCase(name: "hub/\($0)", backbone: String($0.prefix(6))) }

  var path: String { "\(GoldenFixtures.root)/\(name)" }
  var isTask: Bool { name.hasPrefix("hub/") }

  func array(_ name: String) throws -> NumpyArray { try NumpyArray("\(path)/io/\(name).npy") }

  struct Expectation: Decodable {
    let maxLength: Int
    let sourceIds: [[Int32]]
    let singleGreedy: [[Int32]]
    let singleBeam4Top4: [[[Int32]]]
    let singleBeam4Top4Scores: [[Float]]

    enum CodingKeys: String, CodingKey {
      case maxLength = "max_length"
      case sourceIds = "source_ids"
      case singleGreedy = "single_greedy"
      case singleBeam4Top4 = "single_beam4_top4"
      case singleBeam4Top4Scores = "single_beam4_top4_scores"
    }
  }

  func expectation() throws -> Expectation {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(path)/expect.json"))
    return try JSONDecoder().decode(Expectation.self, from: data)
  }

  /// A pack, with the case's task if it has one.
  func opened(_ weights: WeightEncoding) throws -> (backbone: PackedFile, task: TaskSection?) {
    let file = try GoldenFixtures.backbone(backbone, weights)
    return (file, name.hasPrefix("base") ? nil : try GoldenFixtures.task("\(path)/adapter", file))
  }
}

extension Array where Element == Int32 {
  /// Up to and including the first end-of-sequence behind the start token.
  var cutAfterEnd: [Int32] {
    guard let end = dropFirst().firstIndex(of: 1) else { return self }
    return Array(self[...end])
  }
}
