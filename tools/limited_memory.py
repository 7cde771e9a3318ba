#!/usr/bin/env python3
"""Run a backbone that does not fit in memory: under a memory cgroup limit that counts the page cache, too.

Makes a control group (version 1 or 2, whichever is mounted; needs the right to, usually root), drops the file from
the page cache, and computes the logits of 64 target tokens after 128 source tokens in tusk-nano: first without a limit, then
with each. The kernel takes back pages of the file when it needs room and reads them again, so what a limit costs is
reading: the table shows seconds, major faults and bytes read from the device. The logits must be the same to the bit.

  tools/limited_memory.py t5.tusk
  tools/limited_memory.py t5-3b.tusk --limits 256 --source-tokens 32 --target-tokens 4

With --llama, llama.cpp does the same in turn with Tusk, with the checkpoint that the .tusk file was made from, in Q8_0. It
is built under ~/.cache/tusk ($XDG_CACHE_HOME) from a folder with its source; llama-cpp-python's source package has one in
vendor/llama.cpp. Its logits must point where Tusk's do, and at 64 MiB Tusk must take at most half its time. Give a .tusk
file without tasks: with one, Tusk computes more than the checkpoint.

  tools/limited_memory.py t5.tusk --llama llama.cpp --checkpoint t5-base
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import signal
import subprocess
import sys
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools/peers")]

import environment  # noqa: E402
import llama  # noqa: E402
from processes import drop_from_page_cache  # noqa: E402

GROUPS = Path("/sys/fs/cgroup")
UNAVAILABLE = 69
# Tusk's time by llama.cpp's, at most, by limit.
RATIOS = {64: 0.5}
# Of unit vectors: two int8 forms of T5-base are near 0.03 apart, vectors that have nothing in common 1.4.
LARGEST_DISTANCE = 0.1


@dataclass
class Run:
    logits: bytes
    seconds: float
    faults: int
    device_bytes: int
    # Why there are no logits.
    stopped: str | None = None


@dataclass
class Engine:
    """A program that writes raw float32 logits, and the file that it maps."""

    name: str
    command: list[str]
    file: Path


class ControlGroup:
    """A memory control group of our own, removed at the end."""

    def __init__(self, megabytes: int) -> None:
        is_first_version = (GROUPS / "memory").is_dir()
        parent = GROUPS / "memory" if is_first_version else GROUPS
        self.folder = parent / f"tusk-limited-{os.getpid()}"
        self.folder.mkdir()
        limit = "memory.limit_in_bytes" if is_first_version else "memory.max"
        (self.folder / limit).write_text(str(megabytes << 20))

    def join(self) -> None:
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        self.folder.rmdir()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--nano", type=Path, default=ROOT / ".build-embedded/release/tusk-nano")
    parser.add_argument("--limits", type=int, nargs="+", default=[128, 64], help="in MiB")
    parser.add_argument("--source-tokens", type=int, default=128)
    parser.add_argument("--target-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--llama", type=Path, metavar="SOURCE", help="folder with llama.cpp's source")
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="Hugging Face T5 that llama.cpp is given")
    parser.add_argument("--timeout", type=float, default=120, help="seconds after which llama.cpp is stopped (%(default)s)")
    options = parser.parse_args()
    if bool(options.llama) != bool(options.checkpoint):
        parser.error("--llama and --checkpoint go together")
    return options


def engines(options: argparse.Namespace) -> list[Engine]:
    source = ",".join(str(2 + index * 37 % 30000) for index in range(options.source_tokens))
    target = ",".join(str(2 + index * 53 % 30000) for index in range(options.target_tokens))
    command = [str(options.nano), str(options.backbone), "--input-ids", source, "--decoder-input-ids", target,
               "--source-tokens", str(options.source_tokens), "--max-new-tokens", str(options.target_tokens),
               "--threads", str(options.threads)]
    found = [Engine("Tusk", command, options.backbone)]
    if options.llama:
        peer = llama.prepared(options.llama, options.checkpoint)
        found.append(Engine("llama.cpp", peer.command(source, target, options.threads), peer.model))
    return found


def run(engine: Engine, group: ControlGroup | None, timeout: float | None) -> Run:
    drop_from_page_cache(engine.file)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    logits, stopped = b"", None
    try:
        done = subprocess.run(engine.command, capture_output=True, timeout=timeout, preexec_fn=group.join if group else None)
        logits = done.stdout
        if done.returncode == -signal.SIGKILL:
            stopped = "killed"
        elif done.returncode:
            sys.exit(f"{engine.command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    except subprocess.TimeoutExpired:
        stopped = "stopped"
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The kernel counts blocks of 512 bytes, whatever the device's are.
    return Run(logits, seconds, after.ru_majflt - before.ru_majflt, 512 * (after.ru_inblock - before.ru_inblock), stopped)


def run_limited(engine: Engine, limit: int | None, timeout: float | None) -> Run:
    group = ControlGroup(limit) if limit else None
    try:
        return run(engine, group, timeout)
    finally:
        if group:
            group.remove()


def distance(first: bytes, second: bytes) -> float:
    """Between the logits scaled to unit length: llama.cpp does not divide by the root of the width before a tied head."""
    if len(first) != len(second):
        return math.inf
    left, right = array("f", first), array("f", second)
    product = sum(one * other for one, other in zip(left, right))
    lengths = [math.sqrt(sum(value * value for value in side)) for side in (left, right)]
    return math.sqrt(max(0.0, 2 - 2 * product / (lengths[0] * lengths[1])))


def ratio(tusk: Run, peer: Run) -> str:
    """Tusk's time by its peer's."""
    if tusk.stopped or peer.stopped == "killed":
        return "none"
    value = f"{tusk.seconds / peer.seconds:.2f}"
    return f"less than {value}" if peer.stopped else value


def verdict(engine: Engine, found: Run, unlimited: dict[str, Run]) -> tuple[str, bool]:
    """What to say of the logits, and whether they are right. That a peer does not finish is no fault of Tusk's."""
    if found.stopped:
        return found.stopped, engine.name != "Tusk"
    if engine.name == "Tusk":
        is_same = found.logits == unlimited["Tusk"].logits and len(found.logits) > 0
        return ("same" if is_same else "DIFFERENT"), is_same
    apart = distance(found.logits, unlimited["Tusk"].logits)
    return f"{apart:.3f} from Tusk's", apart < LARGEST_DISTANCE


