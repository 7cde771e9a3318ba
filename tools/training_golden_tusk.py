"""Whether the built `tusk` takes every directory of golden-training, and answers as PyTorch does before any step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from golden_adapters import section_bytes
from golden_tusk import ToolError, Tusk
from training_golden_steps import Batch, decoder_input

LOGITS_TOLERANCE = 1e-3


def answers(tusk: Tusk, backbone: Path, task: Path | None, batch: Batch) -> list[Any]:
    """Logits of every example alone, [T, V] or [labels]."""
    if "target_ids" in batch[0]:
        return [tusk.logits(backbone, task, example["source_ids"], decoder_input(example))[0] for example in batch]
    return [tusk.encoder_logits(backbone, task, example["source_ids"], example["token_type_ids"])[0]
            for example in batch]


def check_with_tusk(tusk: Tusk, folder: Path, backbone_folder: Path, batches: list[Batch],
                    expected: list[Any]) -> tuple[float, list[str]]:
    """The largest difference of logits, and what failed. `expected`: for every batch, padded as it was trained."""
    name = folder.name
    try:
        backbone = tusk.backbone(backbone_folder, "float32")
        task = None
        if (folder / "initial").exists():
            task = tusk.task(folder / "initial", backbone, f"{name}-initial")
            gradient = tusk.task(folder / "gradient", backbone, f"{name}-gradient")
            if len(section_bytes(gradient)) != len(section_bytes(task)):
                return float("nan"), [f"{name}: the gradient converts into other tensors than the task"]
        else:
            tusk.backbone(folder / "gradient", "float32")
        worst = 0.0
        for batch, logits in zip(batches, expected):
            for row, found in zip(logits, answers(tusk, backbone, task, batch)):
                wanted = row[:len(found)] if found.ndim == 2 else row
                if found.shape != wanted.shape:
                    return float("inf"), [f"{name}: tusk gives logits {found.shape}, PyTorch {wanted.shape}"]
                worst = max(worst, float(np.abs(found - wanted).max()))
    except ToolError as error:
        return float("nan"), [f"{name}: {error}"]
    return worst, [] if worst <= LOGITS_TOLERANCE else [f"{name}: the logits of tusk differ by {worst:.1e}"]
