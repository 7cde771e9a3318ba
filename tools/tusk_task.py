"""The task section of formats/task.md: slots, attachments, linears, tensors."""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass

import numpy as np

from tusk_attachments import ATTACHMENT_BYTES, Adapter, Attachment, AttachmentReader, Prefix, Product, Prompt, Widths
from tusk_container import ACTIVATIONS, aligned, require, require_zero

TASK_HEADER_BYTES, SLOT_BYTES, LINEAR_BYTES, HEAD_BYTES, TENSOR_BYTES = 96, 16, 64, 64, 32
TENSOR_KINDS = {
    1: "rule", 2: "ruleLeft", 3: "ruleRight", 4: "leftFactor", 5: "rightFactor", 6: "full", 7: "bias",
    8: "adapterNormWeight", 9: "adapterNormBias", 10: "taskNorm", 11: "scalingVector",
    12: "taskNormBias", 13: "codes", 14: "scales", 15: "inputScale", 16: "outputScale", 17: "prefixKeys",
    18: "prefixValues", 19: "prompt", 20: "gateWeight", 21: "gateBias",
}
ORIGINS = {1: "adapters library", 2: "Compacter authors' code", 3: "PEFT", 4: "other tasks", 5: "trained by Tusk"}


@dataclass(frozen=True)
class TaskTensor:
    kind: str
    shape: tuple[int, int, int]
    values: np.ndarray
    offset: int
    bytes: int


@dataclass(frozen=True)
class Linear:
    """y = x H + b, H the sum of Kronecker products; the fields are indices into the task's tensors, or None."""

    inWidth: int
    outWidth: int
    phmDim: int
    factorRank: int
    inBlocks: int
    outBlocks: int
    rule: int | None
    ruleLeft: int | None
    ruleRight: int | None
    leftFactor: int | None
    rightFactor: int | None
    full: int | None
    bias: int | None
    codes: int | None
    scales: int | None

    def tensors(self) -> list[int | None]:
        """In the order of the record."""
        return [self.rule, self.ruleLeft, self.ruleRight, self.leftFactor, self.rightFactor, self.full, self.bias,
                self.codes, self.scales]


@dataclass(frozen=True)
class TaskSlot:
    name: str
    attachments: tuple[Attachment, ...]
    norm: int | None
    normBias: int | None

    @property
    def adapter(self) -> Adapter | None:
        return next((each for each in self.attachments if isinstance(each, Adapter)), None)

    @property
    def prefix(self) -> Prefix | None:
        return next((each for each in self.attachments if isinstance(each, Prefix)), None)

    @property
    def prompt(self) -> Prompt | None:
        return next((each for each in self.attachments if isinstance(each, Prompt)), None)

    def product(self, target: str) -> Product | None:
        return next((each for each in self.attachments if isinstance(each, Product) and each.target == target), None)


HEAD_INPUTS = {1: "first token", 2: "pooler", 3: "mean"}
HEAD_OUTPUTS = {1: "labels", 2: "independent labels", 3: "numbers", 4: "embedding"}


@dataclass(frozen=True)
class Head:
    """What becomes of an encoder's output; `first` and `second` are indices into the linears, or None."""

    input: str
    output: str
    activation1: str
    activation2: str
    first: int | None
    second: int | None
    outWidth: int
    isNormalized: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    name: str
    fingerprint: int
    dModel: int
    layerCount: int
    decoderLayerCount: int
    vocabularySize: int
    innerWidth: int
    dFF: int
    origin: str
    slots: dict[str, TaskSlot]
    linears: list[Linear]
    tensors: list[TaskTensor]
    head: Head | None
    tables_end: int

    def values(self, index: int | None) -> np.ndarray | None:
        """The tensor's values, flat dimensions of 1 at the end removed; None for a tensor that is not there."""
        if index is None:
            return None
        tensor = self.tensors[index]
        return tensor.values.reshape(-1) if tensor.shape[1:] == (1, 1) else tensor.values

    def parameter_count(self) -> int:
        """Trained numbers: the scales of codes are how they are stored."""
        return sum(tensor.values.size for tensor in self.tensors if tensor.kind != "scales")


