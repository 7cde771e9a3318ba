"""The container of formats/packed-file.md: header, section table, config record. See read_tusk.py for the whole."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

MAGIC = bytes.fromhex("895455534B0D0A1A")
VERSION = 1
HEADER_BYTES, ENTRY_BYTES, CONFIG_BYTES = 64, 32, 192
FILE_KINDS = {1: "backbone", 2: "task", 3: "bundle"}
ACTIVATIONS = ("identity", "relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "leaky_relu", "quick_gelu", "mish", "relu6",
               "relu2", "gelu_10", "laplace")


class FormatError(Exception):
    """A MUST of the specification that the file breaks: where, what, and what was required."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(f"byte {offset}: {message}")
        self.offset = offset


def require(condition: bool, offset: int, message: str) -> None:
    if not condition:
        raise FormatError(offset, message)


def require_zero(data: np.ndarray, first: int, last: int, what: str) -> None:
    require(not data[first:last].any(), first, f"{what} is not zero")


def aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


@dataclass(frozen=True)
class SectionKind:
    name: str
    alignment: int
    required: bool
    minimum: dict[str, int]
    maximum: dict[str, int]
    rank: int


UNBOUNDED = 1 << 32
SECTION_KINDS = {
    1: SectionKind("config", 64, True, {"backbone": 1, "bundle": 1}, {"backbone": 1, "bundle": 1}, 0),
    2: SectionKind("tensorIndex", 64, True, {"backbone": 1, "bundle": 1}, {"backbone": 1, "bundle": 1}, 1),
    6: SectionKind("provenance", 64, False, {}, {"backbone": 1, "task": 1, "bundle": 1}, 2),
    4: SectionKind("tokenizer", 4096, False, {}, {"backbone": 1, "bundle": 1}, 3),
    7: SectionKind("head", 4096, False, {}, {"backbone": 1, "bundle": 1}, 4),
    3: SectionKind("weights", 4096, True, {"backbone": 1, "bundle": 1},
                   {"backbone": UNBOUNDED, "bundle": UNBOUNDED}, 5),
    5: SectionKind("task", 4096, True, {"task": 1, "bundle": 1}, {"task": 1, "bundle": UNBOUNDED}, 6),
}
PROVENANCE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Section:
    kind: int
    name: str
    ordinal: int
    required: bool
    checksum: int
    offset: int
    bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.bytes


@dataclass(frozen=True)
class Container:
    data: np.ndarray
    kind: str
    read_version: int
    write_version: int
    sections: list[Section]

    def named(self, name: str) -> list[Section]:
        return [section for section in self.sections if section.name == name]

    def bytes_of(self, section: Section) -> np.ndarray:
        return self.data[section.offset:section.end]

    def provenance(self) -> str | None:
        found = self.named("provenance")
        return self.bytes_of(found[0]).tobytes().decode() if found else None

    def verify(self) -> None:
        """The checks that read every page: checksums and padding between sections."""
        end = HEADER_BYTES + ENTRY_BYTES * len(self.sections)
        for section in self.sections:
            require_zero(self.data, end, section.offset, f"padding before section {section.name}")
            computed = zlib.crc32(self.bytes_of(section))
            require(computed == section.checksum, section.offset,
                    f"section {section.name} {section.ordinal}: checksum {computed:08x}, table {section.checksum:08x}")
            end = section.end


def open_container(path: Path) -> Container:
    """Maps the file and checks header and section table."""
    require(path.stat().st_size >= HEADER_BYTES, 0, "shorter than a header")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    head = data[:HEADER_BYTES].tobytes()
    require(head[:8] == MAGIC, 0, "not a Tusk file, or altered in transfer")
    read_version, write_version, kind = struct.unpack_from("<HHI", head, 8)
    file_bytes, table_offset, count = struct.unpack_from("<QQI", head, 16)
    index_checksum, = struct.unpack_from("<I", head, 60)
    require(1 <= read_version <= VERSION, 8, f"needs reader version {read_version}, this one is {VERSION}")
    require(write_version >= read_version, 10, f"writeVersion {write_version} below readVersion {read_version}")
    require(kind in FILE_KINDS, 12, f"kind {kind}")
    require(file_bytes == len(data), 16, f"fileBytes {file_bytes}, the file has {len(data)}")
    require(table_offset == HEADER_BYTES, 24, f"tableOffset {table_offset}")
    require(1 <= count <= 65_536, 32, f"sectionCount {count}")
    require_zero(data, 36, 60, "reserved")
    table_end = HEADER_BYTES + ENTRY_BYTES * count
    require(table_end <= len(data), 32, "the section table reaches behind the file")
    table = data[HEADER_BYTES:table_end].tobytes()
    computed = zlib.crc32(table, zlib.crc32(head[:60]))
    require(computed == index_checksum, 60, f"indexChecksum {index_checksum:08x}, computed {computed:08x}")
    sections = read_table(table, table_end, len(data))
    check_composition(FILE_KINDS[kind], sections)
    return Container(data, FILE_KINDS[kind], read_version, write_version, sections)


