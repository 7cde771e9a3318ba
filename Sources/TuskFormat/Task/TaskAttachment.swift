/// What a task does at a slot.
public enum TaskAttachment: Equatable, Sendable {
  case adapter(TaskAdapter)
  case product(TaskProduct)
  case prefix(TaskPrefix)
  case prompt(TaskPrompt)

  package static let recordBytes = 64

  /// Kind and placement: at most one of each stands at a slot, in ascending order.
  var order: (kind: UInt16, placement: UInt16) {
    switch self {
    case .adapter: (1, 1)
    case .product(let product): (2, product.target.rawValue)
    case .prefix: (3, 1)
    case .prompt: (4, 1)
    }
  }
}

/// What enters an adapter.
public enum InputRule: UInt16, CaseIterable, Sendable {
  case subLayer = 1
  case subLayerPlusStream = 2
  /// The sub-layer's own norm, on a post-norm backbone.
  case normOfSubLayerPlusStream = 3
  /// What entered the sub-layer, before its norm: the adapter stands beside it.
  case stream = 4
}

/// What is added to an adapter's output before the residual stream.
public enum SkipRule: UInt16, CaseIterable, Sendable {
  case none = 0
  case subLayer = 1
  case subLayerPlusStream = 2
  case input = 3
}

/// An adapter: `y = normAfter(gate * scaling * up(activation(down(normBefore(input))))) + skip`.
public struct TaskAdapter: Equatable, Sendable {
  public var activation: Activation
  public var inputRule: InputRule
  public var skipRule: SkipRule
  public var addsStream: Bool
  /// Whether `normAfter` acts on the sum with the skip.
  public var normsSkip: Bool
  public var bottleneckWidth: Int
  public var scaling: Float
  public var normEpsilon: Float
  /// Linear D -> W.
  public var down: Int
  /// Linear W -> D.
  public var up: Int
  /// Tensors [D].
  public var normBeforeWeight: Int?
  public var normBeforeBias: Int?
  public var normAfterWeight: Int?
  public var normAfterBias: Int?
  public var scalingVector: Int?
  /// [D] and [1]: the adapter's output is multiplied by the mean of sigmoid(input . weight + bias) over a text.
  public var gateWeight: Int?
  public var gateBias: Int?

  public init(
    activation: Activation, inputRule: InputRule, skipRule: SkipRule, addsStream: Bool, normsSkip: Bool = false,
    bottleneckWidth: Int, scaling: Float, normEpsilon: Float, down: Int, up: Int, normBeforeWeight: Int? = nil,
    normBeforeBias: Int? = nil, normAfterWeight: Int? = nil, normAfterBias: Int? = nil, scalingVector: Int? = nil,
    gateWeight: Int? = nil, gateBias: Int? = nil
  ) {
    self.activation = activation
    self.inputRule = inputRule
    self.skipRule = skipRule
    self.addsStream = addsStream
    self.normsSkip = normsSkip
    self.bottleneckWidth = bottleneckWidth
    self.scaling = scaling
    self.normEpsilon = normEpsilon
    self.down = down
    self.up = up
    self.normBeforeWeight = normBeforeWeight
    self.normBeforeBias = normBeforeBias
    self.normAfterWeight = normAfterWeight
    self.normAfterBias = normAfterBias
    self.scalingVector = scalingVector
    self.gateWeight = gateWeight
    self.gateBias = gateBias
  }
}

/// A product of the backbone that a task can change.
public enum ProductTarget: UInt16, CaseIterable, Sendable {
  case q = 1
  case k = 2
  case v = 3
  case o = 4
  case wi = 5
  case wi0 = 6
  case wi1 = 7
  case wo = 8
  case pooler = 9
  case head = 10

  public var name: StaticString {
    switch self {
    case .q: "q"
    case .k: "k"
    case .v: "v"
    case .o: "o"
    case .wi: "wi"
    case .wi0: "wi0"
    case .wi1: "wi1"
    case .wo: "wo"
    case .pooler: "pooler"
    case .head: "head"
    }
  }

  /// Whether no other product has the same input, so that the input itself may be scaled.
  var ownsInput: Bool { self == .o || self == .wo }
}

/// A change of one product: `y = outputScale * ((inputScale * x) M + bias) + scaling * linear(x)`, [in] -> [out].
public struct TaskProduct: Equatable, Sendable {
  public var target: ProductTarget
  /// Linear in -> out.
  public var linear: Int?
  public var scaling: Float
  /// Tensor [in].
  public var inputScale: Int?
  /// Tensor [out].
  public var outputScale: Int?
  /// Tensor [out] in the place of the backbone's bias.
  public var bias: Int?

  public init(
    target: ProductTarget, linear: Int? = nil, scaling: Float = 0, inputScale: Int? = nil, outputScale: Int? = nil,
    bias: Int? = nil
  ) {
    self.target = target
    self.linear = linear
    self.scaling = scaling
    self.inputScale = inputScale
    self.outputScale = outputScale
    self.bias = bias
  }
}

