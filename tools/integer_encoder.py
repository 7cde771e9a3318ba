"""The numpy model of encoders: BERT and its family, or whatever else the config record can say of an encoder."""

from __future__ import annotations

import numpy as np

from integer_layers import Weights, attend
from integer_task import TaskPart, linear_output
from numeric import activate, f32, layer_norm, relative_bucket, rms_norm
from read_tusk import PackedFile, check_fits
from tusk_container import LAYER_NORM, LEARNED_POSITIONS, NORM_BEHIND
from tusk_task import Task


class Encoder:
    """Blocks with the norm before or behind a sub-layer; a head that is the task's, else the backbone's."""

    def __init__(self, file: PackedFile, tasks: list[Task]) -> None:
        assert file.config is not None
        for task in tasks:
            check_fits(task, file.config)
        self.config, self.weights, self.part = file.config, Weights(file), TaskPart(tasks)
        self.head_owner = next((task for task in reversed(tasks) if task.head), file.head)

    def norm(self, x: np.ndarray, name: str, slot: str | None = None) -> np.ndarray:
        """The norm `name`, replaced by what the tasks have at `slot`."""
        weight, epsilon = self.weights.vector(name), self.config.normEpsilon
        if slot:
            weight = self.part.norm(slot, weight)
        if self.config.normKind != LAYER_NORM:
            return rms_norm(x, weight, epsilon)
        bias = self.weights.vector(name + "Bias")
        return layer_norm(x, weight, self.part.norm_bias(slot, bias) if slot else bias, epsilon)

    def embed(self, ids: np.ndarray, token_types: np.ndarray) -> np.ndarray:
        text = self.weights.rows("embedding", ids)
        stream = self.part.with_prompt(text, is_finished=False)
        if self.config.tokenTypeCount:
            types = np.concatenate([np.zeros(len(stream) - len(text), int), token_types])
            stream = stream + self.weights.rows("tokenTypeEmbedding", types)
        if self.config.positionScheme == LEARNED_POSITIONS:
            offset = self.part.with_prefixes("encoder.0.selfAttention", stream[:0], stream[:0])[2]
            positions = self.config.positionOffset + offset + np.arange(len(stream))
            stream = stream + self.weights.rows("positionEmbedding", positions)
        if self.config.hasEmbeddingNorm:
            stream = self.norm(stream, "embeddingNorm", "encoder.start")
        return self.part.with_prompt(stream, is_finished=True)

    def position_bias(self, first: int, queries: int, keys: int) -> np.ndarray | float:
        """[H, queries, keys], or zero where positions are in the embedding."""
        if self.config.positionScheme == LEARNED_POSITIONS:
            return f32(0)
        distance = np.arange(keys)[None] - (first + np.arange(queries))[:, None]
        buckets = relative_bucket(distance, True, self.config.bucketCount, self.config.maxDistance)
        return self.weights.tensors["encoder.relativeBias"].values[buckets].transpose(2, 0, 1)

    def attention(self, slot: str, x: np.ndarray) -> np.ndarray:
        q, k, v = (self.part.product(self.weights, x, slot + part, slot, part.lower()) for part in "QKV")
        k, v, first = self.part.with_prefixes(slot, k, v)
        mixed = attend(q, k, v, self.config.headCount, self.config.attentionScale,
                       self.position_bias(first, len(q), len(k)))
        return self.part.product(self.weights, mixed, slot + "O", slot, "o")

    def feed_forward(self, block: str, x: np.ndarray) -> np.ndarray:
        def product(x: np.ndarray, target: str) -> np.ndarray:
            return self.part.product(self.weights, x, block + target, block + "feedForward", target)

        name = self.config.activation_name
        if self.config.gated:
            return product(activate(name, product(x, "wi0")) * product(x, "wi1"), "wo")
        return product(activate(name, product(x, "wi")), "wo")

    def encode(self, ids: np.ndarray, token_types: np.ndarray | None = None) -> np.ndarray:
        """The encoder's output [S, D]."""
        ids = np.asarray(ids)
        stream = self.embed(ids, np.zeros(len(ids), int) if token_types is None else np.asarray(token_types))
        behind = self.config.normPlacement == NORM_BEHIND
        for layer in range(self.config.layerCount):
            block = f"encoder.{layer}."
            for part in ("selfAttention", "feedForward"):
                def norm(x: np.ndarray) -> np.ndarray:
                    return self.norm(x, f"{block}{part}Norm", block + part)

                entered = stream if behind else norm(stream)
                sub = self.attention(block + part, entered) if part == "selfAttention" else self.feed_forward(
                    block, entered)
                stream = self.part.add(block + part, sub, stream, norm if behind else None)
                if behind:
                    stream = norm(stream)
        return stream if behind else self.norm(stream, "encoder.finalNorm", "encoder.end")

    def answer(self, memory: np.ndarray) -> np.ndarray | None:
        """What the head makes of the encoder's output: [labels], numbers or an embedding; None without a head."""
        owner = self.head_owner
        if owner is None or owner.head is None:
            return None
        head, prompt = owner.head, self.part.prompt

        def layer(x: np.ndarray, index: int | None, activation: str) -> np.ndarray:
            return x if index is None else activate(activation, linear_output(owner, index, x))

        first = prompt[1].firstToken if prompt else 0
        x = memory[first:first + 1]
        if head.input == "pooler":
            x = np.tanh(self.part.product(self.weights, x, "pooler", "encoder.end", "pooler"))
        elif head.input == "mean":
            x = self.part.text_rows(memory).mean(axis=0, keepdims=True, dtype=f32)
        x = layer(layer(x, head.first, head.activation1), head.second, head.activation2)[0]
        return x / max(float(np.linalg.norm(x)), 1e-12) if head.isNormalized else x
