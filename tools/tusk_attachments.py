"""Attachments of a task section (formats/task.md): adapters, changed products, prefixes, prompts."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tusk_container import ACTIVATIONS

ATTACHMENT_BYTES = 64
TARGETS = ("q", "k", "v", "o", "wi", "wi0", "wi1", "wo", "pooler", "head")


@dataclass(frozen=True)
class Adapter:
    """`down` and `up` are indices into the task's linears, the optional ones into its tensors."""

    activation: str
    inputRule: int
    skipRule: int
    addsStream: bool
    normsSkip: bool
    bottleneckWidth: int
    scaling: float
    normEpsilon: float
    down: int
    up: int
    normBeforeWeight: int | None
    normBeforeBias: int | None
    normAfterWeight: int | None
    normAfterBias: int | None
    scalingVector: int | None
    gateWeight: int | None
    gateBias: int | None

    def mentions(self) -> tuple[list[int | None], list[int | None]]:
        """Linears and tensors in the order of the record; every linear stands before the tensors."""
        return [self.down, self.up], [
            self.normBeforeWeight, self.normBeforeBias, self.normAfterWeight, self.normAfterBias, self.scalingVector,
            self.gateWeight, self.gateBias]


@dataclass(frozen=True)
class Product:
    target: str
    linear: int | None
    scaling: float
    inputScale: int | None
    outputScale: int | None
    bias: int | None

    def mentions(self) -> tuple[list[int | None], list[int | None]]:
        return [self.linear], [self.inputScale, self.outputScale, self.bias]


@dataclass(frozen=True)
class Prefix:
    tokens: int
    keys: int
    values: int
    queryOffset: int

    def mentions(self) -> tuple[list[int | None], list[int | None]]:
        return [], [self.keys, self.values]


@dataclass(frozen=True)
class Prompt:
    tokens: int
    embeddings: int
    place: int
    stage: int
    firstToken: int

    def mentions(self) -> tuple[list[int | None], list[int | None]]:
        return [], [self.embeddings]


Attachment = Adapter | Product | Prefix | Prompt


@dataclass(frozen=True)
class Widths:
    """The backbone's, as the section's header states them."""

    dModel: int
    innerWidth: int
    dFF: int
    vocabularySize: int

    def of(self, target: str) -> tuple[int, int]:
        """Input and output width of a product."""
        d, inner, ff = self.dModel, self.innerWidth, self.dFF
        return {"o": (inner, d), "wi": (d, ff), "wi0": (d, ff), "wi1": (d, ff), "wo": (ff, d), "pooler": (d, d),
                "head": (d, self.vocabularySize)}.get(target, (d, inner))


