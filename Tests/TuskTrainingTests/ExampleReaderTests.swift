import Foundation
import Testing
import TuskConversion
import TuskTokenizer

@testable import TuskTraining

@Suite struct ExampleReaderTests {
  private static let labels = ExampleSet.Answers.labels(LabelSet(["ham", "spam"]))

  private func reader(
    _ preset: String? = nil, _ answers: ExampleSet.Answers? = nil, isForEncoder: Bool = false,
    maxSourceTokens: Int = 128, maxTargetTokens: Int = .max
  ) throws -> ExampleReader {
    let config = isForEncoder ? DataFixtures.bert : DataFixtures.t5
    return try ExampleReader(
      preset: preset.flatMap { Preset(named: $0) }, answers: answers, tokenizer: DataFixtures.tokenizer(config),
      config: config, maxSourceTokens: maxSourceTokens, maxTargetTokens: maxTargetTokens)
  }

  private func error(_ reader: ExampleReader, _ bytes: [UInt8]) throws -> TrainingError? {
    try DataFixtures.withFile(bytes) { path in
      do throws(TrainingError) {
        _ = try reader.read(path)
        return nil
      } catch {
        #expect(error.file == path)
        return error
      }
    }
  }

  @Test func textsAreTheTokenizersIds() throws {
    let tokenizer = try DataFixtures.tokenizer(DataFixtures.t5)
    let set = try DataFixtures.withFile(
      #"{"source": "the house", "target": "das Haus"}"#, #"{"text": "a", "text2": "b", "label": 3}"#,
      #"{"text": "c", "label": 2.5}"#, #"{"text": "", "label": true}"#
    ) { try reader(nil, .texts).read($0) }
    func ids(_ text: String) throws -> [Int32] { try tokenizer.encode(Array(text.utf8), appendingEndOfSequence: true) }
    #expect(set.count == 4)
    for (position, (source, target)) in [("the house", "das Haus"), ("a b", "3"), ("c", "2.5"), ("", "true")]
      .enumerated()
    {
      #expect(set[position].sourceIds == (try ids(source)))
      #expect(set[position].target == .tokens(try ids(target)))
      #expect(set[position].line == position + 1)
      #expect(set.golds[position] == Gold(.texts([target])))
    }
    #expect(set.longestSource == (try ids("the house").count))
    #expect(set.longestTarget == (try ids("das Haus").count))
    #expect(set.truncatedCount == 0)
  }