def read_table(table: bytes, table_end: int, file_bytes: int) -> list[Section]:
    sections: list[Section] = []
    seen: dict[int, int] = {}
    end = table_end
    for position in range(0, len(table), ENTRY_BYTES):
        at = HEADER_BYTES + position
        kind, flags, ordinal, checksum, reserved, offset, length = struct.unpack_from("<HHIIIQQ", table, position)
        known = SECTION_KINDS.get(kind)
        required = bool(flags & 1)
        require(flags & ~1 == 0, at + 2, f"flags {flags:#x}")
        require(known is not None or not required, at, f"required section of unknown kind {kind}")
        require(known is None or known.required == required, at + 2, f"required bit of kind {kind}")
        require(ordinal == seen.get(kind, 0), at + 4, f"ordinal {ordinal} of kind {kind}")
        require(reserved == 0, at + 12, "reserved is not zero")
        require(length >= 1, at + 24, "an empty section")
        # A reader cannot know the alignment of a kind it does not know: either boundary is accepted.
        candidates = (known.alignment,) if known else (64, 4096)
        require(offset in {aligned(end, alignment) for alignment in candidates}, at + 16,
                f"section begins at {offset}, the one before it ends at {end}")
        require(offset + length <= file_bytes, at + 24, f"section ends at {offset + length}, the file at {file_bytes}")
        seen[kind] = ordinal + 1
        end = offset + length
        sections.append(Section(kind, known.name if known else f"kind {kind}", ordinal, required, checksum, offset,
                                length))
    require(end == file_bytes, 16, f"the last section ends at {end}, the file at {file_bytes}")
    return sections


def check_composition(file_kind: str, sections: list[Section]) -> None:
    ranks = [SECTION_KINDS[section.kind].rank for section in sections if section.kind in SECTION_KINDS]
    require(ranks == sorted(ranks), HEADER_BYTES, "sections are out of order")
    for kind, known in SECTION_KINDS.items():
        count = sum(section.kind == kind for section in sections)
        require(known.minimum.get(file_kind, 0) <= count <= known.maximum.get(file_kind, 0), HEADER_BYTES,
                f"a {file_kind} with {count} {known.name} sections")
    for section in sections:
        require(section.name != "provenance" or section.bytes <= PROVENANCE_LIMIT_BYTES, section.offset,
                "provenance longer than 64 KiB")


@dataclass(frozen=True)
class Config:
    fingerprint: int
    architecture: int
    dModel: int
    dFF: int
    dKV: int
    headCount: int
    layerCount: int
    decoderLayerCount: int
    vocabularySize: int
    bucketCount: int
    maxDistance: int
    normEpsilon: float
    activation: int
    gated: bool
    tiedHead: bool
    logitScale: float
    normKind: int
    normPlacement: int
    positionScheme: int
    attentionScale: float
    padId: int
    eosId: int
    decoderStartId: int
    weightEncoding: int
    maxPositions: int
    positionOffset: int
    tokenTypeCount: int
    hasBiases: bool
    hasEmbeddingNorm: bool
    hasPooler: bool

    @property
    def activation_name(self) -> str:
        return ACTIVATIONS[self.activation]

    @property
    def innerWidth(self) -> int:
        return self.headCount * self.dKV

    @property
    def is_encoder(self) -> bool:
        return self.architecture == ENCODER_ONLY


