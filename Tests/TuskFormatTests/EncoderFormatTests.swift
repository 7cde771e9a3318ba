import Testing

@testable import TuskFormat

@Suite struct EncoderFormatTests {
  @Test(arguments: EncoderFiles.all)
  func anEncoderReadsBackAsWritten(config: BackboneConfig) throws {
    let file = try NanoFiles.open(NanoFiles.backboneBytes(config))
    var read = try #require(file.config)
    read.fingerprint = 0
    #expect(read == config)
    #expect(file.head == nil)
    for position in 0..<config.tensorCount {
      let spec = file.tensor(at: position).spec
      #expect(spec == config.tensorSpec(at: position))
      #expect(config.tensorPosition(spec.role, spec.stack, layer: spec.layer) == position)
    }
    try file.verify()
  }

  /// Counted by hand for BERT-base: 12 blocks of 16 tensors, 5 in front, the pooler and its bias behind.
  @Test func bertBaseHasTheParametersItsAuthorsState() {
    let config = BackboneConfig(
      encoderWith: 768, dFF: 3072, headCount: 12, layerCount: 12, vocabularySize: 30_522, maxPositions: 512,
      positionOffset: 0, tokenTypeCount: 2, normEpsilon: 1e-12, activation: .gelu, hasPooler: true, padId: 0,
      separatorId: 102, weightEncoding: .float32)
    #expect(config.tensorCount == 5 + 12 * 16 + 2)
    #expect(config.groupCount == 14)
    #expect(config.parameterCount == 109_482_240)
    #expect(config.attentionScale == 0.125)
  }

  @Test(arguments: EncoderFiles.all)
  func headsOfBackboneAndTaskReadBackAsWritten(config: BackboneConfig) throws {
    let bundle = try NanoFiles.open(EncoderFiles.bundleBytes(config))
    try bundle.verify()
    let own = try #require(bundle.head)
    let head = try #require(own.head)
    #expect(head.input == .firstToken && head.output == .exclusiveLabels && head.firstActivation == .tanh)
    #expect(head.outWidth == 2 && head.labelCount == 2 && !head.hasUnitLength)
    #expect(own.linear(at: try #require(head.second)).inWidth == 3)
    #expect(own.label(at: 1).withSpan { $0.byteCount } == 3)
    let task = bundle.task(at: 0)
    #expect(task.head?.input == .mean)
    let position = config.slots.slot(.encoder, .feedForward, layer: 0)
    let slot = task.slot(at: position)
    #expect((slot.normBiasTensor != nil) == (config.normKind == .layer))
    let rule = try #require(task.adapter(slot: position)).inputRule
    #expect((rule == .normOfSubLayerPlusStream) == (config.normPlacement == .behind))
  }

  /// The head is no part of the checkpoint's identity.
  @Test func theFingerprintDoesNotDependOnTheHead() throws {
    let config = EncoderFiles.bert
    let plain = try NanoFiles.open(NanoFiles.backboneBytes(config))
    let headed = try NanoFiles.open(NanoFiles.backboneBytes(config, head: EncoderFiles.headSection(config)))
    #expect(plain.config == headed.config)
    #expect(headed.head?.fingerprint == plain.config?.fingerprint)
  }

  /// Fields of the config record that must stay 0 or in range: offset, value, the bound that is named.
  @Test(arguments: [
    (8, 3, 2), (32, 1, 0), (40, 4, 0), (44, 8, 0), (60, 1, 0), (68, 3, 2), (72, 0, 1), (76, 3, 2), (92, 1, 0),
    (100, 0, 1), (104, 7, 6), (108, 257, 256), (112, 2, 1), (116, 2, 1), (120, 2, 1),
  ])
  func aFieldOutOfRangeIsRefused(offset: Int, value: Int, bound: Int) throws {
    let whole = PatchedFile(try NanoFiles.backboneBytes(EncoderFiles.bert))
    let place = whole.offset(of: .config) + offset
    let error = FormatError(.invalidField, at: place, found: UInt64(value), required: UInt64(bound))
    #expect(throws: error) { try NanoFiles.open(whole.setting(place, to: UInt32(value)).resigned.bytes) }
  }

