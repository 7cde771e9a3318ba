#!/usr/bin/env python3
"""Convert a random T5 of real size and measure what that costs: private memory at its peak, and speed.

The checkpoint is written once, to .build/checkpoints, and read once before the first run, so that the page cache is warm.
Private memory is RssAnon of /proc/PID/status, sampled while the conversion runs; file pages can be dropped at any time
and are not counted. Speed is the best of the runs; it is not judged where the checkpoint is larger than a quarter of the
machine's memory, since the disk would be measured then.

examples:
  tools/check_conversion_memory.py
  tools/check_conversion_memory.py --size t5-3b --runs 1
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
MAXIMUM_MEGABYTES = 32.0
MINIMUM_SPEED = 200.0
SAMPLE_SECONDS = 0.002


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="t5-base", choices=["t5-small", "t5-base", "t5-large", "t5-3b"])
    parser.add_argument("--weights", default="int8", choices=["int8", "float32"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkpoint", type=Path, help="convert this directory instead of a random one")
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build" / "release" / "tusk")
    return parser.parse_args()


def random_checkpoint(size: str) -> Path:
    directory = PACKAGE / ".build" / "checkpoints" / size
    if not (directory / "complete").exists():
        print(f"writing {directory}", file=sys.stderr)
        subprocess.run([PACKAGE / "tools" / "make_checkpoint.py", size, directory], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (directory / "complete").touch()
    return directory


def warm(directory: Path) -> int:
    """Reads the weights once; returns their bytes."""
    total = 0
    for path in [*directory.glob("*.safetensors"), *directory.glob("*.bin")]:
        with path.open("rb", buffering=0) as file:
            while block := file.read(1 << 22):
                total += len(block)
    return total


def private_kilobytes(process: int) -> int:
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) if found else 0


def convert(command: list[str | Path]) -> tuple[float, float]:
    """Seconds, and private megabytes at the peak."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        peak = max(peak, private_kilobytes(process.pid))
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - start
    if process.returncode != 0:
        sys.exit(f"the conversion failed: {process.stderr.read().decode(errors='replace')}")
    return seconds, peak * 1024 / 1e6


def main() -> int:
    arguments = parse_arguments()
    if not arguments.tusk.exists():
        sys.exit(f"{arguments.tusk}: no such program; `swift build -c release` makes it")
    directory = arguments.checkpoint or random_checkpoint(arguments.size)
    megabytes = warm(directory) / 1e6
    machine_megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    judges_speed = megabytes < machine_megabytes / 4
    with tempfile.TemporaryDirectory(dir=PACKAGE / ".build") as folder:
        command = [arguments.tusk, "convert", "backbone", directory, "--weights", arguments.weights,
                   "--output", Path(folder) / "out.tusk"]
        runs = [convert(command) for _ in range(arguments.runs)]
    speed = megabytes / min(seconds for seconds, _ in runs)
    peak = max(peak for _, peak in runs)
    print(f"{directory.name}: {megabytes:.0f} MB, peak {peak:.1f} MB private (required: <= {MAXIMUM_MEGABYTES:.0f}), "
          f"{speed:.0f} MB/s ({f'required: >= {MINIMUM_SPEED:.0f}' if judges_speed else 'not judged: too large to stay cached'})")
    return 0 if peak <= MAXIMUM_MEGABYTES and (speed >= MINIMUM_SPEED or not judges_speed) else 1


if __name__ == "__main__":
    sys.exit(main())
