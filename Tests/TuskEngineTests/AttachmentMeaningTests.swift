import Testing
import TuskEngine
import TuskFormat

/// Attachments held against backbones that have in themselves what the task adds.
@Suite struct AttachmentMeaningTests {
  private let ids = randomIds(40, below: 53, seed: 1)
  private let target: [Int32] = [0] + randomIds(4, below: 53, seed: 2)

  private func session(_ file: PackedFile, _ tasks: [TaskSection], sourceTokens: Int = 50) throws -> Session {
    var request = PlanRequest(sourceTokens: sourceTokens, targetTokens: 5)
    for task in tasks { request.reserve(for: task) }
    let session = try Session(file, request)
    try session.setTasks(tasks)
    return session
  }

  private func numbers(_ session: Session, _ ids: [Int32]) throws -> [Float] {
    try ids.withUnsafeBufferPointer { try session.encode($0) }
    let count = session.encodedRowCount() * session.config.dModel
    var numbers = Array(UnsafeBufferPointer(start: session.encoderOutput, count: count))
    if session.config.hasDecoder {
      try target.withUnsafeBufferPointer { try session.teacherForce($0) { _, logits in numbers += logits } }
    }
    return numbers
  }

  private func worst(_ found: [Float], _ expected: [Float]) -> Float {
    guard found.count == expected.count else { return .infinity }
    let size = expected.reduce(0) { max($0, abs($1)) }
    return zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / size
  }

