/// Places in a backbone where a task may act, numbered as `formats/task.md` says.
public struct SlotLayout: Equatable, Sendable {
  public let layerCount: Int
  public let decoderLayerCount: Int

  public init(layerCount: Int, decoderLayerCount: Int) {
    self.layerCount = layerCount
    self.decoderLayerCount = decoderLayerCount
  }

  public var count: Int { 2 * layerCount + 3 * decoderLayerCount + 2 }
  public var encoderEnd: Int { count - 2 }
  public var decoderEnd: Int { count - 1 }

  public func slot(_ stack: Stack, _ subLayer: SubLayer, layer: Int) -> Int {
    switch stack {
    case .encoder:
      precondition(subLayer != .crossAttention && layer >= 0 && layer < layerCount, "no such slot")
      return 2 * layer + (subLayer == .feedForward ? 1 : 0)
    case .decoder:
      precondition(layer >= 0 && layer < decoderLayerCount, "no such slot")
      return 2 * layerCount + 3 * layer + Int(subLayer.rawValue)
    case .shared: preconditionFailure("slots belong to the encoder or the decoder")
    }
  }
}

public enum SubLayer: UInt8, CaseIterable, Sendable {
  case selfAttention = 0
  case crossAttention = 1
  case feedForward = 2
}

/// What enters an adapter.
public enum InputRule: UInt16, CaseIterable, Sendable {
  case subLayer = 1
  case subLayerPlusStream = 2
  /// The sub-layer's own norm, on a post-norm backbone.
  case normOfSubLayerPlusStream = 3
}

/// What is added to an adapter's output before the residual stream.
public enum SkipRule: UInt16, CaseIterable, Sendable {
  case none = 0
  case subLayer = 1
  case subLayerPlusStream = 2
  case input = 3
}

public enum TaskOrigin: UInt32, Sendable {
  case adapters = 1
  case authors = 2
}

/// One slot of a task.
public struct TaskSlot: Sendable {
  /// Index of the attachment, or nil.
  public let attachment: Int?
  /// Index of the tensor [D] that replaces the norm weight of the sub-layer, or nil.
  public let normTensor: Int?
  /// Likewise of a LayerNorm's bias.
  public let normBiasTensor: Int?
}

/// An adapter: `y = normAfter(scaling * up(activation(down(normBefore(input))))) + skip`.
public struct TaskAttachment: Equatable, Sendable {
  public var activation: Activation
  public var inputRule: InputRule
  public var skipRule: SkipRule
  public var addsStream: Bool
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

  package static let recordBytes = 64

  public init(
    activation: Activation, inputRule: InputRule, skipRule: SkipRule, addsStream: Bool, bottleneckWidth: Int,
    scaling: Float, normEpsilon: Float, down: Int, up: Int, normBeforeWeight: Int? = nil, normBeforeBias: Int? = nil,
    normAfterWeight: Int? = nil, normAfterBias: Int? = nil, scalingVector: Int? = nil
  ) {
    self.activation = activation
    self.inputRule = inputRule
    self.skipRule = skipRule
    self.addsStream = addsStream
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
  }
}

/// A Kronecker-sum linear map `y = x H + b`, `H = sum_i A_i (x) B_i`, by the tensors of its factors.
public struct TaskLinear: Equatable, Sendable {
  public var inWidth: Int
  public var outWidth: Int
  public var phmDim: Int
  /// R; 0 if `full` holds the B_i.
  public var factorRank: Int
  /// [N, N, N]; nil if factorized, or if N = 1 and A = [1].
  public var rule: Int?
  /// [N, N, 1] and [N, 1, N].
  public var ruleLeft: Int?
  public var ruleRight: Int?
  /// [N, in / N, R] and [N, R, out / N].
  public var leftFactor: Int?
  public var rightFactor: Int?
  /// [N, in / N, out / N].
  public var full: Int?
  /// [out]
  public var bias: Int?

  package static let recordBytes = 64

  public init(
    inWidth: Int, outWidth: Int, phmDim: Int, factorRank: Int, rule: Int? = nil, ruleLeft: Int? = nil,
    ruleRight: Int? = nil, leftFactor: Int? = nil, rightFactor: Int? = nil, full: Int? = nil, bias: Int? = nil
  ) {
    self.inWidth = inWidth
    self.outWidth = outWidth
    self.phmDim = phmDim
    self.factorRank = factorRank
    self.rule = rule
    self.ruleLeft = ruleLeft
    self.ruleRight = ruleRight
    self.leftFactor = leftFactor
    self.rightFactor = rightFactor
    self.full = full
    self.bias = bias
  }
}

public enum TaskTensorKind: UInt16, CaseIterable, Sendable {
  case rule = 1
  case ruleLeft = 2
  case ruleRight = 3
  case leftFactor = 4
  case rightFactor = 5
  case full = 6
  case bias = 7
  case adapterNormWeight = 8
  case adapterNormBias = 9
  case taskNorm = 10
  case scalingVector = 11
  case taskNormBias = 12

  public var name: StaticString {
    switch self {
    case .rule: "rule"
    case .ruleLeft: "ruleLeft"
    case .ruleRight: "ruleRight"
    case .leftFactor: "leftFactor"
    case .rightFactor: "rightFactor"
    case .full: "full"
    case .bias: "bias"
    case .adapterNormWeight: "adapterNormWeight"
    case .adapterNormBias: "adapterNormBias"
    case .taskNorm: "taskNorm"
    case .scalingVector: "scalingVector"
    case .taskNormBias: "taskNormBias"
    }
  }
}

/// A float32 tensor of a task.
public struct TaskTensor: Sendable {
  public let kind: TaskTensorKind
  public let shape: TensorShape
  public let data: MappedBytes

  package static let recordBytes = 32
}

/// Up to three dimensions; unused ones are 1.
public struct TensorShape: Equatable, Sendable {
  public let dim0: Int
  public let dim1: Int
  public let dim2: Int

  public init(_ dim0: Int, _ dim1: Int = 1, _ dim2: Int = 1) {
    self.dim0 = dim0
    self.dim1 = dim1
    self.dim2 = dim2
  }

  public var elementCount: Int { dim0 * dim1 * dim2 }
}
