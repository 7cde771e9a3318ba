"""A BERT encoder with mean pooling as an ONNX graph, from its checkpoint: ids [B, S] -> embedding [B, D] of unit length.

No mask and one token type: all texts of a batch have one length.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_graph import Graph, ids_value, value


def norm(g: Graph, x: str, name: str, tensors: dict[str, np.ndarray], epsilon: float) -> str:
    weight, bias = (g.constant(f"{name}.{part}", tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
    return g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=epsilon)


def attention(g: Graph, x: str, layer: str, tensors: dict[str, np.ndarray], heads: int, width: int) -> str:
    def part(name: str, order: tuple[int, ...]) -> str:
        return g.heads(g.affine(x, f"{layer}.attention.self.{name}", tensors), heads, width, order)

    q, k, v = part("query", (0, 2, 1, 3)), part("key", (0, 2, 3, 1)), part("value", (0, 2, 1, 3))
    scores = g.op("Div", g.op("MatMul", q, k), g.scalar(width**0.5))
    mixed = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return g.affine(g.op("Reshape", mixed, g.numbers(0, 0, heads * width)), f"{layer}.attention.output.dense", tensors)


def gelu(g: Graph, x: str) -> str:
    erf = g.op("Erf", g.op("Div", x, g.scalar(2**0.5)))
    return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.scalar(1.0))), g.scalar(0.5))


def write(config: dict[str, Any], tensors: dict[str, np.ndarray], weights: str, path: Path) -> None:
    g, heads, epsilon = Graph(weights), config["num_attention_heads"], config["layer_norm_eps"]
    width = config["hidden_size"] // heads
    words = g.embedding("ids", "words", tensors["embeddings.word_embeddings.weight"])
    length = g.op("Slice", g.op("Shape", "ids"), g.numbers(1), g.numbers(2))
    # The one token type there is belongs to every position.
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    positions = g.op("Slice", g.constant("places", places), g.numbers(0), length, g.numbers(0))
    x = norm(g, g.op("Add", words, positions), "embeddings.LayerNorm", tensors, epsilon)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        x = norm(g, g.op("Add", attention(g, x, layer, tensors, heads, width), x), f"{layer}.attention.output.LayerNorm",
                 tensors, epsilon)
        hidden = gelu(g, g.affine(x, f"{layer}.intermediate.dense", tensors))
        x = norm(g, g.op("Add", g.affine(hidden, f"{layer}.output.dense", tensors), x), f"{layer}.output.LayerNorm", tensors,
                 epsilon)
    mean = g.op("ReduceMean", x, axes=[1], keepdims=0)
    g.op("Div", mean, g.op("ReduceL2", mean, axes=[-1], keepdims=1), output="embedding")
    onnx.save(g.model("bert", [ids_value("S")], [value("embedding", ["B", config["hidden_size"]])]), path)
