"""Tusk and its peers, measured in turns: in each round every engine does every job once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environment import private_bytes, say

HERE = Path(__file__).resolve().parent
TASKS = 8


class MeasureFailure(Exception):
    """A program ended with an error; the message holds what it said."""


@dataclass(frozen=True)
class Job:
    """Encodes `batch` sources and decodes `tokens` tokens of each; what it gives goes into the rows named."""

    source: int
    batch: int
    tokens: int
    encode_row: str | None = None
    decode_row: str | None = None


@dataclass
class Samples:
    """Tokens per second of each row, by engine, in the order of the rounds; and what Tusk says about itself."""

    speeds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    benches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, engine: str, row: str | None, tokens: int, seconds: float) -> None:
        if row and seconds > 0:
            self.speeds.setdefault(row, {}).setdefault(engine, []).append(tokens / seconds)


def run(*command: str | Path | int) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise MeasureFailure(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


class Worker:
    """An engine in a process of its own, loaded once."""

    def __init__(self, python: Path, folder: Path, name: str, threads: int) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([str(python), str(HERE / "worker.py"), str(folder), name, str(threads)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.loaded = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise MeasureFailure(f"{self.name} ended with {self.process.wait()}: {self.log.read_text()[-1500:].strip()}")
        return json.loads(line)

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            # What it left to say is in `answer`'s failure.
            pass
        return self.answer()

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


@dataclass
class Tusk:
    binary: Path
    nano: Path
    folder: Path

    def bench(self, job: Job, threads: int, *options: str, rounds: int = 1) -> dict[str, Any]:
        backbone = self.folder / ("backbone.tusk" if "bare" in options else "bundle.tusk")
        flags = [option for option in options if option != "bare"]
        return json.loads(run(self.binary, "bench", backbone, *flags, "--source-tokens", job.source, "--batch", job.batch,
                              "--target-tokens", job.tokens, "--threads", threads, "--rounds", rounds, "--json"))

    def footprint(self, source: int, tokens: int) -> dict[str, Any]:
        return json.loads(run(self.binary, "footprint", self.folder / "one.tusk", "--engine", self.nano, "--source-tokens",
                              source, "--target-tokens", tokens, "--threads", 1, "--json"))

    def logits(self, ids: str, fed: str, output: Path) -> None:
        run(self.binary, "logits", self.folder / "backbone.tusk", "--input-ids", ids, "--decoder-input-ids", fed, "--output", output)

    def prepare(self, maker: Path, size: str) -> None:
        """The checkpoint, its backbone, and tasks of Compacter's sizes; what is there already is used again."""
        checkpoint, task, backbone = self.folder / "checkpoint", self.folder / "task", self.folder / "backbone.tusk"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (checkpoint / "config.json").exists():
            say(f"making a random {size} checkpoint in {checkpoint}")
            run(maker, size, checkpoint)
        if not (task / "adapter_config.json").exists():
            run(maker, size, task, "--compacter", "adapterhub")
        # Made anew, since the program and its format may have changed.
        run(self.binary, "convert", "backbone", checkpoint, "--output", backbone)
        tasks = [self.folder / f"task-{number}.tusk" for number in range(TASKS)]
        for number, file in enumerate(tasks):
            run(self.binary, "convert", "task", task, "--backbone", backbone, "--output", file, "--name", f"task-{number}")
        run(self.binary, "bundle", "--output", self.folder / "one.tusk", backbone, tasks[0])
        run(self.binary, "bundle", "--output", self.folder / "bundle.tusk", backbone, *tasks)


ROWS = {
    "encode 128": "encode 128 tokens", "encode 512": "encode 512 tokens", "decode 1": "greedy decode, batch 1",
    "decode 8": "greedy decode, batch 8", "decode 8 tasks": "the same, eight different tasks",
}


def jobs(tokens: int) -> list[Job]:
    return [Job(128, 1, tokens, "encode 128", "decode 1"), Job(512, 1, 1, "encode 512"), Job(128, 8, tokens, None, "decode 8")]


def measure_tusk(tusk: Tusk, threads: int, tokens: int, samples: Samples) -> None:
    for job in jobs(tokens):
        variants = {"": ["--task", "task-0"]}
        if job.batch == 8:
            variants[" tasks"] = ["--task-per-source"]
        elif job.decode_row:
            variants[" bare"] = ["bare"]
        for suffix, options in variants.items():
            bench = tusk.bench(job, threads, *options)
            samples.benches.setdefault((job.decode_row or job.encode_row or "") + suffix, []).append(bench)
            if job.encode_row:
                speed = bench["encode_tokens_per_second"]
                samples.speeds.setdefault(job.encode_row + suffix, {}).setdefault("tusk", []).append(speed)
            if job.decode_row:
                speed = bench["decode_tokens_per_second"]
                samples.speeds.setdefault(job.decode_row + suffix, {}).setdefault("tusk", []).append(speed)


