import Foundation
import TuskFormat

extension Activation {
  /// The activation that transformers knows by `name`; nil for one that Tusk has no kernel for.
  ///
  /// "gelu" is the exact one. "gelu_fast" and "gelu_pytorch_tanh" are other spellings of the formula of "gelu_new".
  init?(transformersName name: String) {
    switch name.lowercased() {
    case "linear", "identity": self = .identity
    case "relu": self = .relu
    case "gelu", "gelu_python": self = .gelu
    case "gelu_new", "gelu_fast", "gelu_pytorch_tanh": self = .geluNew
    case "silu", "swish": self = .silu
    case "tanh": self = .tanh
    case "sigmoid": self = .sigmoid
    case "leaky_relu", "leakyrelu": self = .leakyRelu
    default: return nil
    }
  }

  static var supportedNames: String { "relu, gelu, gelu_new, silu, swish, tanh, sigmoid, leakyrelu or linear" }
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
      }
    return Float(y)
  }
}
