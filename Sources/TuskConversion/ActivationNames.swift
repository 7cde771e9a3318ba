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
