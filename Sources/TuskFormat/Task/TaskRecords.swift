/// Places in a backbone where a task may act, numbered as `formats/task.md` says.
public struct SlotLayout: Equatable, Sendable {
  public let layerCount: Int
  public let decoderLayerCount: Int

  public init(layerCount: Int, decoderLayerCount: Int) {
    self.layerCount = layerCount
    self.decoderLayerCount = decoderLayerCount
  }

  public var count: Int { 2 * layerCount + 3 * decoderLayerCount + 3 }
  public var encoderEnd: Int { count - 3 }
  public var decoderEnd: Int { count - 2 }
  public var encoderStart: Int { count - 1 }

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

  /// The sub-layer of a slot and the stack it is in; nil at the ends and the start.
  public func subLayer(ofSlot slot: Int) -> (stack: Stack, subLayer: SubLayer)? {
    if slot < 2 * layerCount { return (.encoder, slot % 2 == 0 ? .selfAttention : .feedForward) }
    guard slot < encoderEnd else { return nil }
    return (.decoder, SubLayer(rawValue: UInt8((slot - 2 * layerCount) % 3))!)
  }
}

public enum SubLayer: UInt8, CaseIterable, Sendable {
  case selfAttention = 0
  case crossAttention = 1
  case feedForward = 2
}

public enum TaskOrigin: UInt32, Sendable {
  case adapters = 1
  case authors = 2
  case peft = 3
  /// Made from other tasks.
  case tasks = 4
  /// Trained by Tusk.
  case training = 5

  public var name: StaticString {
    switch self {
    case .adapters: "adapters"
    case .authors: "authors"
    case .peft: "peft"
    case .tasks: "tasks"
    case .training: "training"
    }
  }
}

/// One slot of a task.
public struct TaskSlot: Sendable {
  /// Indices of what the task does here.
  public let attachments: Range<Int>
  /// Index of the tensor [D] that replaces the norm weight of the sub-layer, or nil.
  public let normTensor: Int?
  /// Likewise of a LayerNorm's bias; a RMSNorm gains one.
  public let normBiasTensor: Int?
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
  case codes = 13
  case scales = 14
  case inputScale = 15
  case outputScale = 16
  case prefixKeys = 17
  case prefixValues = 18
  case prompt = 19
  case gateWeight = 20
  case gateBias = 21

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
    case .codes: "codes"
    case .scales: "scales"
    case .inputScale: "inputScale"
    case .outputScale: "outputScale"
    case .prefixKeys: "prefixKeys"
    case .prefixValues: "prefixValues"
    case .prompt: "prompt"
    case .gateWeight: "gateWeight"
    case .gateBias: "gateBias"
    }
  }

  /// How values of this kind are stored.
  public var encoding: WeightEncoding { self == .codes ? .int8Rows : .float32 }
}

/// A tensor of a task: float32, or rows of int8 codes.
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

  /// Bytes of such a tensor of `kind`. Rows of codes are padded to whole cache lines.
  func byteCount(_ kind: TaskTensorKind) -> Int {
    kind.encoding == .int8Rows ? dim0 * dim1.roundedUp(to: Container.rowAlignment) : 4 * elementCount
  }
}
