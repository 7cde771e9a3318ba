import Foundation
import Testing

@testable import TuskFormat

/// `formats/examples/broken` and the errors its files give. `TUSK_WRITE_EXAMPLES=1 swift test --filter BrokenFileTests`
/// writes the folder anew after a change of the format.
@Suite struct BrokenFileTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("formats/examples/broken")

  private struct Expectation: Codable, Equatable {
    let file: String
    let kind: String
    let offset: UInt64
    let found: UInt64
    let required: UInt64
    let foundBy: String

    init(_ broken: BrokenFile) {
      file = "\(broken.name).tusk"
      kind = broken.name
      offset = broken.error.offset
      found = broken.error.found
      required = broken.error.required
      foundBy = broken.isFoundByOpening ? "open" : "verify"
    }
  }

  @Test func everyKindHasItsFile() throws {
    let kinds = Set(try BrokenFile.all().map(\.error.kind))
    #expect(
      kinds
        == Set(FormatError.Kind.allCases).subtracting([
          .cannotOpen, .notRegularFile, .misalignedMemory, .tasksNotStackable, .tasksDiffer,
        ]))
  }

  @Test func everyFileGivesItsError() throws {
    for broken in try BrokenFile.all() {
      if broken.isFoundByOpening {
        #expect(throws: broken.error, "\(broken.name)") { try NanoFiles.open(broken.bytes) }
      } else {
        let file = try NanoFiles.open(broken.bytes)
        #expect(throws: broken.error, "\(broken.name)") { try file.verify() }
      }
    }
  }

  /// Working memory of a linear grows with its rank: one that its factors do not bound would be a bomb.
  @Test func aRankBeyondTheBlocksIsRefused() throws {
    let config = try #require(NanoFiles.open(NanoFiles.backboneBytes()).config)
    var builder = TaskBuilder(config: config, name: [0x61], vocabularySize: 5, origin: .adapters)
    func linear(_ inWidth: Int, _ outWidth: Int, rank: Int) -> Int {
      let left = TensorShape(1, inWidth, rank)
      let right = TensorShape(1, rank, outWidth)
      return builder.addLinear(
        TaskLinear(
          inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: rank,
          leftFactor: builder.addTensor(.leftFactor, left, [Float](repeating: 1, count: left.elementCount)),
          rightFactor: builder.addTensor(.rightFactor, right, [Float](repeating: 1, count: right.elementCount))))
    }
    let adapter = TaskAdapter(
      activation: .relu, inputRule: .subLayer, skipRule: .subLayer, addsStream: true, bottleneckWidth: 2, scaling: 1,
      normEpsilon: 1e-5, down: linear(4, 2, rank: 4), up: linear(2, 4, rank: 5))
    builder.attach(.adapter(adapter), slot: 0)
    let bytes = try NanoFiles.written { try TaskWriter.write(builder.sectionBytes(), provenance: nil, path: $0) }
    let error = try #require(throws: FormatError.self) { try NanoFiles.open(bytes) }
    #expect(error.kind == .invalidField && error.found == 5 && error.required == 4)
  }

  @Test func theFolderHoldsTheseFiles() throws {
    let files = try BrokenFile.all()
    let table = Self.folder.appendingPathComponent("expected.json")
    if ProcessInfo.processInfo.environment["TUSK_WRITE_EXAMPLES"] != nil {
      try FileManager.default.createDirectory(at: Self.folder, withIntermediateDirectories: true)
      for file in files { try Data(file.bytes).write(to: Self.folder.appendingPathComponent("\(file.name).tusk")) }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(files.map(Expectation.init)).write(to: table)
    }
    let listed = try JSONDecoder().decode([Expectation].self, from: Data(contentsOf: table))
    #expect(listed == files.map(Expectation.init))
    for file in files {
      let stored = try Data(contentsOf: Self.folder.appendingPathComponent("\(file.name).tusk"))
      #expect(Array(stored) == file.bytes, "\(file.name)")
    }
  }
}
