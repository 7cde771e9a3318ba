#!/usr/bin/env python3
"""Fail if a source file has more than 600 lines; name those with more than 400.

example: tools/check_file_length.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
SOFT_LINES, HARD_LINES = 400, 600
SUFFIXES = {".swift", ".c", ".h", ".py", ".sh", ".md"}


def source_files() -> list[Path]:
    """What git knows or would add, so that build folders and downloads do not count."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=PACKAGE,
                            capture_output=True, check=True).stdout.decode()
    paths = [PACKAGE / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and (path.suffix in SUFFIXES or is_tool(path))]


def is_tool(path: Path) -> bool:
    return path.parent == PACKAGE / "tools" and not path.suffix


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    lengths = {path: path.read_bytes().count(b"\n") for path in source_files()}
    for path, length in sorted(lengths.items(), key=lambda item: -item[1]):
        if length > SOFT_LINES:
            print(f"{path.relative_to(PACKAGE)}: {length} lines ({'more than allowed' if length > HARD_LINES else 'long'})")
    print(f"files: {len(lengths)}, longest: {max(lengths.values())}")
    return 1 if max(lengths.values()) > HARD_LINES else 0


if __name__ == "__main__":
    sys.exit(main())