def measure_peer(worker: Worker, tokens: int, samples: Samples) -> None:
    for job in jobs(tokens):
        times = worker.ask(measure=job.tokens, source=job.source, batch=job.batch)
        samples.add(worker.name, job.encode_row, job.batch * job.source, times["encode"])
        samples.add(worker.name, job.decode_row, job.batch * job.tokens, times["decode"])


def speeds(tusk: Tusk, python: Path | None, peers: list[str], threads: int, rounds: int, tokens: int) -> Samples:
    """The first round warms up and does not count."""
    samples = Samples()
    workers: list[Worker] = []
    try:
        if python:
            workers = [Worker(python, tusk.folder, peer, threads) for peer in peers]
        for round_number in range(rounds + 1):
            say(f"{threads} thread{'s' if threads > 1 else ''}: "
                + (f"round {round_number} of {rounds}" if round_number else "warming up"))
            into = samples if round_number else Samples()
            measure_tusk(tusk, threads, tokens, into)
            for worker in workers:
                measure_peer(worker, tokens, into)
    finally:
        for worker in workers:
            worker.close()
    return samples


def private_peak(python: Path, folder: Path, peer: str, source: int, tokens: int) -> dict[str, float]:
    """Of a fresh process that loads the engine, encodes and decodes; looked at every few milliseconds."""
    worker = Worker(python, folder, peer, 1)
    assert worker.process.stdin
    worker.process.stdin.write(json.dumps({"measure": tokens, "source": source, "batch": 1}) + "\n")
    worker.process.stdin.close()
    peak = 0
    while worker.process.poll() is None:
        peak = max(peak, private_bytes(worker.process.pid))
        time.sleep(0.003)
    if worker.process.returncode:
        raise MeasureFailure(f"{peer}: {worker.log.read_text()[-1500:]}")
    return {"private": peak, "bare": worker.loaded["bare"], "load": worker.loaded["load"]}


def errors(tusk: Tusk, python: Path, peers: list[str]) -> dict[str, dict[str, float]]:
    """Of each engine's int8 logits against float32 torch, all fed the same target ids."""
    reference = "import sys, pathlib, numpy, prepare; r = prepare.Reference(pathlib.Path(sys.argv[1])); "
    ids, fed = run_in(python, reference + "print(*(','.join(map(str, x)) for x in (r.ids[0], r.fed)))", tusk.folder).split()
    output = tusk.folder / "logits.npy"
    tusk.logits(ids, fed, output)
    error, same, count = run_in(
        python, reference + "print(*r.judge(numpy.load(sys.argv[2])), len(r.fed))", tusk.folder, output).split()
    result = {"tusk": {"error": float(error), "same": int(same), "of": int(count)}}
    for peer in peers:
        worker = Worker(python, tusk.folder, peer, 1)
        result[peer] = worker.ask(error=True)
        worker.close()
    return result


def run_in(python: Path, script: str, *arguments: Path) -> str:
    done = subprocess.run([str(python), "-c", script, *map(str, arguments)], cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        raise MeasureFailure(done.stderr[-2000:])
    return done.stdout


def prepare_peers(python: Path, folder: Path, peers: list[str]) -> None:
    """What each peer loads, made once; and its float32 form held to torch's tokens."""
    def step(*arguments: str) -> None:
        done = subprocess.run([str(python), str(HERE / "prepare.py"), str(folder), *arguments], stdout=sys.stderr)
        if done.returncode:
            raise MeasureFailure(f"preparing {' '.join(arguments)} failed; see above")

    steps = [("reference", "reference")]
    if {"onnxruntime", "openvino"} & set(peers):
        steps.append(("onnx", "onnx-int8"))
    if "ctranslate2" in peers:
        steps.append(("ctranslate2", "ctranslate2-int8"))
    for name, product in steps:
        if not (folder / product).exists():
            say(f"preparing {name}")
            step(name)
    for peer in peers:
        if not peer.startswith("torch") and not (folder / f"verified-{peer}").exists():
            say(f"holding {peer} in float32 to torch's answers")
            step("verify", peer)
