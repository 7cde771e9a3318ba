#!/usr/bin/env python3
"""Write a random encoder checkpoint of a size that people have, as Hugging Face lays it out.

  make_encoder.py bert-base-uncased OUT                 BERT with a pooler, float32 safetensors and config.json
  make_encoder.py distilbert-base OUT --vocabulary 64   a small vocabulary, where only the blocks matter
  make_encoder.py xlm-roberta-base OUT --dtype float16

For adapters whose backbone is not at hand: whether one converts depends on names and shapes alone. Matrices and embeddings
have the standard deviation 0.02 they are initialised with, biases too, norms are exp(0.2 z). The values of a tensor depend
on the seed and its name only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from make_checkpoint import DTYPES, Progress, Tensor, write_json, write_safetensors


@dataclass(frozen=True)
class Size:
    model_type: str
    width: int
    inner: int
    heads: int
    layers: int
    vocabulary: int


SIZES = {
    "bert-mini": Size("bert", 256, 1024, 4, 4, 30522),
    "bert-base-uncased": Size("bert", 768, 3072, 12, 12, 30522),
    "bert-large-uncased": Size("bert", 1024, 4096, 16, 24, 30522),
    "distilbert-base": Size("distilbert", 768, 3072, 12, 6, 30522),
    "roberta-base": Size("roberta", 768, 3072, 12, 12, 50265),
    "xlm-roberta-base": Size("xlm-roberta", 768, 3072, 12, 12, 250002),
}
SPREAD = 0.02
# What each linear and norm of a block is called.
BERT = {
    "attention.self.query": "square", "attention.self.key": "square", "attention.self.value": "square",
    "attention.output.dense": "square", "attention.output.LayerNorm": "norm", "intermediate.dense": "widen",
    "output.dense": "narrow", "output.LayerNorm": "norm",
}  # fmt: skip
DISTILBERT = {
    "attention.q_lin": "square", "attention.k_lin": "square", "attention.v_lin": "square",
    "attention.out_lin": "square", "sa_layer_norm": "norm", "ffn.lin1": "widen", "ffn.lin2": "narrow",
    "output_layer_norm": "norm",
}  # fmt: skip


def tensors(size: Size, vocabulary: int) -> Iterator[Tensor]:
    """Every tensor, in the order of a state dict."""
    is_distilbert = size.model_type == "distilbert"

    def norm(name: str) -> Iterator[Tensor]:
        yield Tensor(f"{name}.weight", (size.width,), 0.2, is_norm=True)
        yield Tensor(f"{name}.bias", (size.width,), SPREAD)

    def linear(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
        yield Tensor(f"{name}.weight", (outputs, inputs), SPREAD)
        yield Tensor(f"{name}.bias", (outputs,), SPREAD)

    shapes = {
        "square": (size.width, size.width), "widen": (size.width, size.inner), "narrow": (size.inner, size.width)
    }  # fmt: skip
    yield Tensor("embeddings.word_embeddings.weight", (vocabulary, size.width), SPREAD)
    yield Tensor("embeddings.position_embeddings.weight", (positions(size), size.width), SPREAD)
    if not is_distilbert:
        yield Tensor("embeddings.token_type_embeddings.weight", (types(size), size.width), SPREAD)
    yield from norm("embeddings.LayerNorm")
    for layer in range(size.layers):
        for name, kind in (DISTILBERT if is_distilbert else BERT).items():
            path = f"{'transformer' if is_distilbert else 'encoder'}.layer.{layer}.{name}"
            yield from norm(path) if kind == "norm" else linear(path, *shapes[kind])
    if not is_distilbert:
        yield from linear("pooler.dense", size.width, size.width)


def is_roberta(size: Size) -> bool:
    return "roberta" in size.model_type


def positions(size: Size) -> int:
    return 514 if is_roberta(size) else 512


def types(size: Size) -> int:
    return 1 if is_roberta(size) else 2


def config(size: Size, vocabulary: int) -> dict[str, object]:
    common = {"model_type": size.model_type, "vocab_size": vocabulary, "max_position_embeddings": positions(size),
              "pad_token_id": 1 if is_roberta(size) else 0}
    if size.model_type == "distilbert":
        return common | {"activation": "gelu", "dim": size.width, "hidden_dim": size.inner, "n_heads": size.heads,
                         "n_layers": size.layers}
    return common | {
        "hidden_act": "gelu", "hidden_size": size.width, "intermediate_size": size.inner,
        "layer_norm_eps": 1e-05 if is_roberta(size) else 1e-12, "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers, "type_vocab_size": types(size),
    }  # fmt: skip


def write_encoder(directory: Path, name: str, vocabulary: int | None, dtype: str, seed: int) -> None:
    size = SIZES[name]
    rows = vocabulary or size.vocabulary
    directory.mkdir(parents=True, exist_ok=True)
    parts = list(tensors(size, rows))
    progress = Progress(sum(part.count for part in parts) * DTYPES[dtype][1])
    write_safetensors(directory / "model.safetensors", parts, dtype, seed, progress)
    write_json(directory / "config.json", config(size, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("directory", type=Path, metavar="OUT", help="created; files of the same names are replaced")
    parser.add_argument("--vocabulary", type=int, help="rows of the embedding")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_encoder(arguments.directory, arguments.size, arguments.vocabulary, arguments.dtype, arguments.seed)


if __name__ == "__main__":
    main()
