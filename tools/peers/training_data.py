"""What the comparison of training is given: texts that are exactly as long as said, and labelled sentences of SST-2."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import MeasureFailure

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = ROOT / "tools/demo/sentences"
TOKENIZER = ROOT / "tools/demo/t5-backbone"
TOKENIZER_FILES = ("spiece.model", "tokenizer_config.json", "special_tokens_map.json")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def tokenized(tusk: Path, backbone: Path, texts: list[str]) -> list[list[int]]:
    """Ids of each text, the end-of-sequence included."""
    command = [str(tusk), "tokenize", str(backbone), "--json", "--input", "-"]
    done = subprocess.run(command, input="".join(f"{text}\n" for text in texts), capture_output=True, text=True)
    if done.returncode:
        raise MeasureFailure(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def write_fixed(tusk: Path, backbone: Path, count: int, source: int, target: int, folder: Path) -> None:
    """`count` examples of `source` and `target` tokens: texts.jsonl for Tusk, ids.json [count, 2] for PyTorch.

    They are rows of words that are one piece each, since pieces do not reach over a space.
    """
    sentences = itertools.chain.from_iterable(map(lines_of, sorted(SENTENCES.glob("*.jsonl"))))
    words = sorted({word for sentence in sentences for word in sentence["text"].split() if word.isalpha()})
    whole = [word for word, ids in zip(words, tokenized(tusk, backbone, words), strict=True) if len(ids) == 2]

    def row(tokens: int, start: int) -> str:
        return " ".join(whole[(37 * place + start) % len(whole)] for place in range(tokens - 1))

    rows = [{"source": row(source, 11 + 131 * number), "target": row(target, 7 + 53 * number)} for number in range(count)]
    ids = [tokenized(tusk, backbone, [row[side] for row in rows]) for side in ("source", "target")]
    for lists, required in zip(ids, (source, target)):
        if found := {len(tokens) for tokens in lists} - {required}:
            raise MeasureFailure(f"texts of {required} tokens turned out {sorted(found)} tokens long")
    write_lines(folder / "texts.jsonl", rows)
    (folder / "ids.json").write_text(json.dumps(list(zip(*ids))))


def write_sst2(glue: Path, examples: int, folder: Path) -> None:
    """train.jsonl with the first `examples` and validation.jsonl, lines of text and label."""
    for split, limit in (("train", examples), ("validation", None)):
        path = glue / "sst2" / f"{split}.jsonl"
        if not path.is_file():
            raise MeasureFailure(f"--data: {path} is not there; lines of \"sentence\" and \"label\" are required")
        rows = [{"text": row["sentence"].strip(), "label": str(row["label"])}
                for row in itertools.islice(lines_of(path), limit)]
        if limit and len(rows) < limit:
            raise MeasureFailure(f"{path}: found {len(rows)} examples, required {limit}; see --examples")
        write_lines(folder / f"{split}.jsonl", rows)
