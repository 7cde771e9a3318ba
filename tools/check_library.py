#!/usr/bin/env python3
"""Build libtusk both ways and use it as its users do, from C and from Python.

Compiles the header alone as C11 and C++17 with every warning; holds the interface to the committed list; counts what the
library without the Swift runtime takes from malloc in the caller's memory (nothing), and its size; answers with the C
example, linked statically and shared, against both kinds; runs the Python module's tests against both; compiles and runs
the programs of the README. The models are the demonstration's, and all-MiniLM-L6-v2 where tools/fetch_minilm.py has
left it.

example: tools/check_library.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
DEMO = PACKAGE / "tools" / "demo"
LIBRARIES = PACKAGE / ".build" / "library"
INCLUDE = PACKAGE / "Sources" / "CTusk" / "include"
EXAMPLES = PACKAGE / "tools" / "examples"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only"]
KINDS = ("embedded", "swift")
ANSWERS_PER_TASK = 3
# The shared library without the Swift runtime, stripped; measured 399,440 bytes.
LEAST_BYTES, MOST_BYTES = 380_000, 420_000


class Check:
    def __init__(self) -> None:
        self.failures = 0
        self.models = LIBRARIES / "models"

    def judge(self, good: bool, line: str) -> None:
        self.failures += not good
        print(f"{'ok    ' if good else 'FAILED'} {line}", flush=True)

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=PACKAGE,
                              env={**os.environ, **environment})

    def require(self, *command: str | Path, **environment: str) -> str:
        done = self.run(*command, **environment)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def convert(check: Check, tusk: Path) -> None:
    check.models.mkdir(parents=True, exist_ok=True)

    def backbone(name: str, checkpoint: Path, tasks: Path, names: list[str]) -> None:
        packed = check.models / f"{name}.tusk"
        check.require(tusk, "convert", "backbone", checkpoint, "--output", packed)
        for task in names:
            check.require(tusk, "convert", "task", tasks / task, "--backbone", packed, "--output",
                          check.models / f"{task}.tusk", "--name", task)

    backbone("t5", DEMO / "t5-backbone", DEMO / "tasks", ["iso-date", "clock-24", "dollar-sign"])
    tasks = [check.models / f"{name}.tusk" for name in ("iso-date", "clock-24", "dollar-sign")]
    check.require(tusk, "bundle", "--output", check.models / "all.tusk", check.models / "t5.tusk", *tasks)
    minilm = PACKAGE / ".build" / "minilm"
    if (minilm / "model.safetensors").exists():
        backbone("minilm", minilm, DEMO / "minilm-tasks", ["sst2", "mrpc", "trec"])
    else:
        (check.models / "minilm.tusk").unlink(missing_ok=True)
        print("       MiniLM is not cached (tools/fetch_minilm.py): its part is left out")


def check_header(check: Check) -> None:
    for compiler, language, standard in (("gcc", "c", "c11"), ("clang", "c", "c11"), ("g++", "c++", "c++17"),
                                         ("clang++", "c++", "c++17")):
        if shutil.which(compiler):
            done = check.run(compiler, f"-std={standard}", *WARNINGS, "-x", language, INCLUDE / "tusk.h")
            check.judge(done.returncode == 0, f"tusk.h with {compiler} -std={standard}{': ' + done.stderr if done.stderr else ''}")


def check_files(check: Check) -> None:
    done = check.run(PACKAGE / "tools" / "check_abi.py")
    check.judge(done.returncode == 0, done.stdout.strip())
    shared = LIBRARIES / "embedded" / "lib" / "libtusk.so"
    size = shared.stat().st_size
    check.judge(LEAST_BYTES <= size <= MOST_BYTES,
                f"shared library without the Swift runtime: {size} bytes, required {LEAST_BYTES} to {MOST_BYTES}")
    needed = set(re.findall(r"\(NEEDED\).*\[(.+?)\]", check.require("readelf", "--dynamic", shared)))
    check.judge(needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}, f"it needs {', '.join(sorted(needed))}")


def check_allocations(check: Check) -> None:
    """The same program counts more than none with the other library, so the counter counts."""
    counter = PACKAGE / "Tests" / "CTuskAllocationCounter"
    tasks = {"t5": ["iso-date"] * 12 + ["clock-24", "dollar-sign"], "minilm": ["sst2", "mrpc"]}
    lines = ["It ended on the third of June.", "", "a" * 1024, "é" * 512, "ab " * 300]
    for kind in KINDS:
        program = check.models / f"allocations-{kind}"
        folder = LIBRARIES / kind
        check.require("clang", "-std=c17", "-D_GNU_SOURCE", "-I", folder / "include", "-I", counter / "include",
                      PACKAGE / "Tests" / "LibraryTests" / "allocations.c", counter / "allocation_counter.c",
                      folder / "lib" / "libtusk.a", *private_libraries(folder), "-o", program)
        for backbone, names in tasks.items():
            if not (check.models / f"{backbone}.tusk").exists():
                continue
            files = [check.models / f"{name}.tusk" for name in [backbone, *names]]
            # A pair is both texts together.
            texts = lines if backbone == "t5" else [line[:len(line) // 2] for line in lines]
            output = check.require(program, *files, "--", *texts)
            count = int(re.findall(r"allocations: (\d+)", output)[0])
            is_embedded = kind == "embedded"
            check.judge((count == 0) == is_embedded, f"{kind}: {count} allocations with {backbone} in the caller's memory")
            if is_embedded:
                check.judge("a long text: TUSK_ERROR_MEMORY_TOO_SMALL" in output, "a text too long for it is refused")


def private_libraries(folder: Path) -> list[str]:
    """What a static link needs, from the package's own description."""
    text = (folder / "lib" / "pkgconfig" / "tusk.pc").read_text()
    return re.findall(r"^Libs.private: (.*)$", text, re.MULTILINE)[0].split()