/// Keys and values in front of those of an attention: tensors [P, H K].
public struct TaskPrefix: Equatable, Sendable {
  /// P.
  public var tokenCount: Int
  public var keys: Int
  public var values: Int
  /// Position of the first query among the keys, for a relative bias.
  public var queryOffset: Int

  public init(tokenCount: Int, keys: Int, values: Int, queryOffset: Int) {
    self.tokenCount = tokenCount
    self.keys = keys
    self.values = values
    self.queryOffset = queryOffset
  }
}

/// Vectors among the embeddings of the encoder's tokens: a tensor [P, D].
public struct TaskPrompt: Equatable, Sendable {
  public enum Place: UInt16, CaseIterable, Sendable {
    case front = 1
    case behindFirstToken = 2
  }
  public enum Stage: UInt16, CaseIterable, Sendable {
    /// Positions, type 0 and the embeddings' norm come on top.
    case wordEmbeddings = 1
    /// They are taken as they are.
    case embeddings = 2
  }

  /// P.
  public var tokenCount: Int
  public var embeddings: Int
  public var place: Place
  public var stage: Stage
  /// The row a head takes for the first token.
  public var firstToken: Int

  public init(tokenCount: Int, embeddings: Int, place: Place, stage: Stage, firstToken: Int) {
    self.tokenCount = tokenCount
    self.embeddings = embeddings
    self.place = place
    self.stage = stage
    self.firstToken = firstToken
  }
}

extension TaskSection {
  public func attachment(at position: Int) -> TaskAttachment {
    precondition(position >= 0 && position < attachmentCount, "no such attachment")
    let start = attachmentsOffset + position * TaskAttachment.recordBytes
    switch short(start) {
    case 1: return .adapter(adapter(start))
    case 2:
      return .product(
        TaskProduct(
          target: ProductTarget(rawValue: short(start + 2))!, linear: optional(start + 4),
          scaling: bytes.load(start + 8), inputScale: optional(start + 12), outputScale: optional(start + 16),
          bias: optional(start + 20)))
    case 3:
      return .prefix(
        TaskPrefix(
          tokenCount: word(start + 4), keys: word(start + 8) - 1, values: word(start + 12) - 1,
          queryOffset: word(start + 16)))
    default:
      return .prompt(
        TaskPrompt(
          tokenCount: word(start + 4), embeddings: word(start + 8) - 1,
          place: TaskPrompt.Place(rawValue: short(start + 12))!,
          stage: TaskPrompt.Stage(rawValue: short(start + 14))!, firstToken: word(start + 16)))
    }
  }

  /// Where the record of attachment `position` begins in the file.
  package func attachmentOffset(_ position: Int) -> Int {
    bytes.offset + attachmentsOffset + position * TaskAttachment.recordBytes
  }

  /// The adapter at `slot`, or nil.
  public func adapter(slot: Int) -> TaskAdapter? {
    for position in self.slot(at: slot).attachments {
      if case .adapter(let adapter) = attachment(at: position) { return adapter }
    }
    return nil
  }

  /// The change of `target` at `slot`, or nil.
  public func product(_ target: ProductTarget, slot: Int) -> TaskProduct? {
    for position in self.slot(at: slot).attachments {
      let start = attachmentsOffset + position * TaskAttachment.recordBytes
      guard short(start) == 2, short(start + 2) == target.rawValue else { continue }
      if case .product(let product) = attachment(at: position) { return product }
    }
    return nil
  }

  /// The prefix at `slot`, or nil.
  public func prefix(slot: Int) -> TaskPrefix? {
    for position in self.slot(at: slot).attachments {
      if case .prefix(let prefix) = attachment(at: position) { return prefix }
    }
    return nil
  }

  /// The prompt of the encoder, or nil.
  public var prompt: TaskPrompt? {
    for position in slot(at: slots.encoderStart).attachments {
      if case .prompt(let prompt) = attachment(at: position) { return prompt }
    }
    return nil
  }

  func short(_ position: Int) -> UInt16 { bytes.load(position) }

  private func adapter(_ start: Int) -> TaskAdapter {
    TaskAdapter(
      activation: Activation(rawValue: UInt32(short(start + 4)))!, inputRule: InputRule(rawValue: short(start + 6))!,
      skipRule: SkipRule(rawValue: short(start + 8))!, addsStream: short(start + 10) & 1 != 0,
      normsSkip: short(start + 10) & 2 != 0, bottleneckWidth: word(start + 12), scaling: bytes.load(start + 16),
      normEpsilon: bytes.load(start + 20), down: word(start + 24), up: word(start + 28),
      normBeforeWeight: optional(start + 32), normBeforeBias: optional(start + 36),
      normAfterWeight: optional(start + 40), normAfterBias: optional(start + 44),
      scalingVector: optional(start + 48), gateWeight: optional(start + 52), gateBias: optional(start + 56))
  }
}
