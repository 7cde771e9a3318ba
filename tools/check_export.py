#!/usr/bin/env python3
"""Hold what `tusk export task` writes against PyTorch: the libraries load it, and answer as `tusk logits` does.

Every task of the golden folders is converted over a float32 pack and exported to each format that has a form for it;
its own format must have one. `load_adapter` of adapters 1.3.0 (a T5 in both of its classes, once from a torch file and
once from safetensors), `PeftModel.from_pretrained` of PEFT 0.21.2 and a copy of the Compacter authors' model load the
directories, leave nothing over and nothing out, and must give the logits and the encoder's output within 1e-3.
Compacter directories of the authors are also tried without their trained norms, which the library can hold.

  tools/check_export.py
  tools/check_export.py --python ~/venv/bin/python --only t5
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import golden_adapters
from checkpoint import read_checkpoint
from golden_cases import GoldenError, discover
from golden_tusk import ToolError, Tusk

PACKAGE = Path(__file__).resolve().parent.parent
FIXTURES = PACKAGE / "Tests" / "Fixtures"
sys.path.insert(0, str(PACKAGE / "tools" / "peers"))
import environment  # noqa: E402

FORMATS = ("adapterhub", "authors", "peft")
TOLERANCE = 1e-3
WORKER = PACKAGE / "tools" / "export_worker.py"


@dataclass(frozen=True)
class Task:
    """A task directory, the backbone's checkpoint, and sources with what belongs to each."""

    name: str
    folder: Path
    checkpoint: Path
    inputs: dict[str, list[list[int]]]

    @property
    def own_format(self) -> str:
        if (self.folder / "training_config.json").exists():
            return "authors"
        return "peft" if "peft_type" in json.loads((self.folder / "adapter_config.json").read_text()) else "adapterhub"

    @property
    def is_encoder(self) -> bool:
        return "token_type_ids" in self.inputs


@dataclass
class Job:
    task: Task
    format: str
    model: str
    directory: Path
    wanted: list[tuple[np.ndarray, np.ndarray]]
    has_head: bool


@dataclass
class Worst:
    error: float = 0.0
    jobs: int = 0
    failures: list[str] = field(default_factory=list)


def golden_tasks() -> Iterator[Task]:
    for name in ("golden", "golden-extra", "golden-encoders"):
        root = FIXTURES / name
        for case in discover(root):
            if case.task_folder is None or case.is_rejection:
                continue
            second = {"token_type_ids": case.token_types} if case.backbone.is_encoder else {
                "decoder_input_ids": case.array("decoder_input_ids").tolist()}
            checkpoint = case.backbone.folder
            if case.name == "orig/t5_v10_compacter":
                checkpoint = root / "backbones" / "t5_v10"
            yield Task(f"{name}/{case.name}", case.task_folder, checkpoint, {"input_ids": case.sources, **second})
    for case in golden_adapters.discover(FIXTURES / "golden-adapters"):
        if case.refused_naming is not None:
            continue
        second = "token_type_ids" if case.backbone.is_encoder else "decoder_input_ids"
        for task in case.tasks:
            yield Task(f"{case.name}/{task}", case.folder / task, case.backbone.folder,
                       {key: case.rows(key) for key in ("input_ids", second)})