def answers(task: str) -> list[tuple[str, str]]:
    """Sentences of the demonstration with PyTorch's answers."""
    sentences = [json.loads(line)["text"] for line in (DEMO / "sentences" / f"{task}.jsonl").read_text().splitlines()]
    golden = [json.loads(line) for line in (DEMO / "golden.jsonl").read_text().splitlines()]
    return [(sentences[row["index"]], row["text"]) for row in golden if row["task"] == task][:ANSWERS_PER_TASK]


def check_example(check: Check) -> None:
    build = LIBRARIES / "examples"
    for kind in KINDS:
        for target in ("all", "shared"):
            check.require("make", "-B", "-C", EXAMPLES / "c", f"KIND={kind}", f"BUILD={build}", target)
        for program in (f"example-{kind}", f"example-{kind}-shared"):
            right = total = 0
            for task in ("iso-date", "clock-24", "dollar-sign"):
                for text, answer in answers(task):
                    found = check.require(build / program, check.models / "t5.tusk", check.models / f"{task}.tusk", text)
                    right += found == answer + "\n"
                    total += 1
            check.judge(right == total, f"{program}: {right} of {total} answers are PyTorch's")
            if (check.models / "minilm.tusk").exists():
                minilm = check.models / "minilm.tusk"
                label = check.require(build / program, minilm, check.models / "sst2.tusk", "a great film")
                embedding = check.require(build / program, minilm, "a great film")
                check.judge("* 1 0.9" in label and embedding.startswith("384 numbers: "), f"{program}: MiniLM answers")
        fault = check.run(build / f"example-{kind}", "/nonexistent", "text")
        check.judge(fault.returncode == 65 and "TUSK_ERROR_CANNOT_OPEN" in fault.stderr, f"{kind}: a fault is named")


