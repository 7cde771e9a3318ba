"""The built `tusk` as the golden cases use it: conversions and runs, each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TIMEOUT_SECONDS = 600


class ToolError(Exception):
    """The command failed, or printed what it must not."""

    def __init__(self, command: list[str], status: int, message: str) -> None:
        super().__init__(f"`{' '.join(command[:3])} ...` exit {status}: {message.strip() or 'nothing on stderr'}")
        self.status, self.message = status, message


def joined(ids: list[int]) -> str:
    return ",".join(map(str, ids))


def task_options(tasks: Path | list[Path] | None) -> list[str | Path]:
    """Several tasks act in this order."""
    return [option for task in (tasks if isinstance(tasks, list) else [tasks] if tasks else [])
            for option in ("--task", task)]


@dataclass
class Tusk:
    binary: Path
    work: Path
    isa: str | None = None
    threads: int | None = None
    budget: int | None = None
    # A command that starts tusk-nano, perhaps in an emulator: its logits have to be those of `tusk` bit for bit.
    nano: list[str] | None = None
    nano_answers: int = 0
    packed: dict[tuple[Path, str], Path] = field(default_factory=dict)

    def call(self, *arguments: str | Path) -> str:
        command = [str(self.binary), *map(str, arguments)]
        environment = {**os.environ, **({"TUSK_ISA": self.isa} if self.isa else {})}
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ToolError(command, -1, f"no answer in {TIMEOUT_SECONDS} s") from error
        if done.returncode != 0:
            raise ToolError(command, done.returncode, done.stderr)
        return done.stdout

    def engine_options(self) -> list[str]:
        threads = ["--threads", str(self.threads)] if self.threads else []
        return threads + (["--memory-budget", str(self.budget)] if self.budget else [])

    def backbone(self, folder: Path, encoding: str) -> Path:
        """The pack of a checkpoint folder, converted once."""
        key = (folder.resolve(), encoding)
        if key not in self.packed:
            output = self.work / f"backbone-{len(self.packed)}-{folder.name}-{encoding}.tusk"
            self.call("convert", "backbone", folder, "--weights", encoding, "--output", output)
            self.packed[key] = output
        return self.packed[key]

    def task(self, folder: Path, backbone: Path, name: str, dense: str = "float32") -> Path:
        output = self.work / f"{name.replace('/', '-')}.tusk"
        self.call("convert", "task", folder, "--backbone", backbone, "--weights", dense, "--output", output)
        return output

    def average(self, tasks: list[Path], weights: tuple[float, ...], name: str) -> Path:
        output = self.work / f"{name.replace('/', '-')}.tusk"
        self.call("task", "average", *tasks, "--weights", ",".join(map(str, weights)), "--output", output)
        return output

    def only(self, folder: Path, excluded_suffix: str) -> Path:
        """A copy of a checkpoint folder without the weight files of one layout."""
        copy = self.work / f"without{excluded_suffix}-{len(list(self.work.iterdir()))}"
        copy.mkdir()
        for path in folder.iterdir():
            if path.is_file() and path.suffix != excluded_suffix:
                shutil.copyfile(path, copy / path.name)
        return copy

    def logits(self, backbone: Path, task: Path | list[Path] | None, source: list[int], target: list[int]) -> tuple[
            np.ndarray, np.ndarray]:
        """Teacher-forced logits [T, V] and encoder output [S, D]."""
        output, encoder_output = self.work / "logits.npy", self.work / "encoder.npy"
        for path in (output, encoder_output):
            path.unlink(missing_ok=True)
        arguments = ["logits", backbone, *task_options(task), "--input-ids", joined(source),
                     "--decoder-input-ids", joined(target), "--output", output, "--encoder-output", encoder_output]
        self.call(*arguments, *self.engine_options())
        logits = np.load(output, allow_pickle=False)
        self.require_nano(logits, backbone, task, ["--input-ids", joined(source), "--decoder-input-ids", joined(target)])
        return logits, np.load(encoder_output, allow_pickle=False)

    def encoder_logits(self, backbone: Path, task: Path | list[Path] | None, ids: list[int],
                       types: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The head's numbers [labels] and the encoder's output [S, D]."""
        output, encoder_output = self.work / "logits.npy", self.work / "encoder.npy"
        for path in (output, encoder_output):
            path.unlink(missing_ok=True)
        arguments = ["logits", backbone, *task_options(task), "--input-ids", joined(ids),
                     "--token-type-ids", joined(types), "--output", output, "--encoder-output", encoder_output]
        self.call(*arguments, *self.engine_options())
        logits = np.load(output, allow_pickle=False)
        self.require_nano(logits, backbone, task, ["--input-ids", joined(ids), "--token-type-ids", joined(types)])
        return logits, np.load(encoder_output, allow_pickle=False)

    def require_nano(self, logits: np.ndarray, backbone: Path, tasks: Path | list[Path] | None,
                     options: list[str]) -> None:
        """tusk-nano mounts one task at a time, so a stack of tasks is not its to answer."""
        names = tasks if isinstance(tasks, list) else [tasks] if tasks else []
        if self.nano is None or len(names) > 1:
            return
        command = [*self.nano, str(backbone), *map(str, names), *options]
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise ToolError(command, done.returncode, done.stderr.decode(errors="replace"))
        if done.stdout != logits.astype("<f4").tobytes():
            raise ToolError(command, 0, "not the logits of tusk bit for bit")
        self.nano_answers += 1

    def generate(self, backbone: Path, task: Path | None, source: list[int], new_tokens: int, beams: int = 1,
                 source_tokens: int | None = None) -> dict[str, Any]:
        arguments = ["run", backbone, *task_options(task), "--input-ids", joined(source),
                     "--max-new-tokens", str(new_tokens), *(["--beams", str(beams)] if beams > 1 else []), "--json"]
        if source_tokens:
            arguments += ["--max-source-tokens", str(source_tokens)]
        printed = self.call(*arguments, *self.engine_options())
        try:
            answer = json.loads(printed)
            answer["ids"], answer["beams" if beams > 1 else "ids"]
        except (ValueError, KeyError, TypeError) as error:
            raise ToolError(["tusk", "run", "--json"], 0, f"printed {printed[:200]!r}") from error
        return answer
