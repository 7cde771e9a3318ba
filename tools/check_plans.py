#!/usr/bin/env python3
"""Hold every plan that a memory budget can lead to against the plan without one, on the recorded models.

For each case of a golden folder, both packs of its backbone, and each source with its decoder ids: the logits of
every plan in `tusk footprint --plan-only` are compared with those of the first. Tiles must not change a bit. Keys and
values kept with less precision, and absorbed cross-attention, may move the logits (root mean square) by the limits
below or by a share of what int8 weights move them, must leave every argmax that is clear against that error, and the
greedy answers of memorised sources.

  tools/check_plans.py Tests/Fixtures/golden
  tools/check_plans.py Tests/Fixtures/golden-encoders --only bert
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from golden_cases import ENCODER_FAMILIES, Case, GoldenError, cut, discover
from golden_checks import CLEAR_GAP_ERRORS, Packs, root_mean_square
from golden_tusk import ToolError, Tusk

PACKAGE = Path(__file__).resolve().parent.parent
# Relative error of the logits. Halves round by 2^-12 and codes by 1/254 of the largest number of a head; float32
# differs by the order of its sums.
LIMITS = {"float32": 0.0005, "float16": 0.002, "int8": 0.01}
# Tasks that were trained on a handful of pairs hang on single keys and multiply every error: there a plan may err by
# this share of what int8 weights err by on the same source. A budget must cost little beside the weights' encoding.
SHARE_OF_WEIGHTS = {"float32": 0.001, "float16": 0.15, "int8": 0.5}


@dataclass
class Worst:
    """The largest error of one arithmetic, and how much was compared."""
    error: float = 0.0
    logits: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Job:
    case: Case
    packs: Packs
    source: list[int]
    types: list[int] | None
    target: list[int]
    # What PyTorch answered.
    wanted: np.ndarray

    def lengths(self) -> list[str]:
        return ["--source-tokens", str(len(self.source)), "--target-tokens", str(len(self.target) or 1)]

    def logits(self, tusk: Tusk) -> np.ndarray:
        if self.types is not None:
            return tusk.encoder_logits(self.packs.backbone, self.packs.task, self.source, self.types)[0]
        return tusk.logits(self.packs.backbone, self.packs.task, self.source, self.target)[0]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="+", help="golden folders")
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build/release/tusk", help="the binary")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains this")
    return parser.parse_args()


def jobs(case: Case, packs: Packs) -> list[Job]:
    if case.backbone.is_encoder:
        return [Job(case, packs, *inputs, [], wanted)
                for *inputs, wanted in zip(case.sources, case.token_types, case.array("logits"))]
    found = [Job(case, packs, source, None, target.tolist(), wanted)
             for source, target, wanted in zip(case.sources, case.array("decoder_input_ids"), case.array("logits"))]
    if case.has_long_source:
        source = case.array("long_input_ids").reshape(-1).tolist()
        found.append(Job(case, packs, source, None, [case.backbone.start], case.array("long_first_logits")))
    return found


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    error = root_mean_square(found.reshape(-1) - wanted.reshape(-1)) / root_mean_square(wanted)
    return error if np.isfinite(error) else float("inf")


def choices(job: Job, tusk: Tusk) -> list[dict[str, Any]]:
    task = ["--task", job.packs.task] if job.packs.task else []
    printed = tusk.call("footprint", job.packs.backbone, *task, *job.lengths(), "--plan-only", "--json",
                        "--threads", "1")
    return json.loads(printed)["choices"]


def arithmetic(choice: dict[str, Any]) -> tuple[str, str]:
    return choice["key_value_precision"], choice.get("cross_attention", "encoder")


def compare(job: Job, tusk: Tusk, pack: str, weights_error: float | None,
            table: dict[tuple[str, str, str], Worst]) -> float:
    """The error of the pack itself, by its first plan. `weights_error` is that of the int8 pack, once it is known."""
    found: dict[tuple[str, str], np.ndarray] = {}
    first = None
    for plan in choices(job, tusk):
        key = arithmetic(plan)
        logits = job.logits(replace(tusk, budget=plan["private"], threads=1)).astype(np.float64)
        if first is None:
            first = logits
            pack_error = relative_error(first, job.wanted)
            weights_error = pack_error if weights_error is None else weights_error
        worst = table[(pack, *key)]
        if key in found:
            if not np.array_equal(found[key], logits):
                worst.failures.append(f"{job.case.name}: tiles of {plan['tile_tokens']} change the logits")
            continue
        found[key] = logits
        relative = relative_error(logits, first)
        worst.error, worst.logits = max(worst.error, relative), worst.logits + logits.size
        limit = max(LIMITS[key[0]], SHARE_OF_WEIGHTS[key[0]] * weights_error)
        if relative > limit:
            worst.failures.append(f"{job.case.name}: {relative:.2%} above {limit:.2%}")
        check_argmax(job, logits, first, relative * root_mean_square(first), worst)
    return pack_error


def check_argmax(job: Job, logits: np.ndarray, first: np.ndarray, error: float, worst: Worst) -> None:
    if logits.shape[-1] < 2:
        return
    ordered = np.sort(first, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > CLEAR_GAP_ERRORS * error
    differ = (logits.argmax(axis=-1) != first.argmax(axis=-1)) & clear
    if differ.any():
        worst.failures.append(f"{job.case.name}: {int(differ.sum())} clear argmaxes differ")


def check_answers(case: Case, packs: Packs, tusk: Tusk, pack: str, table: dict[tuple[str, str, str], Worst]) -> None:
    """Memorised sources are answered as PyTorch answers them in the smallest plan of every precision."""
    for index in case.memorised:
        job = Job(case, packs, case.sources[index], None, [0] * case.new_tokens, np.zeros(0))
        smallest = {arithmetic(plan): plan["private"] for plan in choices(job, tusk)}
        for key, budget in smallest.items():
            answer = replace(tusk, budget=budget, threads=1).generate(
                packs.backbone, packs.task, case.sources[index], case.new_tokens, source_tokens=len(job.source))
            if cut(answer["ids"], case.backbone.eos) != case.greedy[index]:
                table[(pack, *key)].failures.append(f"{case.name}: memorised source {index} is answered otherwise")


def main() -> int:
    arguments = parse_arguments()
    try:
        cases = [case for root in arguments.path for case in discover(root.resolve()) if arguments.only in case.name]
    except GoldenError as error:
        print(error, file=sys.stderr)
        return 65
    cases = [case for case in cases if not case.is_rejection and case.family in ("t5", *ENCODER_FAMILIES)]
    table: dict[tuple[str, str, str], Worst] = defaultdict(Worst)
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tusk-plans-") as folder:
        tusk = Tusk(arguments.tusk.resolve(), Path(folder))
        for case in cases:
            weights_errors: list[float | None] = []
            for pack in ("int8", "float32"):
                try:
                    backbone = tusk.backbone(case.backbone.folder, pack)
                    task = tusk.task(case.task_folder, backbone, f"{case.name}-{pack}") if case.task_folder else None
                    packs = Packs(backbone, task)
                    every = jobs(case, packs)
                    errors = weights_errors or [None] * len(every)
                    weights_errors = [compare(job, tusk, pack, error, table) for job, error in zip(every, errors)]
                    if not case.backbone.is_encoder:
                        check_answers(case, packs, tusk, pack, table)
                except (ToolError, OSError, ValueError, KeyError) as error:
                    broken.append(f"{case.name} {pack}: {type(error).__name__}: {error}")
    print(f"{'weights':8} {'keys, values':12} {'cross':9} {'logits':>9} {'worst error':>12}")
    for (pack, precision, cross), worst in sorted(table.items()):
        print(f"{pack:8} {precision:12} {cross:9} {worst.logits:9,} {worst.error:12.4%}")
    failures = broken + [failure for worst in table.values() for failure in worst.failures]
    for failure in failures:
        print(f"FAIL {failure}")
    print(f"plans: {len(cases)} cases, {len(table)} arithmetics, {len(failures)} failures")
    return 1 if failures or not table else 0


if __name__ == "__main__":
    sys.exit(main())
