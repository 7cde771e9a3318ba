#!/usr/bin/env python3
"""A numpy model of the engine's arithmetic, written from formats/tensors.md and the T5 definition, not from the engine.

Weights come from packed files through read_tusk.py. int8 matrices are multiplied as the specification says: 14-bit
activation codes per token, exact integer sums, one float32 step behind them. Everything else is float32. It is slow and
plain on purpose: a sequence is computed anew for every token, nothing is cached, nothing is fused.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from integer_encoder import Encoder
from integer_layers import Weights, attend
from integer_task import TaskPart
from numeric import activate, f32, log_softmax, relative_bucket, rms_norm
from read_tusk import PackedFile, check_fits, open_tusk
from tusk_container import FormatError
from tusk_task import Task


@dataclass(frozen=True)
class Hypothesis:
    ids: list[int]
    score: float


class EncoderDecoder:
    """T5: pre-norm blocks, RMSNorm, relative position bias, no attention scale but the config's."""

    def __init__(self, file: PackedFile, tasks: list[Task]) -> None:
        assert file.config is not None
        for task in tasks:
            check_fits(task, file.config)
        self.config, self.weights, self.part = file.config, Weights(file), TaskPart(tasks)
        self.vocabulary = min([file.config.vocabularySize, *(task.vocabularySize for task in tasks)])

    def norm(self, x: np.ndarray, slot: str, tensor: str) -> np.ndarray:
        y = rms_norm(x, self.part.norm(slot, self.weights.vector(tensor)), self.config.normEpsilon)
        bias = self.part.norm_bias(slot, None)
        return y if bias is None else y + bias

    def position_bias(self, stack: str, first: int, queries: int, keys: int) -> np.ndarray:
        """[H, queries, keys] for queries at `first`, `first` + 1, ..."""
        distance = np.arange(keys)[None] - (first + np.arange(queries))[:, None]
        buckets = relative_bucket(distance, stack == "encoder", self.config.bucketCount, self.config.maxDistance)
        return self.weights.tensors[f"{stack}.relativeBias"].values[buckets].transpose(2, 0, 1)

    def attention(self, slot: str, queries: np.ndarray, memory: np.ndarray) -> np.ndarray:
        q, k, v = (self.part.product(self.weights, queries if part == "Q" else memory, slot + part, slot, part.lower())
                   for part in "QKV")
        length = len(k)
        k, v, first = self.part.with_prefixes(slot, k, v)
        bias: np.ndarray | float = f32(0)
        if slot.endswith("selfAttention"):
            stack = slot.split(".")[0]
            bias = self.position_bias(stack, first, len(q), len(k))
            if stack == "decoder":
                # Its own tokens to come are hidden; a prefix never is.
                bias[:, :, len(k) - length:][:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
        mixed = attend(q, k, v, self.config.headCount, self.config.attentionScale, bias)
        return self.part.product(self.weights, mixed, slot + "O", slot, "o")

    def feed_forward(self, block: str, x: np.ndarray) -> np.ndarray:
        def product(x: np.ndarray, target: str) -> np.ndarray:
            return self.part.product(self.weights, x, block + target, block + "feedForward", target)

        name = self.config.activation_name
        if self.config.gated:
            return product(activate(name, product(x, "wi0")) * product(x, "wi1"), "wo")
        return product(activate(name, product(x, "wi")), "wo")

    def run_stack(self, stack: str, ids: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        x = self.weights.rows("embedding", ids)
        if memory is None:
            x = self.part.with_prompt(self.part.with_prompt(x, is_finished=False), is_finished=True)
        count = self.config.layerCount if memory is None else self.config.decoderLayerCount
        parts = ("selfAttention", "feedForward") if memory is None else (
            "selfAttention", "crossAttention", "feedForward")
        for layer in range(count):
            block = f"{stack}.{layer}."
            for part in parts:
                normed = self.norm(x, block + part, f"{block}{part}Norm")
                sub = (self.feed_forward(block, normed) if part == "feedForward" else
                       self.attention(block + part, normed, memory if part == "crossAttention" else normed))
                x = self.part.add(block + part, sub, x)
        return self.norm(x, f"{stack}.end", f"{stack}.finalNorm")

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Encoder output [S, D] behind the final norm."""
        return self.run_stack("encoder", np.asarray(ids), None)

    def logits(self, memory: np.ndarray, decoder_ids: np.ndarray) -> np.ndarray:
        """Teacher-forced logits [T, V], V the vocabulary the task knows."""
        hidden = self.run_stack("decoder", np.asarray(decoder_ids), memory) * f32(self.config.logitScale)
        head = "embedding" if self.config.tiedHead else "head"
        return self.part.product(self.weights, hidden, head, "decoder.end", "head")[:, :self.vocabulary]

    def greedy(self, memory: np.ndarray, max_length: int) -> list[int]:
        """Ids with the start token, which `max_length` counts."""
        ids = [self.config.decoderStartId]
        while len(ids) < max_length and (len(ids) == 1 or ids[-1] != self.config.eosId):
            ids.append(int(self.logits(memory, np.array(ids))[-1].argmax()))
        return ids

    def beam(self, memory: np.ndarray, max_length: int, beams: int = 4) -> list[Hypothesis]:
        """Best first. - Source: transformers 4.57, length penalty 1, no early stopping."""
        live, finished = [Hypothesis([self.config.decoderStartId], 0.0)], []
        while True:
            length = len(live[0].ids)
            candidates = []
            for hypothesis in live:
                gains = log_softmax(self.logits(memory, np.array(hypothesis.ids))[-1])
                candidates += [Hypothesis([*hypothesis.ids, int(token)], hypothesis.score + gains[token])
                               for token in np.argsort(-gains, kind="stable")[:2 * beams]]
            candidates = sorted(candidates, key=lambda candidate: -candidate.score)[:2 * beams]
            going_on = []
            for rank, candidate in enumerate(candidates):
                if candidate.ids[-1] == self.config.eosId or len(candidate.ids) >= max_length:
                    if rank < beams:
                        finished.append(Hypothesis(candidate.ids, candidate.score / length))
                elif len(going_on) < beams:
                    going_on.append(candidate)
            finished = sorted(finished, key=lambda candidate: -candidate.score)[:beams]
            full = len(finished) == beams
            if not going_on or (full and going_on[0].score / length <= finished[-1].score):
                return finished
            live = going_on


def load_model(backbone: Path | str, tasks: list[Path] | Path | str | None = None) -> EncoderDecoder | Encoder:
    """The model of a backbone with task files in this order, or a task of that name if the file is a bundle."""
    file = open_tusk(backbone)
    assert file.config is not None
    named = tasks if isinstance(tasks, list) else [] if tasks is None else [tasks]
    mounted = [open_tusk(task).task() if Path(task).exists() else file.task(str(task)) for task in named]
    return (Encoder if file.config.is_encoder else EncoderDecoder)(file, mounted)


def parse_ids(text: str) -> np.ndarray:
    return np.array([int(part) for part in text.split(",")])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/integer_model.py backbone.tusk --task task.tusk --input-ids 8774,1 --beams 4")
    parser.add_argument("backbone", type=Path, help="a backbone or a bundle")
    parser.add_argument("--task", action="append", default=[], metavar="TASK",
                        help="a task file, or the name of a task of the bundle; several are stacked in this order")
    parser.add_argument("--input-ids", type=parse_ids, required=True, help="source ids, separated by commas")
    parser.add_argument("--token-type-ids", type=parse_ids, help="of an encoder: the text each token belongs to, 0 or 1")
    parser.add_argument("--decoder-input-ids", type=parse_ids,
                        help="decoder ids: compute teacher-forced logits instead of generating")
    parser.add_argument("--output", type=Path, help="write the logits here (.npy); of an encoder without a head, its output")
    parser.add_argument("--encoder-output", type=Path, help="write the encoder output here (.npy)")
    parser.add_argument("--max-length", type=int, default=20, help="of a generated sequence, start token included")
    parser.add_argument("--beams", type=int, default=1)
    arguments = parser.parse_args()
    try:
        model = load_model(arguments.backbone, arguments.task)
    except FormatError as error:
        print(error, file=sys.stderr)
        return 65
    if isinstance(model, Encoder):
        memory = model.encode(arguments.input_ids, arguments.token_type_ids)
        answer = model.answer(memory)
        print("no head" if answer is None else answer)
        if arguments.output:
            np.save(arguments.output, memory if answer is None else answer)
    else:
        memory = model.encode(arguments.input_ids)
        answer_by_decoder(model, memory, arguments)
    if arguments.encoder_output:
        np.save(arguments.encoder_output, memory)
    return 0


def answer_by_decoder(model: EncoderDecoder, memory: np.ndarray, arguments: argparse.Namespace) -> None:
    if arguments.decoder_input_ids is not None:
        logits = model.logits(memory, arguments.decoder_input_ids)
        if arguments.output:
            np.save(arguments.output, logits)
        print("argmax", logits.argmax(axis=1).tolist())
    elif arguments.beams == 1:
        print(model.greedy(memory, arguments.max_length))
    else:
        for hypothesis in model.beam(memory, arguments.max_length, arguments.beams):
            print(f"{hypothesis.score:9.4f} {hypothesis.ids}")


if __name__ == "__main__":
    sys.exit(main())
