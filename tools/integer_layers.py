"""Parts of the numpy models of the engine's arithmetic: integer products with a backbone's tensors, and attention.

int8 matrices are multiplied as formats/tensors.md says: 14-bit activation codes per token, exact integer sums, one
float32 step behind them. Everything else is float32.
"""

from __future__ import annotations

import numpy as np

from numeric import f32, softmax
from read_tusk import PackedFile
from tusk_backbone import INT8_ROWS, Tensor

ACTIVATION_LIMIT = f32(16383)


def activation_codes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes [T, K] in -16383 ... 16383 and scales [T] of activation rows x [T, K]."""
    largest = np.abs(x).max(axis=1)
    factors = np.divide(ACTIVATION_LIMIT, largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(x * factors[:, None]), largest / ACTIVATION_LIMIT


def integer_product(x: np.ndarray, operand: np.ndarray, row_scales: np.ndarray) -> np.ndarray:
    """x [T, K] times int8 rows: `operand` [N, K] holds the codes, `row_scales` [N] what each row is scaled by."""
    codes, scales = activation_codes(x)
    sums = codes.astype(np.float64) @ operand.T
    return sums.astype(f32) * (scales[:, None] * row_scales[None, :])


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, scale: float,
           bias: np.ndarray | float) -> np.ndarray:
    """Mixed values [queries, H K] of q [queries, H K], k and v [keys, H K]; `bias` is added to the scores [H, ., .]."""
    q, k, v = (rows.reshape(len(rows), heads, -1).transpose(1, 0, 2) for rows in (q, k, v))
    return (softmax(q @ k.transpose(0, 2, 1) * f32(scale) + bias) @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)


class Weights:
    """Matrix products with the tensors of one backbone."""

    # float64 holds every integer below 2^53, so a float64 product of codes is the exact sum, at BLAS speed.
    KEEP_BELOW = 64_000_000

    def __init__(self, file: PackedFile) -> None:
        self.tensors = file.tensors
        total = sum(tensor.slot.rows * tensor.slot.columns for tensor in self.tensors.values())
        self.keep = total < self.KEEP_BELOW
        self.operands: dict[str, np.ndarray] = {}

    def operand(self, name: str) -> np.ndarray:
        if name in self.operands:
            return self.operands[name]
        tensor = self.tensors[name]
        loaded = tensor.codes.astype(np.float64) if tensor.encoding == INT8_ROWS else tensor.values
        if self.keep:
            self.operands[name] = loaded
        return loaded

    def multiply(self, x: np.ndarray, name: str) -> np.ndarray:
        """x W^T [T, N] for x [T, K], W [N, K]"""
        tensor, operand = self.tensors[name], self.operand(name)
        if tensor.encoding != INT8_ROWS:
            return x @ operand.T
        return integer_product(x, operand, tensor.scales)

    def rows(self, name: str, indices: np.ndarray) -> np.ndarray:
        tensor: Tensor = self.tensors[name]
        if tensor.encoding == INT8_ROWS:
            return tensor.codes[indices].astype(f32) * tensor.scales[indices][:, None]
        return tensor.values[indices]

    def vector(self, name: str) -> np.ndarray:
        return self.tensors[name].values[0]

    def bias(self, name: str) -> np.ndarray | None:
        return self.vector(name + "Bias") if name + "Bias" in self.tensors else None
