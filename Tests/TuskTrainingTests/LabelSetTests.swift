import Testing

@testable import TuskTraining

@Suite struct LabelSetTests {
  private func collect(_ labels: String...) throws -> [String] {
    let text = labels.map { #"{"text": "a", "label": \#($0)}"# + "\n" }.joined()
    return try DataFixtures.withFile(Array(text.utf8)) { try LabelSet.collect($0) }.names
  }

  @Test func labelsAreInOrder() throws {
    #expect(try collect(#""spam""#, #""ham""#, #""spam""#, #""Ham""#) == ["Ham", "ham", "spam"])
    #expect(try collect("10", "9", "-1", "9") == ["-1", "9", "10"])
    #expect(try collect(#""10""#, "9", "3.0") == ["3", "9", "10"])
    #expect(try collect(#""10""#, #""9""#, #""x""#) == ["10", "9", "x"])
    #expect(try collect("true", "false") == ["false", "true"])
    // One letter in two forms is two labels: they are compared byte by byte.
    #expect(try collect(#""\u00e9""#, #""e\u0301""#).count == 2)
  }

  @Test(arguments: [#""""#, "0.5", "null", "[]", #""a\u0000""#, #""a\nb""#])
  func whatIsNoNameIsRefused(label: String) {
    #expect {
      try collect(#""a""#, label)
    } throws: {
      let error = $0 as? TrainingError
      return error?.kind == .malformed && error?.line == 2
    }
  }

  @Test func aNameHas255BytesAtMost() throws {
    let name = String(repeating: "é", count: 127)
    #expect(try collect("\"\(name)\"").count == 1)
    #expect(throws: TrainingError.self) { try collect("\"\(name)ab\"") }
    #expect(throws: TrainingError.self) { try collect() }
  }

  @Test func aHeadMayHaveThePresetsLabelsInAnyOrder() throws {
    let rte = try #require(Preset(named: "rte"))
    let backwards = try LabelSet(rte, headNames: ["not_entailment", "entailment"], outWidth: 2)
    #expect(backwards.texts == ["1", "0"])
    #expect((0..<2).map { backwards.position(ofPreset: $0) } == [1, 0])
    #expect(backwards.positive == 0)
    for names in [["0", "1"], ["LABEL_0", "LABEL_1"], ["entailment", "LABEL_1"], []] {
      let labels = try LabelSet(rte, headNames: names, outWidth: 2)
      #expect(labels.texts == ["0", "1"] && labels.positive == 1)
    }
    #expect(LabelSet(rte)?.names == ["entailment", "not_entailment"])
    #expect(LabelSet(rte)?.texts == ["0", "1"])
  }

  @Test(arguments: [["0", "1", "2"], ["yes", "no"], ["0", "entailment"], ["0"]])
  func otherLabelsAreRefused(names: [String]) throws {
    let rte = try #require(Preset(named: "rte"))
    #expect {
      try LabelSet(rte, headNames: names, outWidth: names.count)
    } throws: {
      ($0 as? TrainingError)?.kind == .mismatch
    }
    #expect(throws: TrainingError.self) {
      try LabelSet(try #require(Preset(named: "stsb")), headNames: [], outWidth: 1)
    }
  }
}
