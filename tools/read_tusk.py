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
from hugging_face_names import possible_names
from tusk_attachments import Adapter, Attachment, Prefix, Product, Prompt
from tusk_backbone import ENCODING_NAMES, Tensor, compare_with_source, read_tensors, verify_tensors
from tusk_container import (NORM_BEHIND, Config, Container, FormatError, open_container, read_config,
                            require)
from tusk_task import Head, Task, read_task, verify_task


@dataclass(frozen=True)
class PackedFile:
    path: Path
    container: Container
    config: Config | None
    tensors: dict[str, Tensor]
    tasks: list[Task]
    """The head section of a backbone: a task of empty slots."""
    head: Task | None

    def task(self, name: str | None = None) -> Task:
        """The task of that name, or the only one."""
        found = [task for task in self.tasks if name in (None, task.name)]
        if len(found) != 1:
            raise KeyError(f"{self.path}: {len(found)} tasks fit the name {name}")
        return found[0]

    def verify(self) -> None:
        self.container.verify()
        verify_tensors(list(self.tensors.values()))
        read = [*zip(self.container.named("task"), self.tasks)]
        if self.head:
            read.append((self.container.named("head")[0], self.head))
        for section, task in read:
            verify_task(task, self.container.bytes_of(section), section.offset)


def check_fits(task: Task, config: Config, base: int = 0) -> None:
    """What mounting demands."""
    require(task.fingerprint == config.fingerprint, base,
            f"task {task.name} belongs to backbone {task.fingerprint:016x}, this one is {config.fingerprint:016x}")
    for name in ("dModel", "layerCount", "decoderLayerCount", "innerWidth", "dFF"):
        require(getattr(task, name) == getattr(config, name), base, f"task {task.name}: {name} differs")
    require(task.vocabularySize <= config.vocabularySize, base, f"task {task.name}: vocabulary above the backbone's")
    behind = config.normPlacement == NORM_BEHIND
    present = {"wi": not config.gated, "wi0": config.gated, "wi1": config.gated, "pooler": config.hasPooler,
               "head": not config.is_encoder}
    for name, slot in task.slots.items():
        has_norm = {"encoder.start": config.hasEmbeddingNorm, "encoder.end": not behind,
                    "decoder.end": not behind and not config.is_encoder}.get(name, True)
        require(slot.norm is slot.normBias is None or has_norm, base, f"task {task.name}: {name} has no norm to replace")
        for attachment in slot.attachments:
            if isinstance(attachment, Adapter):
                require(attachment.inputRule != 3 or behind, base, f"task {task.name}: {name} has no norm behind it")
            elif isinstance(attachment, Product):
                require(present.get(attachment.target, True), base,
                        f"task {task.name}: the backbone has no {attachment.target}")
    if task.head:
        require(config.is_encoder, base, f"task {task.name}: a head on a backbone with a decoder")
        require(task.head.input != "pooler" or config.hasPooler, base, f"task {task.name}: no pooler")


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
    return PackedFile(Path(path), container, config, tensors, tasks, read_head(container, config))


def read_head(container: Container, config: Config | None) -> Task | None:
    """What a backbone itself makes of its encoder's output."""
    sections = container.named("head")
    if not sections or config is None:
        return None
    base = sections[0].offset
    head = read_task(container.bytes_of(sections[0]), base)
    require(head.head is not None, base, "a head section without a head")
    require(all(not slot.attachments and slot.norm is slot.normBias is None for slot in head.slots.values()), base,
            "a head section with a slot that is not empty")
    check_fits(head, config, base)
    return head


def compare_with_checkpoint(file: PackedFile, directory: Path) -> dict[str, float]:
    """The worst error per tensor; raises where the encoding rule is broken."""
    source = read_checkpoint(directory)
    errors = {}
    for name, tensor in file.tensors.items():
        names = list(possible_names(tensor.slot, file.config))
        found = next((source[key] for key in names if key in source), None)
        require(found is not None, tensor.file_offset, f"{name}: the checkpoint has no {names[0]}")
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
                   "slots": {name: {"adapter": asdict(slot.adapter) if slot.adapter else None, "norm": slot.norm,
                                    "attachments": [{"kind": type(each).__name__.lower(), **asdict(each)}
                                                    for each in slot.attachments]}
                             for name, slot in task.slots.items() if slot.attachments or slot.norm is not None},
                   "head": asdict(task.head) if task.head else None,
                   "linears": [asdict(linear) for linear in task.linears],
                   "tensors": [{"kind": tensor.kind, "shape": tensor.shape} for tensor in task.tensors]}
                  for task in file.tasks],
        "head": asdict(file.head.head) if file.head else None,
    }


def attachment_text(task: Task, attachment: Attachment) -> str:
    match attachment:
        case Adapter():
            down = task.linears[attachment.down]
            return (f"{attachment.activation}, bottleneck {attachment.bottleneckWidth}, N {down.phmDim}, "
                    f"R {down.factorRank}, input rule {attachment.inputRule}, skip rule {attachment.skipRule}")
        case Product():
            parts = [name for name in ("linear", "inputScale", "outputScale", "bias") if getattr(attachment, name) is not None]
            return f"{attachment.target}: {', '.join(parts)}"
        case Prefix():
            return f"prefix of {attachment.tokens}"
        case Prompt():
            return f"prompt of {attachment.tokens}"


def print_head(head: Head) -> None:
    print(f"    head: {head.input} -> {head.output} [{head.outWidth}]{', length 1' if head.isNormalized else ''}, "
          f"{(head.first is not None) + (head.second is not None)} layers, labels {', '.join(head.labels) or 'none'}")


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
    if file.head:
        print_head(file.head.head)
    for task in file.tasks:
        print(f"  task {task.name!r} of backbone {task.fingerprint:016x}, {task.origin}, "
              f"{task.parameter_count():,} parameters")
        for slot in task.slots.values():
            for attachment in slot.attachments:
                print(f"    {slot.name:28s} {attachment_text(task, attachment)}")
        norms = sum(slot.norm is not None for slot in task.slots.values())
        if task.head:
            print_head(task.head)
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