  @Test func pairsHaveTypes() throws {
    let tokenizer = try DataFixtures.tokenizer(DataFixtures.bert)
    let set = try DataFixtures.withFile(
      #"{"text": "ham and", "label": "ham"}"#, #"{"text": "eggs", "text2": "and spam", "label": "spam"}"#,
      #"{"text": "x", "label": "ham"}"#
    ) { try reader(nil, Self.labels, isForEncoder: true).read($0) }
    let pair = try tokenizer.encodePair(Array("eggs".utf8), Array("and spam".utf8), maximumTokens: nil)
    #expect(set[1].sourceIds == pair.ids && set[1].typeIds == pair.typeIds)
    #expect(set[1].typeIds.contains(1))
    #expect(set[0].typeIds.allSatisfy { $0 == 0 } && set[0].typeIds.count == set[0].sourceIds.count)
    #expect((0..<3).map { set[$0].target } == [.label(0), .label(1), .label(0)])
    #expect((0..<3).map { set.label($0) } == [0, 1, 0])
    set.withTokens(1) { source, types, target in
      #expect(Array(source) == pair.ids && types.map { Array($0) } == pair.typeIds && target.isEmpty)
    }
    let single = try DataFixtures.withFile(#"{"text": "ham", "label": "ham"}"#) {
      try reader(nil, Self.labels, isForEncoder: true).read($0)
    }
    #expect(single[0].typeIds.isEmpty)
    single.withTokens(0) { _, types, _ in #expect(types == nil) }
  }

  @Test func longSourcesAreCutBeforeTheirEnd() throws {
    let line = #"{"text": "the house is wonderful and the garden too", "label": "ham"}"#
    for isForEncoder in [false, true] {
      let whole = try DataFixtures.withFile(line) {
        try reader(nil, Self.labels, isForEncoder: isForEncoder).read($0)
      }
      let cut = try DataFixtures.withFile(line, #"{"text": "a", "label": "ham"}"#) {
        try reader(nil, Self.labels, isForEncoder: isForEncoder, maxSourceTokens: 5).read($0)
      }
      #expect(cut.truncatedCount == 1 && whole.truncatedCount == 0)
      #expect(cut[0].sourceIds == Array(whole[0].sourceIds[..<4]) + [whole[0].sourceIds.last!])
      #expect(cut.longestSource == 5)
    }
  }

  @Test func anEncoderTakesNoMoreThanItsPositions() throws {
    let words = Array(repeating: "x", count: 100).joined(separator: " ")
    let set = try DataFixtures.withFile(#"{"text": "\#(words)", "label": "ham"}"#) {
      try reader(nil, Self.labels, isForEncoder: true, maxSourceTokens: 1000).read($0)
    }
    #expect(set.longestSource == 64 && set.truncatedCount == 1)
  }

  @Test func aTargetLongerThanPlannedIsRefused() throws {
    let lines = Array(
      "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \"a\", \"target\": \"the house is\"}\n".utf8)
    let found = try #require(try error(reader(nil, .texts, maxTargetTokens: 3), lines))
    #expect(found.kind == .tooLong && found.line == 2)
    #expect(found.sentence == "the target is longer than planned (found 4 tokens, required at most 3)")
    #expect(try error(reader(nil, .texts, maxTargetTokens: 4), lines) == nil)
  }

  @Test(
    arguments: [
      ("", TrainingError.Kind.empty, nil), ("\n", .malformed, 1), ("{}", .malformed, 1),
      (#"{"text": "a", "label": "ham"}"# + "\n\n", .malformed, 2),
      (#"{"text": "a", "label": "ham"}"# + "\r\nx", .malformed, 2),
      (#"["text"]"#, .malformed, 1), (#"{"text": "a", "label": "ham"} {}"#, .malformed, 1),
      (#"{"text": "a"}"#, .malformed, 1), (#"{"text": "a", "label": null}"#, .malformed, 1),
      (#"{"text": 1, "label": "ham"}"#, .malformed, 1), (#"{"text": "a", "text2": 5, "label": "ham"}"#, .malformed, 1),
      (#"{"text": "a", "label": ["ham"]}"#, .malformed, 1), (#"{"text": "a", "label": "eggs"}"#, .unknownLabel, 1),
      (#"{"text": "a", "label": 0}"#, .unknownLabel, 1), (#"{"text": "a", "label": 0.5}"#, .malformed, 1),
      (#"{"text": "a", "label": "ham"}"# + "\n" + #"{"text": "a", "label": "HAM"}"#, .unknownLabel, 2),
      (#"{"source": "a", "target": "eggs"}"#, .unknownLabel, 1), (#"{"source": "a"}"#, .malformed, 1),
      (#"{"text": "a", "text": "b", "label": "ham"}"#, .malformed, 1),
      (#"{"text": "a", "label": "ham",}"#, .malformed, 1),
      (#"{"text": "a\u0001b", "label": "ham"}"#, nil, nil), (#"{"text": "a\u0000b", "label": "ham"}"#, nil, nil),
      (#"{"text": "\ud800", "label": "ham"}"#, .malformed, 1),
      ("{\"text\": \"a\0b\", \"label\": \"ham\"}", .malformed, 1),
      ("\0", .malformed, 1), (#"{"text": 1e999, "label": "ham"}"#, .malformed, 1), ("\u{FEFF}{}", .malformed, 1),
      ("\u{FEFF}" + #"{"text": "a", "label": "ham"}"#, nil, nil),
      (#"{"text": "a", "label": "ham"}"# + "\r\n", nil, nil),
    ] as [(String, TrainingError.Kind?, Int?)])
  func everyFaultHasItsLine(text: String, kind: TrainingError.Kind?, line: Int?) throws {
    let found = try error(reader(nil, Self.labels), Array(text.utf8))
    #expect(found?.kind == kind && found?.line == line, "\(String(describing: found))")
  }

  @Test func bytesThatAreNotUTF8AreRefused() throws {
    for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] {
      let text = Array(#"{"text": ""#.utf8) + bytes + Array(#"", "label": "ham"}"#.utf8)
      let found = try #require(try error(reader(nil, Self.labels), text))
      #expect(found.kind == .malformed && found.line == 1)
      #expect(found.sentence.contains("UTF-8"))
    }
  }

  @Test func hostileLinesEndInAnError() throws {
    let reader = try reader(nil, Self.labels)
    for open in ["[", "{\"a\":"] {
      let text = #"{"text": "# + String(repeating: open, count: 200_000)
      #expect(try error(reader, Array(text.utf8))?.kind == .malformed)
    }
    let good = Array((#"{"text": "a", "label": "ham"}"# + "\n").utf8)
    let huge = try #require(
      try error(reader, good + [UInt8](repeating: 0x20, count: LineFile.lineBytesLimit + (1 << 17))))
    #expect(huge.kind == .malformed && huge.line == 2)
    #expect(huge.sentence == "the line is too long (required at most 4194304 bytes)")
    let digits = String(repeating: "9", count: 5000)
    #expect(try error(reader, Array(#"{"text": "a", "label": \#(digits)}"#.utf8))?.kind == .malformed)
    let long = String(repeating: "word ", count: 200_000)
    #expect(try error(reader, Array(#"{"text": "\#(long)", "label": "ham"}"#.utf8)) == nil)
  }

  @Test func linesMayStraddleTheReadersChunks() throws {
    var text = ""
    for count in stride(from: 0, to: 200_000, by: 7001) {
      text += #"{"text": "\#(String(repeating: "é", count: count / 2))", "label": "ham"}"# + "\n"
    }
    let set = try DataFixtures.withFile(Array(text.utf8)) { try reader(nil, Self.labels).read($0) }
    #expect(set.count == 29 && set.line(28) == 29)
    let limited = try DataFixtures.withFile(Array(text.utf8)) { try reader(nil, Self.labels).read($0, limit: 3) }
    #expect(limited.count == 3)
  }

  @Test func whatIsNoFileIsNotOpened() throws {
    let reader = try reader(nil, Self.labels)
    for path in ["/nonexistent.jsonl", "/dev/null", FileManager.default.temporaryDirectory.path, "a\0b"] {
      #expect {
        try reader.read(path)
      } throws: {
        let error = $0 as? TrainingError
        return error?.kind == .cannotOpen && error?.exitCode == 66
      }
    }
  }

  @Test(arguments: [
    (
      #"{"sentence": "a", "label": 2}"#, TrainingError.Kind.unknownLabel, "'label': found the number 2, required one of"
    ),
    (#"{"sentence": "a", "label": "good"}"#, .unknownLabel, "'label': found the text 'good'"),
    (#"{"sentence": "a", "label": true}"#, .unknownLabel, "'label': found true"),
    (
      #"{"sentence": "a", "label": -1}"#, .malformed,
      "the line has no label (required a label of 0/negative, 1/positive)"
    ),
    (#"{"sentence": "a"}"#, .malformed, "the line has no label"),
    (#"{"sentence": "a", "label": 0.5}"#, .malformed, "'label': found the number 0.5"),
    (#"{"sentence": "a", "label": {}}"#, .malformed, "'label': found an object"),
    (#"{"label": 0}"#, .malformed, "'sentence': found nothing, required a text"),
    (#"{"sentence": ["a"], "label": 0}"#, .malformed, "'sentence': found an array, required a text"),
  ])
  func aPresetSaysWhatItMisses(line: String, kind: TrainingError.Kind, start: String) throws {
    let found = try #require(try error(reader("sst2"), Array(line.utf8)))
    #expect(found.kind == kind && found.line == 1)
    #expect(found.sentence.hasPrefix(start), "\(found.sentence)")
  }

  @Test func numbersAreNumbers() throws {
    func line(_ label: String) -> [UInt8] { Array(#"{"sentence1": "a", "sentence2": "b", "label": \#(label)}"#.utf8) }
    for label in [#""3.8""#, "true", "5.01", "-0.1", "[1]"] {
      #expect(try error(reader("stsb"), line(label))?.kind == .malformed, "\(label)")
    }
    for isForEncoder in [false, true] {
      let set = try DataFixtures.withFile(line("3.75")) { try reader("stsb", isForEncoder: isForEncoder).read($0) }
      // An encoder-decoder is judged by what it should have written.
      #expect(set.golds == [Gold(.number(isForEncoder ? 3.75 : 3.8))])
    }
    let corrected = try ExampleReader(
      preset: Preset(named: "stsb", isCorrected: true), tokenizer: DataFixtures.tokenizer(DataFixtures.t5),
      config: DataFixtures.t5)
    #expect(try DataFixtures.withFile(line("3.75")) { try corrected.read($0) }.golds == [Gold(.number(3.75))])
    let plain = try DataFixtures.withFile(#"{"text": "a", "label": 2}"#) {
      try reader(nil, .numbers, isForEncoder: true).read($0)
    }
    #expect(plain[0].target == .number(2) && plain.number(0) == 2)
  }

  @Test func whatDoesNotGoTogetherIsRefused() {
    for (preset, answers, isForEncoder, kind) in [
      ("superglue-record", nil, true, TrainingError.Kind.unsupported),
      (nil, ExampleSet.Answers.texts, true, .unsupported),
      ("stsb", Self.labels, true, .mismatch), ("sst2", .numbers, true, .mismatch),
    ] {
      #expect {
        try reader(preset, answers, isForEncoder: isForEncoder)
      } throws: {
        ($0 as? TrainingError)?.kind == kind
      }
    }
  }

  @Test func translationsAreNothingForEncoders() throws {
    let found = try error(
      reader(nil, Self.labels, isForEncoder: true), Array(#"{"source": "a", "target": "ham"}"#.utf8))
    #expect(found?.kind == .malformed && found?.line == 1)
  }
}
