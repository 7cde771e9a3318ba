"""Batches, losses, gradients and steps of the cases of golden-training, in float32 and once more in float64."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from make_golden import END, padded
from training_golden_cases import LABELS, TrainingCase
from training_golden_models import TrainedModel
from training_golden_recipe import Recipe

Example = dict[str, Any]
Batch = list[Example]
BATCH_COUNT = 2
SOURCE_LENGTHS = (4, 9, 17)
TARGET_LENGTHS = (3, 1, 5)
# Entries of each tensor whose gradient is measured by moving them.
MEASURED_ENTRIES = 3


def make_batches(name: str, case: TrainingCase, config: Any) -> list[Batch]:
    """Examples of unequal lengths, so that there is padding in every batch."""
    generator = random.Random(name)

    def ids(length: int) -> list[int]:
        return [generator.randrange(3, config.vocab_size) for _ in range(length)]

    def example(source_length: int, target_length: int) -> Example:
        if config.model_type == "t5":
            return {"source_ids": ids(source_length - 1) + [END], "target_ids": ids(target_length) + [END]}
        described: Example = {"source_ids": ids(source_length), "token_type_ids": [
            int(position > 2) for position in range(source_length)]}
        if case.is_regression:
            return {**described, "value": round(generator.uniform(-2, 2), 1)}
        return {**described, "label": generator.randrange(LABELS)}

    return [[example(source + number, target + number) for source, target in zip(SOURCE_LENGTHS, TARGET_LENGTHS)]
            for number in range(BATCH_COUNT)]


def decoder_input(example: Example) -> list[int]:
    return [0, *example["target_ids"][:-1]]


def logits_of(model: Any, batch: Batch) -> Any:
    """[B, T, V] or [B, labels]."""
    ids = padded([example["source_ids"] for example in batch], 0)
    mask = padded([[1] * len(example["source_ids"]) for example in batch], 0)
    if "target_ids" in batch[0]:
        second = {"decoder_input_ids": padded([decoder_input(example) for example in batch], 0), "use_cache": False}
    else:
        second = {"token_type_ids": padded([example["token_type_ids"] for example in batch], 0)}
    return model(input_ids=ids, attention_mask=mask, return_dict=True, **second).logits


def loss_of(model: Any, batch: Batch) -> Any:
    """The mean over all target tokens of the batch, or over its examples."""
    import torch
    logits = logits_of(model, batch)
    if "value" in batch[0]:
        values = torch.tensor([example["value"] for example in batch], dtype=logits.dtype)
        return torch.nn.functional.mse_loss(logits[:, 0], values)
    if "label" in batch[0]:
        return torch.nn.functional.cross_entropy(logits, torch.tensor([example["label"] for example in batch]))
    targets = padded([example["target_ids"] for example in batch], -100)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


@contextmanager
def double_precision(model: Any) -> Iterator[None]:
    """The model in float64, norms and softmax too, which transformers else computes in float32."""
    import torch
    from transformers.models.t5.modeling_t5 import T5LayerNorm
    to_float = torch.Tensor.float

    def norm(self: Any, x: Any) -> Any:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    model.double()
    try:
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(T5LayerNorm, "forward", norm))
            stack.enter_context(mock.patch.object(
                torch.Tensor, "float", lambda tensor: tensor if tensor.dtype == torch.float64 else to_float(tensor)))
            yield
    finally:
        model.float()


def gradients_of(made: TrainedModel, batch: Batch) -> tuple[float, dict[str, Any]]:
    import torch
    loss = loss_of(made.model, batch)
    gradients = torch.autograd.grad(loss, list(made.trained.values()))
    return loss.item(), dict(zip(made.trained, gradients))


def global_norm(gradients: dict[str, Any]) -> float:
    return sum(gradient.double().pow(2).sum().item() for gradient in gradients.values())**0.5


@contextmanager
def restored(made: TrainedModel) -> Iterator[None]:
    """Puts the trained numbers back as they were."""
    import torch
    before = {name: parameter.detach().clone() for name, parameter in made.trained.items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in made.trained.items():
                parameter.copy_(before[name])


def train(made: TrainedModel, batches: list[Batch], recipe: Recipe) -> tuple[list[float], list[float]]:
    """The losses and norms of gradients in front of each step, and the loss behind the last, by PyTorch's classes."""
    import torch
    from transformers import get_linear_schedule_with_warmup
    parameters = list(made.trained.values())
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2),
                                  eps=recipe.epsilon, weight_decay=recipe.weight_decay)
    schedule = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.total_steps)
    losses, norms = [], []
    with restored(made):
        for step in range(recipe.total_steps):
            loss = loss_of(made.model, batches[step % len(batches)])
            optimizer.zero_grad()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm).item())
            losses.append(loss.item())
            optimizer.step()
            schedule.step()
        optimizer.zero_grad()
        with torch.no_grad():
            losses.append(loss_of(made.model, batches[recipe.total_steps % len(batches)]).item())
    return losses, norms


def train_by_formulas(made: TrainedModel, batches: list[Batch], recipe: Recipe) -> list[float]:
    """The same losses with every formula written out."""
    import torch
    losses = []
    moments: dict[str, tuple[Any, Any]] = dict.fromkeys(made.trained, (0.0, 0.0))
    with restored(made):
        for step in range(recipe.total_steps):
            loss, gradients = gradients_of(made, batches[step % len(batches)])
            losses.append(loss)
            factor = recipe.clipping(global_norm(gradients))
            with torch.no_grad():
                for name, parameter in made.trained.items():
                    value, moments[name] = recipe.moved(parameter, gradients[name] * factor, moments[name], step)
                    parameter.copy_(value)
        with torch.no_grad():
            losses.append(loss_of(made.model, batches[recipe.total_steps % len(batches)]).item())
    return losses


def measured_error(made: TrainedModel, batch: Batch, gradients: dict[str, Any], generator: random.Random) -> float:
    """The largest difference of gradients from central differences, over the largest gradient of their tensor.

    Needs float64. Of each tensor its largest gradient and some others are measured.
    """
    import torch
    worst = 0.0
    whole = global_norm(gradients)
    with torch.no_grad():
        for name, parameter in made.trained.items():
            values, gradient = parameter.view(-1), gradients[name].flatten()
            largest = gradient.abs().max().item()
            entries = {int(gradient.abs().argmax()), *(generator.randrange(len(values))
                                                       for _ in range(MEASURED_ENTRIES - 1))}
            for entry in entries:
                value, width = values[entry].item(), 1e-5
                losses = []
                for moved in (value + width, value - width):
                    values[entry] = moved
                    losses.append(loss_of(made.model, batch).item())
                values[entry] = value
                difference = (losses[0] - losses[1]) / (2 * width) - gradient[entry].item()
                # Differences of losses carry rounding errors of their own, which a vanishing gradient does not cover.
                worst = max(worst, abs(difference) / max(largest, 1e-3 * whole))
    return worst
