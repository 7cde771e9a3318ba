#!/usr/bin/env python3
"""Answer labelled texts with MiniLM and its three tasks in one process, another task on every line, and count.

The texts of tools/demo/minilm-sentences stand with their right labels and with PyTorch's logits. Prints a few answers, then
for each task the share of right answers beside PyTorch's, and how many answers are the same. Ends with 1 if more than one
answer in a hundred differs from PyTorch's.

example: tools/minilm_accuracy.py .build/quickstart/minilm-all.tusk
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
SENTENCES = PACKAGE / "tools" / "demo" / "minilm-sentences"
SHOWN_PER_TASK = 3
MOST_OTHER_ANSWERS = 0.01
WORDS = {"sst2": ("negative", "positive"), "mrpc": ("different", "paraphrase"),
         "trec": ("description", "entity", "abbreviation", "human", "location", "number")}


def read_rows() -> list[dict[str, Any]]:
    """A line of each file in turn."""
    files = []
    for path in sorted(SENTENCES.glob("*.jsonl")):
        files.append([json.loads(line) | {"task": path.stem} for line in path.read_text("utf-8").splitlines()])
    return [row for row in chain.from_iterable(zip_longest(*files)) if row]


def answers(tusk: Path, model: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([tusk, "run", model, "--json", "--max-source-tokens", "128"], input=lines, text=True,
                          stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def recorded_label(row: dict[str, Any]) -> str:
    return str(max(range(len(row["pytorch"])), key=row["pytorch"].__getitem__))


def shown(rows: list[dict[str, Any]], given: list[dict[str, Any]]) -> Iterator[str]:
    count = SHOWN_PER_TASK * len(WORDS)
    for row, answer in zip(rows[:count], given):
        label, task = answer["label"], row["task"]
        yield f"{task:6} {row['text']}" + (f"\n{'':6} {row['text2']}" if "text2" in row else "")
        yield f"{'':6} -> {WORDS[task][int(label)]} ({answer['scores'][label]:.0%})" + (
            "" if label == row["label"] else f"; right would be {WORDS[task][int(row['label'])]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle of MiniLM and its tasks")
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build" / "release" / "tusk", help="the program")
    arguments = parser.parse_args()
    rows = read_rows()
    start = time.monotonic()
    try:
        given = answers(arguments.tusk, arguments.model, rows)
    except subprocess.CalledProcessError as error:
        return error.returncode
    seconds = time.monotonic() - start
    print(*shown(rows, given), sep="\n")
    print(f"\n{'task':6} {'right':>8} {'share':>8} {'PyTorch':>8} {'same answer':>12}")
    others = 0
    for task in sorted(WORDS):
        found = [(row, answer["label"]) for row, answer in zip(rows, given, strict=True) if row["task"] == task]
        right = sum(label == row["label"] for row, label in found)
        recorded = sum(recorded_label(row) == row["label"] for row, _ in found)
        same = sum(label == recorded_label(row) for row, label in found)
        others += len(found) - same
        print(f"{task:6} {right:4}/{len(found)} {right / len(found):8.1%} {recorded / len(found):8.1%} "
              f"{same:8}/{len(found)}")
    print(f"\n{len(rows)} texts in {seconds:.2f} s, one process, {len(rows) - 1} switches of task")
    return 1 if others > MOST_OTHER_ANSWERS * len(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
