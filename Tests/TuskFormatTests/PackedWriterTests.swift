import Testing

@testable import TuskFormat

/// Sections longer and shorter than the writer's blocks of 2 MB, filled in pieces and out of order.
@Suite struct PackedWriterTests {
  private static let plans = [
    SectionPlan(.config, byteCount: 256), SectionPlan(.tensorIndex, byteCount: 192),
    SectionPlan(.tokenizer, byteCount: 70_001), SectionPlan(.head, byteCount: 100),
    SectionPlan(.weights, byteCount: 5_000_000), SectionPlan(.weights, ordinal: 1, byteCount: 4_194_304),
    SectionPlan(.weights, ordinal: 2, byteCount: 1),
  ]

  /// Bytes by their number in the section, none of them 0.
  private static func content(of position: Int) -> [UInt8] {
    (0..<plans[position].byteCount).map { UInt8(1 + ($0 * 31 + position * 7) % 255) }
  }

  @Test(arguments: [[2, 4, 5, 6, 3, 0, 1], [0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 2, 4, 6, 5, 1, 0]])
  func everyByteIsInItsPlace(order: [Int]) throws {
    var offsets: [Int] = []
    let bytes = try NanoFiles.written { path in
      let writer = try PackedWriter(path: path, kind: .backbone, sections: Self.plans)
      offsets = Self.plans.indices.map { writer.offset(of: $0) }
      for position in order {
        let content = Self.content(of: position)
        var start = 0
        // Pieces of less than a row, of many rows and of more than a block.
        for count in [1, 63, 1_000_003, content.count] where start < content.count {
          let end = min(start + count, content.count)
          try writer.append(Array(content[start..<end]), to: position)
          start = end
        }
      }
      try writer.finish()
    }
    var end = Container.headerBytes + Self.plans.count * Container.sectionEntryBytes
    for position in Self.plans.indices {
      let content = Self.content(of: position)
      #expect(bytes[end..<offsets[position]].allSatisfy { $0 == 0 }, "padding before section \(position)")
      end = offsets[position] + content.count
      #expect(bytes[offsets[position]..<end] == content[...], "section \(position)")
    }
    #expect(bytes.count == end)
  }
}
