"""Parts of the numpy models of the engine's arithmetic: integer products, and what a task adds.

int8 matrices are multiplied as formats/tensors.md says: 14-bit activation codes per token, exact integer sums, one
float32 step behind them. Everything else is float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numeric import activate, f32, kronecker_linear, layer_norm
from read_tusk import PackedFile
from tusk_backbone import INT8_ROWS, Tensor
from tusk_task import Linear, Task

Norm = Callable[[np.ndarray], np.ndarray]
ACTIVATION_LIMIT = f32(16383)


def activation_codes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes [T, K] in -16383 ... 16383 and scales [T] of activation rows x [T, K]."""
    largest = np.abs(x).max(axis=1)
    factors = np.divide(ACTIVATION_LIMIT, largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(x * factors[:, None]), largest / ACTIVATION_LIMIT


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
        codes, scales = activation_codes(x)
        sums = codes.astype(np.float64) @ operand.T
        return sums.astype(f32) * (scales[:, None] * tensor.scales[None, :])

    def rows(self, name: str, indices: np.ndarray) -> np.ndarray:
        tensor: Tensor = self.tensors[name]
        if tensor.encoding == INT8_ROWS:
            return tensor.codes[indices].astype(f32) * tensor.scales[indices][:, None]
        return tensor.values[indices]

    def vector(self, name: str) -> np.ndarray:
        return self.tensors[name].values[0]

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        """A product and its bias, if it has one."""
        y = self.multiply(x, name)
        return y + self.vector(name + "Bias") if name + "Bias" in self.tensors else y


class TaskPart:
    """What a task changes: norms, and what a sub-layer adds to the stream."""

    def __init__(self, task: Task | None) -> None:
        self.task = task

    def norm(self, slot: str, backbone: np.ndarray) -> np.ndarray:
        replacement = self.task.values(self.task.slots[slot].norm) if self.task else None
        return backbone if replacement is None else replacement

    def norm_bias(self, slot: str, backbone: np.ndarray) -> np.ndarray:
        replacement = self.task.values(self.task.slots[slot].normBias) if self.task else None
        return backbone if replacement is None else replacement

    def linear(self, x: np.ndarray, linear: Linear) -> np.ndarray:
        values = self.task.values
        tensors = [None if index is None else self.task.tensors[index].values
                   for index in (linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor,
                                 linear.full)]
        rule, rule_left, rule_right, left, right, full = tensors
        if rule_left is not None:
            rule = rule_left @ rule_right
        if rule is None:
            rule = np.ones((1, 1, 1), f32)
        return kronecker_linear(x, rule, full if linear.factorRank == 0 else left, right, values(linear.bias))

    def add(self, slot: str, sub: np.ndarray, stream: np.ndarray, norm_behind: Norm | None = None) -> np.ndarray:
        """The residual stream behind a sub-layer whose output is `sub`, without the norm that may follow it."""
        adapter = self.task.slots[slot].adapter if self.task else None
        if adapter is None:
            return stream + sub
        values = self.task.values
        entered = sub if adapter.inputRule == 1 else sub + stream
        if adapter.inputRule == 3:
            assert norm_behind, "only for post-norm backbones"
            entered = norm_behind(entered)
        inner = entered
        if adapter.normBeforeWeight is not None:
            inner = layer_norm(inner, values(adapter.normBeforeWeight), values(adapter.normBeforeBias),
                               adapter.normEpsilon)
        inner = activate(adapter.activation, self.linear(inner, self.task.linears[adapter.down]))
        up = self.linear(inner, self.task.linears[adapter.up]) * f32(adapter.scaling)
        if adapter.scalingVector is not None:
            up = up * values(adapter.scalingVector)
        if adapter.normAfterWeight is not None:
            up = layer_norm(up, values(adapter.normAfterWeight), values(adapter.normAfterBias), adapter.normEpsilon)
        skip = {0: f32(0), 1: sub, 2: sub + stream, 3: entered}[adapter.skipRule]
        y = up + skip
        return y + stream if adapter.addsStream else y
