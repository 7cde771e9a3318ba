#!/usr/bin/env python3
"""Read PyTorch checkpoints with numpy alone: safetensors (also sharded) and torch zip archives.

Nothing in a file is executed: the unpickler knows six names and refuses every other one.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

SAFETENSORS_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
TORCH_TYPES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
               "LongStorage": "<i8", "IntStorage": "<i4"}


class CheckpointError(Exception):
    """A file that is not a checkpoint of a known layout; the message names it."""


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """A bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = np.memmap(path, dtype=np.uint8, mode="r")
    header_bytes = int.from_bytes(data[:8].tobytes(), "little")
    if 8 + header_bytes > len(data):
        raise CheckpointError(f"{path}: the header claims {header_bytes} bytes")
    header = json.loads(data[8:8 + header_bytes].tobytes())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = (8 + header_bytes + offset for offset in entry["data_offsets"])
        values = data[first:last].view(SAFETENSORS_TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = widen_bfloat16(values) if entry["dtype"] == "BF16" else values
    return tensors


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors from the storages of the archive, and nothing else."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(data))
        self.archive, self.prefix = archive, prefix

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in TORCH_TYPES:
            return name
        raise CheckpointError(f"the pickle asks for {module}.{name}")

    def persistent_load(self, identifier: Any) -> tuple[str, np.ndarray]:
        _, kind, key, _, _ = identifier
        return kind, np.frombuffer(self.archive.read(f"{self.prefix}/data/{key}"), TORCH_TYPES[kind])

    @staticmethod
    def rebuild(storage: tuple[str, np.ndarray], offset: int, shape: tuple[int, ...], stride: tuple[int, ...],
                *_: Any) -> np.ndarray:
        kind, values = storage
        reach = offset + sum((extent - 1) * step for extent, step in zip(shape, stride)) + 1
        if 0 not in shape and reach > len(values):
            raise CheckpointError("a tensor reaches behind its storage")
        view = np.lib.stride_tricks.as_strided(
            values[offset:], shape, [step * values.itemsize for step in stride], writeable=False)
        return widen_bfloat16(view) if kind == "BFloat16Storage" else view


def read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: not a torch zip archive") from error
    with archive:
        record = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if record is None:
            raise CheckpointError(f"{path}: no data.pkl")
        loaded = _Unpickler(archive.read(record), archive, record.removesuffix("/data.pkl")).load()
    return {name: value for name, value in loaded.items() if isinstance(value, np.ndarray)}


def read_file(path: Path) -> dict[str, np.ndarray]:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


def read_checkpoint(directory: Path) -> dict[str, np.ndarray]:
    """Every tensor of a Hugging Face directory, safetensors first."""
    for stem in ("model.safetensors", "pytorch_model.bin"):
        index = directory / f"{stem}.index.json"
        if index.exists():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            return {name: value for shard in shards for name, value in read_file(directory / shard).items()}
        if (directory / stem).exists():
            return read_file(directory / stem)
    raise CheckpointError(f"{directory}: neither model.safetensors nor pytorch_model.bin")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="example: tools/checkpoint.py Tests/Fixtures/golden/backbones/t5_v11")
    parser.add_argument("path", type=Path, help="a checkpoint directory, or one .safetensors or .bin file; lists it")
    path: Path = parser.parse_args().path
    try:
        tensors = read_checkpoint(path) if path.is_dir() else read_file(path)
    except (CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 66 if isinstance(error, OSError) else 65
    for name, value in sorted(tensors.items()):
        print(f"{name:90s} {value.dtype} {list(value.shape)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
