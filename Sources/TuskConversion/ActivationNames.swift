import Foundation
import TuskFormat

extension Activation {
  /// The activation that transformers knows by `name`; nil for one that Tusk has no kernel for.
  ///
  /// "gelu" is the exact one. "gelu_fast", "gelu_accurate" and "gelu_pytorch_tanh" are other spellings of the formula of "gelu_new".
  init?(transformersName name: String) {
    switch name.lowercased() {
    case "linear", "identity": self = .identity
    case "relu": self = .relu
    case "gelu", "gelu_python": self = .gelu
    case "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate": self = .geluNew
    case "silu", "swish": self = .silu
    case "tanh": self = .tanh
    case "sigmoid": self = .sigmoid
    case "leaky_relu", "leakyrelu": self = .leakyRelu
    case "quick_gelu": self = .quickGelu
    case "mish": self = .mish
    case "relu6": self = .relu6
    case "relu2": self = .relu2
    case "gelu_10": self = .gelu10
    case "laplace": self = .laplace
    default: return nil
    }
  }

  static var supportedNames: String {
    "relu, relu2, relu6, leakyrelu, gelu, gelu_new, gelu_10, quick_gelu, silu, swish, mish, tanh, sigmoid, laplace or linear"
  }
}

extension Activation {
  /// The activation of one number; for what is computed once, at conversion.
  func callAsFunction(_ x: Float) -> Float {
    let x = Double(x)
    let rootOfTwoOverPi = (2 / Double.pi).squareRoot()
    let y: Double =
      switch self {
      case .identity: x
      case .relu: max(x, 0)
      case .gelu: 0.5 * x * (1 + erf(x * 0.5.squareRoot()))
      case .geluNew: 0.5 * x * (1 + Foundation.tanh(rootOfTwoOverPi * (x + 0.044715 * x * x * x)))
      case .silu: x / (1 + exp(-x))
      case .tanh: Foundation.tanh(x)
      case .sigmoid: 1 / (1 + exp(-x))
      case .leakyRelu: x >= 0 ? x : 0.01 * x
      case .quickGelu: x / (1 + exp(-1.702 * x))
      case .mish: x * Foundation.tanh(log1p(exp(x)))
      case .relu6: min(max(x, 0), 6)
      case .relu2: max(x, 0) * max(x, 0)
      case .gelu10: min(0.5 * x * (1 + erf(x * 0.5.squareRoot())), 10)
      case .laplace: 0.5 * (1 + erf((x - 0.707107) / (0.282095 * 2.0.squareRoot())))
      }
    return Float(y)
  }
}
