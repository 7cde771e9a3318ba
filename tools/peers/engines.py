"""The peers, each driven as its makers mean it to be driven, behind one interface.

Every engine is given ids of one length and no mask, holds all weights in int8 unless told otherwise, and decodes greedily a
fixed number of tokens: end-of-sequence is never chosen.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

END, START = 1, 0


class Engine(ABC):
    """`encode` goes as far as the first token may be decoded, the keys and values of cross-attention included."""

    @abstractmethod
    def encode(self, ids: np.ndarray) -> None:
        """ids [B, S]"""

    @abstractmethod
    def start(self) -> None:
        """Before the first step on what was encoded."""

    @abstractmethod
    def step(self, ids: np.ndarray) -> np.ndarray:
        """ids [B] -> logits [B, V]"""

    def measure(self, ids: np.ndarray, tokens: int) -> tuple[float, float]:
        """Seconds to encode, and to decode `tokens` tokens per source."""
        begin = time.perf_counter()
        self.encode(ids)
        middle = time.perf_counter()
        self.decode(len(ids), tokens)
        return middle - begin, time.perf_counter() - middle

    def typical(self, ids: np.ndarray, token: float) -> float:
        """The median time of a token so far, with as many sources of that length: what disturbs one round must not make its
        encoding look short."""
        self.seen: dict[tuple[int, ...], list[float]] = getattr(self, "seen", {})
        times = self.seen.setdefault(ids.shape, [])
        times += [token] if token > 0 else []
        return float(np.median(times)) if times else 0

    def decode(self, batch: int, tokens: int) -> None:
        self.start()
        chosen = np.full(batch, START)
        for _ in range(tokens):
            logits = self.step(chosen)
            logits[:, END] = -np.inf
            chosen = logits.argmax(axis=1)

    def teacher_forced(self, ids: np.ndarray, targets: list[int]) -> np.ndarray:
        """[T, V]: the logits after each of START and the targets but the last."""
        self.encode(ids)
        self.start()
        return np.concatenate([self.step(np.array([token])).copy() for token in [START, *targets[:-1]]])


class OnnxRuntime(Engine):
    def __init__(self, folder: Path, weights: str, threads: int) -> None:
        import onnxruntime
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(folder / f"onnx-{weights}" / f"{name}.onnx", options, ["CPUExecutionProvider"])
            for name in ("encoder", "decoder"))
        self.crossed = [output.name for output in self.encoder.get_outputs()]
        self.outputs = [output.name for output in self.decoder.get_outputs()]
        _, self.heads, _, self.width = self.decoder.get_inputs()[1].shape

    def encode(self, ids: np.ndarray) -> None:
        values = self.encoder.run_with_ort_values(self.crossed, {"ids": self.value(ids.astype(np.int64))})
        self.cross, self.batch = dict(zip(self.crossed, values)), len(ids)

    def start(self) -> None:
        empty = np.empty((self.batch, self.heads, 0, self.width), np.float32)
        self.past = {f"past_{name}": self.value(empty) for name in self.outputs[1:]}

    def step(self, ids: np.ndarray) -> np.ndarray:
        feeds = {"ids": self.value(ids.astype(np.int64)[:, None]), **self.past, **self.cross}
        logits, *present = self.decoder.run_with_ort_values(self.outputs, feeds)
        self.past = {f"past_{name}": value for name, value in zip(self.outputs[1:], present)}
        return logits.numpy()


class OpenVino(Engine):
    """Weights in int8, activations quantized as the library sees fit on this machine."""

    def __init__(self, folder: Path, weights: str, threads: int) -> None:
        import openvino
        self.tensor = openvino.Tensor
        core = openvino.Core()
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        if weights == "float32":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        kind = "onnx-float32" if weights == "float32" else "onnx-weights"
        encoder, decoder = (core.compile_model(core.read_model(folder / kind / f"{name}.onnx"), "CPU", settings)
                            for name in ("encoder", "decoder"))
        self.encoder = encoder.create_infer_request()
        # Two in turn: the keys and values that one puts out are the other's past, and nothing is copied.
        self.requests = [decoder.create_infer_request() for _ in range(2)]
        self.crossed = [output.any_name for output in encoder.outputs]
        self.kept = [output.any_name for output in decoder.outputs][1:]
        shape = decoder.input("past_k_0").partial_shape
        self.heads, self.width = shape[1].get_length(), shape[3].get_length()

    def encode(self, ids: np.ndarray) -> None:
        self.encoder.set_tensor("ids", self.tensor(ids.astype(np.int64)))
        self.encoder.infer()
        self.batch = len(ids)
        for name in self.crossed:
            for request in self.requests:
                request.set_tensor(name, self.encoder.get_tensor(name))

    def start(self) -> None:
        empty = np.empty((self.batch, self.heads, 0, self.width), np.float32)
        self.past = {f"past_{name}": self.tensor(empty.copy()) for name in self.kept}
        self.turn = 0

    def step(self, ids: np.ndarray) -> np.ndarray:
        request = self.requests[self.turn]
        self.turn = 1 - self.turn
        request.set_tensor("ids", self.tensor(ids.astype(np.int64)[:, None]))
        for name, tensor in self.past.items():
            request.set_tensor(name, tensor)
        request.infer()
        self.past = {f"past_{name}": request.get_tensor(name) for name in self.kept}
        return request.get_tensor("logits").data


class CTranslate2(Engine):
    """Encodes and decodes in one call: encoding is the time to the first token without a further token's."""

    SHORT = 9

    def __init__(self, folder: Path, weights: str, threads: int) -> None:
        import ctranslate2
        self.translator = ctranslate2.Translator(
            str(folder / f"ctranslate2-{weights}"), device="cpu", compute_type=weights, inter_threads=1, intra_threads=threads)
        self.tokens = json.loads((folder / f"ctranslate2-{weights}/shared_vocabulary.json").read_text())

    def translate(self, ids: np.ndarray, count: int, **options: Any) -> Any:
        source = [[self.tokens[number] for number in row] for row in ids]
        return self.translator.translate_batch(
            source, beam_size=1, min_decoding_length=count, max_decoding_length=count, max_input_length=0, **options)

    def seconds(self, ids: np.ndarray, count: int) -> float:
        begin = time.perf_counter()
        self.translate(ids, count)
        return time.perf_counter() - begin

    def measure(self, ids: np.ndarray, tokens: int) -> tuple[float, float]:
        first, last = self.seconds(ids, 1), max(tokens, self.SHORT)
        token = max(self.seconds(ids, last) - first, 0) / (last - 1)
        return max(first - self.typical(ids, token), 0), token * tokens

    def teacher_forced(self, ids: np.ndarray, targets: list[int]) -> np.ndarray:
        prefix = [[self.tokens[number] for number in targets]]
        result = self.translate(ids, len(targets), target_prefix=prefix, return_logits_vocab=True)[0]
        return np.stack([np.array(logits).reshape(-1) for logits in result.logits[0]])

    def encode(self, ids: np.ndarray) -> None:
        raise NotImplementedError

    start = step = encode


