#!/usr/bin/env python3
"""Answer the demonstration's labelled sentences in one process, switching task on every line, and count.

A sentence file named like a task is answered by that task; the others by the backbone alone. Beside the share of right
answers stands PyTorch's own, recorded in golden.jsonl, and how many answers of the two are the same.

example: tools/demo_accuracy.py .build/quickstart/all.tusk
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
SHOWN_PER_TASK = 2


@dataclass(frozen=True)
class Question:
    sentences: str
    """None: the backbone alone."""
    task: str | None
    text: str
    label: str
    recorded: str | None


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def questions(demo: Path) -> list[Question]:
    """All files in turn, a line of each."""
    golden = {(row["sentences"], row["task"], row["index"]): row["text"] for row in read_lines(demo / "golden.jsonl")}
    files = []
    for path in sorted((demo / "sentences").glob("*.jsonl")):
        task = path.stem if (demo / "tasks" / path.stem).is_dir() else None
        files.append([Question(path.stem, task, row["text"], row["label"], golden.get((path.stem, task, index)))
                      for index, row in enumerate(read_lines(path))])
    return [question for question in chain.from_iterable(zip_longest(*files)) if question]


def answers(tusk: Path, model: Path, asked: list[Question]) -> list[str]:
    lines = "".join(json.dumps({"text": question.text, "task": question.task}) + "\n" for question in asked)
    done = subprocess.run([tusk, "run", model, "--json", "--max-new-tokens", "32"], input=lines, text=True,
                          stdout=subprocess.PIPE, check=True)
    return [json.loads(line)["text"] for line in done.stdout.splitlines()]


def print_table(asked: list[Question], given: list[str]) -> None:
    print(f"\n{'sentences':14} {'right':>9} {'share':>8} {'PyTorch':>8} {'same answer':>12}")
    for name in dict.fromkeys(question.sentences for question in asked):
        rows = [(question, answer) for question, answer in zip(asked, given) if question.sentences == name]
        right = sum(answer == question.label for question, answer in rows)
        recorded = sum(question.recorded == question.label for question, _ in rows)
        same = sum(question.recorded == answer for question, answer in rows)
        print(f"{name:14} {right:4}/{len(rows):<4} {right / len(rows):8.1%} {recorded / len(rows):8.1%} "
              f"{same:7}/{len(rows)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the bundle")
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build" / "release" / "tusk", help="the program")
    parser.add_argument("--demo", type=Path, default=PACKAGE / "tools" / "demo", help="the demonstration's folder")
    arguments = parser.parse_args()
    asked = questions(arguments.demo)
    start = time.monotonic()
    try:
        given = answers(arguments.tusk, arguments.model, asked)
    except subprocess.CalledProcessError as error:
        return error.returncode
    seconds = time.monotonic() - start
    if len(given) != len(asked):
        print(f"{len(given)} answers to {len(asked)} sentences", file=sys.stderr)
        return 65
    names = list(dict.fromkeys(question.sentences for question in asked))
    for question, answer in list(zip(asked, given))[:SHOWN_PER_TASK * len(names)]:
        print(f"{question.task or 'no task':14} {question.text}\n{'':14} -> {answer}")
    print_table(asked, given)
    print(f"\n{len(asked)} sentences in {seconds:.2f} s, one process, {len(asked) - 1} switches of task")
    return 0


if __name__ == "__main__":
    sys.exit(main())
