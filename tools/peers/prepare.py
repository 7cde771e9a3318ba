"""Makes what one peer loads from the checkpoint in a folder. Run by tools/compare in the peers' environment, a process for
each step, so that memory is given back.

  prepare.py FOLDER reference            logits of torch in float32
  prepare.py FOLDER onnx                 float32, int8 by ONNX Runtime's dynamic quantization, int8 weights for OpenVINO
  prepare.py FOLDER ctranslate2          float32 and int8
  prepare.py FOLDER verify ENGINE        the engine's float32 form must answer as torch does
"""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import engines

SOURCE_TOKENS, TARGET_TOKENS = 128, 32
FLOAT_ERROR = 1e-3


def source_ids(tokens: int, batch: int, vocabulary: int) -> np.ndarray:
    """[B, S]: the ids of `tusk bench`, the same in every row."""
    return np.tile((np.arange(tokens) * 37 + 11) % vocabulary, (batch, 1))


@contextmanager
def folder_in_full(path: Path) -> Iterator[Path]:
    """A folder that gets its name when everything is in it."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    yield partial
    partial.rename(path)


def configuration(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "checkpoint/config.json").read_text())


def reference(folder: Path) -> None:
    engine = engines.Torch(folder, "float32", 1)
    ids = source_ids(SOURCE_TOKENS, 1, configuration(folder)["vocab_size"])
    targets = (np.arange(TARGET_TOKENS) * 53 + 7) % configuration(folder)["vocab_size"]
    with folder_in_full(folder / "reference") as partial:
        np.savez(partial / "reference.npz", ids=ids, targets=targets, logits=engine.teacher_forced(ids, targets.tolist()))


def onnx(folder: Path) -> None:
    import t5_onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from safetensors.numpy import load_file
    config, tensors = configuration(folder), load_file(folder / "checkpoint/model.safetensors")
    for kind, weights in (("float32", "float32"), ("weights", "int8")):
        if not (folder / f"onnx-{kind}").exists():
            with folder_in_full(folder / f"onnx-{kind}") as partial:
                t5_onnx.write(config, tensors, weights, partial)
    del tensors
    with folder_in_full(folder / "onnx-int8") as partial:
        for name in ("encoder", "decoder"):
            quantize_dynamic(folder / f"onnx-float32/{name}.onnx", partial / f"{name}.onnx", per_channel=True,
                             weight_type=QuantType.QInt8)


class Tokens:
    """A tokenizer for CTranslate2's converter, which asks for nothing but names: pieces do not matter to ids."""

    unk_token, bos_token, eos_token, pad_token = "<unk>", None, "</s>", "<pad>"

    def __init__(self, size: int) -> None:
        self.names = ["<pad>", "</s>", "<unk>", *(f"id{number}" for number in range(3, size))]

    def get_vocab(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, number: int) -> str:
        return self.names[number]


def ctranslate2(folder: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):
        def load_tokenizer(self, *_: Any, **__: Any) -> Tokens:
            return Tokens(configuration(folder)["vocab_size"])

    for weights in ("float32", "int8"):
        target = folder / f"ctranslate2-{weights}"
        partial = target.with_name(target.name + ".partial")
        if not target.exists():
            Converter(str(folder / "checkpoint")).convert(str(partial), quantization=weights, force=True)
            partial.rename(target)


def verify(folder: Path, name: str) -> None:
    """Refuses a peer that would be measured doing something else than T5."""
    expected = Reference(folder)
    error, same = expected.judge(expected.answer(engines.ENGINES[name][0](folder, "float32", 1)))
    if same != TARGET_TOKENS or not error < FLOAT_ERROR:
        sys.exit(f"{name} in float32 differs from torch: relative RMS error {error:.2e} of logits, allowed {FLOAT_ERROR:g}; "
                 f"{same} of {TARGET_TOKENS} tokens chosen alike")
    (folder / f"verified-{name}").write_text(f"{error:.3e}\n")


class Reference:
    """What float32 torch answers to fixed source and target ids.

    The targets are fed, not chosen: a random model whose head is its embedding chooses the token it was fed, for ever.
    """

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "reference/reference.npz") as file:
            self.ids, self.targets, self.logits = file["ids"], file["targets"], file["logits"]

    @property
    def fed(self) -> list[int]:
        return [engines.START, *self.targets[:-1].tolist()]

    def answer(self, engine: engines.Engine) -> np.ndarray:
        return engine.teacher_forced(self.ids, self.targets.tolist())

    def judge(self, logits: np.ndarray) -> tuple[float, int]:
        """Root mean square of the difference by that of the logits, without END, which some engines suppress; and at how
        many positions the largest logit is the same token's, the fed one not counted."""
        keep = np.arange(self.logits.shape[1]) != engines.END
        expected = self.logits[:, keep].astype(np.float64)
        error = np.sqrt(((logits[:, keep] - expected) ** 2).mean() / (expected**2).mean())
        return float(error), int((self.chosen(logits) == self.chosen(self.logits)).sum())

    def chosen(self, logits: np.ndarray) -> np.ndarray:
        free = logits.copy()
        free[:, engines.END] = -np.inf
        free[np.arange(len(free)), self.fed] = -np.inf
        return free.argmax(axis=1)


if __name__ == "__main__":
    {"reference": reference, "onnx": onnx, "ctranslate2": ctranslate2, "verify": verify}[sys.argv[2]](
        Path(sys.argv[1]), *sys.argv[3:])
