"""T5 v1.0 as two ONNX graphs, from its checkpoint: the encoder with cross-attention's keys and values, and one decoder
step with past keys and values.

Shapes: B sources, S tokens each, P past tokens, H heads of K, D model width. No masks: all sources have one length.

  encoder  ids [B, S]                         -> cross_k_i [B, H, K, S], cross_v_i [B, H, S, K]
  decoder  ids [B, 1], past_k_i, past_v_i [B, H, P, K], cross_* -> logits [B, V], k_i, v_i [B, H, P + 1, K]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_graph import Graph, ids_value, value

# Longest source and target: positions are looked up in a table of distances.
MOST_TOKENS = 4096


def buckets(distances: np.ndarray, bidirectional: bool, count: int, farthest: int = 128) -> np.ndarray:
    """T5's bucket of a key's position minus the query's."""
    base = np.zeros_like(distances)
    if bidirectional:
        count //= 2
        base = (distances > 0) * count
        distances = np.abs(distances)
    else:
        distances = np.maximum(-distances, 0)
    exact = count // 2
    scaled = np.log(np.maximum(distances, 1) / exact, dtype=np.float32) / np.log(np.float32(farthest / exact))
    far = np.minimum(exact + (scaled * (count - exact)).astype(np.int64), count - 1)
    return base + np.where(distances < exact, distances, far)


