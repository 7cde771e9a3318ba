#!/usr/bin/env python3
"""Read a packed file, with numpy and nothing of Tusk: written from formats/*.md alone, so it can contradict Tusk.

Opening checks what the specification marks (open) or does not mark; --verify also reads every page.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from checkpoint import CheckpointError, read_checkpoint
from tusk_backbone import (ENCODING_NAMES, Tensor, compare_with_source, hugging_face_name, read_tensors,
                           verify_tensors)
from tusk_container import Config, Container, FormatError, open_container, read_config, require
from tusk_task import Task, read_task, verify_task


@dataclass(frozen=True)
class PackedFile:
    path: Path
    container: Container
    config: Config | None
    tensors: dict[str, Tensor]
    tasks: list[Task]

    def task(self, name: str | None = None) -> Task:
        """The task of that name, or the only one."""
        found = [task for task in self.tasks if name in (None, task.name)]
        if len(found) != 1:
            raise KeyError(f"{self.path}: {len(found)} tasks fit the name {name}")
        return found[0]

    def verify(self) -> None:
        self.container.verify()
        verify_tensors(list(self.tensors.values()))
        for section, task in zip(self.container.named("task"), self.tasks):
            verify_task(task, self.container.bytes_of(section), section.offset)


def check_fits(task: Task, config: Config, base: int = 0) -> None:
    """What mounting demands."""
    require(task.fingerprint == config.fingerprint, base,
            f"task {task.name} belongs to backbone {task.fingerprint:016x}, this one is {config.fingerprint:016x}")
    for name in ("dModel", "layerCount", "decoderLayerCount"):
        require(getattr(task, name) == getattr(config, name), base, f"task {task.name}: {name} differs")
    require(task.vocabularySize <= config.vocabularySize, base, f"task {task.name}: vocabulary above the backbone's")


def open_tusk(path: Path | str) -> PackedFile:
    container = open_container(Path(path))
    config, tensors = None, {}
    if container.kind != "task":
        config, record = read_config(container)
        tensors = {tensor.name: tensor for tensor in read_tensors(container, config, record)}
    tasks = []
    for section in container.named("task"):
        task = read_task(container.bytes_of(section), section.offset)
        if config:
            check_fits(task, config, section.offset)
        tasks.append(task)
    return PackedFile(Path(path), container, config, tensors, tasks)


def compare_with_checkpoint(file: PackedFile, directory: Path) -> dict[str, float]:
    """The worst error per tensor; raises where the encoding rule is broken."""
    source = read_checkpoint(directory)
    errors = {}
    for name, tensor in file.tensors.items():
        wanted = hugging_face_name(tensor.slot)
        found = next((source[key] for key in (wanted, f"transformer.{wanted}") if key in source), None)
        require(found is not None, tensor.file_offset, f"{name}: the checkpoint has no {wanted}")
        errors[name] = compare_with_source(tensor, found)
    return errors


def describe(file: PackedFile) -> dict[str, Any]:
    container = file.container
    return {
        "kind": container.kind, "read_version": container.read_version, "write_version": container.write_version,
        "sections": [asdict(section) for section in container.sections],
        "config": asdict(file.config) if file.config else None,
        "provenance": container.provenance(),
        "tensors": [{"name": name, "role": tensor.slot.role, "rows": tensor.slot.rows, "columns": tensor.slot.columns,
                     "encoding": ENCODING_NAMES[tensor.encoding], "offset": tensor.file_offset}
                    for name, tensor in file.tensors.items()],
        "tasks": [{"name": task.name, "fingerprint": f"{task.fingerprint:016x}", "origin": task.origin,
                   "vocabulary_size": task.vocabularySize, "parameters": task.parameter_count(),
                   "slots": {name: {"adapter": asdict(slot.attachment) if slot.attachment else None, "norm": slot.norm}
                             for name, slot in task.slots.items()
                             if slot.attachment is not None or slot.norm is not None},
                   "linears": [asdict(linear) for linear in task.linears],
                   "tensors": [{"kind": tensor.kind, "shape": tensor.shape} for tensor in task.tensors]}
                  for task in file.tasks],
    }


def print_listing(file: PackedFile) -> None:
    container = file.container
    print(f"{file.path}: {container.kind}, {len(container.data):,} bytes, version {container.write_version}")
    for section in container.sections:
        print(f"  section {section.name:12s} {section.ordinal:3d} at {section.offset:12,d} {section.bytes:14,d} bytes "
              f"crc {section.checksum:08x}")
    if file.config:
        for name, value in asdict(file.config).items():
            print(f"  {name:18s} {value:016x}" if name == "fingerprint" else f"  {name:18s} {value}")
    for name, tensor in file.tensors.items():
        print(f"  {name:32s} {tensor.slot.rows:7d} x {tensor.slot.columns:<7d} {ENCODING_NAMES[tensor.encoding]}")
    for task in file.tasks:
        print(f"  task {task.name!r} of backbone {task.fingerprint:016x}, {task.origin}, "
              f"{task.parameter_count():,} parameters")
        for slot in task.slots.values():
            if slot.attachment:
                down = task.linears[slot.attachment.down]
                print(f"    {slot.name:28s} {slot.attachment.activation}, "
                      f"bottleneck {slot.attachment.bottleneckWidth}, N {down.phmDim}, R {down.factorRank}, "
                      f"input rule {slot.attachment.inputRule}, skip rule {slot.attachment.skipRule}")
        norms = sum(slot.norm is not None for slot in task.slots.values())
        print(f"    {norms} task norms, {len(task.linears)} linears, {len(task.tensors)} tensors")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples: tools/read_tusk.py backbone.tusk --compare checkpoint/\n"
               "          tools/read_tusk.py backbone.tusk --dump encoder.0.wo --json")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the listing")
    parser.add_argument("--verify", action="store_true", help="read every page: checksums, padding, codes, values")
    parser.add_argument("--dump", nargs="+", metavar="NAME", default=[],
                        help="print the dequantized values of these tensors, named as in the listing")
    parser.add_argument("--compare", type=Path, metavar="CHECKPOINT_DIR",
                        help="compare every tensor with the checkpoint: float32 must be equal, int8 must be the codes "
                             "that the rounding rule gives, at most half a step away")
    arguments = parser.parse_args()
    try:
        file = open_tusk(arguments.file)
        if arguments.verify:
            file.verify()
        if arguments.compare:
            errors = compare_with_checkpoint(file, arguments.compare)
            worst = max(errors, key=errors.__getitem__)
            print(f"{len(errors)} tensors agree with {arguments.compare}; worst error {errors[worst]:.3g} in {worst}")
        elif arguments.dump:
            dumped = {name: file.tensors[name].values for name in arguments.dump}
            if arguments.json:
                print(json.dumps({name: values.tolist() for name, values in dumped.items()}))
            else:
                for name, values in dumped.items():
                    print(f"{name} {list(values.shape)}\n{np.array2string(values, precision=6, threshold=200)}")
        elif arguments.json:
            print(json.dumps(describe(file), indent=1))
        else:
            print_listing(file)
    except (FormatError, CheckpointError) as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 65
    except KeyError as error:
        print(f"{arguments.file}: no tensor {error}", file=sys.stderr)
        return 64
    except OSError as error:
        print(error, file=sys.stderr)
        return 66
    return 0


if __name__ == "__main__":
    sys.exit(main())
