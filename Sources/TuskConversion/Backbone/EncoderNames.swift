import TuskFormat

/// What Hugging Face calls the tensors of BERT and its family, without the prefix of a wrapping class.
struct EncoderNames {
  static let embedding = "embeddings.word_embeddings.weight"
  static let pooler = "pooler.dense.weight"

  private let isDistilBert: Bool

  init(_ family: ModelFamily) { isDistilBert = family == .distilBert }

  /// Buffers that early versions of transformers stored, and heads for jobs other than classification: language
  /// modelling, next sentence, question answering, telling replaced tokens.
  func ignores(_ name: String) -> Bool {
    let heads = [
      "cls.", "lm_head.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "qa_outputs.",
      "generator_predictions.", "generator_lm_head.", "discriminator_predictions.",
    ]
    return name == "embeddings.position_ids" || name == "embeddings.token_type_ids"
      || heads.contains { name.hasPrefix($0) }
  }

  /// Whether the tensor is part of a head for sequence classification.
  func isClassifier(_ name: String) -> Bool {
    name.hasPrefix("classifier.") || (isDistilBert && name.hasPrefix("pre_classifier."))
  }

  /// What begins the names of an adapter's tensors at a sub-layer of block `layer`.
  func sitePrefix(_ subLayer: SubLayer, layer: Int) -> String {
    if isDistilBert {
      return "transformer.layer.\(layer).\(subLayer == .selfAttention ? "attention_adapters" : "output_adapters")."
    }
    return "encoder.layer.\(layer).\(subLayer == .selfAttention ? "attention.output" : "output")."
  }

  /// - Precondition: `spec` is a tensor of a post-norm encoder with learned positions.
  func name(of spec: TensorSpec) -> String {
    func block(_ bert: String, _ distilBert: String, _ part: String = "weight") -> String {
      isDistilBert
        ? "transformer.layer.\(spec.layer).\(distilBert).\(part)" : "encoder.layer.\(spec.layer).\(bert).\(part)"
    }
    switch spec.role {
    case .embedding: return Self.embedding
    case .tokenTypeEmbedding: return "embeddings.token_type_embeddings.weight"
    case .positionEmbedding: return "embeddings.position_embeddings.weight"
    case .embeddingNorm: return "embeddings.LayerNorm.weight"
    case .embeddingNormBias: return "embeddings.LayerNorm.bias"
    case .selfAttentionNorm: return block("attention.output.LayerNorm", "sa_layer_norm")
    case .selfAttentionNormBias: return block("attention.output.LayerNorm", "sa_layer_norm", "bias")
    case .selfAttentionQ: return block("attention.self.query", "attention.q_lin")
    case .selfAttentionQBias: return block("attention.self.query", "attention.q_lin", "bias")
    case .selfAttentionK: return block("attention.self.key", "attention.k_lin")
    case .selfAttentionKBias: return block("attention.self.key", "attention.k_lin", "bias")
    case .selfAttentionV: return block("attention.self.value", "attention.v_lin")
    case .selfAttentionVBias: return block("attention.self.value", "attention.v_lin", "bias")
    case .selfAttentionO: return block("attention.output.dense", "attention.out_lin")
    case .selfAttentionOBias: return block("attention.output.dense", "attention.out_lin", "bias")
    case .feedForwardNorm: return block("output.LayerNorm", "output_layer_norm")
    case .feedForwardNormBias: return block("output.LayerNorm", "output_layer_norm", "bias")
    case .wi: return block("intermediate.dense", "ffn.lin1")
    case .wiBias: return block("intermediate.dense", "ffn.lin1", "bias")
    case .wo: return block("output.dense", "ffn.lin2")
    case .woBias: return block("output.dense", "ffn.lin2", "bias")
    case .pooler: return Self.pooler
    case .poolerBias: return "pooler.dense.bias"
    case .relativeBias, .finalNorm, .finalNormBias, .head, .crossAttentionNorm, .crossAttentionQ, .crossAttentionK,
      .crossAttentionV, .crossAttentionO, .wi0, .wi1, .wi0Bias, .wi1Bias:
      preconditionFailure("not a tensor of BERT's family")
    }
  }
}
