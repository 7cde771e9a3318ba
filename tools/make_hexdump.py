#!/usr/bin/env python3
"""Write formats/nano-hexdump.md: the bytes of formats/examples/nano.tusk, line by line, with what they mean.

Every line is `offset  bytes  meaning`; a test holds the bytes against the file. Run after tools/make_examples.
"""

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = [
    ("Q", "fingerprint"), ("I", "architecture: encoder-decoder"), ("I", "dModel"), ("I", "dFF"), ("I", "dKV"),
    ("I", "headCount"), ("I", "layerCount"), ("I", "decoderLayerCount"), ("I", "vocabularySize"), ("I", "bucketCount"),
    ("I", "maxDistance"), ("f", "normEpsilon"), ("I", "activation: relu"), ("I", "gated"), ("I", "tiedHead"),
    ("f", "logitScale"), ("I", "normKind: RMSNorm"), ("I", "normPlacement: before"), ("I", "positionScheme: relative"),
    ("f", "attentionScale"), ("I", "padId"), ("I", "eosId"), ("I", "decoderStartId"),
    ("I", "weightEncoding: int8 rows"), ("92s", "reserved"),
]  # fmt: skip
HEADER = [
    ("8s", "magic"), ("H", "readVersion"), ("H", "writeVersion"), ("I", "kind: bundle"), ("Q", "fileBytes"),
    ("Q", "tableOffset"), ("I", "sectionCount"), ("24s", "reserved"), ("I", "indexChecksum"),
]  # fmt: skip
SECTION = [
    ("H", "kind: {name}"), ("H", "flags: {required}"), ("I", "ordinal"), ("I", "checksum"), ("I", "reserved"),
    ("Q", "offset"), ("Q", "bytes"),
]  # fmt: skip
TENSOR = [
    ("H", "role: {name}"), ("B", "stack"), ("B", "encoding"), ("H", "layer"), ("H", "reserved"), ("I", "rows"),
    ("I", "columns"), ("I", "rowStrideBytes"), ("I", "sourceChecksum"), ("Q", "dataOffset in its section"),
    ("Q", "dataBytes"), ("Q", "scalesOffset"), ("16s", "reserved"),
]  # fmt: skip
TASK = [
    ("Q", "fingerprint of the backbone"), ("I", "dModel"), ("I", "layerCount"), ("I", "decoderLayerCount"),
    ("I", "vocabularySize"), ("I", "origin: adapters library"), ("I", "nameBytes"), ("I", "attachmentCount"),
    ("I", "linearCount"), ("I", "tensorCount"), ("I", "reserved"), ("Q", "sectionBytes"),
    ("Q", "backboneParameters"), ("I", "labelBytes"), ("I", "innerWidth"), ("I", "dFF"), ("20s", "reserved"),
]  # fmt: skip
SLOT = [("I", "firstAttachment"), ("I", "attachmentCount"), ("I", "normTensor: the backbone's"), ("I", "reserved")]
ATTACHMENT = [
    ("H", "kind: adapter"), ("H", "placement: behind the sub-layer"), ("H", "activation: gelu"), ("H", "inputRule: sub"),
    ("H", "skipRule: sub"), ("H", "flags: the stream is added"), ("I", "bottleneckWidth"), ("f", "scaling"),
    ("f", "normEpsilon"), ("I", "down: linear"), ("I", "up: linear"), ("I", "normBeforeWeight: none"),
    ("I", "normBeforeBias: none"), ("I", "normAfterWeight: none"), ("I", "normAfterBias: none"),
    ("I", "scalingVector: none"), ("I", "gateWeight: none"), ("I", "gateBias: none"), ("4s", "reserved"),
]  # fmt: skip
LINEAR = [
    ("I", "inWidth"), ("I", "outWidth"), ("I", "phmDim"), ("I", "factorRank"), ("I", "rule: 1 + tensor"),
    ("I", "ruleLeft: none"), ("I", "ruleRight: none"), ("I", "leftFactor: 1 + tensor"), ("I", "rightFactor: 1 + tensor"),
    ("I", "full: none"), ("I", "bias: 1 + tensor"), ("I", "inBlocks"), ("I", "outBlocks"), ("I", "codes: none"),
    ("I", "scales: none"), ("4s", "reserved"),
]  # fmt: skip
TASK_TENSOR = [
    ("H", "kind: rule"), ("H", "encoding: float32"), ("I", "dim0"), ("I", "dim1"), ("I", "dim2"),
    ("Q", "offset in the section"), ("Q", "reserved"),
]  # fmt: skip
SECTION_NAMES = {1: "config", 2: "tensorIndex", 3: "weights", 4: "tokenizer", 5: "task", 6: "provenance"}


