#!/usr/bin/env python3
"""Compare the ids and texts of `tusk tokenize` with those of the sentencepiece library.

Takes every text of the files given: each line of a .txt file, and every string anywhere in the objects of a .jsonl file. Texts
with a special token of T5 written out (`</s>`, `<pad>`, `<unk>`, `<extra_id_N>`) are left out, since Hugging Face and Tusk treat those
as tokens and sentencepiece does not; `formats/tokenizer.md` says more. Ids and decoded texts are compared. Prints one line per file and ends with 1 if anything differs. Needs sentencepiece 0.2.3: `python3 -m venv .venv && .venv/bin/pip install sentencepiece==0.2.3`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPECIAL = re.compile(r"</s>|<pad>|<unk>|<extra_id_\d+>")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/compare_tokenizer.py t5.tusk t5/spiece.model glue/*/validation.jsonl")
    parser.add_argument("backbone", type=Path, help="a backbone file made from a checkpoint with this vocabulary")
    parser.add_argument("model", type=Path, help="that checkpoint's spiece.model")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=".jsonl or .txt files with texts")
    parser.add_argument("--tusk", type=Path, default=HERE.parent / ".build" / "release" / "tusk")
    parser.add_argument("--show", type=int, default=3, help="differences printed for each file (default: 3)")
    return parser.parse_args()


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def texts_of(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    if path.suffix == ".jsonl":
        found = [text for line in lines if line for text in strings(json.loads(line))]
    else:
        found = lines
    return [text for text in found if not SPECIAL.search(text)]


def tokenize(tusk: Path, backbone: Path, texts: list[str]) -> list[dict[str, object]]:
    """The object that `tusk tokenize --json` prints for each text: lines by standard input, the others as arguments."""
    command = [tusk, "tokenize", backbone, "--json"]
    is_line = [not re.search(r"\n|\r$", text) for text in texts]
    lines = "".join(text + "\n" for text, line in zip(texts, is_line) if line)
    done = subprocess.run([*command, "--input", "-"], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    answers = iter(done.stdout.splitlines())
    found = []
    for text, line in zip(texts, is_line):
        if line:
            found.append(json.loads(next(answers)))
        else:
            found.append(json.loads(subprocess.run([*command, "--", text], stdout=subprocess.PIPE, check=True).stdout))
    return found


def main() -> int:
    arguments = parse_arguments()
    try:
        import sentencepiece
    except ModuleNotFoundError:
        sys.exit("this needs the sentencepiece library: pip install sentencepiece==0.2.3")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(arguments.model))
    different = 0
    for path in arguments.files:
        texts = texts_of(path)
        answers = tokenize(arguments.tusk, arguments.backbone, texts)
        wrong = 0
        for text, answer in zip(texts, answers):
            ids = list(answer["ids"])
            if ids and ids[-1] == processor.eos_id():
                ids.pop()
            expected = processor.encode(text)
            decoded = processor.decode(expected)
            if ids != expected or answer["text"] != decoded:
                wrong += 1
                if wrong <= arguments.show:
                    print(f"  {text!r}: {expected} expected, {ids} found", file=sys.stderr)
        print(f"{path}: {len(texts)} texts, {wrong} different")
        different += wrong
    print(f"{different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
