#!/usr/bin/env python3
"""Hold libtusk's interface to the committed list Tests/LibraryTests/abi.txt, in both directions.

The list has every prototype of tusk.h, every constant with its value, and every structure's length with the place of
each member, as the C compiler sees them. The libraries must export the functions of the header and nothing else. What
is changed or gone breaks programs that exist: then TUSK_ABI_VERSION has to grow. What is new is added with --update.

examples: tools/library && tools/check_abi.py
          tools/check_abi.py --update
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
HEADER = PACKAGE / "Sources" / "CTusk" / "include" / "tusk.h"
COMMITTED = PACKAGE / "Tests" / "LibraryTests" / "abi.txt"


def bare(header: str) -> str:
    """The header without its comments."""
    return re.sub(r"//.*", "", header)


def prototypes(header: str) -> dict[str, str]:
    found = re.findall(r"TUSK_API ([^;]*?\b(tusk_\w+)\([^;]*\));", bare(header))
    return {name: " ".join(text.split()) for text, name in found}


def callbacks(header: str) -> list[str]:
    return [" ".join(text.split()) for text in re.findall(r"typedef [^;{]*\(\*tusk_\w+\)\([^;]*\);", bare(header))]


def constants(header: str) -> list[str]:
    return re.findall(r"^\s*(TUSK_\w+) = -?\d+", bare(header), re.MULTILINE) + [
        "TUSK_ABI_VERSION", "TUSK_NO_TASK", "TUSK_MODEL_MEMORY_BYTES"]


def structures(header: str) -> dict[str, list[str]]:
    """Members of each structure, by name."""
    found = re.findall(r"typedef struct \{(.*?)\} (\w+);", bare(header), re.DOTALL)
    return {name: re.findall(r"(\w+);", body) for body, name in found}


def measured(header: str) -> list[str]:
    """What a C program prints that was compiled with the header."""
    lines = [f'printf("constant {name} %d\\n", (int){name});' for name in constants(header)]
    for name, members in structures(header).items():
        lines.append(f'printf("structure {name} %zu\\n", sizeof({name}));')
        lines += [f'printf("member {name}.{member} %zu %zu\\n", offsetof({name}, {member}), '
                  f'sizeof((({name} *)0)->{member}));' for member in members]
    source = '#include <stdio.h>\n#include "tusk.h"\nint main(void) {\n' + "\n".join(lines) + "\n}\n"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "abi"
        subprocess.run(["cc", "-std=c11", "-x", "c", "-", "-I", HEADER.parent, "-o", program], input=source, text=True,
                       check=True)
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def exported(library: Path) -> set[str]:
    option = ["-D"] if library.suffix == ".so" else []
    printed = subprocess.run(["nm", *option, "--defined-only", "--extern-only", library], capture_output=True, text=True,
                             check=True).stdout
    names = [line.split()[2] for line in printed.splitlines() if len(line.split()) == 3 and line.split()[1] != "A"]
    return {name.partition("@@")[0] for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", type=Path, default=PACKAGE / ".build" / "library", help="what tools/library built")
    parser.add_argument("--update", action="store_true", help="write the list instead of comparing with it")
    arguments = parser.parse_args()
    header = HEADER.read_text()
    functions = prototypes(header)
    lines = [f"function {functions[name]}" for name in sorted(functions)]
    lines += callbacks(header) + measured(header)
    if arguments.update:
        COMMITTED.write_text("\n".join(lines) + "\n")
    failures = 0
    for line in difflib.unified_diff(COMMITTED.read_text().splitlines(), lines, "committed", "tusk.h", lineterm="", n=0):
        print(line)
        failures += line[0] in "+-" and not line.startswith(("+++", "---"))
    for kind in ("embedded", "swift"):
        for name in ("libtusk.so", "libtusk.a"):
            found = exported(arguments.libraries / kind / "lib" / name)
            for symbol in sorted(found ^ set(functions)):
                print(f"{kind}/{name}: {symbol} is {'not in the header' if symbol in found else 'missing'}")
                failures += 1
    print(f"abi: {len(functions)} functions, {len(lines)} lines, {failures} differences")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