@dataclass
class T5Graphs:
    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    weights: str

    @property
    def head_shape(self) -> tuple[int, int]:
        return self.config["num_heads"], self.config["d_kv"]

    def normed(self, g: Graph, x: str, name: str) -> str:
        return g.norm(x, name, self.tensors[name], self.config["layer_norm_epsilon"])

    def linear(self, g: Graph, x: str, name: str) -> str:
        return g.linear(x, name, self.tensors[f"{name}.weight"])

    def bias_table(self, stack: str, distances: np.ndarray) -> np.ndarray:
        """[H, distances]"""
        name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        rows = buckets(distances, stack == "encoder", self.config["relative_attention_num_buckets"])
        return self.tensors[name][rows].T

    def attend(self, g: Graph, q: str, k: str, v: str, bias: str | None, prefix: str) -> str:
        """q [B, H, T, K], k [B, H, K, S], v [B, H, S, K] -> [B, T, D]"""
        scores = g.op("MatMul", q, k)
        if bias:
            scores = g.op("Add", scores, bias)
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
        heads, width = self.head_shape
        joined = g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), g.numbers(0, 0, heads * width))
        return self.linear(g, joined, f"{prefix}.o")

    def feed_forward(self, g: Graph, x: str, layer: str) -> str:
        normed = self.normed(g, x, f"{layer}.layer_norm.weight")
        hidden = g.op("Relu", self.linear(g, normed, f"{layer}.DenseReluDense.wi"))
        return g.op("Add", x, self.linear(g, hidden, f"{layer}.DenseReluDense.wo"))

    def encoder(self) -> Any:
        g, (heads, width) = Graph(self.weights), self.head_shape
        x = g.embedding("ids", "shared", self.tensors["shared.weight"])
        zero, one = g.constant("zero", np.array(0, np.int64)), g.constant("one", np.array(1, np.int64))
        positions = g.op("Range", zero, g.op("Gather", g.op("Shape", "ids"), one), one)
        distance = g.op("Sub", g.op("Unsqueeze", positions, g.numbers(0)), g.op("Unsqueeze", positions, g.numbers(1)))
        table = g.constant("bias_table", self.bias_table("encoder", np.arange(1 - MOST_TOKENS, MOST_TOKENS)))
        place = g.op("Add", distance, g.numbers(MOST_TOKENS - 1))
        bias = g.op("Unsqueeze", g.op("Gather", table, place, axis=1), g.numbers(0))
        for block in range(self.config["num_layers"]):
            layer = f"encoder.block.{block}.layer"
            attention = f"{layer}.0.SelfAttention"
            normed = self.normed(g, x, f"{layer}.0.layer_norm.weight")
            q = g.heads(self.linear(g, normed, f"{attention}.q"), heads, width, (0, 2, 1, 3))
            k = g.heads(self.linear(g, normed, f"{attention}.k"), heads, width, (0, 2, 3, 1))
            v = g.heads(self.linear(g, normed, f"{attention}.v"), heads, width, (0, 2, 1, 3))
            x = g.op("Add", x, self.attend(g, q, k, v, bias, attention))
            x = self.feed_forward(g, x, f"{layer}.1")
        x = self.normed(g, x, "encoder.final_layer_norm.weight")
        outputs = []
        for block in range(self.config["num_decoder_layers"]):
            attention = f"decoder.block.{block}.layer.1.EncDecAttention"
            for part, order, shape in (("k", (0, 2, 3, 1), [width, "S"]), ("v", (0, 2, 1, 3), ["S", width])):
                y = g.heads(self.linear(g, x, f"{attention}.{part}"), heads, width, order)
                g.op("Identity", y, output=f"cross_{part}_{block}")
                outputs.append(value(f"cross_{part}_{block}", ["B", heads, *shape]))
        return g.model("encoder", [ids_value("S")], outputs)

    def decoder(self) -> Any:
        g, (heads, width) = Graph(self.weights), self.head_shape
        inputs = [ids_value(1)]
        outputs = [value("logits", ["B", self.config["vocab_size"]])]
        x = g.embedding("ids", "shared", self.tensors["shared.weight"])
        past = g.op("Gather", g.op("Shape", "past_k_0"), g.constant("two", np.array(2, np.int64)))
        zero, one = g.constant("zero", np.array(0, np.int64)), g.constant("one", np.array(1, np.int64))
        # Counted upwards and subtracted: a descending range below a Gather becomes a Slice that ONNX Runtime refuses.
        distances = g.op("Sub", past, g.op("Range", zero, g.op("Add", past, one), one))
        table = g.constant("bias_table", self.bias_table("decoder", -np.arange(MOST_TOKENS)))
        behind = g.op("Gather", table, distances, axis=1)
        bias = g.op("Unsqueeze", behind, g.numbers(0, 2))
        for block in range(self.config["num_decoder_layers"]):
            layer = f"decoder.block.{block}.layer"
            for part in "kv":
                inputs.append(value(f"past_{part}_{block}", ["B", heads, "P", width]))
                outputs.append(value(f"{part}_{block}", ["B", heads, "N", width]))
            inputs.append(value(f"cross_k_{block}", ["B", heads, width, "S"]))
            inputs.append(value(f"cross_v_{block}", ["B", heads, "S", width]))
            attention = f"{layer}.0.SelfAttention"
            normed = self.normed(g, x, f"{layer}.0.layer_norm.weight")
            q, k, v = (g.heads(self.linear(g, normed, f"{attention}.{part}"), heads, width, (0, 2, 1, 3)) for part in "qkv")
            k = g.op("Concat", f"past_k_{block}", k, axis=2, output=f"k_{block}")
            v = g.op("Concat", f"past_v_{block}", v, axis=2, output=f"v_{block}")
            x = g.op("Add", x, self.attend(g, q, g.op("Transpose", k, perm=[0, 1, 3, 2]), v, bias, attention))
            attention = f"{layer}.1.EncDecAttention"
            normed = self.normed(g, x, f"{layer}.1.layer_norm.weight")
            q = g.heads(self.linear(g, normed, f"{attention}.q"), heads, width, (0, 2, 1, 3))
            x = g.op("Add", x, self.attend(g, q, f"cross_k_{block}", f"cross_v_{block}", None, attention))
            x = self.feed_forward(g, x, f"{layer}.2")
        x = self.normed(g, x, "decoder.final_layer_norm.weight")
        x = g.op("Mul", x, g.scalar(self.config["d_model"] ** -0.5))
        x = g.op("Reshape", x, g.numbers(-1, self.config["d_model"]))
        g.op("Identity", g.linear(x, "shared", self.tensors["shared.weight"]), output="logits")
        return g.model("decoder", inputs, outputs)


def write(config: dict[str, Any], tensors: dict[str, np.ndarray], weights: str, folder: Path) -> None:
    graphs = T5Graphs(config, tensors, weights)
    onnx.save(graphs.encoder(), folder / "encoder.onnx")
    onnx.save(graphs.decoder(), folder / "decoder.onnx")