  /// y = outputScale * ((inputScale * x) W^T + b) + s x H is the product of a backbone with s H^T + diag(out) W diag(in).
  @Test(arguments: [RandomModel.config(.float32, isGated: true), RandomModel.config(.float32)], [1, 2])
  func productsAreThoseOfAMergedBackbone(config: BackboneConfig, seed: UInt64) throws {
    let file = try RandomModel.backbone(config)
    var task = MergedTask(try #require(file.config), seed: seed)
    for (index, product) in task.parts.products.enumerated() {
      // A tied head is the embedding, too: merged, it would change the words.
      guard product.target != .head || !config.hasTiedHead else { continue }
      task.change(product.target, slot: product.slot, isScale: (index + Int(seed)) % 3 == 0)
    }
    let merged = try RandomModel.backbone(config) { spec, row, values in task.merge(spec, row, &values) }
    let section = try task.parts.section()
    let expected = try numbers(try session(merged, []), ids)
    let bare = try numbers(try session(file, []), ids)
    let found = try numbers(try session(file, [section]), ids)
    // Sums of at most 72 terms in float32 in another order, through five blocks: 1e-4 of the largest number.
    #expect(worst(found, expected) < 1e-4)
    #expect(worst(bare, expected) > 1e-2, "the task must change something for this to say anything")
  }

  /// A prompt of word embeddings is the words that have these embeddings, wherever it stands.
  @Test(arguments: [WeightEncoding.int8Rows, .float32], [TaskPrompt.Place.front, .behindFirstToken])
  func aPromptIsItsWords(encoding: WeightEncoding, place: TaskPrompt.Place) throws {
    for config in [RandomModel.config(encoding), RandomEncoder.bert(encoding)] {
      let file = try RandomModel.backbone(config)
      let words: [Int32] = [9, 4, 31]
      var task = RandomTask(try #require(file.config))
      let rows = words.flatMap { file.embedding(Int($0)) }
      let prompt = TaskPrompt(
        tokenCount: 3, embeddings: task.builder.addTensor(.prompt, TensorShape(3, config.dModel), rows), place: place,
        stage: .wordEmbeddings, firstToken: 0)
      task.builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
      let first = place == .front ? 0 : 1
      let expected = try numbers(try session(file, []), ids[..<first] + words + ids[first...])
      #expect(try numbers(try session(file, [try task.section()]), ids) == expected)
    }
  }

  /// A gate that does not look at its input is a scaling.
  @Test func aGateOfABiasIsAScaling() throws {
    let config = RandomEncoder.bert(.float32)
    let file = try RandomModel.backbone(config)
    func task(isGated: Bool) throws -> TaskSection {
      var task = RandomTask(try #require(file.config))
      var adapter = task.adapter(.subLayer)
      if isGated {
        let zeros = [Float](repeating: 0, count: config.dModel)
        adapter.gateWeight = task.builder.addTensor(.gateWeight, TensorShape(config.dModel), zeros)
        adapter.gateBias = task.builder.addTensor(.gateBias, TensorShape(1), [0])
      } else {
        adapter.scaling *= 0.5
      }
      for slot in 0..<2 { task.builder.attach(.adapter(adapter), slot: slot) }
      return try task.section()
    }
    let gated = try numbers(try session(file, [try task(isGated: true)]), ids)
    #expect(worst(gated, try numbers(try session(file, [try task(isGated: false)]), ids)) < 1e-5)
  }

  /// Tasks at different slots are one task with both; at one slot their order matters.
  @Test func tasksTogetherAreOneTaskWhereTheyDoNotMeet() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let config = try #require(file.config)
    func task(_ slots: [Int], seed: UInt64) throws -> TaskSection {
      var task = RandomTask(config, seed: seed)
      let adapter = task.adapter(.subLayer)
      for slot in slots { task.builder.attach(.adapter(adapter), slot: slot) }
      return try task.section()
    }
    let both = try numbers(try session(file, [try task([0, 1], seed: 4)]), ids)
    #expect(try numbers(try session(file, [try task([0], seed: 4), try task([1], seed: 4)]), ids) == both)
    let twice = try numbers(try session(file, [try task([0], seed: 4), try task([0], seed: 5)]), ids)
    let reversed = try numbers(try session(file, [try task([0], seed: 5), try task([0], seed: 4)]), ids)
    #expect(twice != reversed)
  }

  @Test func whatCannotBeMountedIsRefusedAndWhatIsMountedStays() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let config = try #require(file.config)
    func task(_ build: (inout RandomTask) -> Void) throws -> TaskSection {
      var task = RandomTask(config)
      build(&task)
      return try task.section()
    }
    let lowRank = try task { $0.change(.wi, slot: 1, .lowRank) }
    let scaled = try task { $0.change(.wi, slot: 1, .scales) }
    let prefix = try task { $0.attachPrefix(0, count: 3) }
    let prompt = try task {
      let embeddings = $0.tensor(.prompt, TensorShape(4, config.dModel))
      let prompt = TaskPrompt(
        tokenCount: 4, embeddings: embeddings, place: .front, stage: .embeddings, firstToken: 0)
      $0.builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
    }
    let session = try session(file, [lowRank, prefix, prompt].reversed())
    let expected = try numbers(session, ids)
    for stack in [[lowRank, scaled], [lowRank, lowRank], [prefix, prefix], [lowRank, prompt], [prompt, prompt]] {
      #expect(throws: FormatError.self) { try session.setTasks(stack) }
      do { try session.setTasks(stack) } catch { #expect(error.kind == .tasksNotStackable) }
    }
    #expect(try numbers(session, ids) == expected)
    let narrow = try self.session(file, [])
    for task in [prefix, prompt] {
      do {
        try narrow.setTask(task)
        Issue.record("there is no room for the task")
      } catch {
        #expect(error.kind == .wrongWidth)
      }
    }
  }

  /// Positions that a prompt or a prefix takes are not there for the text.
  @Test func learnedPositionsAreSharedWithAPrompt() throws {
    let file = try RandomModel.backbone(RandomEncoder.bert())
    let config = try #require(file.config)
    let limit = try #require(config.maxSourceTokens)
    var task = RandomTask(config)
    let prompt = TaskPrompt(
      tokenCount: 6, embeddings: task.tensor(.prompt, TensorShape(6, config.dModel)), place: .front,
      stage: .wordEmbeddings, firstToken: 0)
    task.builder.attach(.prompt(prompt), slot: config.slots.encoderStart)
    task.attachPrefix(0, count: 5, queryOffset: 5)
    let session = try session(file, [try task.section()], sourceTokens: limit)
    #expect(session.sourceLimit() == limit - 11)
    let longest = randomIds(limit - 11, below: 53, seed: 3)
    #expect(try numbers(session, longest).allSatisfy { $0.isFinite })
    #expect(throws: EngineError(.sourceTooLong, found: limit - 10, required: limit - 11)) {
      try (longest + [5]).withUnsafeBufferPointer { try session.encode($0) }
    }
  }
}

/// A task and what a backbone becomes with it inside.
private struct MergedTask {
  var parts: RandomTask
  /// By slot and product.
  private var changes: [String: Change] = [:]

