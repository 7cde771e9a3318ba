#!/usr/bin/env python3
"""Fail if the engine's modules, or the program built from them, use Foundation, Dispatch or a C library module.

Sources: the import lines. Program: the shared libraries that `tusk-nano` asks the loader for.

example: swift build --product tusk-nano && tools/check_imports.py
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
MODULES = ["TuskFormat", "TuskTokenizer", "TuskEngine", "TuskC", "tusk-nano"]
FORBIDDEN = re.compile(r"Foundation|Dispatch|Glibc|Musl|Darwin|XCTest")
IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:public |package |internal )?import\s+(?:\w+\s+)?([\w.]+)")
"""What the Swift runtime itself may need, beside the C library."""
ALLOWED_LIBRARIES = re.compile(r"^(libc|libm|libpthread|libdl|librt|libgcc_s|libstdc\+\+|libswift\w+|ld-linux.*)\.so")


def forbidden_imports() -> list[str]:
    found = []
    for module in MODULES:
        for path in sorted((PACKAGE / "Sources" / module).rglob("*.swift")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = IMPORT.match(line)
                if match and FORBIDDEN.search(match[1]):
                    found.append(f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}")
    return found


def forbidden_libraries(program: Path) -> list[str]:
    printed = subprocess.run(["readelf", "--dynamic", program], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\]", printed)
    return [f"{program.name} needs {name}" for name in needed
            if FORBIDDEN.search(name) or not ALLOWED_LIBRARIES.match(name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PACKAGE / ".build" / "debug" / "tusk-nano")
    arguments = parser.parse_args()
    if not arguments.program.exists():
        print(f"{arguments.program}: not built; `swift build --product tusk-nano` makes it", file=sys.stderr)
        return 66
    found = forbidden_imports() + forbidden_libraries(arguments.program)
    for line in found:
        print(line)
    print(f"found: {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
