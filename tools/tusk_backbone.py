"""The tensors of a backbone: the registry, index and encodings of formats/tensors.md."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Iterator

import numpy as np

from tusk_container import (CONFIG_BYTES, LAYER_NORM, LEARNED_POSITIONS, NORM_BEFORE, Config, Container, aligned,
                            require)

INDEX_ENTRY_BYTES = 64
SHARED, ENCODER, DECODER = 0, 1, 2
STACK_NAMES = ("shared", "encoder", "decoder")
FLOAT32, INT8_ROWS = 1, 2
ENCODING_NAMES = {FLOAT32: "float32", INT8_ROWS: "int8"}

ROLES = {
    1: "embedding", 2: "relativeBias", 3: "finalNorm", 4: "head", 5: "positionEmbedding", 6: "tokenTypeEmbedding",
    7: "embeddingNorm", 8: "embeddingNormBias", 9: "finalNormBias",
    10: "selfAttentionNorm", 11: "selfAttentionQ", 12: "selfAttentionK", 13: "selfAttentionV", 14: "selfAttentionO",
    15: "selfAttentionNormBias", 16: "selfAttentionQBias", 17: "selfAttentionKBias", 18: "selfAttentionVBias",
    19: "selfAttentionOBias",
    20: "crossAttentionNorm", 21: "crossAttentionQ", 22: "crossAttentionK", 23: "crossAttentionV",
    24: "crossAttentionO", 30: "feedForwardNorm", 31: "wi", 32: "wi0", 33: "wi1", 34: "wo", 35: "feedForwardNormBias",
    36: "wiBias", 37: "wi0Bias", 38: "wi1Bias", 39: "woBias", 40: "pooler", 41: "poolerBias",
}
ROLE_NUMBERS = {name: number for number, name in ROLES.items()}
BLOCK_ROLES = range(10, 40)
MATRICES = {1, 4, 11, 12, 13, 14, 21, 22, 23, 24, 31, 32, 33, 34, 40}


@dataclass(frozen=True)
class Slot:
    """What the registry demands at one place of the index."""

    role: int
    stack: int
    layer: int
    rows: int
    columns: int

    @property
    def name(self) -> str:
        where = {SHARED: "", ENCODER: "encoder.", DECODER: "decoder."}[self.stack]
        block = f"{self.layer}." if self.role in BLOCK_ROLES else ""
        return f"{where}{block}{ROLES[self.role]}"


def registry_groups(config: Config) -> Iterator[list[Slot]]:
    """The tensors a config record demands, one list per weights section, in file order."""
    if config.is_encoder:
        yield from encoder_groups(config)
        return
    d, f, inner = config.dModel, config.dFF, config.headCount * config.dKV
    vocabulary, buckets, heads = config.vocabularySize, config.bucketCount, config.headCount
    yield [Slot(1, SHARED, 0, vocabulary, d),
           Slot(2, ENCODER, 0, buckets, heads), Slot(3, ENCODER, 0, 1, d),
           Slot(2, DECODER, 0, buckets, heads), Slot(3, DECODER, 0, 1, d)]
    for stack, count in ((ENCODER, config.layerCount), (DECODER, config.decoderLayerCount)):
        for layer in range(count):
            shapes = [(10, 1, d), (11, inner, d), (12, inner, d), (13, inner, d), (14, d, inner)]
            if stack == DECODER:
                shapes += [(20, 1, d), (21, inner, d), (22, inner, d), (23, inner, d), (24, d, inner)]
            shapes += [(30, 1, d), *([(32, f, d), (33, f, d)] if config.gated else [(31, f, d)]), (34, d, f)]
            yield [Slot(role, stack, layer, rows, columns) for role, rows, columns in shapes]
    if not config.tiedHead:
        yield [Slot(4, SHARED, 0, vocabulary, d)]


def encoder_groups(config: Config) -> Iterator[list[Slot]]:
    d, f, inner = config.dModel, config.dFF, config.headCount * config.dKV
    layer_norm, biases = config.normKind == LAYER_NORM, config.hasBiases
    final = config.normPlacement == NORM_BEFORE

    def group(stack: int, layer: int, rows: list[tuple[bool, str, int, int]]) -> list[Slot]:
        return [Slot(ROLE_NUMBERS[name], stack, layer, *shape) for there, name, *shape in rows if there]

    learned = config.positionScheme == LEARNED_POSITIONS
    yield [*group(SHARED, 0, [
        (True, "embedding", config.vocabularySize, d),
        (config.tokenTypeCount > 0, "tokenTypeEmbedding", config.tokenTypeCount, d),
        (learned, "positionEmbedding", config.maxPositions, d),
        (config.hasEmbeddingNorm, "embeddingNorm", 1, d),
        (config.hasEmbeddingNorm and layer_norm, "embeddingNormBias", 1, d),
    ]), *group(ENCODER, 0, [
        (not learned, "relativeBias", config.bucketCount, config.headCount),
        (final, "finalNorm", 1, d),
        (final and layer_norm, "finalNormBias", 1, d),
    ])]
    wide = ["wi0", "wi1"] if config.gated else ["wi"]
    for layer in range(config.layerCount):
        rows = [(True, "selfAttentionNorm", 1, d), (layer_norm, "selfAttentionNormBias", 1, d)]
        for name, out, width in [*((f"selfAttention{part}", inner, d) for part in "QKV"), ("selfAttentionO", d, inner)]:
            rows += [(True, name, out, width), (biases, f"{name}Bias", 1, out)]
        rows += [(True, "feedForwardNorm", 1, d), (layer_norm, "feedForwardNormBias", 1, d)]
        for name, out, width in [*((name, f, d) for name in wide), ("wo", d, f)]:
            rows += [(True, name, out, width), (biases, f"{name}Bias", 1, out)]
        yield group(ENCODER, layer, rows)
    if config.hasPooler:
        yield group(SHARED, 0, [(True, "pooler", d, d), (True, "poolerBias", 1, d)])


@dataclass(frozen=True)
class Tensor:
    """One tensor, in place: at `offset` in `data`, its weights section, which begins at `base` in the file.

    `codes` and `scales` of int8 rows, `values` of either encoding.
    """

    slot: Slot
    encoding: int
    source_checksum: int
    offset: int
    row_stride: int
    data: np.ndarray
    base: int

    @property
    def name(self) -> str:
        return self.slot.name

    @property
    def data_bytes(self) -> int:
        return self.slot.rows * self.row_stride

    @property
    def file_offset(self) -> int:
        return self.base + self.offset

    @property
    def end(self) -> int:
        return self.offset + self.data_bytes + (4 * self.slot.rows if self.encoding == INT8_ROWS else 0)

    def rows_of(self, element: str) -> np.ndarray:
        block = self.data[self.offset:self.offset + self.data_bytes].view(element)
        return block.reshape(self.slot.rows, -1)

    @property
    def codes(self) -> np.ndarray:
        """[rows, columns] int8"""
        return self.rows_of("i1")[:, :self.slot.columns]

    @property
    def scales(self) -> np.ndarray:
        """[rows] float32"""
        first = self.offset + self.data_bytes
        return self.data[first:first + 4 * self.slot.rows].view("<f4")

    @property
    def values(self) -> np.ndarray:
        """[rows, columns] float32, dequantized"""
        if self.encoding == FLOAT32:
            return self.rows_of("<f4")[:, :self.slot.columns]
        return self.codes.astype(np.float32) * self.scales[:, None]

    def verify(self) -> None:
        used = self.slot.columns * (4 if self.encoding == FLOAT32 else 1)
        require(not self.rows_of("u1")[:, used:].any(), self.file_offset,
                f"{self.name}: padding within a row is not zero")
        if self.encoding == FLOAT32:
            require(bool(np.isfinite(self.values).all()), self.file_offset, f"{self.name}: a value is not finite")
            return
        require(not (self.codes == -128).any(), self.file_offset, f"{self.name}: code -128")
        require(bool(np.isfinite(self.scales).all() and (self.scales >= 0).all()), self.file_offset + self.data_bytes,
                f"{self.name}: a scale is negative or not finite")


def read_tensors(container: Container, config: Config, config_record: bytes) -> list[Tensor]:
    """Proves that the index is the registry's, that the data lies as the page says, and the fingerprint."""
    section = container.named("tensorIndex")[0]
    groups = list(registry_groups(config))
    demanded = sum(map(len, groups))
    require(section.bytes == demanded * INDEX_ENTRY_BYTES, section.offset,
            f"an index of {section.bytes} bytes, the config demands {demanded} entries of {INDEX_ENTRY_BYTES}")
    weights = container.named("weights")
    require(len(weights) == len(groups), section.offset, f"{len(weights)} weights sections for {len(groups)} groups")
    index = container.bytes_of(section).tobytes()
    tensors: list[Tensor] = []
    for home, group in zip(weights, groups):
        end = 0
        for slot in group:
            at = section.offset + len(tensors) * INDEX_ENTRY_BYTES
            tensor = read_entry(index, at - section.offset, at, slot, config.weightEncoding, container.bytes_of(home),
                                home.offset)
            require(tensor.offset == aligned(end, 64), at + 24, f"{slot.name} begins at {tensor.offset}, behind {end}")
            require(tensor.end <= home.bytes, at + 24, f"{slot.name} reaches behind its section")
            end = tensor.end
            tensors.append(tensor)
        require(end == home.bytes, home.offset, f"{home.bytes} bytes of weights, the last tensor ends at {end}")
    found = fingerprint(config_record, tensors)
    require(found == config.fingerprint, container.named("config")[0].offset,
            f"fingerprint {config.fingerprint:016x}, computed {found:016x}")
    return tensors