  private struct Change {
    var delta: [[Float]]?
    var inputScale: [Float]?
    var outputScale: [Float]?
  }

  init(_ config: BackboneConfig, seed: UInt64) { parts = RandomTask(config, size: 0.2, seed: seed) }

  mutating func change(_ target: ProductTarget, slot: Int, isScale: Bool) {
    let (inWidth, outWidth) = parts.widths(target)
    var product = TaskProduct(target: target)
    var change = Change()
    if isScale {
      change.outputScale = parts.values(outWidth, around: 1)
      product.outputScale = parts.builder.addTensor(.outputScale, TensorShape(outWidth), change.outputScale!)
      if target == .o || target == .wo {
        change.inputScale = parts.values(inWidth, around: 1)
        product.inputScale = parts.builder.addTensor(.inputScale, TensorShape(inWidth), change.inputScale!)
      }
    } else {
      let left = parts.values(inWidth * 3)
      let right = parts.values(3 * outWidth)
      product.scaling = 0.5
      product.linear = parts.builder.addLinear(
        TaskLinear(
          inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 3,
          leftFactor: parts.builder.addTensor(.leftFactor, TensorShape(1, inWidth, 3), left),
          rightFactor: parts.builder.addTensor(.rightFactor, TensorShape(1, 3, outWidth), right)))
      change.delta = (0..<outWidth).map { out in
        (0..<inWidth).map { column in
          0.5 * (0..<3).reduce(Float(0)) { $0 + left[column * 3 + $1] * right[$1 * outWidth + out] }
        }
      }
    }
    parts.builder.attach(.product(product), slot: slot)
    changes["\(slot) \(target.rawValue)"] = change
  }

  func merge(_ spec: TensorSpec, _ row: Int, _ values: inout [Float]) {
    guard let (slot, target) = site(of: spec), let change = changes["\(slot) \(target.rawValue)"] else { return }
    for column in values.indices {
      values[column] *= (change.outputScale?[row] ?? 1) * (change.inputScale?[column] ?? 1)
      values[column] += change.delta?[row][column] ?? 0
    }
  }

  private func site(of spec: TensorSpec) -> (slot: Int, target: ProductTarget)? {
    let slots = parts.config.slots
    func slot(_ subLayer: SubLayer) -> Int { slots.slot(spec.stack, subLayer, layer: spec.layer) }
    switch spec.role {
    case .selfAttentionQ: return (slot(.selfAttention), .q)
    case .selfAttentionK: return (slot(.selfAttention), .k)
    case .selfAttentionV: return (slot(.selfAttention), .v)
    case .selfAttentionO: return (slot(.selfAttention), .o)
    case .crossAttentionQ: return (slot(.crossAttention), .q)
    case .crossAttentionK: return (slot(.crossAttention), .k)
    case .crossAttentionV: return (slot(.crossAttention), .v)
    case .crossAttentionO: return (slot(.crossAttention), .o)
    case .wi: return (slot(.feedForward), .wi)
    case .wi0: return (slot(.feedForward), .wi0)
    case .wi1: return (slot(.feedForward), .wi1)
    case .wo: return (slot(.feedForward), .wo)
    case .head: return (slots.decoderEnd, .head)
    default: return nil
    }
  }
}

extension PackedFile {
  /// The embedding of word `id`: [D].
  fileprivate func embedding(_ id: Int) -> [Float] {
    for position in 0..<config!.tensorCount {
      let tensor = tensor(at: position)
      guard tensor.spec.role == .embedding else { continue }
      let start = id * tensor.spec.rowStrideBytes
      return (0..<tensor.spec.columns).map { column in
        if tensor.spec.encoding == .float32 { return tensor.data.load(start + 4 * column) }
        let scale: Float = tensor.scales.load(4 * id)
        return Float(tensor.data.load(start + column, as: Int8.self)) * scale
      }
    }
    return []
  }
}
