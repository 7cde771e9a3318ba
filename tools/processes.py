"""What the tools do with programs and files of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(*command: str | Path, text: str | None = None) -> str:
    """The standard output of a command that is given `text`; ends the tool if the command fails."""
    words = [str(part) for part in command]
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def drop_from_page_cache(path: Path) -> None:
    """The next read of the file comes from the device."""
    with path.open("rb") as file:
        # Pages that are not on the device yet would stay.
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