def read_entry(index: bytes, position: int, at: int, slot: Slot, matrix_encoding: int, data: np.ndarray,
               base: int) -> Tensor:
    role, stack, encoding, layer, reserved, rows, columns, stride, checksum, offset, data_bytes, scales = (
        struct.unpack_from("<HBBHHIIIIQQQ", index, position))
    found = Slot(role, stack, layer, rows, columns)
    require(found == slot, at, f"entry {found}, the registry demands {slot}")
    wanted = matrix_encoding if role in MATRICES else FLOAT32
    require(encoding == wanted, at + 3, f"{slot.name}: encoding {encoding}, required {wanted}")
    require(reserved == 0 and not any(index[position + 48:position + 64]), at + 6, "reserved is not zero")
    element = 4 if encoding == FLOAT32 else 1
    require(stride == aligned(columns * element, 64), at + 16, f"{slot.name}: rowStrideBytes {stride}")
    require(data_bytes == rows * stride, at + 32, f"{slot.name}: dataBytes {data_bytes}")
    require(scales == (offset + data_bytes if encoding == INT8_ROWS else 0), at + 40,
            f"{slot.name}: scalesOffset {scales}")
    return Tensor(slot, encoding, checksum, offset, stride, data, base)


def fingerprint(config_record: bytes, tensors: list[Tensor]) -> int:
    record = bytearray(config_record)
    record[0:8] = bytes(8)
    record[96:100] = bytes(4)
    assert len(record) == CONFIG_BYTES
    hashed = 14695981039346656037
    text = bytes(record) + b"".join(
        struct.pack("<HBBHHIII", tensor.slot.role, tensor.slot.stack, 0, tensor.slot.layer, 0, tensor.slot.rows,
                    tensor.slot.columns, tensor.source_checksum) for tensor in tensors)
    for byte in text:
        hashed = (hashed ^ byte) * 1099511628211 & 0xFFFF_FFFF_FFFF_FFFF
    return hashed


