#!/usr/bin/env python3
"""Record what PyTorch trains: the gradients of one step and the losses of twenty, for every method and dialect.

The backbones are those of Tests/Fixtures/golden, without dropout; the task's numbers are random and far from the
identity. Losses are PyTorch's in float32. Gradients are computed in float64 and rounded; they must be those of float32
within rounding, and those of central differences. The optimizer written out in training_golden_recipe.py, in float64,
must give the losses that PyTorch's gives.

Versions: torch 2.13.0+cpu, transformers 4.57.6, adapters 1.3.0, peft 0.21.2 (accelerate 1.15.0), safetensors 0.8.0,
numpy 2.4.6.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import shutil
import sys
import tempfile
import warnings
import zlib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from golden_tusk import Tusk
from make_golden import PINNED, installed_versions, save_json
from training_golden_cases import TrainingCase, all_cases, trained_count
from training_golden_models import GOLDEN, TrainedModel, make_model, whole_count
from training_golden_recipe import Recipe
from training_golden_steps import (Batch, double_precision, global_norm, gradients_of, logits_of, make_batches,
                                   measured_error, train, train_by_formulas)
from training_golden_tusk import check_with_tusk

PINNED_HERE = {**PINNED, "peft": "0.21.2", "accelerate": "1.15.0"}
# Of gradients, over the largest of their tensor; of losses, over the loss.
LIMITS = {"measured": (1e-6, "gradients and central differences"), "float32": (2e-5, "gradients in float32 and float64"),
          "losses": (1e-4, "the losses of PyTorch's optimizer and of the formulas")}
# Below, a gradient is zero but for rounding; and the least norm of any other tensor's, both over the norm of all.
VANISHING, LEAST = 1e-12, 1e-4
# A bias of keys moves all scores of a query alike, which softmax takes out again.
VANISHING_NAMES = (".k.bias", ".key.bias")


def record(name: str, case: TrainingCase, root: Path, tusk: Tusk | None) -> tuple[dict[str, Any], list[str]]:
    """Writes a case; returns what to print of it and what is wrong with it."""
    import torch
    torch.manual_seed(zlib.crc32(name.encode()))
    folder, problems = root / name, []
    made = make_model(case, root)
    batches, recipe = make_batches(name, case, made.model.config), Recipe(case.learning_rate)
    if case.method != "full":
        made.save(folder / "initial")
    with torch.no_grad():
        logits = [logits_of(made.model, batch).numpy() for batch in batches]
    rounded = gradients_of(made, batches[0])[1]
    losses, norms = train(made, batches, recipe)
    with double_precision(made.model):
        gradients = gradients_of(made, batches[0])[1]
        measured = measured_error(made, batches[0], gradients, random.Random(name))
        formula_losses = train_by_formulas(made, batches, recipe)
    errors = {"measured": measured, "float32": gradient_error(rounded, gradients), "losses": max(
        abs(found - exact) / exact for found, exact in zip(losses, formula_losses))}
    for error, (limit, what) in LIMITS.items():
        if not errors[error] <= limit:
            problems.append(f"{name}: {what} differ by {errors[error]:.1e}")
    problems += [f"{name}: {problem}" for problem in
                 check_gradients(gradients) + check_losses(losses, len(batches)) + check_count(case, made)]
    save_gradient(made, gradients, folder / "gradient")
    save_json(folder / "case.json", {
        "backbone": f"../golden/backbones/{case.backbone}", "dialect": case.dialect, "method": case.method,
        "optimizer": asdict(recipe), "batches": batches, "losses": losses[:-1], "gradient_norms": norms,
        "loss_after": losses[-1], "trained": {key: list(value.shape) for key, value in made.trained.items()},
        "vanishing": [key for key in gradients if key.endswith(VANISHING_NAMES)]})
    if tusk:
        errors["tusk"], failures = check_with_tusk(
            tusk, folder, GOLDEN / "backbones" / case.backbone, batches, logits)
        problems += failures
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {"bytes": size, "first": losses[0], "last": losses[-1], "norm": norms[0], **errors}, problems


def gradient_error(found: dict[str, Any], exact: dict[str, Any]) -> float:
    """The largest over the largest gradient of its tensor, but for those that vanish."""
    return max(((found[name] - exact[name]).abs().max() / exact[name].abs().max()).item() for name in exact
               if not name.endswith(VANISHING_NAMES))


def check_gradients(gradients: dict[str, Any]) -> list[str]:
    whole, problems = global_norm(gradients), []
    for name, gradient in gradients.items():
        norm = gradient.norm().item() / whole
        if name.endswith(VANISHING_NAMES):
            if not norm < VANISHING:
                problems.append(f"the gradient of {name} does not vanish: {norm:.1e} of the whole")
        elif not norm > LEAST:
            problems.append(f"the gradient of {name} is tiny or no number: {norm:.1e} of the whole")
    return problems


def check_losses(losses: list[float], cycle: int) -> list[str]:
    """Behind the last step comes the first batch again."""
    decreases = losses[-1] < 0.9 * losses[0] and all(losses[-1 - i] < losses[cycle - i] for i in range(cycle))
    return [] if decreases else [f"the loss goes from {losses[0]:.4f} to {losses[-1]:.4f}"]


def check_count(case: TrainingCase, made: TrainedModel) -> list[str]:
    found = sum(parameter.numel() for parameter in made.trained.values())
    wanted = trained_count(case, made.model.config, whole_count(case.backbone))
    return [] if found == wanted else [f"{found} numbers are trained, not {wanted}"]


def save_gradient(made: TrainedModel, gradients: dict[str, Any], folder: Path) -> None:
    """The directory again, with the gradient of every trained tensor in its place."""
    import torch
    with torch.no_grad():
        for name, parameter in made.trained.items():
            parameter.copy_(gradients[name])
    made.save(folder)


def write_manifest(root: Path, versions: dict[str, Any]) -> int:
    files = [{"path": path.relative_to(root).as_posix(), "bytes": path.stat().st_size,
              "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
             for path in sorted(root.rglob("*"))
             if path.is_file() and not path.is_symlink() and path.name not in ("MANIFEST.json", "README.md")]
    save_json(root / "MANIFEST.json", {"versions": versions, "files": files})
    return sum(file["bytes"] for file in files)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/make_training_golden.py Tests/Fixtures/golden-training --tusk .build/release/tusk")
    parser.add_argument("output", type=Path, help="folder to write; cases made again are replaced, others stay")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--tusk", type=Path, help="the built program: it must take every directory and give the logits "
                                                  "of PyTorch before the first step")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    try:
        import torch
        import transformers
        versions = {**installed_versions(), **{name: version(name) for name in ("peft", "accelerate")}}
        cases = all_cases()
    except ImportError as error:
        print(f"{error}; needs " + ", ".join(f"{name} {version}" for name, version in PINNED_HERE.items()),
              file=sys.stderr)
        return 64
    for name, wanted in PINNED_HERE.items():
        if versions[name] != wanted:
            print(f"warning: {name} {versions[name]}, the committed answers were recorded with {wanted}",
                  file=sys.stderr)
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    problems = []
    with tempfile.TemporaryDirectory(prefix="tusk-training-golden-") as work:
        tusk = Tusk(arguments.tusk.resolve(), Path(work), threads=1) if arguments.tusk else None
        for name, case in cases.items():
            if arguments.only not in name:
                continue
            shutil.rmtree(arguments.output / name, ignore_errors=True)
            found, wrong = record(name, case, arguments.output, tusk)
            problems += wrong
            print(f"{name:38s} " + "  ".join(
                f"{key} {value}" if isinstance(value, int) else f"{key} {value:.4g}" if key in ("first", "last", "norm")
                else f"{key} {value:.1e}" for key, value in found.items()), flush=True)
    total = write_manifest(arguments.output, versions)
    print("\n".join(problems) or f"every case is right; {total:,} bytes")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
