#!/usr/bin/env python3
"""Hold measured private memory against the plan, and against the number of tasks mounted.

Converts the demonstration, bundles it with 1 and with 100 tasks, and measures both in a process that holds only the
engine (tusk-nano as Embedded Swift). Private memory must be within 3 % or 256 KB of the plan in both directions, and
the same with 100 tasks as with one (within one page).

  tools/check_footprint.py
  tools/check_footprint.py --source-tokens 512 --max-new-tokens 64
"""

import argparse
import sys
import tempfile
from pathlib import Path

from processes import run

ROOT = Path(__file__).resolve().parent.parent
PAGE = 4096


def measure(nano: Path, bundle: Path, options: argparse.Namespace) -> dict[str, int]:
    lines = run(nano, bundle, "--measure", "--source-tokens", str(options.source_tokens),
                "--max-new-tokens", str(options.max_new_tokens), "--threads", str(options.threads)).split()
    return {name: int(value) for name, value in (line.split("=") for line in lines)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk")
    parser.add_argument("--nano", type=Path, default=ROOT / ".build-embedded/release/tusk-nano")
    parser.add_argument("--source-tokens", type=int, default=128)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=100)
    options = parser.parse_args()

    demo = ROOT / "tools/demo"
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backbone = folder / "backbone.tusk"
        run(options.tusk, "convert", "backbone", demo / "t5-backbone", "--output", backbone)
        tasks = [folder / f"{number}.tusk" for number in range(options.tasks)]
        for number, task in enumerate(tasks):
            run(options.tusk, "convert", "task", demo / "tasks/iso-date", "--backbone", backbone, "--output", task,
                "--name", f"task-{number}")
        private = []
        for count in (1, options.tasks):
            bundle = folder / "bundle.tusk"
            run(options.tusk, "bundle", "--output", bundle, backbone, *tasks[:count])
            values = measure(options.nano, bundle, options)
            planned, measured = values["plannedPrivate"], values["measuredAnonymous"]
            allowed = max(0.03 * planned, 256_000)
            is_good = abs(measured - planned) <= allowed
            failures += not is_good
            private.append(measured)
            print(f"{count:4} tasks  planned {planned:,}  measured {measured:,}  difference {measured - planned:+,}  "
                  f"allowed {allowed:,.0f}  {'ok' if is_good else 'FAILED'}")
        if abs(private[1] - private[0]) > PAGE:
            failures += 1
            print(f"{options.tasks} tasks take {private[1] - private[0]:+,} private bytes beside one: FAILED")
    print(f"footprint: {private[1]:,} bytes private, {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
