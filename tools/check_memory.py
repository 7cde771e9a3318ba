#!/usr/bin/env python3
"""Hold the private memory of T5-base and MiniLM to their limits, in the plan without a budget and in the smallest.

Makes a random checkpoint of T5-base shapes (0.9 GB in a temporary folder, removed afterwards; or give --backbone),
converts it to int8, and runs every plan that a budget can lead to for 512 source and 64 target tokens, batch 1, in a
process that holds only the engine (tusk-nano as Embedded Swift). Private memory is RssAnon at its peak, loading
included. Required:

  without a budget      <= 24 MB
  smallest budget       <= 10 MB, and decoding at >= 40 % of the speed without one
  MiniLM, 128 tokens    <= 3 MB (tools/fetch_minilm.py fetches it)
  every plan            measured within 3 % or 256 KB of what was planned

Speed is processor time per token, which other work on the machine disturbs less; the best of some rounds, interleaved.

  tools/check_memory.py
  tools/check_memory.py --backbone t5.tusk --rounds 3
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

from processes import run

ROOT = Path(__file__).resolve().parent.parent
SOURCE_TOKENS, TARGET_TOKENS = 512, 64


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk")
    parser.add_argument("--nano", type=Path, default=ROOT / ".build-embedded/release/tusk-nano")
    parser.add_argument("--backbone", type=Path, help="an int8 pack of T5-base shapes")
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


def measure(nano: Path, backbone: Path, source: int, target: int, budget: int | None) -> tuple[dict[str, int], float]:
    """What the engine printed, and the seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    options = ["--budget", str(budget)] if budget else []
    lines = run(nano, backbone, "--measure", "--source-tokens", str(source), "--max-new-tokens", str(target), *options)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return {name: int(value) for name, value in (line.split("=") for line in lines.split())}, spent


def choices(options: argparse.Namespace, backbone: Path) -> list[dict]:
    printed = run(options.tusk, "footprint", backbone, "--source-tokens", str(SOURCE_TOKENS), "--target-tokens",
                  str(TARGET_TOKENS), "--threads", "1", "--plan-only", "--json")
    return json.loads(printed)["choices"]


def is_as_planned(values: dict[str, int]) -> bool:
    planned, measured = values["plannedPrivate"], values["measuredAnonymous"]
    return abs(measured - planned) <= max(0.03 * planned, 256_000)


def check_plans(options: argparse.Namespace, backbone: Path) -> list[str]:
    plans = choices(options, backbone)
    # The engine alone needs less beside its arena than `tusk`, so its budgets are lower by that.
    whole, _ = measure(options.nano, backbone, SOURCE_TOKENS, TARGET_TOKENS, None)
    floor = plans[0]["private"] - whole["plannedPrivate"]
    best: dict[int, float] = {}
    values: dict[int, dict[str, int]] = {}
    for _ in range(options.rounds):
        for position, plan in enumerate(plans):
            budget = plan["private"] - floor
            _, few = measure(options.nano, backbone, SOURCE_TOKENS, 2, None if position == 0 else budget)
            found, many = measure(options.nano, backbone, SOURCE_TOKENS, TARGET_TOKENS, budget)
            values[position] = found
            best[position] = min(best.get(position, float("inf")), (many - few) / (TARGET_TOKENS - 2))
    failures = []
    print("| private MB | planned | tokens at a time | keys and values | cross-attention | decode ms/token |")
    print("|---|---|---|---|---|---|")
    for position, plan in enumerate(plans):
        found = values[position]
        print(f"| {found['measuredAnonymous'] / 1e6:.1f} | {found['plannedPrivate'] / 1e6:.1f} | {plan['tile_tokens']} "
              f"| {plan['key_value_precision']} | {plan['cross_attention']} | {1000 * best[position]:.1f} |")
        if not is_as_planned(found):
            failures.append(f"planned {found['plannedPrivate']:,}, measured {found['measuredAnonymous']:,}")
    first, last = values[0]["measuredAnonymous"], values[len(plans) - 1]["measuredAnonymous"]
    speed = best[0] / best[len(plans) - 1]
    print(f"T5-base without a budget: {first:,} bytes private, at most 24,000,000")
    print(f"T5-base, smallest budget: {last:,} bytes private, at most 10,000,000; decoding at {speed:.0%}, "
          "at least 40 %")
    if first > 24_000_000 or last > 10_000_000 or speed < 0.4:
        failures.append("T5-base takes more, or is slower")
    return failures


def check_minilm(options: argparse.Namespace, folder: Path) -> list[str]:
    checkpoint = run(ROOT / "tools/fetch_minilm.py").strip().splitlines()[-1]
    backbone = folder / "minilm.tusk"
    run(options.tusk, "convert", "backbone", checkpoint, "--output", backbone)
    values, _ = measure(options.nano, backbone, 128, 1, None)
    print(f"MiniLM, 128 tokens: {values['measuredAnonymous']:,} bytes private, at most 3,000,000")
    is_good = values["measuredAnonymous"] <= 3_000_000 and is_as_planned(values)
    return [] if is_good else ["MiniLM takes more, or other than planned"]


def main() -> int:
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="tusk-memory-") as name:
        folder = Path(name)
        backbone = options.backbone
        if backbone is None:
            backbone = folder / "t5.tusk"
            run(ROOT / "tools/make_checkpoint.py", "t5-base", folder / "t5-base")
            run(options.tusk, "convert", "backbone", folder / "t5-base", "--output", backbone)
        failures = check_plans(options, backbone) + check_minilm(options, folder)
    for failure in failures:
        print(f"FAIL {failure}")
    print(f"memory: {len(failures)} failures")
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
