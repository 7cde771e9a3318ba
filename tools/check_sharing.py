#!/usr/bin/env python3
"""Hold what tasks and processes share: 1,000 tasks mounted at once, and 8 processes over one backbone.

Bundles the demonstration with many tasks and opens it in a process that holds only the engine (tusk-nano as Embedded
Swift): the opening, every task mounted once, must take at most 50 ms, and a sample of tasks must answer as a bundle of
that task alone does. Then starts processes over one bundle, lets each answer, and adds up their proportional set sizes:
at most the mapped files once plus the private memory of each.

  tools/check_sharing.py
  tools/check_sharing.py --tasks 100 --processes 4
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import run

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "tools/demo"
TEXTS = {"iso-date": "4 May 2021", "clock-24": "half past nine in the evening", "dollar-sign": "ten dollars"}
SAMPLE = 25
OPEN_MILLISECONDS = 50


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk")
    parser.add_argument("--nano", type=Path, default=ROOT / ".build-embedded/release/tusk-nano")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    return parser.parse_args()


def convert(options: argparse.Namespace, folder: Path) -> tuple[Path, list[tuple[str, str, Path]]]:
    """The backbone, and as many tasks as asked for, the demonstration's in turn: name, text to answer, file."""
    backbone = folder / "backbone.tusk"
    run(options.tusk, "convert", "backbone", DEMO / "t5-backbone", "--output", backbone)
    tasks = []
    for number in range(options.tasks):
        kind = list(TEXTS)[number % len(TEXTS)]
        path = folder / f"{number}.tusk"
        run(options.tusk, "convert", "task", DEMO / "tasks" / kind, "--backbone", backbone, "--output", path,
            "--name", f"task-{number}")
        tasks.append((f"task-{number}", TEXTS[kind], path))
    return backbone, tasks


def check_opening(options: argparse.Namespace, bundle: Path) -> int:
    best = min(int(dict(line.split("=") for line in run(options.nano, bundle, "--measure", "--source-tokens", "16",
                                                         "--max-new-tokens", "2").split())["openNanoseconds"])
               for _ in range(5)) / 1e6
    is_good = best <= OPEN_MILLISECONDS
    print(f"opening with {options.tasks:,} tasks, each mounted once: {best:.2f} ms, at most {OPEN_MILLISECONDS}  "
          f"{'ok' if is_good else 'FAILED'}")
    return int(not is_good)


def check_answers(options: argparse.Namespace, backbone: Path, bundle: Path,
                  tasks: list[tuple[str, str, Path]]) -> int:
    """A sample, in an order that switches between kinds with every line."""
    sample = tasks[::max(1, len(tasks) // SAMPLE)]
    lines = "".join(f"{name}\t{line}\n" for name, line, _ in sample)
    together = run(options.nano, bundle, "-", text=lines).splitlines()
    alone = [run(options.nano, backbone, path, line).rstrip("\n") for _, line, path in sample]
    equal = sum(a == b for a, b in zip(together, alone))
    is_good = equal == len(sample) == len(together) and len(set(alone)) > 1
    print(f"answers equal to those of one task alone: {equal} of {len(sample)}  {'ok' if is_good else 'FAILED'}")
    return int(not is_good)


def rollup(process: int) -> dict[str, int]:
    """Bytes by the names of /proc/PID/smaps_rollup."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def check_processes(options: argparse.Namespace, bundle: Path, task: tuple[str, str, Path]) -> int:
    processes = [subprocess.Popen([str(options.nano), str(bundle), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True) for _ in range(options.processes)]
    try:
        answers = []
        for process in processes:
            process.stdin.write(f"{task[0]}\t{task[1]}\n")
            process.stdin.flush()
            answers.append(process.stdout.readline())
        sizes = [rollup(process.pid) for process in processes]
    finally:
        for process in processes:
            process.communicate()
    total = sum(size["Pss"] for size in sizes)
    private = [size["Private_Dirty"] for size in sizes]
    shared = bundle.stat().st_size + options.nano.stat().st_size
    allowed = shared + sum(private)
    is_good = total <= allowed and len(set(answers)) == 1
    print(f"{options.processes} processes: proportional set sizes {total:,} bytes in all, at most {allowed:,} = "
          f"{shared:,} of files + {len(private)} x {max(private):,} private  {'ok' if is_good else 'FAILED'}")
    return int(not is_good)


def main() -> int:
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="tusk-sharing-") as name:
        folder = Path(name)
        backbone, tasks = convert(options, folder)
        bundle = folder / "bundle.tusk"
        run(options.tusk, "bundle", "--output", bundle, backbone, *(path for _, _, path in tasks))
        failures = check_opening(options, bundle)
        failures += check_answers(options, backbone, bundle, tasks)
        failures += check_processes(options, bundle, tasks[0])
    print(f"sharing: {options.tasks:,} tasks, {options.processes} processes, {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
