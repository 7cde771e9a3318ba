#!/usr/bin/env python3
"""Run a backbone that does not fit in memory: under a memory cgroup limit that counts the page cache, too.

Makes a control group (version 1 or 2, whichever is mounted; needs the right to, usually root), drops the file from
the page cache, and computes the logits of 64 target tokens after 128 source tokens in tusk-nano: first without a limit, then
with each. The kernel takes back pages of the file when it needs room and reads them again, so what a limit costs is
reading: the table shows seconds, major faults and bytes read from the device. The logits must be the same to the bit.

  tools/limited_memory.py t5.tusk
  tools/limited_memory.py t5-3b.tusk --limits 256 --source-tokens 32 --target-tokens 4
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = Path("/sys/fs/cgroup")


@dataclass
class Run:
    logits: bytes
    seconds: float
    faults: int
    device_bytes: int


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
    return parser.parse_args()


def drop_from_page_cache(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def run(options: argparse.Namespace, group: ControlGroup | None) -> Run:
    drop_from_page_cache(options.backbone)
    source = ",".join(str(2 + index * 37 % 30000) for index in range(options.source_tokens))
    target = ",".join(str(2 + index * 53 % 30000) for index in range(options.target_tokens))
    command = [str(options.nano), str(options.backbone), "--input-ids", source, "--decoder-input-ids", target,
               "--source-tokens", str(options.source_tokens), "--max-new-tokens", str(options.target_tokens),
               "--threads", str(options.threads)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, capture_output=True, preexec_fn=group.join if group else None)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"tusk-nano ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The kernel counts blocks of 512 bytes, whatever the device's are.
    return Run(done.stdout, seconds, after.ru_majflt - before.ru_majflt, 512 * (after.ru_inblock - before.ru_inblock))


def main() -> int:
    options = parse_arguments()
    print("| limit | seconds | major faults | MB read from the device | logits |\n|---|---|---|---|---|")
    failures, wanted = 0, None
    for limit in [None, *options.limits]:
        group = ControlGroup(limit) if limit else None
        try:
            found = run(options, group)
        finally:
            if group:
                group.remove()
        wanted = found.logits if wanted is None else wanted
        is_same = found.logits == wanted and len(wanted) > 0
        failures += not is_same
        print(f"| {f'{limit} MiB' if limit else 'none'} | {found.seconds:.1f} | {found.faults:,} "
              f"| {found.device_bytes / 1e6:,.0f} | {'same' if is_same else 'DIFFERENT'} |")
    print(f"limited: {len(options.limits)} limits, {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
