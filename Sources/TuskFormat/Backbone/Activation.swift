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
  /// x sigmoid(1.702 x).
  case quickGelu = 8
  /// x tanh(ln(1 + e^x)).
  case mish = 9
  case relu6 = 10
  /// The square of `relu`.
  case relu2 = 11
  /// `gelu`, at most 10.
  case gelu10 = 12
  case laplace = 13

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
    case .quickGelu: "quick_gelu"
    case .mish: "mish"
    case .relu6: "relu6"
    case .relu2: "relu2"
    case .gelu10: "gelu_10"
    case .laplace: "laplace"
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