class AttachmentReader:
    """Reads records. `require(condition, offset, message)` and the two checks are the section reader's."""

    def __init__(self, data: bytes, widths: Widths, require: Callable[[bool, int, str], None],
                 check_linear: Callable[[int, tuple[int, int], int], None],
                 check_tensor: Callable[[int, str, tuple[int, int, int], int], None]) -> None:
        self.data, self.widths, self.require = data, widths, require
        self.check_linear, self.check_tensor = check_linear, check_tensor

    def read(self, at: int, slot: str) -> tuple[tuple[int, int], Attachment]:
        """The record at `at` with its kind and placement."""
        kind, placement = struct.unpack_from("<2H", self.data, at)
        part = slot.rsplit(".", 1)[1]
        if kind == 1:
            self.require(placement == 1 and part not in ("start", "end"), at, f"an adapter at {slot}")
            return (kind, placement), self.adapter(at, slot)
        if kind == 2:
            return (kind, placement), self.product(at, slot, part, placement)
        if kind == 3:
            self.require(placement == 1 and part.endswith("Attention"), at, f"a prefix at {slot}")
            return (kind, placement), self.prefix(at)
        self.require(kind == 4 and placement == 1 and slot == "encoder.start", at, f"kind {kind} at {slot}")
        return (kind, placement), self.prompt(at)

    def reserved(self, start: int, end: int) -> None:
        self.require(not any(self.data[start:end]), start, "reserved is not zero")

    def tensor(self, reference: int, kind: str, shape: tuple[int, ...], at: int) -> int | None:
        self.check_tensor(reference, kind, (*shape, 1, 1)[:3], at)
        return reference - 1 if reference else None

    def adapter(self, at: int, slot: str) -> Adapter:
        (activation, input_rule, skip_rule, flags, width, scaling, epsilon, down, up,
         *references) = struct.unpack_from("<4HI2f9I", self.data, at + 4)
        d = self.widths.dModel
        self.require(activation < len(ACTIVATIONS), at + 4, f"activation {activation}")
        self.require(1 <= input_rule <= 4, at + 6, f"inputRule {input_rule}")
        self.require(skip_rule <= 3, at + 8, f"skipRule {skip_rule}")
        self.require(flags & ~(3 if references[2] else 1) == 0, at + 10, f"flags {flags:#x}")
        self.require(bool(np.isfinite(scaling)), at + 16, "scaling is not finite")
        self.require(bool(np.isfinite(epsilon)) and epsilon > 0, at + 20, f"normEpsilon {epsilon}")
        self.reserved(at + 60, at + 64)
        self.check_linear(down, (d, width), at + 24)
        self.check_linear(up, (width, d), at + 28)
        for position, pair in ((0, "norm before"), (2, "norm after"), (5, "gate")):
            self.require((references[position] == 0) == (references[position + 1] == 0), at + 32 + 4 * position,
                         f"{pair} with a weight or a bias only")
        self.require(references[5] == 0 or slot.startswith("encoder"), at + 52, "a gate in the decoder")
        kinds = [("adapterNormWeight", d), ("adapterNormBias", d), ("adapterNormWeight", d), ("adapterNormBias", d),
                 ("scalingVector", d), ("gateWeight", d), ("gateBias", 1)]
        found = [self.tensor(reference, kind, (count,), at + 32 + 4 * position)
                 for position, ((kind, count), reference) in enumerate(zip(kinds, references))]
        return Adapter(ACTIVATIONS[activation], input_rule, skip_rule, bool(flags & 1), bool(flags & 2), width, scaling,
                       epsilon, down, up, *found)

    def product(self, at: int, slot: str, part: str, placement: int) -> Product:
        linear, scaling, input_scale, output_scale, bias = struct.unpack_from("<If3I", self.data, at + 4)
        self.require(1 <= placement <= len(TARGETS), at + 2, f"product {placement}")
        target = TARGETS[placement - 1]
        places = {"q": "Attention", "k": "Attention", "v": "Attention", "o": "Attention", "pooler": "encoder.end",
                  "head": "decoder.end"}
        self.require(slot.endswith(places.get(target, "feedForward")), at + 2, f"{target} at {slot}")
        ends = self.widths.of(target)
        self.require(bool(np.isfinite(scaling)) and (linear > 0 or scaling == 0), at + 8, f"scaling {scaling}")
        self.require(input_scale == 0 or target in ("o", "wo"), at + 12, f"an input scale of {target}")
        self.require(any((linear, input_scale, output_scale, bias)), at + 4, "a product without a change")
        self.reserved(at + 24, at + 64)
        if linear:
            self.check_linear(linear - 1, ends, at + 4)
        return Product(target, linear - 1 if linear else None, scaling,
                       self.tensor(input_scale, "inputScale", ends[:1], at + 12),
                       self.tensor(output_scale, "outputScale", ends[1:], at + 16),
                       self.tensor(bias, "bias", ends[1:], at + 20))

    def prefix(self, at: int) -> Prefix:
        tokens, keys, values, offset = struct.unpack_from("<4I", self.data, at + 4)
        self.require(1 <= tokens <= 4_096, at + 4, f"prefixTokens {tokens}")
        self.require(keys > 0 and values > 0, at + 8, "a prefix without keys or values")
        self.require(offset <= tokens, at + 16, f"queryOffset {offset}")
        self.reserved(at + 20, at + 64)
        shape = (tokens, self.widths.innerWidth)
        self.tensor(keys, "prefixKeys", shape, at + 8)
        self.tensor(values, "prefixValues", shape, at + 12)
        return Prefix(tokens, keys - 1, values - 1, offset)

    def prompt(self, at: int) -> Prompt:
        tokens, embeddings, place, stage, first = struct.unpack_from("<2I2HI", self.data, at + 4)
        self.require(1 <= tokens <= 4_096, at + 4, f"promptTokens {tokens}")
        self.require(embeddings > 0, at + 8, "a prompt without embeddings")
        self.require(place in (1, 2), at + 12, f"place {place}")
        self.require(stage in (1, 2), at + 14, f"stage {stage}")
        self.require(first <= tokens, at + 16, f"firstToken {first}")
        self.reserved(at + 20, at + 64)
        self.tensor(embeddings, "prompt", (tokens, self.widths.dModel), at + 8)
        return Prompt(tokens, embeddings - 1, place, stage, first)
