"""The numpy model of encoders: BERT and its family, or whatever else the config record can say of an encoder."""

from __future__ import annotations

import numpy as np

from integer_layers import TaskPart, Weights
from numeric import activate, f32, layer_norm, relative_bucket, rms_norm, softmax
from read_tusk import PackedFile, check_fits
from tusk_container import LAYER_NORM, LEARNED_POSITIONS, NORM_BEHIND
from tusk_task import Linear, Task


class Encoder:
    """Blocks with the norm before or behind a sub-layer; a head that is the task's, else the backbone's."""

    def __init__(self, file: PackedFile, task: Task | None = None) -> None:
        assert file.config is not None
        if task:
            check_fits(task, file.config)
        self.config, self.weights, self.part = file.config, Weights(file), TaskPart(task)
        self.head_owner = task if task and task.head else file.head

    def norm(self, x: np.ndarray, name: str, slot: str | None = None) -> np.ndarray:
        """The norm `name`, replaced by what the task has at `slot`."""
        weight, epsilon = self.weights.vector(name), self.config.normEpsilon
        if slot:
            weight = self.part.norm(slot, weight)
        if self.config.normKind != LAYER_NORM:
            return rms_norm(x, weight, epsilon)
        bias = self.weights.vector(name + "Bias")
        return layer_norm(x, weight, self.part.norm_bias(slot, bias) if slot else bias, epsilon)

    def embed(self, ids: np.ndarray, token_types: np.ndarray) -> np.ndarray:
        stream = self.weights.rows("embedding", ids)
        if self.config.tokenTypeCount:
            stream = stream + self.weights.rows("tokenTypeEmbedding", token_types)
        if self.config.positionScheme == LEARNED_POSITIONS:
            stream = stream + self.weights.rows("positionEmbedding", self.config.positionOffset + np.arange(len(ids)))
        return self.norm(stream, "embeddingNorm") if self.config.hasEmbeddingNorm else stream

    def position_bias(self, length: int) -> np.ndarray:
        """[H, S, S], or zero where positions are in the embedding."""
        if self.config.positionScheme == LEARNED_POSITIONS:
            return np.zeros((1, 1, 1), f32)
        place = np.arange(length)
        buckets = relative_bucket(place[None, :] - place[:, None], True, self.config.bucketCount,
                                  self.config.maxDistance)
        return self.weights.tensors["encoder.relativeBias"].values[buckets].transpose(2, 0, 1)

    def attention(self, block: str, x: np.ndarray, bias: np.ndarray) -> np.ndarray:
        def heads(part: str) -> np.ndarray:
            y = self.weights.linear(x, f"{block}selfAttention{part}")
            return y.reshape(len(x), self.config.headCount, self.config.dKV).transpose(1, 0, 2)

        scores = heads("Q") @ heads("K").transpose(0, 2, 1) * f32(self.config.attentionScale) + bias
        mixed = (softmax(scores) @ heads("V")).transpose(1, 0, 2).reshape(len(x), -1)
        return self.weights.linear(mixed, block + "selfAttentionO")

    def feed_forward(self, block: str, x: np.ndarray) -> np.ndarray:
        name = self.config.activation_name
        if self.config.gated:
            hidden = activate(name, self.weights.linear(x, block + "wi0")) * self.weights.linear(x, block + "wi1")
        else:
            hidden = activate(name, self.weights.linear(x, block + "wi"))
        return self.weights.linear(hidden, block + "wo")

    def encode(self, ids: np.ndarray, token_types: np.ndarray | None = None) -> np.ndarray:
        """The encoder's output [S, D]."""
        ids = np.asarray(ids)
        stream = self.embed(ids, np.zeros(len(ids), int) if token_types is None else np.asarray(token_types))
        bias, behind = self.position_bias(len(ids)), self.config.normPlacement == NORM_BEHIND
        for layer in range(self.config.layerCount):
            block = f"encoder.{layer}."
            for part in ("selfAttention", "feedForward"):
                def norm(x: np.ndarray) -> np.ndarray:
                    return self.norm(x, f"{block}{part}Norm", block + part)

                entered = stream if behind else norm(stream)
                sub = self.attention(block, entered, bias) if part == "selfAttention" else self.feed_forward(block, entered)
                stream = self.part.add(block + part, sub, stream, norm if behind else None)
                if behind:
                    stream = norm(stream)
        return stream if behind else self.norm(stream, "encoder.finalNorm", "encoder.end")

    def answer(self, memory: np.ndarray) -> np.ndarray | None:
        """What the head makes of the encoder's output: [labels], numbers or an embedding; None without a head."""
        owner = self.head_owner
        if owner is None or owner.head is None:
            return None
        head, part = owner.head, TaskPart(owner)

        def layer(x: np.ndarray, index: int | None, activation: str) -> np.ndarray:
            if index is None:
                return x
            linear: Linear = owner.linears[index]
            return activate(activation, part.linear(x, linear))

        x = memory[:1]
        if head.input == "pooler":
            x = np.tanh(self.weights.linear(x, "pooler"))
        elif head.input == "mean":
            x = memory.mean(axis=0, keepdims=True, dtype=f32)
        x = layer(layer(x, head.first, head.activation1), head.second, head.activation2)[0]
        return x / max(float(np.linalg.norm(x)), 1e-12) if head.isNormalized else x
