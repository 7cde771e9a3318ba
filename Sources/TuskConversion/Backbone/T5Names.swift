import TuskFormat

/// What Hugging Face calls the tensors of a T5 checkpoint: the last column of the registry in `formats/tensors.md`.
enum T5Names {
  /// Prefixes that wrapping classes put in front of every name.
  static let prefixes = ["transformer.", "model.", "module."]

  /// Keys that hold nothing the model uses: a table of early T5 checkpoints that no code ever read.
  static let ignorable: Set<String> = [
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
  ]

  static let embedding = "shared.weight"
  static let headModule = "lm_head"
  static let head = headModule + ".weight"

  static func name(of spec: TensorSpec) -> String {
    let stack = spec.stack == .decoder ? "decoder" : "encoder"
    let feedForward = spec.stack == .decoder ? 2 : 1
    func block(_ layer: Int, _ rest: String) -> String { "\(stack).block.\(spec.layer).layer.\(layer).\(rest).weight" }
    switch spec.role {
    case .embedding: return embedding
    case .head: return head
    case .relativeBias: return "\(stack).block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    case .finalNorm: return "\(stack).final_layer_norm.weight"
    case .selfAttentionNorm: return block(0, "layer_norm")
    case .selfAttentionQ: return block(0, "SelfAttention.q")
    case .selfAttentionK: return block(0, "SelfAttention.k")
    case .selfAttentionV: return block(0, "SelfAttention.v")
    case .selfAttentionO: return block(0, "SelfAttention.o")
    case .crossAttentionNorm: return block(1, "layer_norm")
    case .crossAttentionQ: return block(1, "EncDecAttention.q")
    case .crossAttentionK: return block(1, "EncDecAttention.k")
    case .crossAttentionV: return block(1, "EncDecAttention.v")
    case .crossAttentionO: return block(1, "EncDecAttention.o")
    case .feedForwardNorm: return block(feedForward, "layer_norm")
    case .wi: return block(feedForward, "DenseReluDense.wi")
    case .wi0: return block(feedForward, "DenseReluDense.wi_0")
    case .wi1: return block(feedForward, "DenseReluDense.wi_1")
    case .wo: return block(feedForward, "DenseReluDense.wo")
    default: preconditionFailure("a T5 has no such tensor")
    }
  }

  /// Whether `name` is a bias of a linear or norm, which a T5 has none of: a task has added it.
  static func isBias(_ name: String) -> Bool {
    name.hasSuffix(".bias")
      && ["lm_head.", "Attention.", "DenseReluDense.", "layer_norm."].contains { name.contains($0) }
  }

  /// Other names under which a checkpoint may store the embedding; the head is one of them where it is tied.
  static func embeddingAliases(hasTiedHead: Bool) -> [String] {
    ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] + (hasTiedHead ? [head] : [])
  }
}

/// Who put a tensor that is not the backbone's beside it.
enum AdapterKey: Equatable {
  case library
  case authors
  case head

  /// nil when `name` (without prefix) is no adapter's tensor.
  init?(_ name: String) {
    let authorsShared = [
      "phm_rule", "phm_rule_left", "phm_rule_right", "W_down", "W_up", "W_down_left", "W_down_right", "W_up_left",
      "W_up_right", "prefix_shared", "encoder.prefix_emb", "decoder.prefix_emb",
    ]
    let library = [".adapters.", ".loras.", "prefix_tuning.", "prompt_tuning."]
    if name.contains(".adapter_controller.") || authorsShared.contains(name) {
      self = .authors
    } else if name.hasPrefix("shared_parameters.") || library.contains(where: { name.contains($0) }) {
      self = .library
    } else if name.hasPrefix("heads.") {
      self = .head
    } else {
      return nil
    }
  }
}
