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
from integer_layers import TaskPart, Weights
from numeric import activate, f32, log_softmax, relative_bucket, rms_norm, softmax
from read_tusk import PackedFile, check_fits, open_tusk
from tusk_container import FormatError
from tusk_task import Task


@dataclass(frozen=True)
class Hypothesis:
    ids: list[int]
    score: float


class EncoderDecoder:
    """T5: pre-norm blocks, RMSNorm, relative position bias, no attention scale but the config's."""

    def __init__(self, file: PackedFile, task: Task | None = None) -> None:
        assert file.config is not None
        if task:
            check_fits(task, file.config)
        self.config, self.weights, self.part = file.config, Weights(file), TaskPart(task)
        self.vocabulary = task.vocabularySize if task else file.config.vocabularySize

    def norm(self, x: np.ndarray, slot: str, tensor: str) -> np.ndarray:
        return rms_norm(x, self.part.norm(slot, self.weights.vector(tensor)), self.config.normEpsilon)

    def position_bias(self, stack: str, length: int) -> np.ndarray:
        """[H, T, T]; the decoder's hides what is to come."""
        place = np.arange(length)
        distance = place[None, :] - place[:, None]
        buckets = relative_bucket(distance, stack == "encoder", self.config.bucketCount, self.config.maxDistance)
        bias = self.weights.tensors[f"{stack}.relativeBias"].values[buckets].transpose(2, 0, 1)
        return np.where(distance > 0, f32(-np.inf), bias) if stack == "decoder" else bias

    def attention(self, prefix: str, queries: np.ndarray, memory: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
        def heads(x: np.ndarray) -> np.ndarray:
            return x.reshape(len(x), self.config.headCount, self.config.dKV).transpose(1, 0, 2)

        q = heads(self.weights.multiply(queries, prefix + "Q"))
        k = heads(self.weights.multiply(memory, prefix + "K"))
        v = heads(self.weights.multiply(memory, prefix + "V"))
        scores = q @ k.transpose(0, 2, 1) * f32(self.config.attentionScale) + bias
        mixed = (softmax(scores) @ v).transpose(1, 0, 2).reshape(len(queries), -1)
        return self.weights.multiply(mixed, prefix + "O")

    def feed_forward(self, block: str, x: np.ndarray) -> np.ndarray:
        name = self.config.activation_name
        if self.config.gated:
            gate = activate(name, self.weights.multiply(x, block + "wi0"))
            hidden = gate * self.weights.multiply(x, block + "wi1")
        else:
            hidden = activate(name, self.weights.multiply(x, block + "wi"))
        return self.weights.multiply(hidden, block + "wo")

    def run_stack(self, stack: str, ids: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        x = self.weights.rows("embedding", ids)
        bias = self.position_bias(stack, len(ids))
        count = self.config.layerCount if memory is None else self.config.decoderLayerCount
        for layer in range(count):
            block = f"{stack}.{layer}."
            normed = self.norm(x, block + "selfAttention", block + "selfAttentionNorm")
            sub = self.attention(block + "selfAttention", normed, normed, bias)
            x = self.part.add(block + "selfAttention", sub, x)
            if memory is not None:
                normed = self.norm(x, block + "crossAttention", block + "crossAttentionNorm")
                sub = self.attention(block + "crossAttention", normed, memory, f32(0))
                x = self.part.add(block + "crossAttention", sub, x)
            normed = self.norm(x, block + "feedForward", block + "feedForwardNorm")
            x = self.part.add(block + "feedForward", self.feed_forward(block, normed), x)
        return self.norm(x, f"{stack}.end", f"{stack}.finalNorm")

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Encoder output [S, D] behind the final norm."""
        return self.run_stack("encoder", np.asarray(ids), None)

    def logits(self, memory: np.ndarray, decoder_ids: np.ndarray) -> np.ndarray:
        """Teacher-forced logits [T, V], V the vocabulary the task knows."""
        hidden = self.run_stack("decoder", np.asarray(decoder_ids), memory) * f32(self.config.logitScale)
        head = "embedding" if self.config.tiedHead else "head"
        return self.weights.multiply(hidden, head)[:, :self.vocabulary]

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


def load_model(backbone: Path | str, task: Path | str | None = None) -> EncoderDecoder | Encoder:
    """The model of a backbone, with the task of a task file, or the task of that name if the file is a bundle."""
    file = open_tusk(backbone)
    assert file.config is not None
    model = Encoder if file.config.is_encoder else EncoderDecoder
    if task is None:
        return model(file)
    return model(file, open_tusk(task).task() if Path(task).exists() else file.task(str(task)))


def parse_ids(text: str) -> np.ndarray:
    return np.array([int(part) for part in text.split(",")])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/integer_model.py backbone.tusk --task task.tusk --input-ids 8774,1 --beams 4")
    parser.add_argument("backbone", type=Path, help="a backbone or a bundle")
    parser.add_argument("--task", help="a task file, or the name of a task of the bundle")
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
