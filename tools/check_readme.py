#!/usr/bin/env python3
"""Run every ```sh block of README.md, verbatim and in order, in a fresh clone of the last commit.

A block fails with its first failing command. Build folders of this clone are not used, so this takes as long as it
takes a new user.

example: tools/check_readme.py
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="clone into this new folder and leave it")
    arguments = parser.parse_args()
    blocks = BLOCK.findall((PACKAGE / "README.md").read_text())
    with tempfile.TemporaryDirectory(prefix="tusk-readme-") as temporary:
        clone = arguments.keep or Path(temporary) / "tusk"
        subprocess.run(["git", "clone", "--quiet", str(PACKAGE), str(clone)], check=True)
        for number, block in enumerate(blocks, 1):
            print(f"block {number} of {len(blocks)}\n{block}", end="", flush=True)
            start = time.monotonic()
            status = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=clone,
                                    stdin=subprocess.DEVNULL).returncode
            print(f"block {number}: exit {status}, {time.monotonic() - start:.0f} s", flush=True)
            if status != 0:
                return 1
    print(f"{len(blocks)} blocks ran")
    return 0 if blocks else 1


if __name__ == "__main__":
    sys.exit(main())
