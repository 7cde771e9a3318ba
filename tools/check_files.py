#!/usr/bin/env python3
"""Hold packed files against the independent reader: good ones are accepted, broken and altered ones refused.

A file below a folder called `broken` must be refused. Every other file must be accepted when opened and verified, and
refused cut short, extended, and with any one bit of it changed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from read_tusk import open_tusk
from tusk_container import FormatError


def refusal(path: Path) -> str | None:
    """Why the reader refuses the file; None if it accepts it."""
    try:
        open_tusk(path).verify()
    except FormatError as error:
        return str(error)
    return None


def alterations(data: bytes, flips: int) -> list[tuple[str, bytes]]:
    generator = random.Random(len(data))
    positions = range(len(data)) if len(data) <= flips else sorted(generator.sample(range(len(data)), flips))
    altered = [("cut to " + str(length), data[:length]) for length in (0, 1, 63, 64, len(data) // 2, len(data) - 1)]
    altered.append(("extended", data + b"\0"))
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1 << generator.randrange(8)
        altered.append((f"byte {position} changed", bytes(changed)))
    return altered


def check(path: Path, flips: int) -> list[str]:
    reason = refusal(path)
    if "broken" in path.parts:
        print(f"{path}: {'ACCEPTED' if reason is None else 'refused, ' + reason}")
        return [f"{path}: accepted, must be refused"] if reason is None else []
    if reason is not None:
        return [f"{path}: refused, {reason}"]
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "altered.tusk"
        cases = alterations(path.read_bytes(), flips)
        for what, data in cases:
            copy.write_bytes(data)
            if refusal(copy) is None:
                failures.append(f"{path}: {what}, and still accepted")
    print(f"{path}: accepted; {len(cases)} alterations, {len(failures)} of them accepted")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="example: tools/check_files.py examples")
    parser.add_argument("paths", nargs="+", type=Path, help="packed files, or folders to search for *.tusk")
    parser.add_argument("--flips", type=int, default=2_000, help="most bytes to change, one at a time (default: 2000)")
    arguments = parser.parse_args()
    files = [file for path in arguments.paths for file in (sorted(path.rglob("*.tusk")) if path.is_dir() else [path])]
    if not files:
        print("no packed files", file=sys.stderr)
        return 66
    failures = [failure for file in files for failure in check(file, arguments.flips)]
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"check_files: {len(files)} files, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
