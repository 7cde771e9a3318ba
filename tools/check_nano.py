#!/usr/bin/env python3
"""Hold the size, the memory and the start of tusk-nano to limits, as Embedded Swift.

What is recorded here has to hold in both directions, so that a gain is recorded, too. Size: the stripped program, dynamic and
static. Memory: MiniLM with a task answers a text of 32 tokens; the private bytes (RssAnon), and the peak without the pages of
the model. Start: the processor's time of a process with one answer, less what starting `cat` takes, beside that of one more
answer; with the model in memory as the program itself has read it.

  tools/check_nano.py --model .build/minilm-packed/minilm-int8.tusk --task .build/minilm-packed/sst2.tusk
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
from pathlib import Path

from processes import drop_from_page_cache

PACKAGE = Path(__file__).resolve().parent.parent
LIMITS = {"dynamic": 400_000, "static": 1_500_000, "private": 2_000_000, "peak without the model": 3_000_000}
RECORDED = {"dynamic": 389_984, "static": 1_148_808, "private": 848_000, "peak without the model": 2_327_000}
# Pages that the C library touches differ between machines.
TOLERANCES = {"dynamic": 0.05, "static": 0.05, "private": 0.10, "peak without the model": 0.10}
START_LIMIT = 1.3
RUNS, MORE_ANSWERS = 21, 10
# 32 tokens with [CLS] and [SEP].
TEXT = ("a thoughtful and moving film about a small town that never lets its people go , told with wit , patience and a "
        "great deal of love for them all")


class Judge:
    def __init__(self) -> None:
        self.failures = 0

    def __call__(self, good: bool, line: str) -> None:
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {line}", flush=True)

    def bytes(self, name: str, count: int) -> None:
        limit, recorded, tolerance = LIMITS[name], RECORDED[name], TOLERANCES[name]
        self(count <= limit and abs(count - recorded) <= tolerance * recorded,
             f"{name} {count:,} bytes, at most {limit:,}, recorded {recorded:,} +- {tolerance:.0%}")


def stripped_bytes(program: Path) -> int:
    stripped = program.with_suffix(".stripped")
    subprocess.run(["strip", "-o", stripped, program], check=True)
    return stripped.stat().st_size


def check_sizes(judge: Judge, programs: dict[str, Path]) -> None:
    for name, program in programs.items():
        judge.bytes(name, stripped_bytes(program))


def check_libraries(judge: Judge, program: Path) -> None:
    printed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in printed.splitlines() if "=>" in line]
    judge(set(names) <= {"libc.so.6", "libm.so.6"}, f"needs {', '.join(names)}")
    dynamic = subprocess.run(["readelf", "--dynamic", program], capture_output=True, text=True, check=True).stdout
    judge("RUNPATH" not in dynamic, "looks for them where the system has them, not in its own folder")


def check_memory(judge: Judge, command: list[str]) -> None:
    """As the kernel counts it when the answer is there."""
    with subprocess.Popen([*command, "--source-tokens", "32", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nano:
        nano.stdin.write((TEXT + "\n").encode())
        nano.stdin.flush()
        nano.stdout.readline()
        status = Path(f"/proc/{nano.pid}/status").read_text()
        smaps = Path(f"/proc/{nano.pid}/smaps").read_text()
        nano.stdin.close()
    use = {name: 1024 * int(count) for name, count in re.findall(r"^(RssAnon|VmHWM):\s+(\d+) kB", status, re.MULTILINE)}
    files = "|".join(re.escape(str(Path(file).resolve())) for file in command[1:])
    mapped = re.findall(rf" (?:{files})$.*?^Rss:\s+(\d+) kB", smaps, re.MULTILINE | re.DOTALL)
    model = 1024 * sum(map(int, mapped))
    judge.bytes("private", use["RssAnon"])
    judge.bytes("peak without the model", use["VmHWM"] - model)


def processor_seconds(command: list[str], lines: int) -> float:
    """User and system time of answering so many lines, loader and end of the process included: the least of several runs."""
    text = (TEXT + "\n").encode() * lines
    seconds = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, input=text, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(seconds)


def check_start(judge: Judge, command: list[str]) -> None:
    """In time of the processor, which others on the machine take little away from; less what starting `cat` takes."""
    for file in command[1:]:
        drop_from_page_cache(Path(file))
    command = [*command, "--source-tokens", "32", "-"]
    process = processor_seconds(["cat"], 1)
    first = processor_seconds(command, 1) - process
    compute = (processor_seconds(command, 1 + MORE_ANSWERS) - process - first) / MORE_ANSWERS
    judge(first <= START_LIMIT * compute, f"start to first answer {1000 * first:.2f} ms, {first / compute:.2f} times the "
          f"{1000 * compute:.2f} ms of an answer, at most {START_LIMIT}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dynamic", type=Path, default=PACKAGE / ".build-embedded/release/tusk-nano")
    parser.add_argument("--static", type=Path, default=PACKAGE / ".build-embedded-static/release/tusk-nano")
    parser.add_argument("--model", type=Path, help="MiniLM, as tools/minilm converts it; without it, sizes only")
    parser.add_argument("--task", type=Path, help="a task for it")
    arguments = parser.parse_args()
    judge = Judge()
    check_sizes(judge, {"dynamic": arguments.dynamic, "static": arguments.static})
    check_libraries(judge, arguments.dynamic)
    if arguments.model:
        command = [str(arguments.dynamic), str(arguments.model), *([str(arguments.task)] if arguments.task else [])]
        check_memory(judge, command)
        check_start(judge, command)
    print(f"nano: {stripped_bytes(arguments.dynamic):,} bytes, {judge.failures} failures")
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
