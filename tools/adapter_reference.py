"""Backbones in plain numpy with places where a task may act: what the files of an adapter mean, written out.

Independent of the libraries that made the files. float64, one source at a time, no cache. `adapter_files` fills the
places.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from checkpoint import read_checkpoint
from numeric import ACTIVATION_FUNCTIONS, relative_bucket, sigmoid, softmax

Tensors = dict[str, np.ndarray]
ADAPTER_NORM_EPSILON = 1e-5
MODEL_PREFIX = re.compile(r"^(transformer|bert|roberta|distilbert)\.(?!layer)")
ACTIVATIONS = {**ACTIVATION_FUNCTIONS, "swish": ACTIVATION_FUNCTIONS["silu"],
               "leakyrelu": ACTIVATION_FUNCTIONS["leaky_relu"]}

BERT_NAMES = {
    "block": "encoder.layer.{}", "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "o": "attention.output.dense", "wi": "intermediate.dense", "wo": "output.dense",
    "norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm", "site1": "attention.output", "site2": "output"}
DISTILBERT_NAMES = {
    "block": "transformer.layer.{}", "q": "attention.q_lin", "k": "attention.k_lin", "v": "attention.v_lin",
    "o": "attention.out_lin", "wi": "ffn.lin1", "wo": "ffn.lin2", "norm1": "sa_layer_norm",
    "norm2": "output_layer_norm", "site1": "attention_adapters", "site2": "output_adapters"}


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon) * weight + bias


def mean_gate(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """One number per row of `weight` for the whole sequence."""
    return sigmoid(x @ weight.T + bias).mean(axis=0)


@dataclass
class LinearChange:
    """LoRA, LoKr (`delta`) or (IA)3 (`vector`) at one linear; in a stack each takes what the one before it gave."""

    delta: np.ndarray | None = None
    vector: np.ndarray | None = None
    scale: float = 1.0
    gate: tuple[np.ndarray, np.ndarray] | None = None
    bias: np.ndarray | None = None

    def apply(self, before: np.ndarray | None, x: np.ndarray) -> np.ndarray:
        if self.delta is not None:
            change = (x if before is None else before) @ self.delta.T
            change = change if self.bias is None else change + self.bias
        else:
            change = self.vector if before is None else before * self.vector
        return change * (self.scale if self.gate is None else mean_gate(x, *self.gate))

    def combine(self, y: np.ndarray, change: np.ndarray) -> np.ndarray:
        return y + change if self.delta is not None else y * change


@dataclass
class Bottleneck:
    """One adapter at one site; see the rules in `Reference.finish`."""

    tensors: Tensors
    down: Callable[[np.ndarray], np.ndarray]
    up: Callable[[np.ndarray], np.ndarray]
    config: dict[str, Any]

    def core(self, x: np.ndarray) -> np.ndarray:
        inner = self.norm("before", x) if self.config["ln_before"] else x
        scaling = self.config["scaling"]
        core = self.up(ACTIVATIONS[self.config["non_linearity"].lower()](self.down(inner)))
        core = core * (self.tensors["scaling"] if isinstance(scaling, str) else scaling)
        if self.config.get("use_gating"):
            core = core * mean_gate(x, self.tensors["gate.weight"], self.tensors["gate.bias"])
        return core

    def norm(self, place: str, x: np.ndarray) -> np.ndarray:
        return layer_norm(x, self.tensors[f"adapter_norm_{place}.weight"], self.tensors[f"adapter_norm_{place}.bias"],
                          ADAPTER_NORM_EPSILON)


@dataclass
class Prefix:
    """Keys and values [P, inner] in front of those of one attention; later ones stand in front of earlier ones."""

    keys: np.ndarray
    values: np.ndarray
    gate: tuple[np.ndarray, np.ndarray] | None = None


@dataclass
class Reference:
    """What a backbone and the mounted tasks compute."""

    config: dict[str, Any]
    tensors: Tensors
    changes: dict[str, list[LinearChange]] = field(default_factory=lambda: defaultdict(list))
    input_scales: dict[str, np.ndarray] = field(default_factory=dict)
    sites: dict[str, list[Bottleneck]] = field(default_factory=lambda: defaultdict(list))
    prefixes: dict[str, list[Prefix]] = field(default_factory=lambda: defaultdict(list))
    # Rows in front of the word embeddings, or behind the whole embedding (where `adapters` puts them).
    prompt: np.ndarray | None = None
    prompt_behind_embedding: bool = False
    prompt_start: int = 0
    # The prefix is a cache: queries count from behind it.
    prefix_moves_queries: bool = False

    @property
    def is_t5(self) -> bool:
        return self.config["model_type"] == "t5"

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        scaled = x * self.input_scales[name] if name in self.input_scales else x
        y = scaled @ self.tensors[f"{name}.weight"].T + self.tensors.get(f"{name}.bias", 0.0)
        change = None
        for part in self.changes[name]:
            change = part.apply(change, x)
        return y if change is None else self.changes[name][-1].combine(y, change)

    def finish(self, site: str, sub: np.ndarray, stream: np.ndarray,
               norm: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
        """The residual stream behind a sub-layer, through the adapters of its site. `norm` of a post-norm backbone."""
        y, after = sub, True
        for adapter in self.sites[site]:
            config, incoming = adapter.config, y
            if config["is_parallel"]:
                core = adapter.core(stream)
                y = adapter.norm("after", core) if config["ln_after"] else core
            else:
                x, rule = incoming, config["residual_before_ln"]
                if config["original_ln_before"]:
                    x = norm(incoming + stream) if norm else incoming + stream
                skip = {True: incoming, "post_add": incoming + stream, False: x}[rule]
                y = adapter.core(x)
                y = y + skip if config["adapter_residual_before_ln"] else y
                y = adapter.norm("after", y) if config["ln_after"] else y
                y = y if config["adapter_residual_before_ln"] else y + skip
            after = config["original_ln_after"]
        if self.sites[site] and self.sites[site][-1].config["is_parallel"]:
            y = y + sub
        if not after:
            return y
        return norm(y + stream) if norm else y + stream

    def attention(self, names: dict[str, str], place: str, x: np.ndarray, memory: np.ndarray, heads: int, scale: float,
                  bias: Callable[[int, int], np.ndarray] | None, causal: bool) -> np.ndarray:
        """`bias(queries, keys)` gives [heads, queries, keys]; `place` names the prefixes."""
        q, k, v = (self.linear(names[part], x if part == "q" else memory) for part in "qkv")
        length = len(k)
        for prefix in self.prefixes[place]:
            gate = np.ones(1) if prefix.gate is None else mean_gate(x, *prefix.gate)
            k, v = np.concatenate([prefix.keys * gate[0], k]), np.concatenate([prefix.values * gate[-1], v])
        q, k, v = (rows.reshape(len(rows), heads, -1).transpose(1, 0, 2) for rows in (q, k, v))
        scores = q @ k.transpose(0, 2, 1) * scale
        if bias is not None:
            scores = scores + bias(q.shape[1], k.shape[1])
        if causal:
            future = np.triu(np.ones((length, length), bool), 1)
            scores[:, :, k.shape[1] - length:][:, future] = -np.inf
        return (softmax(scores) @ v).transpose(1, 0, 2).reshape(len(x), -1)

    def with_prompt(self, rows: np.ndarray) -> np.ndarray:
        if self.prompt is None:
            return rows
        return np.concatenate([rows[:self.prompt_start], self.prompt, rows[self.prompt_start:]])


class T5Reference(Reference):
    def rms_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        scaled = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.config["layer_norm_epsilon"])
        return scaled * self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", 0.0)

    def position_bias(self, stack: str) -> Callable[[int, int], np.ndarray]:
        table = self.tensors[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]

        def bias(queries: int, keys: int) -> np.ndarray:
            first = keys - queries if self.prefix_moves_queries else 0
            distance = np.arange(keys)[None] - (first + np.arange(queries))[:, None]
            buckets = relative_bucket(distance, stack == "encoder", self.config["relative_attention_num_buckets"],
                                      self.config["relative_attention_max_distance"])
            return table[buckets].transpose(2, 0, 1)

        return bias

    def feed_forward(self, name: str, x: np.ndarray) -> np.ndarray:
        kind = self.config["feed_forward_proj"]
        if kind.startswith("gated-"):
            act = {"gelu": "gelu_new"}.get(kind[6:], kind[6:])
            inner = ACTIVATIONS[act](self.linear(f"{name}.wi_0", x)) * self.linear(f"{name}.wi_1", x)
        else:
            inner = ACTIVATIONS[kind](self.linear(f"{name}.wi", x))
        return self.linear(f"{name}.wo", inner)

    def stack(self, stack: str, stream: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        heads, bias = self.config["num_heads"], self.position_bias(stack)
        layers = self.config["num_layers" if memory is None else "num_decoder_layers"]
        kinds = ["SelfAttention", "DenseReluDense"] if memory is None else [
            "SelfAttention", "EncDecAttention", "DenseReluDense"]
        for layer in range(layers):
            for index, kind in enumerate(kinds):
                site = f"{stack}.block.{layer}.layer.{index}"
                x, name = self.rms_norm(f"{site}.layer_norm", stream), f"{site}.{kind}"
                if kind == "DenseReluDense":
                    sub = self.feed_forward(name, x)
                else:
                    own = kind == "SelfAttention"
                    names = {part: f"{name}.{part}" for part in "qkv"}
                    sub = self.linear(f"{name}.o", self.attention(
                        names, site, x, x if own else memory, heads, 1.0, bias if own else None,
                        own and memory is not None))
                stream = self.finish(site, sub, stream, None)
        return self.rms_norm(f"{stack}.final_layer_norm", stream)

    def answer(self, ids: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encoder output [P + S, D] and logits [T, V]."""
        memory = self.stack("encoder", self.with_prompt(self.tensors["shared.weight"][ids]), None)
        output = self.stack("decoder", self.tensors["shared.weight"][target], memory)
        tied = self.config.get("tie_word_embeddings", True)
        head = self.tensors["shared.weight"] if tied else self.tensors["lm_head.weight"]
        output = output * (self.config["d_model"]**-0.5 if tied else 1.0)
        return memory, output @ head.T + self.tensors.get("lm_head.bias", 0.0)


