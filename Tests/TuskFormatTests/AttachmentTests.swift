import Testing

@testable import TuskFormat

/// What a task does at its slots, written and read.
@Suite struct AttachmentTests {
  private static func task() throws -> TaskSection {
    let bytes = try EncoderFiles.bundleBytes(EncoderFiles.bert, section: EncoderFiles.everyKindSection)
    return try NanoFiles.open(bytes).task(at: 0)
  }

  @Test func everyKindIsReadAsItWasWritten() throws {
    let task = try Self.task()
    #expect(task.origin == .peft)
    let attention = task.slots.slot(.encoder, .selfAttention, layer: 0)
    let feedForward = task.slots.slot(.encoder, .feedForward, layer: 0)
    #expect(task.slot(at: attention).attachments.count == 3)
    let value = try #require(task.product(.v, slot: attention))
    #expect(value.scaling == 0.5 && value.bias != nil && value.outputScale == nil)
    let linear = task.linear(at: try #require(value.linear))
    #expect((linear.phmDim, linear.inBlocks, linear.outBlocks, linear.factorRank) == (1, 2, 1, 1))
    #expect(try #require(task.product(.o, slot: attention)).inputScale != nil)
    #expect(task.product(.q, slot: attention) == nil && task.product(.v, slot: feedForward) == nil)
    let prefix = try #require(task.prefix(slot: attention))
    #expect((prefix.tokenCount, prefix.queryOffset) == (3, 1))
    #expect(task.tensor(at: prefix.values).shape == TensorShape(3, task.innerWidth))
    let adapter = try #require(task.adapter(slot: feedForward))
    #expect(adapter.inputRule == .stream && adapter.normsSkip && adapter.gateBias != nil)
    let codes = task.tensor(at: try #require(task.linear(at: adapter.down).codes))
    #expect(codes.shape == TensorShape(2, 4) && codes.data.count == 2 * 64)
    #expect(codes.data.load(64, as: Int8.self) == 127 && codes.data.load(65, as: Int8.self) == -127)
    let prompt = try #require(task.prompt)
    #expect(prompt.place == .behindFirstToken && prompt.stage == .embeddings && prompt.tokenCount == 2)
  }

  /// Attachments stand in ascending order, whatever the order of the calls.
  @Test func attachmentsAreOrdered() throws {
    let task = try Self.task()
    let slot = task.slot(at: task.slots.slot(.encoder, .selfAttention, layer: 0))
    let kinds = slot.attachments.map { task.attachment(at: $0).order }
    #expect(kinds.map(\.kind) == [2, 2, 3] && kinds.map(\.placement) == [3, 4, 1])
  }

  /// A change of a product that the backbone does not have is refused where the task is mounted.
  @Test func productsMustExist() throws {
    let backbone = try NanoFiles.open(NanoFiles.backboneBytes(EncoderFiles.bert))
    let config = try #require(backbone.config)
    for target in [ProductTarget.wi0, .wi1, .wi] {
      var builder = TaskBuilder(config: config, name: [65], vocabularySize: 5, origin: .peft)
      let scale = builder.addTensor(
        .outputScale, TensorShape(config.dFF), [Float](repeating: 1, count: config.dFF))
      builder.attach(
        .product(TaskProduct(target: target, outputScale: scale)),
        slot: config.slots.slot(.encoder, .feedForward, layer: 0))
      let section = builder.sectionBytes()
      let file = try NanoFiles.open(NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
      if target == .wi {
        try file.task(at: 0).requireFit(to: config)
      } else {
        #expect(throws: FormatError.self) { try file.task(at: 0).requireFit(to: config) }
      }
    }
  }

  /// What may stand at one slot may not stand at another.
  @Test func kindsStandOnlyWhereTheyCanAct() throws {
    let config = try #require(try NanoFiles.open(NanoFiles.backboneBytes(EncoderFiles.bert)).config)
    let layout = config.slots
    func refuses(_ slot: Int, _ make: (inout TaskBuilder) -> TaskAttachment) throws {
      var builder = TaskBuilder(config: config, name: [65], vocabularySize: 5, origin: .peft)
      let attachment = make(&builder)
      builder.attach(attachment, slot: slot)
      let section = builder.sectionBytes()
      #expect(throws: FormatError.self) {
        try NanoFiles.open(NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
      }
    }
    let prompt = { (builder: inout TaskBuilder) -> TaskAttachment in
      let values = builder.addTensor(.prompt, TensorShape(1, 4), [1, 2, 3, 4])
      return .prompt(
        TaskPrompt(tokenCount: 1, embeddings: values, place: .front, stage: .embeddings, firstToken: 0))
    }
    try refuses(layout.encoderEnd, prompt)
    try refuses(layout.slot(.encoder, .selfAttention, layer: 0), prompt)
    let scaledQueries = { (builder: inout TaskBuilder) -> TaskAttachment in
      let scale = builder.addTensor(.inputScale, TensorShape(4), [1, 2, 3, 4])
      return .product(TaskProduct(target: .q, inputScale: scale))
    }
    try refuses(layout.slot(.encoder, .selfAttention, layer: 0), scaledQueries)
    let headBias = { (builder: inout TaskBuilder) -> TaskAttachment in
      .product(TaskProduct(target: .head, bias: builder.addTensor(.bias, TensorShape(5), [1, 2, 3, 4, 5])))
    }
    try refuses(layout.encoderEnd, headBias)
  }
}
