import Foundation
import Testing
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Text in, scores out: a random BERT with a recorded WordPiece vocabulary.
@Suite struct TextScoresTests {
  private let first = Array("The due date is the fourth of May.".utf8)
  private let second = Array("It is in May.".utf8)

  private func session(_ output: HeadOutput, sourceTokens: Int = 100) throws -> TextSession {
    var config = RandomEncoder.bert()
    let section = try TokenizerBuilder.section(
      checkpointDirectory: GoldenFixtures.root + "/../tokenizer/uncased", vocabularySize: 1 << 20)
    let vocabulary = try String(
      contentsOfFile: GoldenFixtures.root + "/../tokenizer/uncased/vocab.txt", encoding: .utf8)
    config.vocabularySize = vocabulary.split(separator: "\n").count
    let head = TaskHead(input: .pooler, output: output, first: 0, outWidth: 4)
    let file = try RandomModel.backbone(
      config, head: RandomEncoder.headSection(config, head), tokenizer: section)
    return try TextSession(
      file, plan: MemoryPlan(config: config, request: PlanRequest(sourceTokens: sourceTokens)))
  }

  @Test func labelsThatExcludeEachOtherHaveProbabilitiesThatSumToOne() throws {
    let text = try session(.exclusiveLabels)
    let scores = try text.scores(first)
    let logits = try text.session.headNumbers()
    #expect(abs(scores.reduce(0, +) - 1) < 1e-6)
    let total = logits.reduce(0) { $0 + exp(Double($1)) }
    for (score, logit) in zip(scores, logits) { #expect(abs(Double(score) - exp(Double(logit)) / total) < 1e-6) }
  }

  @Test func independentLabelsAndNumbersStandForThemselves() throws {
    let labels = try session(.independentLabels)
    let scores = try labels.scores(first)
    let logits = try labels.session.headNumbers()
    for (score, logit) in zip(scores, logits) { #expect(abs(score - 1 / (1 + exp(-logit))) < 1e-6) }
    let numbers = try session(.numbers).scores(first)
    #expect(numbers == logits)
  }

  @Test func aPairIsItsIdsWithTheirTypes() throws {
    let text = try session(.numbers)
    let scores = try text.scores(first, second)
    let (ids, types) = try text.tokenizer.encodePair(first, second, maximumTokens: nil)
    #expect(types.contains(1))
    let typed = try text.session.encoded(ids, types).head
    let untyped = try text.session.encoded(ids, nil).head
    #expect(scores == typed && scores != untyped)
  }

  @Test func aLongTextIsRefusedOrCut() throws {
    let text = try session(.numbers, sourceTokens: 5)
    let count = try text.tokenizer.encodePair(first, nil, maximumTokens: nil).ids.count
    let refused = TextError.engine(EngineError(.sourceTooLong, found: count, required: 5))
    #expect(throws: refused) { try text.scores(first) }
    let cut = try text.scores(first, isTruncating: true)
    let ids = try text.tokenizer.encodePair(first, nil, maximumTokens: 5).ids
    let alone = try text.session.encoded(ids, nil).head
    #expect(ids.count == 5 && cut == alone)
  }
}
