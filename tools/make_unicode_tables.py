#!/usr/bin/env python3
"""Write the Unicode tables that WordPiece and byte-level BPE sections are packed from.

Every answer is asked of Hugging Face's `tokenizers` itself, one character at a time, so that the tables are those of the library
whatever Unicode version each of its parts was built with: which characters BERT's normalizer drops, strips and decomposes,
which its pre-tokenizer isolates, what becomes lower case, and what \\p{L} and \\p{N} are. Combining classes are found by letting
NFD reorder each character beside marks whose class is known. Needs tokenizers 0.22.2.
"""

from __future__ import annotations

import argparse
import base64
import sys
import textwrap
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "Sources" / "TuskConversion" / "Tokenizer" / "UnicodeTables.swift"
SCALARS = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/make_unicode_tables.py --check")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the file would change")
    return parser.parse_args()


def bert(**steps: bool) -> normalizers.BertNormalizer:
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**off, **steps})


def changed(normalizer: normalizers.Normalizer) -> dict[int, str]:
    answers = ((code, normalizer.normalize_str(chr(code))) for code in SCALARS)
    return {code: text for code, text in answers if text != chr(code)}


def matching(pattern: str) -> set[int]:
    left = normalizers.Replace(Regex(pattern), "").normalize_str("".join(map(chr, SCALARS)))
    return set(SCALARS) - set(map(ord, left))


def words_around(code: int) -> list[str]:
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{chr(code)}b")]


def combining_classes(decomposed: Iterable[int]) -> dict[int, int]:
    """The class of each mark by which NFD orders it; starters, which stop the reordering, are left out."""
    nfd = normalizers.NFD()
    known: dict[int, str] = {}
    for code in range(0x300, 0x20000):
        # Unicode 3.2: old enough for every part of the library to know these marks.
        value = unicodedata.ucd_3_2_0.combining(chr(code))
        if value and unicodedata.normalize("NFD", chr(code)) == chr(code) and value not in known:
            known[value] = chr(code)
    low, high = known[min(known)], known[max(known)]
    classes: dict[int, int] = {}
    for code in set(SCALARS) - set(decomposed):
        mark = chr(code)
        if nfd.normalize_str("a" + mark + low) == "a" + low + mark or nfd.normalize_str("a" + high + mark) == "a" + mark + high:
            # The largest class that stays in front of the mark.
            classes[code] = max(v for v, other in known.items() if nfd.normalize_str("a" + other + mark) == "a" + other + mark)
        elif code in (ord(low), ord(high)):
            classes[code] = unicodedata.combining(mark)
    return classes


def ranges(codes: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for code in sorted(codes):
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def packed_set(codes: Iterable[int]) -> bytes:
    out, end = b"", 0
    for first, last in ranges(codes):
        out += varint(first - end) + varint(last - first)
        end = last + 1
    return out


def packed_classes(classes: dict[int, int]) -> bytes:
    out, end = b"", 0
    runs: list[list[int]] = []
    for code in sorted(classes):
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == classes[code]:
            runs[-1][1] = code
        else:
            runs.append([code, code, classes[code]])
    for first, last, value in runs:
        out += varint(first - end) + varint(last - first) + varint(value)
        end = last + 1
    return out


def packed_map(entries: dict[int, str]) -> bytes:
    out, end = b"", 0
    for code in sorted(entries):
        out += varint(code - end) + varint(len(entries[code]))
        for scalar in map(ord, entries[code]):
            distance = scalar - code
            out += varint(2 * distance if distance >= 0 else -2 * distance - 1)
        end = code + 1
    return out


def tables() -> dict[str, tuple[str, bytes]]:
    clean = bert(clean_text=True)
    dropped = {code for code in SCALARS if clean.normalize_str(f"a{chr(code)}b") == "ab"}
    around = {code: words_around(code) for code in SCALARS}
    decompositions = changed(normalizers.NFD())
    stripped = changed(bert(strip_accents=True))
    return {
        "dropped": ("What clean_text removes.", packed_set(dropped)),
        "spaces": ("Where a word ends: the property White_Space.", packed_set(c for c, w in around.items() if w == ["a", "b"])),
        "isolated": (
            "A word of its own: ASCII punctuation and symbols, and the categories P.",
            packed_set(c for c, w in around.items() if len(w) == 3)),
        "ideographs": ("What handle_chinese_chars puts spaces around.", packed_set(changed(bert(handle_chinese_chars=True)))),
        "marks": (
            "The category Mn, which strip_accents removes.",
            packed_set(c for c, text in stripped.items() if not text and c not in decompositions)),
        "combiningClasses": ("Canonical combining classes that are not 0.", packed_classes(combining_classes(decompositions))),
        "decompositions": (
            "NFD, without Hangul syllables.", packed_map({c: t for c, t in decompositions.items() if c not in HANGUL})),
        "lowerCase": ("Lower case of single characters.", packed_map(changed(normalizers.Lowercase()))),
        "letters": (r"\p{L}", packed_set(matching(r"\p{L}"))),
        "numbers": (r"\p{N}", packed_set(matching(r"\p{N}"))),
        "regexSpaces": (r"\s", packed_set(matching(r"\s"))),
    }


def source() -> str:
    lines = [
        f"/// Character data as Hugging Face `tokenizers` {tokenizers.__version__} has it; written by tools/make_unicode_tables.py.",
        "///",
        "/// Each table is base64 of numbers of seven bits a byte, the lowest first, the high bit set on all but the last byte.",
        "/// A set: distance from the end of the range before, length - 1. Classes: the same and the class. A map: distance from",
        "/// behind the key before, length of the replacement, its scalars as zigzag distances from the key.",
        "enum UnicodeTables {",
    ]
    for index, (name, (comment, data)) in enumerate(tables().items()):
        text = textwrap.wrap(base64.b64encode(data).decode(), 115)
        lines += [""] * (index > 0) + [f"  /// {comment}", f"  static let {name} = \"\"\""]
        lines += [f"    {line}\\" for line in text[:-1]] + [f"    {text[-1]}", '    """']
    return "\n".join(lines) + "\n}\n"


def main() -> int:
    arguments = parse_arguments()
    text = source()
    if arguments.check:
        return 0 if arguments.output.exists() and arguments.output.read_text() == text else 1
    arguments.output.write_text(text)
    print(f"{arguments.output}: {len(text.splitlines())} lines", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
