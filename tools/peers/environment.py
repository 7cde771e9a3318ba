"""The virtual environment that the peers live in, apart from everything else: pinned versions, made once."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

# As they are installed, one by one: what is there already is not fetched again, so an interrupted run continues.
REQUIREMENTS = {
    "numpy": "2.4.6",
    "onnx": "1.23.2",
    "torch": "2.13.0",
    # Version 5 cannot represent a T5 whose head is not tied to the embedding.
    "transformers": "4.57.6",
    "onnxruntime": "1.32.0",
    "ctranslate2": "4.8.5",
    "openvino": "2026.4.1",
    "accelerate": "1.12.0",
    "adapters": "1.3.0",
    "peft": "0.21.2",
    "cmake": "4.4.5",
    "protobuf": "7.36.2",
    "sentencepiece": "0.2.3",
}
PIP = "26.3"
# PyPI's torch brings two gigabytes of CUDA.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# What each peer needs besides itself: torch reads the checkpoint and gives the float32 answers.
COMMON = ("numpy", "torch", "transformers")
NEEDS = {
    "onnxruntime": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "ctranslate2": ("ctranslate2",),
    "torch": (),
    "torch-float32": (),
    "adapters": ("adapters",),
    # What llama.cpp is built by and what its converter imports.
    "llama": ("cmake", "protobuf", "sentencepiece"),
    # No peer: what check_export.py loads exported tasks with.
    "export": ("accelerate", "adapters", "peft"),
}


class EnvironmentFailure(Exception):
    """A peer cannot be installed; the message says what to do."""


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tusk"


def say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


def installed(python: Path) -> dict[str, str]:
    program = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentFailure(f"{python} does not run; remove {python.parent.parent} and start again\n{done.stderr}")
    return json.loads(done.stdout)


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--progress-bar", "on" if sys.stderr.isatty() else "off", *arguments]
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip says nothing"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise EnvironmentFailure(
            f"cannot install {arguments[-1]}: {reason}\nThe peers come from the Python Package Index, which needs a network "
            f"the first time. What has arrived is kept: run this again to go on, or choose others with --peers.")


def is_reachable(address: str) -> bool:
    """Where it is not, pip would try for minutes; a mirror that pip is configured for may have the wheel all the same."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def python_for(peers: list[str], folder: Path) -> Path:
    """The environment's Python with everything that `peers` need, installing what is missing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return completed(peers, folder)


def missing_from(python: Path, peers: list[str]) -> tuple[list[str], dict[str, str]]:
    """Packages that `peers` need and are not there as pinned; and all that are there."""
    names = list(dict.fromkeys([*COMMON, *(name for peer in peers for name in NEEDS[peer])]))
    present = installed(python)
    return [name for name in names if present.get(name, "").split("+")[0] != REQUIREMENTS[name]], present


def chosen_python(given: Path | None, peers: list[str]) -> Path:
    """`given`, if it has all that `peers` need; without it that of the peers' environment."""
    if given is None:
        return python_for(peers, cache_folder() / "peers")
    missing, present = missing_from(given, peers)
    if missing:
        found = ", ".join(f"{name} {present.get(name, 'none')}, required {REQUIREMENTS[name]}" for name in missing)
        raise EnvironmentFailure(f"--python: {given} has not what the peers need: found {found}")
    return given


def completed(peers: list[str], folder: Path) -> Path:
    python = folder / "bin/python"
    if not python.exists():
        say(f"making a virtual environment in {folder}")
        done = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
        if done.returncode:
            raise EnvironmentFailure(f"cannot make {folder}; on Debian: apt-get install python3-venv\n{done.stdout}{done.stderr}")
    missing, present = missing_from(python, peers)
    if missing and present.get("pip") != PIP:
        # The first that resumes a broken download.
        pip(python, "--quiet", f"pip=={PIP}")
    for position, name in enumerate(missing, 1):
        say(f"[{position}/{len(missing)}] installing {name} {REQUIREMENTS[name]}")
        index = ["--extra-index-url", TORCH_INDEX] if name == "torch" and is_reachable(TORCH_INDEX) else []
        pip(python, "--quiet", *index, f"{name}=={REQUIREMENTS[name]}")
    return python


def private_bytes(process: int | str = "self") -> int:
    """Memory that is in no file: RssAnon."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