def check_aarch64(check: Check) -> None:
    """The C example for 64-bit ARM, in an emulator."""
    if not shutil.which("aarch64-linux-gnu-gcc") or not shutil.which("qemu-aarch64-static"):
        print("       there is no cross compiler or emulator of 64-bit ARM: its part is left out")
        return
    check.require(PACKAGE / "tools" / "library", "--kind", "aarch64")
    folder, program = LIBRARIES / "aarch64", check.models / "example-aarch64"
    source = EXAMPLES / "c" / "main.c"
    check.require("aarch64-linux-gnu-gcc", "-O2", "-static", "-I", folder / "include", source,
                  folder / "lib" / "libtusk.a", "-lm", "-o", program)
    static = ["qemu-aarch64-static", program]
    shared = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", f"{program}-shared"]
    check.require("aarch64-linux-gnu-gcc", "-O2", "-I", folder / "include", source, folder / "lib" / "libtusk.so",
                  f"-Wl,-rpath,{folder / 'lib'}", "-o", f"{program}-shared")
    for command in (static, shared):
        for task in ("iso-date", "clock-24"):
            text, answer = answers(task)[0]
            found = check.require(*command, check.models / "t5.tusk", check.models / f"{task}.tusk", text)
            check.judge(found == answer + "\n", f"{Path(command[-1]).name}: {task}: {found.strip()}")


def check_python(check: Check, tusk: Path) -> None:
    for kind in KINDS:
        done = check.run(sys.executable, "-m", "unittest", "discover", "-s", "Tests/PythonTests",
                         TUSK_LIBRARY=str(LIBRARIES / kind / "lib" / "libtusk.so"), TUSK_MODELS=str(check.models),
                         TUSK_COMMAND=str(tusk), PYTHONPATH=str(PACKAGE / "tools" / "python"))
        ran = re.findall(r"Ran (\d+) tests", done.stderr)
        good = done.returncode == 0 and bool(ran) and int(ran[0]) > 0
        check.judge(good, f"Python with the {kind} library: {ran[0] if ran else 'no'} tests")
        if not good:
            print(done.stderr)


def check_readme(check: Check) -> None:
    """The programs shown are those of tools/examples; they are compiled and run."""
    readme = (PACKAGE / "README.md").read_text()
    for language, path in (("c", EXAMPLES / "c" / "answer.c"), ("python", EXAMPLES / "answer.py")):
        blocks = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
        check.judge(path.read_text() in blocks, f"README.md shows {path.relative_to(PACKAGE)}")
    text, answer = answers("iso-date")[0]
    program = check.models / "answer"
    check.require("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", EXAMPLES / "c" / "answer.c", "-I", INCLUDE,
                  LIBRARIES / "embedded" / "lib" / "libtusk.a", "-lm", "-o", program)
    bundle = check.models / "all.tusk"
    check.judge(check.require(program, bundle, "iso-date", text) == answer + "\n", "the C program of the README answers")
    fault = check.run(program, bundle, "no such task", text)
    check.judge(fault.returncode == 64 and "TUSK_ERROR_NO_SUCH_TASK" in fault.stderr, "and names a fault")
    found = check.require(sys.executable, EXAMPLES / "answer.py", bundle, "iso-date", text,
                          TUSK_LIBRARY=str(LIBRARIES / "embedded" / "lib" / "libtusk.so"),
                          PYTHONPATH=str(PACKAGE / "tools" / "python"))
    check.judge(found == answer + "\n", "the Python program of the README answers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build" / "release" / "tusk", help="converts the models")
    arguments = parser.parse_args()
    check = Check()
    check.require(PACKAGE / "tools" / "library")
    convert(check, arguments.tusk.resolve())
    check_header(check)
    check_files(check)
    check_allocations(check)
    check_example(check)
    check_aarch64(check)
    check_python(check, arguments.tusk.resolve())
    check_readme(check)
    print(f"library: {check.failures} failures")
    return min(check.failures, 1)


if __name__ == "__main__":
    sys.exit(main())