def slot_names(layer_count: int, decoder_layer_count: int) -> list[str]:
    names = [f"encoder.{layer}.{part}" for layer in range(layer_count) for part in ("selfAttention", "feedForward")]
    names += [f"decoder.{layer}.{part}" for layer in range(decoder_layer_count)
              for part in ("selfAttention", "crossAttention", "feedForward")]
    return [*names, "encoder.end", "decoder.end", "encoder.start"]


def optional(reference: int) -> int | None:
    return reference - 1 if reference else None


class TaskReader:
    """Reads one section. `base` is its place in the file, for messages only."""

    def __init__(self, section: np.ndarray, base: int) -> None:
        self.data, self.base, self.bytes = section, base, section.tobytes()

    def require(self, condition: bool, offset: int, message: str) -> None:
        require(condition, self.base + offset, message)

    def read(self) -> Task:
        self.require(len(self.bytes) >= TASK_HEADER_BYTES, 0, "a task section shorter than its header")
        (fingerprint, d_model, layers, decoder_layers, vocabulary, origin, name_bytes, attachment_count, linear_count,
         tensor_count, head_count, section_bytes) = struct.unpack_from("<Q10IQ", self.bytes)
        label_bytes, inner_width, d_ff = struct.unpack_from("<3I", self.bytes, 64)
        self.require(1 <= d_model <= 65_536, 8, f"dModel {d_model}")
        self.require(1 <= layers <= 1_024, 12, f"layerCount {layers}")
        self.require(decoder_layers <= 1_024, 16, f"decoderLayerCount {decoder_layers}")
        self.require(1 <= vocabulary <= 16_777_216, 20, f"vocabularySize {vocabulary}")
        self.require(origin in ORIGINS, 24, f"origin {origin}")
        self.require(1 <= name_bytes <= 255, 28, f"nameBytes {name_bytes}")
        self.require(head_count <= 1, 44, f"headCount {head_count}")
        self.require(head_count == 1 or label_bytes == 0, 64, "labels without a head")
        self.require(1 <= inner_width <= 65_536, 68, f"innerWidth {inner_width}")
        self.require(1 <= d_ff <= 1_048_576, 72, f"dFF {d_ff}")
        self.require(not any(self.bytes[76:TASK_HEADER_BYTES]), 76, "reserved is not zero")
        self.require(any(self.bytes[56:64]), 56, "backboneParameters is 0")
        self.require(section_bytes == len(self.bytes), 48, f"sectionBytes {section_bytes}")
        self.d_model = d_model
        names = slot_names(layers, decoder_layers)

        slots_at = TASK_HEADER_BYTES + aligned(name_bytes, 8)
        attachments_at = slots_at + SLOT_BYTES * len(names)
        linears_at = attachments_at + ATTACHMENT_BYTES * attachment_count
        head_at = linears_at + LINEAR_BYTES * linear_count
        labels_at = head_at + HEAD_BYTES * head_count
        tensors_at = labels_at + aligned(label_bytes, 8)
        tables_end = tensors_at + TENSOR_BYTES * tensor_count
        self.require(tables_end <= len(self.bytes), 32, f"the tables end at {tables_end}, behind the section")
        name = self.read_name(name_bytes, slots_at)
        tensors = self.read_tensors(tensors_at, tensor_count, tables_end)
        linears = [self.read_linear(linears_at + LINEAR_BYTES * index, tensors) for index in range(linear_count)]
        reader = AttachmentReader(
            self.bytes, Widths(d_model, inner_width, d_ff, vocabulary), self.require,
            lambda index, ends, at: self.check_linear(index, ends, linears, at),
            lambda reference, kind, shape, at: self.check_reference(reference, tensors, kind, shape, at))
        slots, taken = {}, 0
        for index, slot_name in enumerate(names):
            at = slots_at + SLOT_BYTES * index
            first, count, norm, norm_bias = struct.unpack_from("<4I", self.bytes, at)
            self.require(first == taken, at, f"slot {slot_name}: firstAttachment {first}, required {taken}")
            self.require(count <= 16, at + 4, f"slot {slot_name}: {count} attachments")
            self.require(taken + count <= attachment_count, at, f"slot {slot_name}: no such attachment")
            self.check_reference(norm, tensors, "taskNorm", (d_model, 1, 1), at + 8)
            self.check_reference(norm_bias, tensors, "taskNormBias", (d_model, 1, 1), at + 12)
            records = [reader.read(attachments_at + ATTACHMENT_BYTES * (first + place), slot_name)
                       for place in range(count)]
            orders = [order for order, _ in records]
            self.require(orders == sorted(set(orders)), at, f"slot {slot_name}: attachments out of order")
            slots[slot_name] = TaskSlot(slot_name, tuple(each for _, each in records), optional(norm),
                                        optional(norm_bias))
            taken += count
        self.require(taken == attachment_count, 32, f"{attachment_count} attachments, {taken} in slots")
        head = None
        if head_count:
            self.require(decoder_layers == 0, 44, "a head on a backbone with a decoder")
            labels = self.read_labels(labels_at, label_bytes, tensors_at)
            head = self.read_head(head_at, linears, labels)
        task = Task(name, fingerprint, d_model, layers, decoder_layers, vocabulary, inner_width, d_ff,
                    ORIGINS[origin], slots, linears, tensors, head, tables_end)
        self.check_numbering(task)
        return task

    def text(self, raw: bytes, at: int, what: str) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self.require(False, at, f"the {what} is not UTF-8")
        self.require(not any(unicodedata.category(letter) == "Cc" for letter in text), at,
                     f"a control character in the {what}")
        return text

    def read_name(self, name_bytes: int, slots_at: int) -> str:
        name = self.text(self.bytes[TASK_HEADER_BYTES:TASK_HEADER_BYTES + name_bytes], TASK_HEADER_BYTES, "name")
        self.require(not any(self.bytes[TASK_HEADER_BYTES + name_bytes:slots_at]), TASK_HEADER_BYTES + name_bytes,
                     "padding of the name is not zero")
        return name

    def read_tensors(self, at: int, count: int, tables_end: int) -> list[TaskTensor]:
        tensors, end = [], tables_end
        for index in range(count):
            here = at + TENSOR_BYTES * index
            kind, encoding, *shape, offset, reserved = struct.unpack_from("<HH3IQQ", self.bytes, here)
            self.require(kind in TENSOR_KINDS, here, f"tensor kind {kind}")
            is_codes = TENSOR_KINDS[kind] == "codes"
            self.require(encoding == (2 if is_codes else 1), here + 2, f"encoding {encoding}")
            self.require(min(shape) >= 1, here + 4, f"shape {shape}")
            self.require(reserved == 0, here + 24, "reserved is not zero")
            self.require(offset == aligned(end, 64), here + 16, f"tensor {index} begins at {offset}, behind {end}")
            stride = aligned(shape[1], 64)
            size = shape[0] * stride if is_codes else 4 * shape[0] * shape[1] * shape[2]
            end = offset + size
            self.require(end <= len(self.bytes), here + 16, f"tensor {index} reaches behind the section")
            raw = self.data[offset:end]
            values = (raw.view(np.int8).reshape(shape[0], stride)[:, :shape[1]] if is_codes
                      else raw.view("<f4").reshape(shape))
            tensors.append(TaskTensor(TENSOR_KINDS[kind], tuple(shape), values, offset, size))
        self.require(end == len(self.bytes), 48, f"the section ends at {len(self.bytes)}, its last tensor at {end}")
        return tensors

    def check_reference(self, reference: int, tensors: list[TaskTensor], kind: str, shape: tuple[int, int, int],
                        at: int) -> None:
        if reference == 0:
            return
        self.require(reference <= len(tensors), at, f"{kind}: no tensor {reference - 1}")
        found = tensors[reference - 1]
        self.require((found.kind, found.shape) == (kind, shape), at,
                     f"names a {found.kind} {found.shape}, required a {kind} {shape}")

    def check_linear(self, index: int, ends: tuple[int, int], linears: list[Linear], at: int) -> None:
        self.require(index < len(linears), at, f"no linear {index}")
        found = linears[index]
        self.require((found.inWidth, found.outWidth) == ends, at,
                     f"linear {index} is {found.inWidth} -> {found.outWidth}, required {ends[0]} -> {ends[1]}")

    def read_linear(self, at: int, tensors: list[TaskTensor]) -> Linear:
        width_in, width_out, n, rank, *references = struct.unpack_from("<11I", self.bytes, at)
        blocks_in, blocks_out, codes, scales = struct.unpack_from("<4I", self.bytes, at + 44)
        rule, rule_left, rule_right, left, right, full, _ = references
        self.require(1 <= n <= 256, at + 8, f"phmDim {n}")
        self.require(1 <= blocks_in <= 65_536, at + 44, f"inBlocks {blocks_in}")
        self.require(1 <= blocks_out <= 65_536, at + 48, f"outBlocks {blocks_out}")
        self.require(width_in > 0 and width_in % blocks_in == 0, at, f"inWidth {width_in}, {blocks_in} blocks")
        self.require(width_out > 0 and width_out % blocks_out == 0, at + 4, f"outWidth {width_out}, {blocks_out} blocks")
        p, q = width_in // blocks_in, width_out // blocks_out
        self.require(rank <= max(p, q), at + 12, f"factorRank {rank} beyond the blocks")
        self.require(not any(self.bytes[at + 60:at + LINEAR_BYTES]), at + 60, "reserved is not zero")
        is_plain = n == blocks_in == blocks_out == 1
        self.require((rule_left == 0) == (rule_right == 0), at + 20, "half of a factorized rule")
        self.require((rule != 0) + (rule_left != 0) == 1 or (is_plain and rule == rule_left == 0), at + 16,
                     "neither one rule nor one factorized rule")
        self.require((codes == 0) == (scales == 0), at + 52, "codes or scales alone")
        self.require(codes == 0 or (is_plain and rank == 0 and rule == rule_left == 0), at + 52,
                     "codes of a layer that is not dense")
        forms = (True, True, False) if rank else (False, False, codes == 0)
        self.require((left != 0, right != 0, full != 0) == forms, at + 28, f"factors do not fit factorRank {rank}")
        shapes = [("rule", (n, blocks_in, blocks_out)), ("ruleLeft", (n, blocks_in, 1)),
                  ("ruleRight", (n, 1, blocks_out)), ("leftFactor", (n, p, rank)), ("rightFactor", (n, rank, q)),
                  ("full", (n, p, q)), ("bias", (width_out, 1, 1))]
        for position, ((kind, shape), reference) in enumerate(zip(shapes, references)):
            self.check_reference(reference, tensors, kind, shape, at + 16 + 4 * position)
        self.check_reference(codes, tensors, "codes", (width_out, width_in, 1), at + 52)
        self.check_reference(scales, tensors, "scales", (width_out, 1, 1), at + 56)
        return Linear(width_in, width_out, n, rank, blocks_in, blocks_out,
                      *map(optional, [*references, codes, scales]))

    def read_labels(self, at: int, label_bytes: int, end: int) -> tuple[str, ...]:
        labels, position = [], at
        while position < at + label_bytes:
            length = self.bytes[position]
            raw = self.bytes[position + 1:position + 1 + length]
            position += 1 + length
            self.require(length >= 1 and position <= at + label_bytes, at, "a label's length")
            labels.append(self.text(raw, at, "label"))
        self.require(not any(self.bytes[position:end]), position, "padding of the labels is not zero")
        return tuple(labels)

    def read_head(self, at: int, linears: list[Linear], labels: tuple[str, ...]) -> Head:
        (source, output, activation1, activation2, first, second, out_width, label_count, flags) = struct.unpack_from(
            "<4H5I", self.bytes, at)
        self.require(source in HEAD_INPUTS, at, f"input {source}")
        self.require(output in HEAD_OUTPUTS, at + 2, f"output {output}")
        width = self.d_model
        for place, activation, reference in ((8, activation1, first), (12, activation2, second)):
            self.require(activation < len(ACTIVATIONS), at + 4, f"activation {activation}")
            self.require(reference > 0 or activation == 0, at + 4, "an activation without a layer")
            if reference:
                self.require(reference <= len(linears), at + place, f"no linear {reference - 1}")
                linear = linears[reference - 1]
                self.require(linear.inWidth == width, at + place, f"linear of {linear.inWidth} behind {width}")
                width = linear.outWidth
        self.require(first > 0 or second == 0, at + 12, "a second layer without a first")
        self.require(out_width == width, at + 16, f"outWidth {out_width}, the last layer's is {width}")
        self.require(label_count in (0, out_width) and label_count == len(labels), at + 20,
                     f"labelCount {label_count}, {len(labels)} labels")
        self.require(flags & ~1 == 0, at + 24, f"flags {flags:#x}")
        self.require(not any(self.bytes[at + 28:at + HEAD_BYTES]), at + 28, "reserved is not zero")
        return Head(HEAD_INPUTS[source], HEAD_OUTPUTS[output], ACTIVATIONS[activation1], ACTIVATIONS[activation2],
                    optional(first), optional(second), out_width, bool(flags & 1), labels)

    def check_numbering(self, task: Task) -> None:
        """Every linear and tensor is named, in the order of first mention."""
        linears = tensors = 0

        def mention(index: int | None) -> None:
            nonlocal tensors
            if index is not None:
                self.require(index <= tensors, 0, f"tensor {index} is named before tensor {tensors}")
                tensors = max(tensors, index + 1)

        def mention_linear(index: int | None) -> None:
            nonlocal linears
            if index is not None:
                self.require(index <= linears, 0, f"linear {index} is named before linear {linears}")
                if index == linears:
                    linears += 1
                    for tensor in task.linears[index].tensors():
                        mention(tensor)

        for slot in task.slots.values():
            mention(slot.norm)
            mention(slot.normBias)
            for attachment in slot.attachments:
                named_linears, named_tensors = attachment.mentions()
                for linear in named_linears:
                    mention_linear(linear)
                for tensor in named_tensors:
                    mention(tensor)
        if task.head:
            mention_linear(task.head.first)
            mention_linear(task.head.second)
        self.require(linears == len(task.linears), 36, f"{len(task.linears)} linears, {linears} of them used")
        self.require(tensors == len(task.tensors), 40, f"{len(task.tensors)} tensors, {tensors} of them used")


def read_task(section: np.ndarray, base: int) -> Task:
    return TaskReader(section, base).read()


def verify_task(task: Task, section: np.ndarray, base: int) -> None:
    """The checks that read every value."""
    end = None
    for tensor in task.tensors:
        require(bool(np.isfinite(tensor.values).all()), base + tensor.offset, "a value is not finite")
        if end is not None:
            require_zero(section, end, tensor.offset, "padding between tensors")
        if tensor.kind == "codes":
            rows = section[tensor.offset:tensor.offset + tensor.bytes].reshape(tensor.shape[0], -1)
            require(not rows[:, tensor.shape[1]:].any(), base + tensor.offset, "padding behind a row's codes")
            require(not (rows == 0x80).any(), base + tensor.offset, "code -128")
        end = tensor.offset + tensor.bytes
    if task.tensors:
        require_zero(section, task.tables_end, task.tensors[0].offset, "padding before the data")
