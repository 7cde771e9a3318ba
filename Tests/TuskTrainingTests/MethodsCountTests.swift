import Testing
import TuskFormat

@testable import TuskTraining

/// What the section of each method holds, against what instantiating the authors' and the library's models counts.
@Suite struct MethodsCountTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let settings: MethodSettings
    let trained: Int
    var norms = 47_616
    var rule = 0
    var biases = 0

    var testDescription: String { "\(settings.method.rawValue) \(settings.dialect.rawValue) \(trained)" }
  }

  private static func authors(
    _ method: TrainingMethod, _ change: (inout MethodSettings) -> Void = { _ in }
  ) -> MethodSettings {
    MethodSettings(method).with(change)
  }

  private static func library(
    _ method: TrainingMethod, _ change: (inout MethodSettings) -> Void = { _ in }
  ) -> MethodSettings {
    MethodSettings(method, dialect: .adapterhub).with(change)
  }

  static let paperRows = [
    Row(settings: authors(.adapter), trained: 1_855_104, biases: 38_016),
    Row(settings: authors(.pfeiffer), trained: 951_360, biases: 19_008),
    Row(settings: authors(.adapterDrop), trained: 1_101_984, biases: 22_176),
    Row(settings: authors(.lowRank), trained: 161_664, biases: 38_016),
    Row(settings: authors(.phm), trained: 398_976, rule: 165_888, biases: 38_016),
    Row(settings: authors(.compacter), trained: 161_728, rule: 64, biases: 38_016),
    Row(settings: authors(.compacterPlusPlus), trained: 104_704, rule: 64, biases: 19_008),
    Row(settings: authors(.prompt), trained: 76_800, norms: 0),
    Row(settings: authors(.bitfit), trained: 280_932, norms: 0, biases: 280_932),
  ]

  @Test(arguments: paperRows) func rowsOfThePaperOnT5Base(row: Row) throws {
    let counts = TrainedCounts(try startedTask(row.settings, MethodBackbones.t5Base()))
    #expect(counts.trained == row.trained)
    #expect(counts.norms == row.norms)
    #expect(counts.rule == row.rule)
    #expect(counts.biases == row.biases)
    #expect(counts.head == 0 && counts.backbone == 0)
    #expect(counts.backboneParameterCount == 222_882_048)
  }

  static let variants: [(settings: MethodSettings, trained: Int)] = [
    (authors(.compacter) { $0.phmDim = 8 }, 162_176), (authors(.compacter) { $0.phmDim = 12 }, 163_392),
    (authors(.compacterPlusPlus) { $0.phmDim = 8 }, 105_152),
    (authors(.compacterPlusPlus) { $0.phmDim = 12 }, 106_368), (authors(.phm) { $0.phmDim = 4 }, 534_144),
    (authors(.phm) { $0.phmDim = 8 }, 355_968), (authors(.compacter) { $0.reductionFactor = 16 }, 165_184),
    (authors(.compacter) { $0.reductionFactor = 8 }, 172_096),
    (authors(.compacterPlusPlus) { $0.reductionFactor = 16 }, 106_432),
    (authors(.compacterPlusPlus) { $0.reductionFactor = 8 }, 109_888),
    (authors(.adapter) { $0.reductionFactor = 16 }, 3_625_728),
    (authors(.adapter) { $0.reductionFactor = 8 }, 7_166_976),
    (authors(.compacter) { $0.trainsNorms = false }, 114_112),
    (authors(.compacterPlusPlus) { $0.trainsNorms = false }, 57_088),
    (authors(.compacter) { $0.factorizesRule = true }, 161_696),
    (authors(.compacter) { $0.sharesFactors = true }, 87_280),
    (authors(.compacter) { $0.sharesRule = false }, 167_808),
  ]

  @Test(arguments: variants) func variantsOnT5Base(settings: MethodSettings, trained: Int) throws {
    #expect(TrainedCounts(try startedTask(settings, MethodBackbones.t5Base())).trained == trained)
  }

  static let backbones: [(settings: MethodSettings, config: BackboneConfig, trained: Int, parameters: Int)] = [
    (authors(.compacter), MethodBackbones.t5Small(), 54_464, 60_492_288),
    (authors(.compacterPlusPlus), MethodBackbones.t5Small(), 35_456, 60_492_288),
    (authors(.compacter), MethodBackbones.t5Large(), 429_120, 737_639_424),
    (authors(.compacterPlusPlus), MethodBackbones.t5Large(), 277_056, 737_639_424),
    (library(.compacter), MethodBackbones.t5Small(vocabulary: 32_128), 38_080, 60_506_624),
    (library(.compacterPlusPlus), MethodBackbones.t5Small(vocabulary: 32_128), 19_072, 60_506_624),
    (library(.compacter), MethodBackbones.t5Base(vocabulary: 32_128), 114_112, 222_903_552),
    (library(.compacterPlusPlus), MethodBackbones.t5Base(vocabulary: 32_128), 57_088, 222_903_552),
    (library(.compacter), MethodBackbones.bertBase(), 57_088, 109_482_240),
    (library(.compacterPlusPlus), MethodBackbones.bertBase(), 28_576, 109_482_240),
    (library(.compacter), MethodBackbones.robertaBase(), 57_088, 124_645_632),
    (library(.compacterPlusPlus), MethodBackbones.robertaBase(), 28_576, 124_645_632),
  ]

  @Test(arguments: backbones)
  func otherBackbones(settings: MethodSettings, config: BackboneConfig, trained: Int, parameters: Int) throws {
    let counts = TrainedCounts(try startedTask(settings, config))
    #expect(counts.trained == trained)
    #expect(counts.backboneParameterCount == parameters)
  }

  @Test func headsStandApart() throws {
    let head = HeadTemplate(.classification(labels: ["no", "yes"]))
    let bert = MethodBackbones.bertBase()
    let two = TrainedCounts(try startedTask(Self.library(.compacter), bert, head: head))
    #expect(two.trained == 57_088)
    #expect(two.head == 768 * 768 + 768 + 2 * 768 + 2)
    #expect(two.total == two.trained + two.head)
    let one = TrainedCounts(
      try startedTask(Self.library(.compacter), bert, head: HeadTemplate(.regression, layers: .onPooler)))
    #expect(one.head == 769)
    let alone = try openedTask(
      MethodTask.headSection(head, config: bert, name: "head", seed: MethodSettings(.full).seed))
    #expect(TrainedCounts(alone).trained == 0 && TrainedCounts(alone).head == two.head)
  }

  /// Of T5 every product and sub-layer norm gains a bias; of BERT those there are train, the pooler's with a head on it.
  @Test func biasesOfBERT() throws {
    let head = HeadTemplate(.classification(labels: ["no", "yes"]))
    let bert = MethodBackbones.bertBase()
    let ofBlocks = 12 * (4 * 768 + 3072 + 768 + 2 * 768) + 768
    #expect(TrainedCounts(try startedTask(Self.library(.bitfit), bert, head: head)).biases == ofBlocks)
    let pooled = HeadTemplate(head.kind, layers: .onPooler)
    #expect(TrainedCounts(try startedTask(Self.authors(.bitfit), bert, head: pooled)).biases == ofBlocks + 768)
  }

  /// On encoders the authors' norms are LayerNorms, with biases: of two sub-layers of 12 blocks, and of the embeddings.
  @Test func normsOfBERTInTheAuthorsDialect() throws {
    let counts = TrainedCounts(try startedTask(Self.authors(.compacter), MethodBackbones.bertBase()))
    #expect(counts.norms == 25 * 2 * 768)
    #expect(counts.trained - counts.norms == 57_088)
  }

  @Test func loraOfEveryAttention() throws {
    #expect(
      TrainedCounts(try startedTask(Self.authors(.lora), MethodBackbones.t5Base())).trained == 36 * 2 * 2 * 8 * 768)
    #expect(
      TrainedCounts(try startedTask(Self.library(.lora), MethodBackbones.bertBase())).trained == 12 * 2 * 2 * 8 * 768)
  }

  @Test func methodsThatTrainTheBackbone() {
    let config = MethodBackbones.t5Base()
    #expect(TrainedCounts(MethodSettings(.full), config: config).trained == 222_882_048)
    let said = TrainedCounts(MethodSettings(.intrinsicSAID), config: config)
    #expect(said.trained == 20_000)
    #expect((said.percent * 100_000).rounded() == 897)
  }

  @Test func percentOfTheBackbone() throws {
    let counts = TrainedCounts(try startedTask(MethodSettings(.compacter), MethodBackbones.t5Base()))
    #expect((counts.percent * 100_000).rounded() == 7256)
  }
}