class Torch(Engine):
    """The model of `transformers`; with int8 weights by torch's dynamic quantization of every linear layer."""

    def __init__(self, folder: Path, weights: str, threads: int) -> None:
        import torch
        from transformers import T5ForConditionalGeneration
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache
        self.torch = torch
        self.cache = lambda: EncoderDecoderCache(DynamicCache(), DynamicCache())
        torch.set_num_threads(threads)
        self.model = T5ForConditionalGeneration.from_pretrained(folder / "checkpoint", dtype=torch.float32).eval()
        if weights == "int8":
            self.model = torch.ao.quantization.quantize_dynamic(self.model, {torch.nn.Linear}, dtype=torch.qint8)

    def encode(self, ids: np.ndarray) -> None:
        with self.torch.inference_mode():
            self.encoded = self.model.encoder(input_ids=self.torch.from_numpy(ids.astype(np.int64)))

    def measure(self, ids: np.ndarray, tokens: int) -> tuple[float, float]:
        """The first token computes the keys and values of cross-attention: what it takes beyond another is encoding."""
        times = [time.perf_counter()]
        for work in (lambda: self.encode(ids), lambda: self.decode(len(ids), 1), lambda: self.decode(len(ids), tokens + 1)):
            work()
            times.append(time.perf_counter())
        encoder, first, all_tokens = np.diff(times)
        decode = max(all_tokens - first, 0)
        return encoder + max(first - self.typical(ids, decode / tokens), 0), decode

    def start(self) -> None:
        self.past = self.cache()

    def step(self, ids: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            output = self.model(encoder_outputs=self.encoded, use_cache=True, past_key_values=self.past,
                                decoder_input_ids=self.torch.from_numpy(ids.astype(np.int64)[:, None]))
        return output.logits[:, -1].numpy()


ENGINES: dict[str, tuple[type[Engine], str]] = {
    "onnxruntime": (OnnxRuntime, "int8"),
    "openvino": (OpenVino, "int8"),
    "ctranslate2": (CTranslate2, "int8"),
    "torch": (Torch, "int8"),
    "torch-float32": (Torch, "float32"),
}
