"""How a case of golden-training is trained, in plain arithmetic: what PyTorch's optimizer and schedule are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """AdamW without weight decay, clipping by the norm of all gradients together, a linear rise and fall of the rate."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    warmup_steps: int = 4
    total_steps: int = 20

    def rate(self, step: int) -> float:
        """Of the step counted from 0, which therefore changes nothing."""
        if step < self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        return self.learning_rate * max(0, self.total_steps - step) / (self.total_steps - self.warmup_steps)

    def clipping(self, norm: float) -> float:
        """What every gradient is multiplied by."""
        return min(1.0, self.clip_norm / (norm + 1e-6))

    def moved(self, value: Any, gradient: Any, moments: tuple[Any, Any], step: int) -> tuple[Any, tuple[Any, Any]]:
        """The value behind the step, and the moments, which start from zero."""
        first = self.beta1 * moments[0] + (1 - self.beta1) * gradient
        second = self.beta2 * moments[1] + (1 - self.beta2) * gradient * gradient
        unbiased_first = first / (1 - self.beta1**(step + 1))
        unbiased_second = second / (1 - self.beta2**(step + 1))
        decayed = value * (1 - self.rate(step) * self.weight_decay)
        return decayed - self.rate(step) * unbiased_first / (unbiased_second**0.5 + self.epsilon), (first, second)
