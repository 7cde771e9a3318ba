#!/usr/bin/env python3
"""Kill a running conversion at random moments: the target must be the old file or the complete new one, nothing else.

Converts a random T5-small (242 MB, written once to .build/checkpoints) over an existing backbone, kills the process
without warning, and compares the target byte for byte with both files. Half of the moments are spread over the whole run,
half lie around its end, where the file is flushed and renamed. A left-over FILE.tmp must not hinder the next conversion.
A last few runs are interrupted as Ctrl-C does: they must also leave no FILE.tmp.

examples:
  tools/check_crash_safety.py
  tools/check_crash_safety.py --kills 500 --seed 7
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
OLD_CHECKPOINT = PACKAGE / "Tests" / "Fixtures" / "golden" / "backbones" / "t5_v11"
INTERRUPTED = 130


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--interruptions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build" / "release" / "tusk")
    return parser.parse_args()


def checkpoint() -> Path:
    directory = PACKAGE / ".build" / "checkpoints" / "t5-small"
    if not (directory / "complete").exists():
        subprocess.run([PACKAGE / "tools" / "make_checkpoint.py", "t5-small", directory], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (directory / "complete").touch()
    return directory


def digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


class Trial:
    """One target, and the two contents it may have."""

    def __init__(self, tusk: Path, directory: Path, folder: Path) -> None:
        self.command = [tusk, "convert", "backbone", directory, "--output", folder / "target.tusk"]
        self.target = folder / "target.tusk"
        self.temporary = folder / "target.tusk.tmp"
        self.old = folder / "old.tusk"
        subprocess.run([tusk, "convert", "backbone", OLD_CHECKPOINT, "--output", self.old], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        start = time.monotonic()
        self.run_to_end()
        self.seconds = time.monotonic() - start
        subprocess.run([tusk, "verify", self.target], check=True, stdout=subprocess.DEVNULL)
        self.digests = {digest(self.old): "old", digest(self.target): "new"}

    def run_to_end(self) -> None:
        subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, moment: float, number: signal.Signals) -> tuple[str, int]:
        """Which file is there after `number` was sent at `moment`, and how the process ended."""
        shutil.copyfile(self.old, self.target)
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(number)
        status = process.wait()
        return self.digests.get(digest(self.target), "broken"), status


def main() -> int:
    arguments = parse_arguments()
    if not arguments.tusk.exists():
        sys.exit(f"{arguments.tusk}: no such program; `swift build -c release` makes it")
    generator = random.Random(arguments.seed)
    directory = checkpoint()
    with tempfile.TemporaryDirectory(dir=PACKAGE / ".build") as folder:
        trial = Trial(arguments.tusk, directory, Path(folder))
        found = {"old": 0, "new": 0, "broken": 0}
        for kill in range(arguments.kills):
            early, late = (0.0, 1.0) if kill % 2 == 0 else (0.9, 1.1)
            content, status = trial.stop(trial.seconds * generator.uniform(early, late), signal.SIGKILL)
            found[content] += 1
            if content == "broken" or (content == "old" and status == 0):
                print(f"kill {kill} left a {content} file, exit status {status}")
        left_over = trial.temporary.exists()
        trial.run_to_end()
        recovered = trial.digests.get(digest(trial.target)) == "new" and not trial.temporary.exists()
        untidy = 0
        for _ in range(arguments.interruptions):
            content, status = trial.stop(trial.seconds * generator.uniform(0.1, 0.8), signal.SIGINT)
            is_tidy = not trial.temporary.exists() and (content, status) in [("old", INTERRUPTED), ("new", 0)]
            untidy += not is_tidy
        print(f"{arguments.kills} kills: {found['old']} left the old file, {found['new']} the complete new one, "
              f"{found['broken']} a broken one")
        print(f"a conversion afterwards {'succeeds' if recovered else 'FAILS'}"
              f"{' over a left-over temporary file' if left_over else ''}; "
              f"{arguments.interruptions} interruptions, {untidy} untidy")
        return 0 if found["broken"] == 0 and recovered and untidy == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
