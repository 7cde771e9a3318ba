"""Sentence embedding with all-MiniLM-L6-v2: `tusk embed` beside the peers that run it, in turns."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from environment import cache_folder
from fetch_minilm import FetchError, fetch
from measure import HERE, MeasureFailure, run, run_in

PEERS = ("onnxruntime", "openvino")
# Below it an engine does not run this model; what int8 costs stays above.
LEAST_COSINE = 0.95


def texts_of(path: Path) -> list[str]:
    """Of a text a line, or of `sentence` in GLUE's tab-separated files or JSON lines."""
    lines = path.read_text("utf-8").splitlines()
    if path.suffix == ".jsonl":
        lines = [json.loads(line)["sentence"] for line in lines]
    elif lines and "sentence" in lines[0].split("\t"):
        lines = [row["sentence"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [line.strip() for line in lines if line.strip()]


@dataclass
class Results:
    label: str
    threads: int
    # Texts per second of each round, by engine.
    speeds: dict[str, list[float]] = field(default_factory=dict)
    # Mean over the texts of the cosine with the float32 embedding, by engine.
    cosines: dict[str, float] = field(default_factory=dict)


class Embedder:
    """A peer in a process of its own, loaded once."""

    def __init__(self, python: Path, engine: str, checkpoint: Path, threads: int, texts: Path, output: Path) -> None:
        command = [python, HERE / "sentence_worker.py", checkpoint, engine, threads, texts, output]
        self.engine = engine
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=sys.stderr)

    def seconds(self) -> float:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write("again\n")
            self.process.stdin.flush()
            return float(self.process.stdout.readline())
        except (BrokenPipeError, ValueError) as error:
            raise MeasureFailure(f"{self.engine} ended with {self.process.wait()} while embedding; see above") from error

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def measure(tusk: Path, python: Path | None, peers: list[str], source: Path, threads: int, rounds: int) -> Results:
    """Tusk's time is that of the whole process, the peers' without loading."""
    try:
        checkpoint = fetch(cache_folder() / "minilm", None)
    except FetchError as failure:
        raise MeasureFailure(str(failure)) from failure
    folder = cache_folder() / "compare/minilm"
    folder.mkdir(parents=True, exist_ok=True)
    lines = texts_of(source)
    texts, backbone = folder / "texts.txt", folder / "minilm.tusk"
    texts.write_text("\n".join(lines) + "\n", "utf-8")
    run(tusk, "convert", "backbone", checkpoint, "--output", backbone)
    embedders = []
    if python and set(peers) & set(PEERS):
        run_in(python, "import sys, pathlib, sentence_worker as w; w.prepare(pathlib.Path(sys.argv[1]))", checkpoint)
        embedders = [Embedder(python, peer, checkpoint, threads, texts, folder / f"{peer}.npy") for peer in peers if peer in PEERS]
    results = Results(f"{len(lines)} texts of {source.name}", threads)
    for number in range(rounds + 1):
        begin = time.perf_counter()
        run(tusk, "embed", backbone, "--input", texts, "--output", folder / "tusk.npy", "--threads", threads)
        seconds = {"tusk": time.perf_counter() - begin} | {embedder.engine: embedder.seconds() for embedder in embedders}
        if number:
            for engine, taken in seconds.items():
                results.speeds.setdefault(engine, []).append(len(lines) / taken)
    for embedder in embedders:
        embedder.close()
    if python and embedders:
        exact = Embedder(python, "float32", checkpoint, threads, texts, folder / "float32.npy")
        exact.seconds()
        exact.close()
        results.cosines = {engine: cosine(python, folder, engine) for engine in results.speeds}
    return results


def cosine(python: Path, folder: Path, engine: str) -> float:
    script = ("import sys, numpy; a, b = (numpy.load(path) for path in sys.argv[1:]); "
              "print((a * b).sum(1).mean() if a.shape == b.shape else -1)")
    mean = float(run_in(python, script, folder / "float32.npy", folder / f"{engine}.npy"))
    if not mean >= LEAST_COSINE:
        raise MeasureFailure(f"{engine} embeds something else than float32 does: mean cosine {mean:.4f}, required {LEAST_COSINE}")
    return mean
