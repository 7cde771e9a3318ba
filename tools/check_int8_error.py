#!/usr/bin/env python3
"""Measure what int8 weights cost: the encoder output of an int8 pack against that of a float32 pack of one checkpoint.

Makes a random T5-base checkpoint (892 MB, removed afterwards), converts it both ways, encodes 128 tokens with both, and
compares. The int8 output must be the same bit for bit with 1 and 2 threads.

  tools/check_int8_error.py
  tools/check_int8_error.py --checkpoint DIR      any T5 checkpoint
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from processes import run

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 0.02


def encode(tusk: Path, backbone: Path, ids: str, threads: int, folder: Path) -> np.ndarray:
    output = folder / "encoder.npy"
    run(tusk, "logits", backbone, "--input-ids", ids, "--decoder-input-ids", "0", "--threads", str(threads),
        "--output", folder / "logits.npy", "--encoder-output", output)
    return np.load(output).astype(np.float64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint directory instead of a random T5-base")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = options.checkpoint
        if checkpoint is None:
            checkpoint = folder / "t5-base"
            run(ROOT / "tools/make_checkpoint.py", "t5-base", checkpoint, "--seed", str(options.seed))
        for weights in ("float32", "int8"):
            run(options.tusk, "convert", "backbone", checkpoint, "--weights", weights, "--output", folder / f"{weights}.tusk")
        random = np.random.default_rng(options.seed)
        ids = ",".join(str(value) for value in random.integers(3, 32_000, options.tokens - 1)) + ",1"
        exact = encode(options.tusk, folder / "float32.tusk", ids, 1, folder)
        one = encode(options.tusk, folder / "int8.tusk", ids, 1, folder)
        two = encode(options.tusk, folder / "int8.tusk", ids, 2, folder)
    error = float(np.sqrt(((one - exact) ** 2).mean() / (exact**2).mean()))
    same = bool((one == two).all())
    print(f"int8 against float32, {options.tokens} tokens: relative RMS error {100 * error:.3f} %, allowed {100 * LIMIT:g} %")
    print(f"1 and 2 threads: {'the same bits' if same else 'DIFFERENT'}")
    return 0 if error <= LIMIT and same else 1


if __name__ == "__main__":
    sys.exit(main())
