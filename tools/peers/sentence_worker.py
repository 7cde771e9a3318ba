"""Embeds texts with all-MiniLM-L6-v2 in one engine, once for every line on standard input. Run by tools/compare.

  sentence_worker.py CHECKPOINT ENGINE THREADS TEXTS OUTPUT

Tokenizing is included. Texts are sorted by length and embedded in batches of up to 32 that have the same length, so that
nothing is padded. ENGINE: onnxruntime, openvino, or float32 for what the others are held to. Answers each line with the seconds it took; the embeddings [N, D] go to OUTPUT, a .npy file.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import bert_onnx

BATCH = 32


def prepare(checkpoint: Path) -> None:
    """Graphs beside the checkpoint, unless they are there."""
    if (checkpoint / "int8.onnx").exists():
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from safetensors.numpy import load_file
    config, tensors = json.loads((checkpoint / "config.json").read_text()), load_file(checkpoint / "model.safetensors")
    bert_onnx.write(config, tensors, "float32", checkpoint / "float32.onnx")
    bert_onnx.write(config, tensors, "int8", checkpoint / "weights.onnx")
    partial = checkpoint / "int8.partial"
    quantize_dynamic(checkpoint / "float32.onnx", partial, per_channel=True, weight_type=QuantType.QInt8)
    partial.rename(checkpoint / "int8.onnx")


def embedder(checkpoint: Path, engine: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    if engine == "openvino":
        import openvino
        core = openvino.Core()
        model = core.compile_model(core.read_model(checkpoint / "weights.onnx"), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
        return lambda ids: model(ids)["embedding"].copy()
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    name = "float32" if engine == "float32" else "int8"
    session = onnxruntime.InferenceSession(checkpoint / f"{name}.onnx", options, ["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"ids": ids})[0]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    checkpoint, engine, threads, texts, output = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    embed = embedder(checkpoint, engine, threads)
    lines = texts.read_text("utf-8").splitlines()
    for _ in sys.stdin:
        begin = time.perf_counter()
        ids = [encoding.ids for encoding in tokenizer.encode_batch(lines)]
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        rows = np.empty((len(ids), 0), np.float32)
        for _, same in itertools.groupby(order, key=lambda number: len(ids[number])):
            numbers = list(same)
            for start in range(0, len(numbers), BATCH):
                batch = numbers[start:start + BATCH]
                values = embed(np.array([ids[number] for number in batch], np.int64))
                rows = rows if rows.shape[1] else np.empty((len(ids), values.shape[1]), np.float32)
                rows[batch] = values
        print(time.perf_counter() - begin, file=answers, flush=True)
        np.save(output, rows)


if __name__ == "__main__":
    main()
