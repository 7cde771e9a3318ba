"""What tasks change in the numpy models of the engine's arithmetic, in the order they are stacked in.

Written from formats/task.md. In a stack an adapter takes what the one before it made of the sub-layer's output, and a
low-rank change what the one before it adds. - Source: `adapters.composition.Stack`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from integer_layers import Weights, integer_product
from numeric import activate, f32, kronecker_linear, layer_norm, sigmoid
from tusk_attachments import Adapter, Prompt
from tusk_task import Linear, Task, TaskSlot

Norm = Callable[[np.ndarray], np.ndarray]
STREAM_INPUT = 4
FINISHED_EMBEDDINGS = 2
BEHIND_FIRST_TOKEN = 2


def linear_output(task: Task, index: int, x: np.ndarray) -> np.ndarray:
    linear: Linear = task.linears[index]
    if linear.codes is not None:
        y = integer_product(x, task.tensors[linear.codes].values.astype(np.float64), task.values(linear.scales))
        bias = task.values(linear.bias)
        return y if bias is None else y + bias
    rule, rule_left, rule_right, left, right, full = (
        None if index is None else task.tensors[index].values
        for index in (linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor,
                      linear.full))
    if rule_left is not None:
        rule = rule_left @ rule_right
    if rule is None:
        rule = np.ones((1, 1, 1), f32)
    return kronecker_linear(x, rule, full if linear.factorRank == 0 else left, right, task.values(linear.bias))


class TaskPart:
    """The tasks mounted on a backbone."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks

    def slots(self, slot: str) -> list[tuple[Task, TaskSlot]]:
        return [(task, task.slots[slot]) for task in self.tasks]

    def norm(self, slot: str, backbone: np.ndarray) -> np.ndarray:
        for task, at in self.slots(slot):
            backbone = backbone if at.norm is None else task.values(at.norm)
        return backbone

    def norm_bias(self, slot: str, backbone: np.ndarray | None) -> np.ndarray | None:
        for task, at in self.slots(slot):
            backbone = backbone if at.normBias is None else task.values(at.normBias)
        return backbone

    def product(self, weights: Weights, x: np.ndarray, name: str, slot: str, target: str) -> np.ndarray:
        """The backbone's product `name` of rows x, with its bias and all changes of it."""
        parts = [(task, change) for task, at in self.slots(slot) if (change := at.product(target))]
        entered, bias = x, weights.bias(name)
        for task, change in parts:
            if change.inputScale is not None:
                entered = entered * task.values(change.inputScale)
            bias = bias if change.bias is None else task.values(change.bias)
        y = weights.multiply(entered, name)
        y = y if bias is None else y + bias[:y.shape[1]]
        added = None
        for task, change in parts:
            if change.outputScale is not None:
                y = y * task.values(change.outputScale)
            if change.linear is not None:
                added = f32(change.scaling) * linear_output(task, change.linear, x if added is None else added)
        return y if added is None else y + added

    def with_prefixes(self, slot: str, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Keys and values behind all prefixes, a later task's first; and the index of the first query."""
        offset = 0
        for task, at in self.slots(slot):
            if prefix := at.prefix:
                own_keys, own_values = (task.tensors[index].values.reshape(prefix.tokens, -1)
                                        for index in (prefix.keys, prefix.values))
                keys, values = np.concatenate([own_keys, keys]), np.concatenate([own_values, values])
                offset += prefix.queryOffset
        return keys, values, offset

    @property
    def prompt(self) -> tuple[np.ndarray, Prompt] | None:
        """Only the first task's: a later one has no place."""
        for task in self.tasks[:1]:
            if prompt := task.slots["encoder.start"].prompt:
                return task.tensors[prompt.embeddings].values.reshape(prompt.tokens, -1), prompt
        return None

    @property
    def prompt_start(self) -> int:
        return 1 if self.prompt and self.prompt[1].place == BEHIND_FIRST_TOKEN else 0

    def with_prompt(self, rows: np.ndarray, is_finished: bool) -> np.ndarray:
        """Embeddings with the prompt among them, if it belongs into finished ones, or into others."""
        if self.prompt is None or (self.prompt[1].stage == FINISHED_EMBEDDINGS) != is_finished:
            return rows
        return np.concatenate([rows[:self.prompt_start], self.prompt[0], rows[self.prompt_start:]])

    def text_rows(self, rows: np.ndarray) -> np.ndarray:
        """Without those of the prompt."""
        if self.prompt is None:
            return rows
        return np.concatenate([rows[:self.prompt_start], rows[self.prompt_start + len(self.prompt[0]):]])

    def add(self, slot: str, sub: np.ndarray, stream: np.ndarray, norm_behind: Norm | None = None) -> np.ndarray:
        """The residual stream behind a sub-layer whose output is `sub`, without the norm that may follow it."""
        adapters = [(task, at.adapter) for task, at in self.slots(slot) if at.adapter]
        y = sub
        for task, adapter in adapters:
            # One beside the sub-layer knows nothing of those before it, and only as the last one adds its skip.
            beside = adapter.inputRule == STREAM_INPUT
            skip_rule = 0 if beside and adapter is not adapters[-1][1] else adapter.skipRule
            y = adapter_output(task, adapter, skip_rule, sub if beside else y, stream, norm_behind)
        if adapters and not adapters[-1][1].addsStream:
            return y
        return y + stream


def adapter_output(task: Task, adapter: Adapter, skip_rule: int, sub: np.ndarray, stream: np.ndarray,
                   norm_behind: Norm | None) -> np.ndarray:
    """y of formats/task.md."""
    values = task.values
    entered = {1: sub, STREAM_INPUT: stream}.get(adapter.inputRule, sub + stream)
    if adapter.inputRule == 3:
        assert norm_behind, "only for post-norm backbones"
        entered = norm_behind(entered)
    inner = entered
    if adapter.normBeforeWeight is not None:
        inner = layer_norm(inner, values(adapter.normBeforeWeight), values(adapter.normBeforeBias), adapter.normEpsilon)
    inner = activate(adapter.activation, linear_output(task, adapter.down, inner))
    y = linear_output(task, adapter.up, inner) * f32(adapter.scaling)
    if adapter.scalingVector is not None:
        y = y * values(adapter.scalingVector)
    if adapter.gateWeight is not None:
        y = y * sigmoid(entered @ values(adapter.gateWeight) + values(adapter.gateBias)).mean(dtype=f32)
    skip = {0: f32(0), 1: sub, 2: sub + stream, 3: entered}[skip_rule]
    y = y + skip if adapter.normsSkip else y
    if adapter.normAfterWeight is not None:
        y = layer_norm(y, values(adapter.normAfterWeight), values(adapter.normAfterBias), adapter.normEpsilon)
    return y if adapter.normsSkip else y + skip
