#!/usr/bin/env python3
"""Compare the ids and texts of `tusk tokenize` with those of the library that the vocabulary comes from.

The reference is a `spiece.model`, read by sentencepiece, or the folder of a Hugging Face checkpoint, read by transformers and
tokenizers: WordPiece, byte-level BPE, XLM-RoBERTa. Takes every text of the files given: each line of a .txt file, and every
string anywhere in the objects of a .jsonl file; `--torture` adds the difficult texts that the tokenizers' fixtures are made
of. With sentencepiece, texts with a special token of T5 written out (`</s>`, `<pad>`, `<unk>`, `<extra_id_N>`) are left out:
Hugging Face and Tusk treat those as tokens and sentencepiece does not; `formats/tokenizer.md` says more. Where a folder has a
SentencePiece model, transformers has two tokenizers: the usual, fast one, and one that runs the model, and they disagree on a
few texts. Tusk breaks ties of scores as the fast one does and treats white space as the model does; so texts at whose ends the
fast one drops white space that the model keeps, or keeps a written U+2581 that the model drops, are compared with the model, and
counted. Decoded texts with unknown pieces are not compared, which Tusk and sentencepiece write as U+2047 and transformers drops. Prints one line per
file and ends with 1 if anything differs. With `--speed` and sentencepiece, also how fast both are, one thread each, best of five
passes over all texts that are lines. Needs sentencepiece 0.2.3, or transformers 4.57.6 and tokenizers 0.22.2:
`python3 -m venv .venv && .venv/bin/pip install sentencepiece==0.2.3 transformers==4.57.6 tokenizers==0.22.2`.

examples: tools/compare_tokenizer.py t5.tusk t5/spiece.model glue/*/validation.jsonl
          tools/compare_tokenizer.py bert.tusk bert-base-uncased --torture glue/*/validation.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUNDS = 5
SPECIAL = re.compile(r"</s>|<pad>|<unk>|<extra_id_\d+>")

Reference = Callable[[str], tuple[list[int], str | None]]
"""Ids of a text as `tusk tokenize` prints them, and what they decode to; None where that is not to be compared."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", type=Path, help="a backbone file made from a checkpoint with this vocabulary")
    parser.add_argument("reference", type=Path, help="that checkpoint's spiece.model, or its folder")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help=".jsonl or .txt files with texts")
    parser.add_argument("--torture", action="store_true", help="also the texts of the tokenizers' fixtures")
    parser.add_argument("--speed", action="store_true", help="measure both, too; for a spiece.model")
    parser.add_argument("--tusk", type=Path, default=HERE.parent / ".build" / "release" / "tusk")
    parser.add_argument("--show", type=int, default=3, help="differences printed for each file (default: 3)")
    return parser.parse_intermixed_args()


def sentencepiece_reference(model: Path) -> Reference:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def encode(text: str) -> tuple[list[int], str | None]:
        ids = processor.encode(text)
        return [*ids, processor.eos_id()], processor.decode(ids)

    return encode


def hugging_face_reference(folder: Path, disputed: set[str]) -> Reference:
    """Adds the texts on which transformers' two tokenizers disagree to `disputed`."""
    from transformers import AutoTokenizer

    fast = AutoTokenizer.from_pretrained(folder, use_fast=True)
    if not (folder / "sentencepiece.bpe.model").exists():

        def encode(text: str) -> tuple[list[int], str | None]:
            ids = fast(text, truncation=False)["input_ids"]
            return ids, fast.decode(ids, skip_special_tokens=True)

        return encode
    model = AutoTokenizer.from_pretrained(folder, use_fast=False)

    def encode_with_both(text: str) -> tuple[list[int], str | None]:
        ids, of_model = (tokenizer(text, truncation=False)["input_ids"] for tokenizer in (fast, model))
        if text != text.strip() or text.startswith("\u2581") or text.endswith("\u2581"):
            if ids != of_model:
                disputed.add(text)
            ids = of_model
        has_text = model.unk_token_id not in ids and text not in disputed
        return ids, model.decode(ids, skip_special_tokens=True) if has_text else None

    return encode_with_both


