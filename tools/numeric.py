"""Float32 pieces of the numpy models: activations, norms, position buckets, Kronecker-sum linears."""

from __future__ import annotations

import math

import numpy as np

f32 = np.float32
_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


ACTIVATION_FUNCTIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.01 * x),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "relu6": lambda x: np.clip(x, 0, 6),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "gelu_10": lambda x: np.minimum(0.5 * x * (1 + _erf(x / math.sqrt(2))), 10),
    "laplace": lambda x: 0.5 * (1 + _erf((x - 0.707107) / (0.282095 * math.sqrt(2)))),
}


def activate(name: str, x: np.ndarray) -> np.ndarray:
    return ACTIVATION_FUNCTIONS[name](x).astype(f32)


def rms_norm(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    mean = (x * x).mean(axis=-1, keepdims=True, dtype=f32)
    return x / np.sqrt(mean + f32(epsilon)) * weight


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True, dtype=f32)
    variance = (centred * centred).mean(axis=-1, keepdims=True, dtype=f32)
    return centred / np.sqrt(variance + f32(epsilon)) * weight + bias


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """float64, for sums over a sequence"""
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - math.log(np.exp(shifted).sum())


def relative_bucket(distance: np.ndarray, bidirectional: bool, bucket_count: int, max_distance: int) -> np.ndarray:
    """Row of the relative-bias table for `distance` = key - query. - Source: T5 `_relative_position_bucket`."""
    offset = np.zeros_like(distance)
    if bidirectional:
        bucket_count //= 2
        offset = np.where(distance > 0, bucket_count, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = bucket_count // 2
    ratio = np.log(np.maximum(distance, 1).astype(f32) / f32(exact)) / f32(math.log(max_distance / exact))
    far = exact + (ratio * f32(bucket_count - exact)).astype(np.int64)
    return offset + np.where(distance < exact, distance, np.minimum(far, bucket_count - 1))


def kronecker_linear(x: np.ndarray, rule: np.ndarray, left: np.ndarray, right: np.ndarray | None,
                     bias: np.ndarray | None) -> np.ndarray:
    """y = x H + b, H = sum_i rule_i (x) B_i, with B_i = left_i right_i, or left_i alone. H is never formed.

    x [T, a p], rule [N, a, c], left [N, p, R] and right [N, R, q], or left [N, p, q]
    """
    blocks = x.reshape(len(x), rule.shape[1], -1)
    inner = np.einsum("tak,ikr->tiar", blocks, left)
    mixed = np.einsum("iac,tiar->ticr", rule, inner)
    y = mixed.sum(axis=1) if right is None else np.einsum("ticr,irm->tcm", mixed, right)
    y = y.reshape(len(x), -1).astype(f32)
    return y if bias is None else y + bias
