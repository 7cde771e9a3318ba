"""`tusk train` and PyTorch with the `adapters` library, a fresh process for every run, in turns."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import training_data
from environment import cache_folder, private_bytes, say
from fetch_minilm import FetchError, fetch
from measure import HERE, MeasureFailure, run

# Steps before times count.
WARM = 2
BATCH, SOURCE, TARGET = 8, 128, 8
TASK_BATCH, TASK_RATE, STEP_RATE = 32, 3e-3, 1e-3
# Both do what the `adapters` library does, where norms stay the backbone's.
DIALECT = "adapterhub"
METHODS = ("full", "adapter", "compacter", "compacter++")
INTERVAL = 0.02
BUDGET_NOT_MET = 75


@dataclass
class Run:
    """What a process of training came to. Seconds are of the clock, unless they are the processor's, all threads together."""

    private: int  # bytes, the peak of the whole process
    seconds: float
    processor: float
    steps: list[float]  # seconds of each
    step_processor: float | None  # of a step behind the warm ones
    summary: dict[str, Any]

    @property
    def accuracy(self) -> float:
        return self.summary["metrics"]["accuracy"]


@dataclass
class Cell:
    """The runs of one kind, of all rounds or seeds."""

    runs: list[Run] = field(default_factory=list)

    @property
    def counted(self) -> list[float]:
        return [seconds for run in self.runs for seconds in run.steps[WARM:] or run.steps]

    @property
    def step(self) -> float:
        return statistics.median(self.counted)

    @property
    def private(self) -> int:
        return max(run.private for run in self.runs)

    @property
    def training(self) -> float:
        """Seconds of all steps of a run."""
        return statistics.median(sum(run.steps) for run in self.runs)

    @property
    def whole(self) -> float:
        """Seconds of a run from its start to its end."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def processor(self) -> float:
        return statistics.median(run.processor for run in self.runs)

    @property
    def step_processor(self) -> float | None:
        values = [run.step_processor for run in self.runs if run.step_processor is not None]
        return statistics.median(values) if values else None

    @property
    def accuracy(self) -> float:
        return statistics.mean(run.accuracy for run in self.runs)


def processor_seconds(process: int) -> float:
    # Behind the name, which may hold spaces, stand the fields from the third on; user and system time are 14 and 15.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lines_as_they_come(log: Path) -> Iterator[list[dict[str, Any]]]:
    """What has been added since the last look."""
    offset = 0
    while True:
        added = b""
        if log.exists() and log.stat().st_size > offset:
            with log.open("rb") as file:
                file.seek(offset)
                added = file.read()
                added = added[:added.rfind(b"\n") + 1]
            offset += len(added)
        yield [json.loads(line) for line in added.splitlines()]


def watched(command: list[str | Path], log: Path, threads: int) -> Run:
    """Runs `command`, which adds a line to `log` after each step, and looks at its memory often."""
    log.unlink(missing_ok=True)
    steps: list[float] = []
    marks: list[tuple[int, float]] = []
    peak, processor = 0, 0.0

    def take(events: list[dict[str, Any]]) -> None:
        steps.extend(event["ms"] / 1000 for event in events if event["event"] == "step")
        if steps and (not marks or marks[-1][0] != len(steps)):
            marks.append((len(steps), processor))

    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                   env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        look = lines_as_they_come(log)
        while process.poll() is None:
            peak = max(peak, private_bytes(process.pid))
            processor = processor_seconds(process.pid)
            take(next(look))
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - begin
        take(next(look))
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise MeasureFailure(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{errors.read()[-2000:]}")
        summary = json.loads(output.read().splitlines()[-1])
    warm = [mark for mark in marks if mark[0] >= WARM]
    each = (warm[-1][1] - warm[0][1]) / (warm[-1][0] - warm[0][0]) if len(warm) > 1 else None
    return Run(peak, seconds, processor, steps, each, summary)


@dataclass
class Trainers:
    """Both trainers, and the folder of what they are given."""

    tusk: Path
    python: Path
    folder: Path

    def train(self, backbone: str, *arguments: str | int | float, threads: int) -> Run:
        command = self.command(backbone, *arguments, threads=threads)
        return watched([*command, "--log", self.folder / "tusk.log", "--json"], self.folder / "tusk.log", threads)

    def command(self, backbone: str, *arguments: str | int | float, threads: int) -> list[str | Path]:
        return [self.tusk, "train", self.folder / backbone, "--dialect", DIALECT, "--output", self.folder / "trained.tusk",
                "--threads", str(threads), *map(str, arguments)]

    def work(self, *, threads: int, **job: Any) -> Run:
        log = self.folder / "torch.log"
        text = json.dumps(job | {"threads": threads, "log": str(log)})
        return watched([self.python, HERE / "training_worker.py", text], log, threads)


@dataclass
class Steps(Trainers):
    """Steps on a random T5: batches of 8, 128 source and 8 target tokens each."""

    size: str
    count: int

    def prepare(self, maker: Path) -> None:
        weights = cache_folder() / "compare" / self.size / "checkpoint"
        if not (weights / "config.json").exists():
            say(f"making a random {self.size} checkpoint in {weights}")
            weights.parent.mkdir(parents=True, exist_ok=True)
            run(maker, self.size, weights)
        checkpoint = self.folder / "checkpoint"
        checkpoint.mkdir(parents=True, exist_ok=True)
        # The same weights with a tokenizer, which a random checkpoint has not.
        links = [weights / "config.json", weights / "model.safetensors"]
        for file in [*links, *(training_data.TOKENIZER / name for name in training_data.TOKENIZER_FILES)]:
            (checkpoint / file.name).unlink(missing_ok=True)
            (checkpoint / file.name).symlink_to(file)
        say(f"converting {self.size}")
        run(self.tusk, "convert", "backbone", checkpoint, "--output", self.folder / "int8.tusk")
        training_data.write_fixed(self.tusk, self.folder / "int8.tusk", BATCH * self.count, SOURCE, TARGET, self.folder)

    def options(self, method: str) -> list[str | int | float]:
        return ["--method", method, "--train", str(self.folder / "texts.jsonl"), "--epochs", 1, "--batch", BATCH,
                "--learning-rate", STEP_RATE]

    def tusk_steps(self, method: str, threads: int, budget: int | None = None) -> Run:
        backbone = "float32.tusk" if method == "full" else "int8.tusk"
        bound = ["--memory-budget", budget] if budget else []
        return self.train(backbone, *self.options(method), *bound, threads=threads)

    def torch_steps(self, method: str, threads: int) -> Run:
        return self.work(job="steps", checkpoint=str(self.folder / "checkpoint"), method=method, batch=BATCH,
                         ids=str(self.folder / "ids.json"), rate=STEP_RATE, threads=threads)

    def smallest_budget(self, method: str, threads: int) -> int:
        """What the refusal of one that is too small names."""
        options = [*self.options(method), "--memory-budget", "1MB", "--plan-only"]
        command = [str(part) for part in self.command("int8.tusk", *options, threads=threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        named = re.search(r"required (\d+)", done.stderr)
        if done.returncode != BUDGET_NOT_MET or not named:
            raise MeasureFailure(f"{' '.join(command)}: exit code {done.returncode}, required {BUDGET_NOT_MET} and the "
                                 f"smallest budget\n{done.stderr[-2000:]}")
        return int(named[1])

    def offers(self, method: str) -> bool:
        """Whether this Tusk trains by `method`; full fine-tuning needs a backbone in float32."""
        if method != "full":
            return True
        run(self.tusk, "convert", "backbone", self.folder / "checkpoint", "--output", self.folder / "float32.tusk",
            "--weights", "float32")
        command = [str(part) for part in self.command("float32.tusk", *self.options(method), "--plan-only", threads=1)]
        return subprocess.run(command, capture_output=True).returncode == 0


# Of a method, by threads and by who trains: tusk, smallest (tusk in its smallest budget) and torch.
StepCells = dict[str, dict[int, dict[str, Cell]]]


def measure_steps(steps: Steps, threads: list[int], methods: list[str], rounds: int) -> StepCells:
    """Compacter with every count of threads, the other methods with the largest."""
    most = max(threads)
    counts = {method: threads if method == "compacter" else [most] for method in methods}
    budgets = {count: steps.smallest_budget("compacter", count) for count in threads} if "compacter" in methods else {}
    offered = {method: steps.offers(method) for method in methods}
    cells: StepCells = {method: {count: {} for count in counts[method]} for method in methods}
    for number in range(1, rounds + 1):
        for method, count in [(method, count) for method in methods for count in counts[method]]:
            say(f"round {number} of {rounds}: {method}, {count} thread{'s' if count > 1 else ''}")
            runs = {"tusk": steps.tusk_steps(method, count)} if offered[method] else {}
            if method == "compacter":
                runs["smallest"] = steps.tusk_steps(method, count, budgets[count])
            runs["torch"] = steps.torch_steps(method, count)
            require_same_size(method, runs)
            for engine, done in runs.items():
                cells[method][count].setdefault(engine, Cell()).runs.append(done)
    return cells


def measure_task(trainers: Trainers, epochs: int, seeds: int, threads: int) -> dict[str, Cell]:
    """MiniLM on the sentences in the folder: Compacter, another seed in each round; `grouped` is PyTorch on batches of like
    length, which pad less."""
    try:
        checkpoint = fetch(cache_folder() / "minilm", None)
    except FetchError as failure:
        raise MeasureFailure(str(failure)) from failure
    run(trainers.tusk, "convert", "backbone", checkpoint, "--output", trainers.folder / "minilm.tusk")
    cells: dict[str, Cell] = {}
    for seed in range(1, seeds + 1):
        say(f"MiniLM, seed {seed} of {seeds}")
        runs = {"tusk": trainers.train(
            "minilm.tusk", "--method", "compacter", "--train", trainers.folder / "train.jsonl", "--validation",
            trainers.folder / "validation.jsonl", "--epochs", epochs, "--batch", TASK_BATCH, "--learning-rate", TASK_RATE,
            "--seed", seed, threads=threads)}
        for engine in ("torch", "grouped"):
            runs[engine] = trainers.work(
                job="task", checkpoint=str(checkpoint), folder=str(trainers.folder), method="compacter", epochs=epochs,
                batch=TASK_BATCH, rate=TASK_RATE, seed=seed, groups=engine == "grouped", threads=threads)
        require_same_size("compacter", runs)
        for engine, done in runs.items():
            cells.setdefault(engine, Cell()).runs.append(done)
    return cells


def require_same_size(method: str, runs: dict[str, Run]) -> None:
    """That both train the same numbers."""
    counts = {engine: done.summary["trained_parameters"] for engine, done in runs.items()}
    if len(set(counts.values())) > 1:
        raise MeasureFailure(f"{method}: found other counts of trained numbers: {counts}")


@contextmanager
def folder_for(name: str) -> Iterator[Path]:
    """Kept between runs, without what a run makes anew and needs much room: a run that was killed may have left it."""
    folder = cache_folder() / "train" / name
    folder.mkdir(parents=True, exist_ok=True)

    def clear() -> None:
        for file in [*folder.glob("trained.tusk*"), *folder.glob("float32.tusk")]:
            file.unlink()

    clear()
    try:
        yield folder
    finally:
        clear()