def torture_texts() -> list[str]:
    from make_subword_golden import SPECIAL as SPECIAL_TEXTS
    from make_subword_golden import TEXTS, TORTURE

    return [*TEXTS, *TORTURE, *SPECIAL_TEXTS]


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def texts_of(path: Path, leaves_out: re.Pattern[str] | None) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    if path.suffix == ".jsonl":
        found = [text for line in lines if line for text in strings(json.loads(line))]
    else:
        found = lines
    return [text for text in found if leaves_out is None or not leaves_out.search(text)]


def is_line(text: str) -> bool:
    """Whether a line of standard input can hold the text."""
    return not re.search(r"\n|\r$", text)


def tokenize(tusk: Path, backbone: Path, texts: list[str]) -> list[dict[str, object]]:
    """The object that `tusk tokenize --json` prints for each text: lines by standard input, the others as arguments."""
    command = [tusk, "tokenize", backbone, "--json"]
    lines = "".join(text + "\n" for text in texts if is_line(text))
    done = subprocess.run([*command, "--input", "-"], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    answers = iter(done.stdout.splitlines())
    found = []
    for text in texts:
        if is_line(text):
            found.append(json.loads(next(answers)))
        else:
            found.append(json.loads(subprocess.run([*command, "--", text], stdout=subprocess.PIPE, check=True).stdout))
    return found


def compare_speed(arguments: argparse.Namespace, texts: list[str]) -> None:
    """sentencepiece's loop over the texts is in C++, too; what it gives back are lists of Python's."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(arguments.reference))
    lines = [text for text in texts if is_line(text)]
    command = [arguments.tusk, "tokenize", arguments.backbone, "--input", "-", "--time", "--json"]
    done = subprocess.run(command, input="".join(line + "\n" for line in lines).encode(), stdout=subprocess.PIPE, check=True)
    tusk = json.loads(done.stdout)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ids = processor.encode(lines, num_threads=1)
        seconds.append(time.perf_counter() - start)
    # Tusk's have an end of sequence each.
    if sum(map(len, ids)) + len(lines) != tusk["tokens"]:
        sys.exit("found other counts of tokens; compare the ids first")
    megabytes = tusk["bytes"] / 1e6
    print(f"{len(lines)} texts of {megabytes:.2f} MB: Tusk {megabytes / tusk['seconds']:.2f} MB/s, sentencepiece "
          f"{megabytes / min(seconds):.2f} MB/s, {min(seconds) / tusk['seconds']:.2f} times as fast")


def main() -> int:
    arguments = parse_arguments()
    is_folder = arguments.reference.is_dir()
    if arguments.speed and is_folder:
        sys.exit("--speed measures beside sentencepiece, which reads a spiece.model")
    try:
        disputed: set[str] = set()
        reference = (hugging_face_reference(arguments.reference, disputed) if is_folder
                     else sentencepiece_reference(arguments.reference))
        sources = [("torture", torture_texts())] if arguments.torture else []
    except ModuleNotFoundError as error:
        sys.exit(f"this needs the library {error.name}; see --help")
    sources += [(str(path), texts_of(path, None if is_folder else SPECIAL)) for path in arguments.files]
    different = 0
    for name, texts in sources:
        wrong = {"ids": 0, "text": 0}
        for text, answer in zip(texts, tokenize(arguments.tusk, arguments.backbone, texts), strict=True):
            for kind, expected in zip(wrong, reference(text)):
                if expected is not None and answer[kind] != expected:
                    wrong[kind] += 1
                    if wrong[kind] <= arguments.show:
                        print(f"  {text!r}: {expected!r} expected, {answer[kind]!r} found", file=sys.stderr)
        print(f"{name}: {len(texts)} texts, {wrong['ids']} different in ids, {wrong['text']} in decoded text", flush=True)
        different += sum(wrong.values())
    if disputed:
        print(f"{len(disputed)} texts with white space at an end on which transformers' two tokenizers disagree")
    if arguments.speed:
        compare_speed(arguments, [text for _, texts in sources for text in texts])
    print(f"{different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