def main() -> int:
    options = parse_arguments()
    try:
        contenders = engines(options)
    except environment.EnvironmentFailure as failure:
        print(f"limited: {failure}", file=sys.stderr)
        return UNAVAILABLE
    print("| limit | engine | seconds | major faults | MB read from the device | logits |\n|---|---|---|---|---|---|")
    failures = 0
    ratios: list[str] = []
    unlimited: dict[str, Run] = {}
    for limit in [None, *options.limits]:
        runs: dict[str, Run] = {}
        for engine in contenders:
            found = run_limited(engine, limit, None if engine.name == "Tusk" else options.timeout)
            runs[engine.name] = found
            unlimited.setdefault(engine.name, found)
            text, is_right = verdict(engine, found, unlimited)
            failures += not is_right
            print(f"| {f'{limit} MiB' if limit else 'none'} | {engine.name} | {found.seconds:.1f} | {found.faults:,} "
                  f"| {found.device_bytes / 1e6:,.0f} | {text} |", flush=True)
        if limit and options.llama:
            ratios.append(f"{ratio(runs['Tusk'], runs['llama.cpp'])} at {limit} MiB")
            allowed = RATIOS.get(limit, math.inf) * runs["llama.cpp"].seconds
            failures += runs["llama.cpp"].stopped != "killed" and runs["Tusk"].seconds > allowed
    print(f"limited: {len(options.limits)} limits, {failures} failures")
    if ratios:
        print(f"Tusk's time by llama.cpp's: {', '.join(ratios)}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