class EncoderReference(Reference):
    # (activation, tensors of the two layers) of a flexible head; None: the head of the model's class.
    flexible_head: list[tuple[str | None, np.ndarray, np.ndarray]] | None = None
    flexible_head_uses_pooler = False

    @property
    def is_distilbert(self) -> bool:
        return self.config["model_type"] == "distilbert"

    def norm(self, name: str) -> Callable[[np.ndarray], np.ndarray]:
        epsilon = 1e-12 if self.is_distilbert else self.config["layer_norm_eps"]
        return lambda x: layer_norm(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"], epsilon)

    def embed(self, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
        rows, prompt_rows = self.tensors["embeddings.word_embeddings.weight"][ids], 0
        if self.prompt is not None and not self.prompt_behind_embedding:
            rows, prompt_rows = self.with_prompt(rows), len(self.prompt)
        first = self.config["pad_token_id"] + 1 if "roberta" in self.config["model_type"] else 0
        if self.prefix_moves_queries:
            first += sum(len(prefix.keys) for prefix in next(iter(self.prefixes.values())))
        rows = rows + self.tensors["embeddings.position_embeddings.weight"][first:first + len(rows)]
        if not self.is_distilbert:
            types = np.concatenate([np.zeros(prompt_rows, types.dtype), types])
            rows = rows + self.tensors["embeddings.token_type_embeddings.weight"][types]
        rows = self.norm("embeddings.LayerNorm")(rows)
        return self.with_prompt(rows) if self.prompt_behind_embedding else rows

    def answer(self, ids: np.ndarray, types: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The last block's output [P + S, D] and the head's numbers, if there is a head."""
        names = DISTILBERT_NAMES if self.is_distilbert else BERT_NAMES
        heads = self.config.get("n_heads") or self.config["num_attention_heads"]
        activation = self.config.get("activation") or self.config["hidden_act"]
        stream = self.embed(ids, types)
        scale = 1 / math.sqrt(stream.shape[1] // heads)
        for layer in range(self.config.get("n_layers") or self.config["num_hidden_layers"]):
            block = names["block"].format(layer)
            at = {part: f"{block}.{name}" for part, name in names.items()}
            context = self.attention(at, block, stream, stream, heads, scale, None, False)
            stream = self.finish(at["site1"], self.linear(at["o"], context), stream, self.norm(at["norm1"]))
            inner = ACTIVATIONS[activation](self.linear(at["wi"], stream))
            stream = self.finish(at["site2"], self.linear(at["wo"], inner), stream, self.norm(at["norm2"]))
        return stream, self.head(stream[0])

    def head(self, x: np.ndarray) -> np.ndarray | None:
        def pooled() -> np.ndarray:
            return np.tanh(self.linear("pooler.dense", x))

        if self.flexible_head is not None:
            x = pooled() if self.flexible_head_uses_pooler else x
            for act, weight, bias in self.flexible_head:
                x = x @ weight.T + bias
                x = ACTIVATIONS[act](x) if act else x
            return x
        if "classifier.out_proj.weight" in self.tensors:
            return self.linear("classifier.out_proj", np.tanh(self.linear("classifier.dense", x)))
        if "pre_classifier.weight" in self.tensors:
            return self.linear("classifier", np.maximum(self.linear("pre_classifier", x), 0))
        return self.linear("classifier", pooled()) if "classifier.weight" in self.tensors else None


def without_model_prefix(name: str) -> str:
    return MODEL_PREFIX.sub("", name)


def load_reference(backbone: Path) -> Reference:
    config = json.loads((backbone / "config.json").read_text())
    tensors = {without_model_prefix(name): value.astype(np.float64)
               for name, value in read_checkpoint(backbone).items()}
    return (T5Reference if config["model_type"] == "t5" else EncoderReference)(config, tensors)
