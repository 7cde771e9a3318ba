public enum Activation: UInt32, CaseIterable, Sendable {
  case identity = 0
  case relu = 1
  /// Exact: with the error function.
  case gelu = 2
  /// The approximation with tanh; differs from `gelu` by up to 4.7e-4.
  case geluNew = 3
  case silu = 4
  case tanh = 5
  case sigmoid = 6
  /// Slope 0.01 below zero.
  case leakyRelu = 7

  public var name: StaticString {
    switch self {
    case .identity: "identity"
    case .relu: "relu"
    case .gelu: "gelu"
    case .geluNew: "gelu_new"
    case .silu: "silu"
    case .tanh: "tanh"
    case .sigmoid: "sigmoid"
    case .leakyRelu: "leaky_relu"
    }
  }
}

extension Activation {
  /// The u32 at `position` of `record`.
  init(parsing record: MappedBytes, at position: Int) throws(FormatError) {
    let value = try record.field(position, in: 0...UInt32(Activation.allCases.count - 1))
    self = Activation(rawValue: UInt32(value))!
  }
}