  @Test func aT5WithFieldsOfAnEncoderIsRefused() throws {
    let whole = PatchedFile(try NanoFiles.backboneBytes())
    for offset in [68, 72, 76, 100, 108, 112, 116, 120] {
      let place = whole.offset(of: .config) + offset
      #expect(throws: FormatError.self) { try NanoFiles.open(whole.setting(place, to: UInt32(2)).resigned.bytes) }
      #expect(throws: FormatError.self) { try NanoFiles.open(whole.setting(place, to: UInt32(1) << 16).resigned.bytes) }
    }
  }

  /// Where the head of a task can be wrong: offset in its record, value, error.
  @Test(arguments: [
    (0, 0, FormatError.Kind.invalidField), (2, 5, .invalidField), (4, 14, .invalidField), (6, 14, .invalidField),
    (8, 9, .invalidReference), (16, 3, .wrongWidth), (20, 1, .wrongWidth), (24, 2, .invalidField),
    (28, 1, .reservedNotZero), (64, 9, .wrongTableLength), (65, 10, .invalidName), (67, 4, .wrongTableLength),
    (71, 1, .paddingNotZero),
  ])
  func aWrongHeadIsRefused(offset: Int, value: Int, kind: FormatError.Kind) throws {
    let section = EncoderFiles.headSection(EncoderFiles.bert)
    let whole = PatchedFile(try NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
    let task = try NanoFiles.open(whole.bytes).task(at: 0)
    let place = whole.offset(of: .task) + task.headOffset + offset
    let isShort = offset < 8
    let damaged =
      isShort
      ? whole.setting(place, to: UInt16(value)) : whole.setting(place, to: UInt8(value))
    do {
      _ = try NanoFiles.open(damaged.resigned.bytes)
      Issue.record("offset \(offset) was accepted")
    } catch {
      #expect(error.kind == kind)
    }
  }

  @Test func aTaskIsNotMountedWhereWhatItNeedsIsMissing() throws {
    func fit(_ section: [UInt8], _ config: BackboneConfig) throws {
      let file = try NanoFiles.open(NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
      try file.task(at: 0).requireFit(to: config)
    }
    let bert = EncoderFiles.bert
    var other = bert
    other.normPlacement = .before
    #expect(throws: FormatError.self, "no norm behind") { try fit(EncoderFiles.taskSection(bert), other) }
    other = bert
    other.hasPooler = false
    let pooled = EncoderFiles.headSection(bert, input: .pooler)
    try fit(pooled, bert)
    #expect(throws: FormatError.self, "no pooler") { try fit(pooled, other) }
    let t5 = NanoFiles.config
    #expect(throws: FormatError.self, "a decoder") { try fit(EncoderFiles.headSection(t5), t5) }
    var ended = TaskBuilder(config: bert, name: [65], vocabularySize: 5, origin: .adapters)
    ended.setNorm(ended.addTensor(.taskNorm, TensorShape(4), [1, 1, 1, 1]), slot: ended.layout.encoderEnd)
    #expect(throws: FormatError.self, "no final norm") { try fit(ended.sectionBytes(), bert) }
    var started = TaskBuilder(config: bert, name: [65], vocabularySize: 5, origin: .adapters)
    started.setNormBias(
      started.addTensor(.taskNormBias, TensorShape(4), [1, 1, 1, 1]), slot: started.layout.encoderStart)
    try fit(started.sectionBytes(), bert)
    other = bert
    other.hasEmbeddingNorm = false
    #expect(throws: FormatError.self, "no norm of the embeddings") { try fit(started.sectionBytes(), other) }
  }

  @Test func aBackboneHeadThatIsMoreThanAHeadIsRefused() throws {
    for section in [EncoderFiles.taskSection(EncoderFiles.bert), NanoFiles.emptyTask(EncoderFiles.bert)] {
      let bytes = try NanoFiles.backboneBytes(EncoderFiles.bert, head: section)
      #expect(throws: FormatError.self) { try NanoFiles.open(bytes) }
    }
  }
}
