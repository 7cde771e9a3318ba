#!/usr/bin/env python3
"""Kill a training run at random moments: it goes on to the same bytes. And hold its memory to what was planned.

Trains a Compacter task on the demonstration's T5 (tools/demo), with an evaluation after each epoch, kills the process without
warning, lets `--resume` finish it, and compares the task byte for byte with that of a run without a stop. The state is saved
after every step, so that many of the moments lie within a save. A few runs are interrupted as Ctrl-C does instead: they must
end with exit code 130 and leave no temporary file. On a full device (a tmpfs in a mount namespace) one must end with 74 and
leave the state it had. Then every plan that a memory budget can lead to is run, for the demonstration and, with --minilm, for
all-MiniLM-L6-v2 (tools/fetch_minilm.py fetches it): private memory, RssAnon after each step, must be within 10 % or 4 MB of
the plan. That is wider than of inference: what OpenBLAS keeps for packing depends on its build and on the processor it
finds, and the C library keeps some of what reading the examples took.

examples:
  tools/check_training.py
  tools/check_training.py --kills 200 --seed 7 --minilm
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import run

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "tools" / "demo"
INTERRUPTED = 130
IO_FAULT = 74
RECIPE = ["--epochs", "6", "--batch", "8", "--learning-rate", "0.003", "--threads", "2"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--interruptions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--minilm", action="store_true", help="measure MiniLM's plans, too")
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build" / "release" / "tusk")
    return parser.parse_args()


def digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


class Trial:
    """One run, that of the demonstration's dates, and the bytes it comes to."""

    def __init__(self, tusk: Path, folder: Path) -> None:
        self.task = folder / "task.tusk"
        self.state = folder / "task.tusk.state"
        self.temporary = folder / "task.tusk.state.tmp"
        self.backbone = folder / "backbone.tusk"
        self.data = [folder / "train.jsonl", folder / "validation.jsonl"]
        run(tusk, "convert", "backbone", DEMO / "t5-backbone", "--output", self.backbone)
        lines = (DEMO / "sentences" / "iso-date.jsonl").read_text().splitlines(keepends=True)
        self.data[0].write_text("".join(lines[:80]))
        self.data[1].write_text("".join(lines[80:]))
        self.command = [tusk, "train", self.backbone, "--method", "compacter", "--train", self.data[0],
                        "--validation", self.data[1], "--output", self.task, "--save-seconds", "0", *RECIPE]
        start = time.monotonic()
        run(*self.command)
        self.seconds = time.monotonic() - start
        self.expected = digest(self.task)

    def stop(self, moment: float, number: signal.Signals) -> int:
        """The exit status of a run that was sent `number` at `moment`."""
        for path in [self.task, self.state]:
            path.unlink(missing_ok=True)
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(number)
        return process.wait()

    def interrupt(self, moment: float) -> int:
        """`stop` by SIGINT; where the run was over before, as it may be when the machine has become faster, a sooner one."""
        status = self.stop(moment, signal.SIGINT)
        return self.interrupt(moment / 2) if status == 0 and digest(self.task) == self.expected and moment > 0.1 else status

    def finish(self) -> bool:
        """Whether the run goes on, or begins if it had not, and comes to the same bytes."""
        if self.state.exists():
            run(*self.command, "--resume")
        elif not self.task.exists():
            run(*self.command)
        return digest(self.task) == self.expected and not self.state.exists()


def check_stops(options: argparse.Namespace, trial: Trial) -> int:
    generator = random.Random(options.seed)
    resumed = wrong = untidy = 0
    for kill in range(options.kills):
        trial.stop(trial.seconds * generator.uniform(0.02, 1), signal.SIGKILL)
        resumed += trial.state.exists()
        if not trial.finish():
            wrong += 1
            print(f"kill {kill} led to another task")
    for _ in range(options.interruptions):
        status = trial.interrupt(trial.seconds * generator.uniform(0.3, 0.7))
        untidy += status != INTERRUPTED or trial.temporary.exists() or not trial.state.exists()
        wrong += not trial.finish()
    print(f"{options.kills} kills and {options.interruptions} interruptions of a run of {trial.seconds:.1f} s: {resumed} left a "
          f"state, {wrong} led to another task, {untidy} interruptions were untidy")
    return wrong + untidy


# $0 a folder to mount on, $1 bytes of the file system, $2 a state, then the command.
FULL_DEVICE = """
folder=$0 size=$1 state=$2; shift 2
mount -t tmpfs -o size=$size none "$folder" && cp "$state" "$folder" || exit 1
"$@" --output "$folder/task.tusk" --resume >/dev/null 2>"$folder.errors"; code=$?
cmp "$state" "$folder/task.tusk.state" && [ "$(ls "$folder")" = task.tusk.state ] && exit $code
exit 1
"""


def check_full_device(trial: Trial, folder: Path) -> int:
    """Goes on in a file system with room for one state and no second one: it must end with 74 and leave the first."""
    trial.interrupt(trial.seconds / 2)
    device = folder / "device"
    device.mkdir()
    kept = trial.state.read_bytes()
    namespace = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    room = len(kept) + (32 << 10)
    done = subprocess.run([*namespace, "sh", "-c", FULL_DEVICE, device, str(room), trial.state, *map(str, trial.command)],
                          capture_output=True, text=True)
    is_good = done.returncode == IO_FAULT and trial.state.read_bytes() == kept and trial.finish()
    errors = Path(f"{device}.errors")
    said = errors.read_text().strip().splitlines()[-1:] if errors.exists() else [done.stderr]
    print(f"full device: exit code {done.returncode}, {said[0] if said else 'nothing said'}{'' if is_good else ': WRONG'}")
    return not is_good


def check_plans(options: argparse.Namespace, name: str, folder: Path, arguments: list[str | Path]) -> int:
    task = folder / "planned.tusk"
    command = [options.tusk, "train", *arguments, "--output", task, "--epochs", "1", "--json"]
    choices = json.loads(run(*command, "--plan-only"))["choices"]
    failures = 0
    for choice in choices:
        summary = json.loads(run(*command, "--memory-budget", str(choice["private"])))
        planned, measured = summary["planned_private_bytes"], summary["private_bytes"]
        is_good = abs(measured - planned) <= max(planned / 10, 4_000_000)
        failures += not is_good
        print(f"{name}: planned {planned / 1e6:.1f} MB, measured {measured / 1e6:.1f} MB, {choice['source_tokens']} source "
              f"tokens together, {summary['tokens_per_second']:.0f} tokens/s{'' if is_good else ': OTHER THAN PLANNED'}")
    return failures


def main() -> int:
    options = parse_arguments()
    if not options.tusk.exists():
        sys.exit(f"{options.tusk}: no such program; `swift build -c release` makes it")
    with tempfile.TemporaryDirectory(prefix="tusk-training-") as name:
        folder = Path(name)
        trial = Trial(options.tusk, folder)
        failures = check_stops(options, trial) + check_full_device(trial, folder)
        failures += check_plans(options, "demonstration", folder, [
            trial.backbone, "--method", "compacter", "--train", trial.data[0], "--validation", trial.data[1],
            "--batch", "32"])
        if options.minilm:
            checkpoint = run(ROOT / "tools/fetch_minilm.py").strip().splitlines()[-1]
            backbone = folder / "minilm.tusk"
            run(options.tusk, "convert", "backbone", checkpoint, "--output", backbone)
            failures += check_plans(options, "MiniLM", folder, [
                backbone, "--method", "compacter", "--train", DEMO / "minilm-sentences/sst2.jsonl"])
    print(f"training: {options.kills} kills, {failures} failures")
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
