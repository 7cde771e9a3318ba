"""The training loop of the demonstration and the encoding of its examples."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import T5Tokenizer

from demo_data import Example

PAD, EOS, IGNORED = 0, 1, -100
# Adam's steps are one size for all, T5's weights are not: q holds the factor 1/sqrt(d_kv) that its attention leaves
# out, and position biases enter the softmax unscaled, so they must grow to several units.
STEP_FACTORS = {".q.weight": 0.2, "relative_attention_bias.weight": 10.0}


@dataclass(frozen=True)
class Recipe:
    """How long and how fast one part is trained."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100


def encode_target(tokenizer: T5Tokenizer, text: str) -> list[int]:
    """Target ids: words in ordinary pieces, everything else one character per piece.

    The vocabulary joins digits as its corpus did ("2019" and "-0" are pieces, "3412" is "34" + "12"); one piece per
    digit is what makes numbers regular. The detokenized text is the same either way.
    """
    ids: list[int] = []
    for chunk in text.split():
        pieces = tokenizer.tokenize(chunk) if chunk.isalpha() else ["▁", *chunk]
        ids += tokenizer.convert_tokens_to_ids(pieces)
    if tokenizer.unk_token_id in ids:
        raise ValueError(f"the vocabulary cannot write {text!r}")
    return [*ids, EOS]


def pad(rows: list[list[int]], filler: int) -> Tensor:
    """Rows as one tensor, filled on the right."""
    width = max(map(len, rows))
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def step_factor(name: str) -> float:
    """What multiplies the learning rate of the parameter `name`."""
    return next((factor for ending, factor in STEP_FACTORS.items() if name.endswith(ending)), 1.0)


def train(
    label: str,
    model: nn.Module,
    parameters: Iterable[tuple[str, nn.Parameter]],
    draw: Callable[[random.Random], tuple[list[int], list[int]]],
    recipe: Recipe,
    seed: int,
) -> None:
    """Runs AdamW with warm-up and linear decay over endless fresh examples.

    Matrix products run in bfloat16, parameters and optimizer in float32.
    """
    rng = random.Random(seed)
    named = list(parameters)
    trained = [value for _, value in named]
    groups = [{"params": [value], "factor": step_factor(name)} for name, value in named]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    model.train()
    started, total, seen = time.monotonic(), 0.0, 0
    for step in range(recipe.steps):
        warm = min(1.0, (step + 1) / recipe.warmup)
        rate = recipe.learning_rate * warm * (1 - 0.95 * step / recipe.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        sources, targets = zip(*(draw(rng) for _ in range(recipe.batch)), strict=True)
        ids = pad(list(sources), PAD)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=pad(list(targets), IGNORED)).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        total, seen = total + loss.item(), seen + 1
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            left = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1)
            line = f"{label}: step {step + 1}/{recipe.steps}  loss {total / seen:.4f}  {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)
            total, seen = 0.0, 0
    model.eval()


@torch.no_grad()
def answer(
    model: nn.Module, tokenizer: T5Tokenizer, texts: list[str], max_new_tokens: int
) -> list[tuple[list[int], list[int], float]]:
    """Greedy answers one sentence at a time: source ids, answer ids up to and with </s>, smallest logit gap.

    The gap is between the best and the second-best logit, the smallest over the answer's steps: below twice its own
    error, a quantized runtime may rightly answer differently.
    """
    answers = []
    for text in texts:
        source = tokenizer(text).input_ids
        out = model.generate(
            input_ids=torch.tensor([source]),
            max_new_tokens=max_new_tokens,
            num_beams=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        best = torch.cat(out.logits).float().topk(2, -1).values
        answers.append((source, out.sequences[0, 1:].tolist(), float((best[:, 0] - best[:, 1]).min())))
    return answers


def decode(tokenizer: T5Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()


def accuracy(answers: list[str], labels: list[str]) -> float:
    return sum(a == b for a, b in zip(answers, labels, strict=True)) / len(labels)


def pair(tokenizer: T5Tokenizer, item: Example, canonical: bool) -> tuple[list[int], list[int]]:
    """Source and target ids of one example."""
    return tokenizer(item.text).input_ids, encode_target(tokenizer, item.canonical if canonical else item.plain)