class Dump:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines: list[str] = []

    def bytes(self, at: int, count: int, meaning: str) -> None:
        """`count` bytes, 16 to a line; the meaning stands on the first. A run of zero lines is one line."""
        for start in range(at, at + count, 16):
            part = self.data[start : min(start + 16, at + count)]
            text = meaning if start == at else ""
            if start > at and not any(self.data[start : at + count]):
                self.lines.append(f"*         zeros up to {at + count:08x}")
                return
            self.lines.append(f"{start:08x}  {part.hex(' '):<47}  {text}".rstrip())

    def record(self, at: int, fields: list[tuple[str, str]], **names: str) -> int:
        for code, meaning in fields:
            size = struct.calcsize("<" + code)
            (value,) = struct.unpack_from("<" + code, self.data, at)
            label = meaning.format(**names)
            if code == "f":
                label += f" {value:g}"
            elif not code.endswith("s"):
                label += f" {value:#x}" if code == "Q" and "fingerprint" in meaning or "hecksum" in meaning else f" {value}"
            self.bytes(at, size, label)
            at += size
        return at

    def blocks(self, title: str) -> None:
        self.lines += [] if not self.lines else ["```", ""]
        self.lines += [f"## {title}", "", "```"]


def sections(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    (count,) = struct.unpack_from("<I", data, 32)
    for entry in range(count):
        kind, flags, _, _, _, offset, size = struct.unpack_from("<HHIIIQQ", data, 64 + 32 * entry)
        yield kind, flags, offset, size


def annotate(data: bytes) -> list[str]:
    dump = Dump(data)
    dump.blocks("Header")
    dump.record(0, HEADER)
    dump.blocks("Section table")
    places: dict[str, int] = {}
    for entry, (kind, flags, offset, _) in enumerate(sections(data)):
        names = {"name": SECTION_NAMES[kind], "required": "required" if flags & 1 else "may be skipped"}
        dump.record(64 + 32 * entry, SECTION, **names)
        places.setdefault(SECTION_NAMES[kind], offset)
    dump.blocks("Config record")
    dump.record(places["config"], CONFIG)
    dump.blocks("Tensor index: the first two of its entries")
    dump.record(places["tensorIndex"], TENSOR, name="embedding")
    dump.record(places["tensorIndex"] + 64, TENSOR, name="relativeBias")
    dump.blocks("Weights 0: the embedding's first two rows, and the scales behind its last")
    rows, _, stride = struct.unpack_from("<III", data, places["tensorIndex"] + 8)
    start = places["weights"]
    for row in range(2):
        dump.bytes(start + row * stride, 8, f"row {row}: 8 codes")
        dump.bytes(start + row * stride + 8, stride - 8, "padding")
    scales = start + rows * stride
    for row in range(2):
        (scale,) = struct.unpack_from("<f", data, scales + 4 * row)
        dump.bytes(scales + 4 * row, 4, f"scale of row {row}: {scale:g}")
    annotate_task(dump, places["task"])
    return dump.lines + ["```"]


def annotate_task(dump: Dump, start: int) -> None:
    layers, decoder_layers = struct.unpack_from("<II", dump.data, start + 12)
    name_bytes, attachments, linears, tensors = struct.unpack_from("<IIII", dump.data, start + 28)
    dump.blocks("Task section: header, name, the first two slots")
    at = dump.record(start, TASK)
    name = dump.data[at : at + name_bytes].decode()
    dump.bytes(at, -(-name_bytes // 8) * 8, f'name "{name}", padded')
    slots = at + -(-name_bytes // 8) * 8
    for slot in range(2):
        dump.record(slots + 16 * slot, SLOT)
    attachment = slots + 16 * (2 * layers + 3 * decoder_layers + 3)
    dump.blocks("Its first attachment, linear and tensor")
    dump.record(attachment, ATTACHMENT)
    linear = attachment + 64 * attachments
    dump.record(linear, LINEAR)
    tensor = linear + 64 * linears
    dump.record(tensor, TASK_TENSOR)
    (offset,) = struct.unpack_from("<Q", dump.data, tensor + 16)
    dump.bytes(tensor + 32 * tensors, start + offset - tensor - 32 * tensors, "padding in front of the data")
    dump.bytes(start + offset, 32, "phmRule [2, 2, 2]: A_0, then A_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=ROOT / "formats/examples/nano.tusk")
    parser.add_argument("--output", type=Path, default=ROOT / "formats/nano-hexdump.md")
    options = parser.parse_args()
    data = options.file.read_bytes()
    head = [
        "# nano.tusk, byte by byte",
        "",
        f"`examples/nano.tusk` is a bundle of {len(data):,} bytes: a random T5 of one block and width 8, a tokenizer of 57",
        "pieces, and a Compacter with n = 2. Offsets and bytes are hexadecimal, meanings end with the value. The lines are",
        "written by `tools/make_hexdump.py`, and a test holds them against the file.",
        "",
    ]
    options.output.write_text("\n".join(head + annotate(data)) + "\n")


if __name__ == "__main__":
    main()
