"""What Hugging Face calls the tensors of a backbone: the last column of the registry in formats/tensors.md."""

from __future__ import annotations

from collections.abc import Iterator

from tusk_backbone import DECODER, ROLES, STACK_NAMES, Slot
from tusk_container import Config

PREFIXES = ("", "transformer.", "bert.", "roberta.", "distilbert.", "electra.")
BERT_OUTSIDE = {
    "embedding": "embeddings.word_embeddings.weight", "positionEmbedding": "embeddings.position_embeddings.weight",
    "tokenTypeEmbedding": "embeddings.token_type_embeddings.weight", "embeddingNorm": "embeddings.LayerNorm.weight",
    "embeddingNormBias": "embeddings.LayerNorm.bias", "pooler": "pooler.dense.weight",
    "poolerBias": "pooler.dense.bias",
}
# What stands behind the block's name, without the ending, in BERT and in DistilBERT.
ENCODER_MODULES = {
    "selfAttentionNorm": ("attention.output.LayerNorm", "sa_layer_norm"),
    "selfAttentionQ": ("attention.self.query", "attention.q_lin"),
    "selfAttentionK": ("attention.self.key", "attention.k_lin"),
    "selfAttentionV": ("attention.self.value", "attention.v_lin"),
    "selfAttentionO": ("attention.output.dense", "attention.out_lin"),
    "feedForwardNorm": ("output.LayerNorm", "output_layer_norm"),
    "wi": ("intermediate.dense", "ffn.lin1"),
    "wo": ("output.dense", "ffn.lin2"),
}


def possible_names(slot: Slot, config: Config) -> Iterator[str]:
    """Every name the tensor may have in a checkpoint."""
    names = encoder_names(slot) if config.is_encoder else (t5_name(slot),)
    for name in names:
        for prefix in PREFIXES:
            yield prefix + name


def encoder_names(slot: Slot) -> tuple[str, ...]:
    role = ROLES[slot.role]
    if role in BERT_OUTSIDE:
        return (BERT_OUTSIDE[role],)
    ending = ".bias" if role.endswith("Bias") else ".weight"
    bert, distilbert = ENCODER_MODULES[role.removesuffix("Bias")]
    return (f"encoder.layer.{slot.layer}.{bert}{ending}", f"transformer.layer.{slot.layer}.{distilbert}{ending}")


def t5_name(slot: Slot) -> str:
    stack, role = STACK_NAMES[slot.stack], ROLES[slot.role]
    block = f"{stack}.block.{slot.layer}.layer"
    feed_forward = 2 if slot.stack == DECODER else 1
    if role in ("embedding", "head"):
        return {"embedding": "shared.weight", "head": "lm_head.weight"}[role]
    if role == "relativeBias":
        return f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    if role == "finalNorm":
        return f"{stack}.final_layer_norm.weight"
    for prefix, index, module in (("selfAttention", 0, "SelfAttention"), ("crossAttention", 1, "EncDecAttention")):
        if role.startswith(prefix):
            part = role.removeprefix(prefix)
            return f"{block}.{index}." + ("layer_norm.weight" if part == "Norm" else f"{module}.{part.lower()}.weight")
    if role == "feedForwardNorm":
        return f"{block}.{feed_forward}.layer_norm.weight"
    module = {"wi": "wi", "wi0": "wi_0", "wi1": "wi_1", "wo": "wo"}[role]
    return f"{block}.{feed_forward}.DenseReluDense.{module}.weight"