ENCODER_DECODER, ENCODER_ONLY = 1, 2
RELATIVE_BIAS, LEARNED_POSITIONS = 1, 2
RMS_NORM, LAYER_NORM = 1, 2
NORM_BEFORE, NORM_BEHIND = 1, 2

CONFIG_STRUCT = struct.Struct("<Q 10I f 3I f 3I f 4I 6I")
CONFIG_LIMITS = {
    "architecture": (ENCODER_DECODER, ENCODER_ONLY), "dModel": (1, 65_536), "dFF": (1, 1_048_576), "dKV": (1, 4_096),
    "headCount": (1, 1_024), "layerCount": (1, 1_024), "decoderLayerCount": (0, 1_024),
    "vocabularySize": (1, 16_777_216), "bucketCount": (0, 4_096), "maxDistance": (0, 1_048_576),
    "activation": (0, len(ACTIVATIONS) - 1), "gated": (0, 1), "tiedHead": (0, 1), "normKind": (1, 2),
    "normPlacement": (1, 2), "positionScheme": (1, 2), "weightEncoding": (1, 2), "maxPositions": (0, 1_048_576),
    "tokenTypeCount": (0, 256), "hasBiases": (0, 1), "hasEmbeddingNorm": (0, 1), "hasPooler": (0, 1),
}
BOOLEANS = ("gated", "tiedHead", "hasBiases", "hasEmbeddingNorm", "hasPooler")


def read_config(container: Container) -> tuple[Config, bytes]:
    """The config record, and its bytes for the fingerprint."""
    section = container.named("config")[0]
    base = section.offset
    require(section.bytes == CONFIG_BYTES, base, f"config of {section.bytes} bytes")
    record = container.bytes_of(section).tobytes()
    names = [field.name for field in fields(Config)]
    values = dict(zip(names, CONFIG_STRUCT.unpack_from(record)))
    for name, (low, high) in CONFIG_LIMITS.items():
        require(low <= values[name] <= high, base, f"{name} is {values[name]}, required {low} ... {high}")
    require(not any(record[CONFIG_STRUCT.size:]), base + CONFIG_STRUCT.size, "reserved is not zero")
    config = Config(**{**values, **{name: bool(values[name]) for name in BOOLEANS}})
    require(bool(np.isfinite(config.normEpsilon)) and config.normEpsilon > 0, base + 48, "normEpsilon")
    require(bool(np.isfinite([config.logitScale, config.attentionScale]).all()), base + 64, "a scale is not finite")
    check_positions(config, base)
    check_decoder(config, base)
    for name in ("padId", "eosId", "decoderStartId"):
        require(getattr(config, name) < config.vocabularySize, base + 84, f"{name} is not below vocabularySize")
    return config, record


def check_positions(config: Config, base: int) -> None:
    if config.positionScheme == RELATIVE_BIAS:
        require(config.bucketCount >= 4 and config.bucketCount % 2 == 0, base + 40, f"bucketCount {config.bucketCount}")
        require(config.maxDistance > config.bucketCount // 2, base + 44, f"maxDistance {config.maxDistance}")
        require(config.maxPositions == config.positionOffset == 0, base + 100, "a position table beside a relative bias")
    else:
        require(config.bucketCount == config.maxDistance == 0, base + 40, "buckets beside a position table")
        require(config.maxPositions >= 1, base + 100, "no positions")
        require(config.positionOffset < config.maxPositions, base + 104, f"positionOffset {config.positionOffset}")


def check_decoder(config: Config, base: int) -> None:
    """An encoder says nothing of a decoder; an encoder-decoder is a T5."""
    if config.is_encoder:
        for name in ("decoderLayerCount", "tiedHead", "logitScale", "decoderStartId"):
            require(getattr(config, name) == 0, base, f"{name} of an encoder is {getattr(config, name)}")
        return
    require(config.decoderLayerCount >= 1, base + 32, "no decoder")
    for name in ("normKind", "normPlacement", "positionScheme"):
        require(getattr(config, name) == 1, base + 68, f"{name} of an encoder-decoder is {getattr(config, name)}")
    for name in ("maxPositions", "positionOffset", "tokenTypeCount", "hasBiases", "hasEmbeddingNorm", "hasPooler"):
        require(not getattr(config, name), base + 100, f"{name} of an encoder-decoder is {getattr(config, name)}")