def write_safetensors(tensors: dict[str, np.ndarray], path: Path) -> None:
    header, data = {}, b""
    for name, values in tensors.items():
        part = np.ascontiguousarray(values, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def without_norms(task: Task, folder: Path) -> Task:
    """An authors' directory whose norms are the backbone's."""
    folder.mkdir(parents=True)
    original = read_checkpoint(task.checkpoint)
    tensors = {name: original[name] if name.endswith("layer_norm.weight") else values
               for name, values in read_checkpoint(task.folder).items()}
    write_safetensors(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text((task.folder / "config.json").read_text())
    training = json.loads((task.folder / "training_config.json").read_text())
    (folder / "training_config.json").write_text(json.dumps({**training, "unfreeze_layer_norms": False}))
    return Task(f"{task.name} without norms", folder, task.checkpoint, task.inputs)


def all_tasks(work: Path, only: str) -> list[Task]:
    tasks = []
    for task in golden_tasks():
        if only not in task.name:
            continue
        tasks.append(task)
        config = json.loads((task.folder / "config.json").read_text()) if task.own_format == "authors" else {}
        if config.get("train_task_adapters"):
            tasks.append(without_norms(task, work / "without-norms" / str(len(tasks))))
    return tasks


def wanted(tusk: Tusk, task: Task, backbone: Path, packed: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The encoder's output and the logits of each source, as Tusk gives them."""
    answers = []
    for index, source in enumerate(task.inputs["input_ids"]):
        if task.is_encoder:
            logits, output = tusk.encoder_logits(backbone, packed, source, task.inputs["token_type_ids"][index])
        else:
            logits, output = tusk.logits(backbone, packed, source, task.inputs["decoder_input_ids"][index])
        answers.append((output, logits))
    return answers


def export(tusk: Tusk, task: Task, number: int, refusals: Counter[str]) -> list[Job]:
    """The directories of every format that has a form for the task."""
    backbone = tusk.backbone(task.checkpoint, "float32")
    packed = tusk.task(task.folder, backbone, f"task-{number}")
    has_head = bool(json.loads(tusk.call("inspect", packed, "--json"))["tasks"][0].get("head"))
    answers, jobs = wanted(tusk, task, backbone, packed), []
    for name in FORMATS:
        models = {"adapterhub": ["own"] if task.is_encoder else ["own", "plain"]}.get(name, [name])
        for model in models:
            directory = tusk.work / f"export-{number}-{name}-{model}"
            container = ["--tensors", "safetensors"] if (model, task.is_encoder) == ("own", False) else []
            try:
                tusk.call("export", "task", packed, "--backbone", backbone, "--format", name, "--checkpoint",
                          task.checkpoint, "--output", directory, *container)
            except ToolError as error:
                if error.status != 65 or name == task.own_format:
                    raise
                refusals[name] += 1
                if directory.exists():
                    raise GoldenError(f"{task.name}: a refused export left {directory}") from error
                break
            jobs.append(Job(task, name, model, directory, answers, has_head))
    return jobs


def ask(python: Path, jobs: list[Job], work: Path) -> dict[str, np.ndarray]:
    requests = [{"format": job.format, "model": job.model, "directory": str(job.directory),
                 "checkpoint": str(job.task.checkpoint), **job.task.inputs} for job in jobs]
    (work / "jobs.json").write_text(json.dumps(requests))
    done = subprocess.run([python, WORKER, work / "jobs.json", work / "answers.npz"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"check_export: {python} {WORKER.name} exit {done.returncode}\n{done.stderr[-3000:]}")
    with np.load(work / "answers.npz", allow_pickle=False) as file:
        return dict(file)


def compare(job: Job, number: int, answers: dict[str, np.ndarray], worst: Worst) -> None:
    worst.jobs += 1
    label = f"{job.task.name} as {job.format}, class {job.model}"
    if f"{number}.failure" in answers:
        worst.failures.append(f"{label}: {answers[f'{number}.failure']}")
        return
    for source, (output, logits) in enumerate(job.wanted):
        pairs = [("output", output)]
        if job.has_head or not job.task.is_encoder:
            pairs.append(("logits", logits))
        for part, values in pairs:
            found = answers.get(f"{number}.{source}.{part}")
            if found is None or found.shape != values.shape:
                worst.failures.append(f"{label}: {part} {None if found is None else found.shape}, not {values.shape}")
                return
            error = float(np.abs(found - values).max())
            worst.error = max(worst.error, error)
            if not error <= TOLERANCE:
                worst.failures.append(f"{label}: {part} of source {source} differs by {error:.2e}")
                return


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=PACKAGE / ".build/release/tusk", help="the binary")
    parser.add_argument("--python", type=Path, help="a Python with torch, transformers, adapters and peft; without it, one "
                        "is made under ~/.cache/tusk ($XDG_CACHE_HOME)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only tasks whose name contains this")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        python = arguments.python or environment.python_for(["export"], environment.cache_folder() / "peers")
    except environment.EnvironmentFailure as failure:
        sys.exit(f"check_export: {failure}")
    table: dict[str, Worst] = {name: Worst() for name in FORMATS}
    refusals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tusk = Tusk(arguments.tusk.resolve(), Path(folder))
        try:
            tasks = all_tasks(tusk.work, arguments.only)
            jobs = [job for number, task in enumerate(tasks) for job in export(tusk, task, number, refusals)]
        except (ToolError, GoldenError) as error:
            sys.exit(f"check_export: {error}")
        answers = ask(python, jobs, tusk.work)
        for number, job in enumerate(jobs):
            compare(job, number, answers, table[job.format])
    for name, worst in table.items():
        print(f"{name}: {worst.jobs} directories loaded, {refusals[name]} tasks refused, worst difference {worst.error:.1e}, "
              f"{len(worst.failures)} failures")
    failures = [failure for worst in table.values() for failure in worst.failures]
    print("\n".join(failures), end="\n" if failures else "")
    print(f"export: {len(tasks)} tasks, {len(jobs)} directories, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
