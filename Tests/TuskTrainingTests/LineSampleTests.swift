import Foundation
import Testing

@testable import TuskTraining

@Suite struct LineSampleTests {
  private static let lines = (0..<40).map { #"{"text": "t\#($0)", "label": "\#($0 == 17 ? "rare" : "common")"}"# }

  private func drawn(
    _ count: Int, seed: UInt64, coversLabels: Bool = false, end: String = "\n"
  ) throws -> [String] {
    try DataFixtures.withFile(Array(Self.lines.joined(separator: end).utf8)) { path in
      String(
        decoding: try LineSample.draw(count, of: path, seed: seed, coversLabels: coversLabels), as: UTF8.self
      ).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
  }

  @Test func aLargerSampleBeginsWithTheSmallerOne() throws {
    let all = try drawn(40, seed: 3)
    #expect(all.sorted() == Self.lines.sorted() && all != Self.lines)
    for count in [1, 7, 39] { #expect(try drawn(count, seed: 3) == Array(all.prefix(count))) }
    #expect(try drawn(40, seed: 4) != all)
    #expect(try drawn(40, seed: 3, end: "\r\n") == all)
  }

  @Test func everyLabelIsInASampleThatCoversThem() throws {
    for seed in 1...8 {
      let sample = try drawn(2, seed: UInt64(seed), coversLabels: true)
      #expect(sample.contains(Self.lines[17]) && sample.count == 2)
    }
    let all = try drawn(40, seed: 1, coversLabels: true)
    #expect(all.sorted() == Self.lines.sorted())
  }

  @Test func tooFewLinesAreRefused() throws {
    #expect { try drawn(41, seed: 1) } throws: { error in
      let error = error as? TrainingError
      return error?.kind == .empty && error?.sentence == "found 40 lines, required at least the 41 that are to be drawn"
    }
    _ = try DataFixtures.withFile([]) { path in
      #expect(throws: TrainingError.self) { try LineSample.lineCount(path) }
    }
    let count = try DataFixtures.withFile(Array("a\n\nb".utf8)) { path throws(TrainingError) in
      try LineSample.lineCount(path)
    }
    #expect(count == 3)
  }
}