def verify_tensors(tensors: list[Tensor]) -> None:
    """The checks that read every weight."""
    for tensor in tensors:
        tensor.verify()
    for before, behind in zip(tensors, tensors[1:]):
        if before.base == behind.base:
            require(not behind.data[before.end:behind.offset].any(), before.base + before.end,
                    f"padding before {behind.name} is not zero")


def quantize_rows(source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of the rule `int8 rows`, in the float32 steps the page writes down."""
    largest = np.abs(source).max(axis=1).astype(np.float32)
    scales = largest / np.float32(127)
    factors = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(source * factors[:, None]).astype(np.int8), scales


def compare_with_source(tensor: Tensor, source: np.ndarray) -> float:
    """The worst error against the checkpoint's values; an exception for anything the format forbids."""
    source = np.ascontiguousarray(source, dtype="<f4").reshape(tensor.slot.rows, tensor.slot.columns)
    checksum = zlib.crc32(source.tobytes())
    require(checksum == tensor.source_checksum, tensor.file_offset,
            f"{tensor.name}: sourceChecksum {tensor.source_checksum:08x}, of the checkpoint {checksum:08x}")
    error = np.abs(tensor.values.astype(np.float64) - source)
    if tensor.encoding == FLOAT32:
        require(not error.any(), tensor.file_offset, f"{tensor.name}: float32 values differ from the checkpoint")
        return 0.0
    codes, scales = quantize_rows(source)
    require(bool((scales == tensor.scales).all()), tensor.file_offset, f"{tensor.name}: scales are not max|x| / 127")
    require(bool((codes == tensor.codes).all()), tensor.file_offset, f"{tensor.name}: codes break the rounding rule")
    # Half a step, and the float32 roundings of x * (127 / max): three of at most 127 * 2^-24 steps each.
    bound = tensor.scales.astype(np.float64)[:, None] * (0.5 + 3 * 127 * 2.0**-24)
    require(bool((error <= bound).all()), tensor.file_offset, f"{tensor.name}: an error above half a step")
    return float(error.max())
