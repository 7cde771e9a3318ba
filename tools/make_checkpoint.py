#!/usr/bin/env python3
"""Write a random T5 checkpoint of any size, or a Compacter trained on it, as real ones are laid out.

  make_checkpoint.py t5-base OUT                        893 MB safetensors and config.json, v1.0 (tied, ReLU)
  make_checkpoint.py t5-base OUT --gated                v1.1 layout and dimensions (gated GELU, untied lm_head)
  make_checkpoint.py t5-3b OUT --shards 4               model-0000i-of-00004.safetensors and their index
  make_checkpoint.py t5-base OUT --dtype bfloat16
  make_checkpoint.py t5-base OUT --compacter adapterhub an adapter directory of the `adapters` library
  make_checkpoint.py t5-base OUT --compacter authors    an output directory of the Compacter authors' code: the whole
                                                        model as a torch archive, its norms changed by training

Tensors are written in pieces of 4 MiB, so memory does not grow with the model. The values of a tensor depend on the seed
and its name only: a Compacter made with the seed of a float32 backbone belongs to it, and a smaller vocabulary is the first
rows of a larger one.

Scales, standard deviations around 0 (T5's own initialisation, which training keeps within a small factor):
  embeddings and lm_head 1;  q (dModel dKV)^-1/2;  k, v, relative bias dModel^-1/2;  o (heads dKV)^-1/2;
  wi dModel^-1/2;  wo dFF^-1/2;  norms exp(0.2 z), around 1
Compacter, sizes seen after training rather than at its start, where it would be the identity:
  rule 0.05;  W_left, W_right (2 / (rows + columns))^1/2 of one factor;  biases 0.02;  the authors' norms times 1 + 0.02 z
"""

import argparse
import itertools
import json
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

PIECE = 1 << 20
# dModel, dFF, heads, dKV, layers of each stack
SIZES = {
    "t5-nano": (8, 16, 2, 4, 1),
    "t5-small": (512, 2048, 8, 64, 6),
    "t5-base": (768, 3072, 12, 64, 12),
    "t5-large": (1024, 4096, 16, 64, 24),
    "t5-3b": (1024, 16384, 32, 128, 24),
}
GATED_SIZES = {
    "t5-nano": (8, 16, 2, 4, 1),
    "t5-small": (512, 1024, 6, 64, 8),
    "t5-base": (768, 2048, 12, 64, 12),
    "t5-large": (1024, 2816, 16, 64, 24),
    "t5-3b": (2048, 5120, 32, 64, 24),
}
BUCKETS = 32
DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}


@dataclass(frozen=True)
class Tensor:
    """Values drawn from a normal distribution of `scale`; of its exponential for a norm."""

    name: str
    shape: tuple[int, ...]
    scale: float
    is_norm: bool = False
    drift: float = 0.0  # relative change by training, of a norm

    @property
    def count(self) -> int:
        return int(numpy.prod(self.shape))

    def pieces(self, seed: int) -> Iterator[numpy.ndarray]:
        """The values in float32, in order."""
        generator = numpy.random.Generator(numpy.random.SFC64([seed, zlib.crc32(self.name.encode())]))
        for start in range(0, self.count, PIECE):
            piece = generator.standard_normal(min(PIECE, self.count - start), dtype=numpy.float32)
            piece *= numpy.float32(self.scale)
            if self.is_norm:
                numpy.exp(piece, out=piece)
                if self.drift:
                    piece *= 1 + numpy.float32(self.drift) * generator.standard_normal(piece.size, dtype=numpy.float32)
            yield piece


def encode(piece: numpy.ndarray, dtype: str) -> bytes:
    if dtype == "float16":
        return piece.astype("<f2").tobytes()
    if dtype == "bfloat16":
        bits = piece.view(numpy.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
    return piece.astype("<f4", copy=False).tobytes()


@dataclass(frozen=True)
class Model:
    size: str
    gated: bool
    vocabulary: int

    @property
    def dimensions(self) -> tuple[int, int, int, int, int]:
        return (GATED_SIZES if self.gated else SIZES)[self.size]

    def backbone(self, norm_drift: float = 0.0) -> Iterator[Tensor]:
        """Every tensor stored once, in the order of a state dict."""
        d, ff, heads, kv, layers = self.dimensions

        def norm(name: str) -> Tensor:
            return Tensor(f"{name}.weight", (d,), 0.2, is_norm=True, drift=norm_drift)

        yield Tensor("shared.weight", (self.vocabulary, d), 1.0)
        for stack, layer in itertools.product(("encoder", "decoder"), range(layers)):
            block = f"{stack}.block.{layer}.layer"
            attentions = ("SelfAttention",) if stack == "encoder" else ("SelfAttention", "EncDecAttention")
            for place, attention in enumerate(attentions):
                prefix = f"{block}.{place}.{attention}"
                yield Tensor(f"{prefix}.q.weight", (heads * kv, d), (d * kv) ** -0.5)
                yield Tensor(f"{prefix}.k.weight", (heads * kv, d), d**-0.5)
                yield Tensor(f"{prefix}.v.weight", (heads * kv, d), d**-0.5)
                yield Tensor(f"{prefix}.o.weight", (d, heads * kv), (heads * kv) ** -0.5)
                if layer == 0 and place == 0:
                    yield Tensor(f"{prefix}.relative_attention_bias.weight", (BUCKETS, heads), d**-0.5)
                yield norm(f"{block}.{place}.layer_norm")
            place = len(attentions)
            for name in ("wi_0", "wi_1") if self.gated else ("wi",):
                yield Tensor(f"{block}.{place}.DenseReluDense.{name}.weight", (ff, d), d**-0.5)
            yield Tensor(f"{block}.{place}.DenseReluDense.wo.weight", (d, ff), ff**-0.5)
            yield norm(f"{block}.{place}.layer_norm")
            if layer == layers - 1:
                yield norm(f"{stack}.final_layer_norm")
        if self.gated:
            yield Tensor("lm_head.weight", (self.vocabulary, d), 1.0)

    def config(self) -> dict[str, object]:
        d, ff, heads, kv, layers = self.dimensions
        config: dict[str, object] = {
            "architectures": ["T5ForConditionalGeneration"], "d_ff": ff, "d_kv": kv, "d_model": d,
            "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
            "feed_forward_proj": "gated-gelu" if self.gated else "relu", "initializer_factor": 1.0,
            "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "model_type": "t5", "num_decoder_layers": layers,
            "num_heads": heads, "num_layers": layers, "pad_token_id": 0, "relative_attention_num_buckets": BUCKETS,
            "use_cache": True, "vocab_size": self.vocabulary,
        }  # fmt: skip
        if self.gated:
            config |= {"tie_word_embeddings": False}
        return config


@dataclass(frozen=True)
class Compacter:
    """The adapters of a task; `n` terms of rank 1 in every layer, one rule for all."""

    model: Model
    n: int
    reduction: int
    plus_plus: bool

    def sites(self) -> Iterator[tuple[str, int, int]]:
        """(stack, block, place of the sub-layer in its block)"""
        layers = self.model.dimensions[4]
        for stack, layer in itertools.product(("encoder", "decoder"), range(layers)):
            feed_forward = 1 if stack == "encoder" else 2
            for place in (feed_forward,) if self.plus_plus else (0, feed_forward):
                yield stack, layer, place

    def layer(self, prefix: str, inputs: int, outputs: int) -> Iterator[Tensor]:
        rows, columns = inputs // self.n, outputs // self.n
        yield Tensor(f"{prefix}.W_left", (self.n, rows, 1), (2 / (rows + 1)) ** 0.5)
        yield Tensor(f"{prefix}.W_right", (self.n, 1, columns), (2 / (columns + 1)) ** 0.5)
        yield Tensor(f"{prefix}.b", (outputs,), 0.02)

    def adapter(self, down: str, up: str) -> Iterator[Tensor]:
        d = self.model.dimensions[0]
        yield from self.layer(down, d, d // self.reduction)
        yield from self.layer(up, d // self.reduction, d)

    def rule(self, name: str) -> Tensor:
        return Tensor(name, (self.n, self.n, self.n), 0.05)


class Progress:
    def __init__(self, total: int) -> None:
        self.total, self.done, self.start, self.shown = total, 0, time.monotonic(), 0.0

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.shown > 0.5 or self.done == self.total:
            self.shown = now
            rate = self.done / max(now - self.start, 1e-9) / 1e6
            print(f"\r{self.done / 1e6:8.1f} of {self.total / 1e6:.1f} MB, {rate:.0f} MB/s ", end="", file=sys.stderr)
            if self.done == self.total:
                print(file=sys.stderr)


def write_safetensors(path: Path, tensors: list[Tensor], dtype: str, seed: int, progress: Progress) -> None:
    name, width = DTYPES[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.count * width
        header[tensor.name] = {"dtype": name, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            for piece in tensor.pieces(seed):
                progress.add(file.write(encode(piece, dtype)))


def write_shards(directory: Path, tensors: list[Tensor], dtype: str, seed: int, shards: int) -> None:
    width = DTYPES[dtype][1]
    total = sum(tensor.count for tensor in tensors) * width
    progress = Progress(total)
    if shards == 1:
        return write_safetensors(directory / "model.safetensors", tensors, dtype, seed, progress)
    groups: list[list[Tensor]] = [[] for _ in range(shards)]
    before = 0
    for tensor in tensors:
        groups[min(before * shards // total, shards - 1)].append(tensor)
        before += tensor.count * width
    weight_map = {}
    for number, group in enumerate(groups, 1):
        name = f"model-{number:05}-of-{shards:05}.safetensors"
        write_safetensors(directory / name, group, dtype, seed, progress)
        weight_map |= {tensor.name: name for tensor in group}
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


class StateDictPickle:
    """The pickle of an OrderedDict of float32 tensors as torch.save writes it, protocol 2, without the memo."""

    def __init__(self) -> None:
        self.body = b""

    @staticmethod
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    @staticmethod
    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    def add(self, name: str, storage: int, shape: tuple[int, ...]) -> None:
        strides = tuple(int(numpy.prod(shape[place + 1 :])) for place in range(len(shape)))
        count = int(numpy.prod(shape))
        persistent_id = b"(" + self.text("storage") + b"ctorch\nFloatStorage\n" + self.text(str(storage))
        persistent_id += self.text("cpu") + b"J" + struct.pack("<i", count) + b"tQ"
        self.body += self.text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent_id
        self.body += b"K\x00" + self.numbers(shape) + self.numbers(strides) + b"\x89ccollections\nOrderedDict\n)RtR"

    def finished(self) -> bytes:
        return b"\x80\x02ccollections\nOrderedDict\n)R(" + self.body + b"u."


def write_torch(path: Path, entries: list[tuple[str, Tensor]], seed: int) -> None:
    """Writes a torch archive of named tensors; entries of the same tensor share its storage."""
    unique = list(dict.fromkeys(tensor for _, tensor in entries))
    numbers = {tensor: number for number, tensor in enumerate(unique)}
    pickle = StateDictPickle()
    for name, tensor in entries:
        pickle.add(name, numbers[tensor], tensor.shape)
    progress = Progress(4 * sum(tensor.count for tensor in unique))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.finished())
        archive.writestr("archive/byteorder", "little")
        for tensor, number in numbers.items():
            member = zipfile.ZipInfo(f"archive/data/{number}")
            with archive.open(member, "w", force_zip64=tensor.count >= 1 << 28) as file:
                for piece in tensor.pieces(seed):
                    progress.add(file.write(encode(piece, "float32")))
        archive.writestr("archive/version", "3\n")


def write_authors(directory: Path, compacter: Compacter, task: str, seed: int) -> None:
    model = compacter.model
    rule = compacter.rule("phm_rule")
    entries = [("phm_rule", rule)]
    for tensor in model.backbone(norm_drift=0.02):
        entries.append((tensor.name, tensor))
        if tensor.name == "shared.weight":
            tied = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
            entries += [(name, tensor) for name in tied]
    for stack, layer, place in compacter.sites():
        prefix = f"{stack}.block.{layer}.layer.{place}.adapter_controller.adapters.{task}"
        entries += [(t.name, t) for t in compacter.adapter(f"{prefix}.down_sampler", f"{prefix}.up_sampler")]
        entries += [(f"{prefix}.{half}_sampler.phm_rule", rule) for half in ("down", "up")]
    write_torch(directory / "pytorch_model.bin", entries, seed)
    config = model.config() | {"train_task_adapters": True, "prefix_tuning": False, "transformers_version": "4.6.0"}
    training = {
        "model_name_or_path": model.size, "task_name": task, "max_source_length": 128, "learning_rate": 0.003,
        "num_train_epochs": 20, "adapter_config_name": "adapter", "train_task_adapters": True,
        "add_layer_norm_before_adapter": False, "add_layer_norm_after_adapter": False,
        "task_reduction_factor": compacter.reduction, "non_linearity": "gelu_new", "unfreeze_lm_head": False,
        "unfreeze_layer_norms": True, "hypercomplex_adapters": True, "hypercomplex_division": compacter.n,
        "hypercomplex_nonlinearity": "glorot-uniform", "normalize_phm_weight": False, "learn_phm": True,
        "factorized_phm": True, "shared_phm_rule": True, "factorized_phm_rule": False, "phm_c_init": "normal",
        "phm_init_range": 0.0001,
    }  # fmt: skip
    write_json(directory / "config.json", config)
    write_json(directory / "training_config.json", training)


def write_adapterhub(directory: Path, compacter: Compacter, task: str, seed: int) -> None:
    tensors = [compacter.rule(f"transformer.shared_parameters.{task}.phm_rule")]
    for stack, layer, place in compacter.sites():
        prefix = f"transformer.{stack}.block.{layer}.layer.{place}.adapters.{task}"
        tensors += compacter.adapter(f"{prefix}.adapter_down.0", f"{prefix}.adapter_up")
    progress = Progress(4 * sum(tensor.count for tensor in tensors))
    write_safetensors(directory / "adapter.safetensors", tensors, "float32", seed, progress)
    settings = {
        "adapter_residual_before_ln": False, "cross_adapter": False, "dropout": 0.0, "factorized_phm_W": True,
        "factorized_phm_rule": False, "hypercomplex_nonlinearity": "glorot-uniform", "init_weights": "bert",
        "init_weights_seed": None, "inv_adapter": None, "inv_adapter_reduction_factor": None, "is_parallel": False,
        "learn_phm": True, "leave_out": [], "ln_after": False, "ln_before": False,
        "mh_adapter": not compacter.plus_plus, "non_linearity": "gelu", "original_ln_after": True,
        "original_ln_before": compacter.plus_plus, "output_adapter": True, "phm_bias": True, "phm_c_init": "normal",
        "phm_dim": compacter.n, "phm_init_range": 0.0001, "phm_layer": True, "phm_rank": 1,
        "reduction_factor": compacter.reduction, "residual_before_ln": True, "scaling": 1.0, "shared_W_phm": False,
        "shared_phm_rule": True, "stochastic_depth": 0.0, "use_gating": False,
    }  # fmt: skip
    model = {"hidden_size": compacter.model.dimensions[0], "model_class": "T5AdapterModel", "model_name": compacter.model.size}
    names = {"model_type": "t5", "name": task, "version": "adapters.1.3.0"}
    write_json(directory / "adapter_config.json", {"config": settings} | model | names)


def write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("directory", type=Path, metavar="OUT", help="created; files of the same names are replaced")
    parser.add_argument("--vocabulary", type=int, help="rows of the embedding (32128; 32100 for --compacter authors)")
    parser.add_argument("--gated", action="store_true", help="T5 v1.1: gated GELU, untied lm_head, its dimensions")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of a backbone; a Compacter is float32")
    parser.add_argument("--shards", type=int, default=1, help="safetensors files to split a backbone into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compacter", choices=("authors", "adapterhub"), help="write a task instead of a backbone")
    parser.add_argument("--plus-plus", action="store_true", help="Compacter++: adapters behind feed-forward layers only")
    parser.add_argument("--n", type=int, default=4, help="terms of a Compacter layer (4)")
    parser.add_argument("--reduction", type=int, default=32, help="dModel over the width of the bottleneck (32)")
    parser.add_argument("--name", default="mrpc", help="of the task (mrpc)")
    options = parser.parse_args()

    vocabulary = options.vocabulary or (32100 if options.compacter == "authors" else 32128)
    model = Model(options.size, options.gated, vocabulary)
    if options.shards < 1:
        parser.error("--shards must be at least 1")
    options.directory.mkdir(parents=True, exist_ok=True)
    if options.compacter is None:
        tensors = sorted(model.backbone(), key=lambda tensor: tensor.name)
        write_shards(options.directory, tensors, options.dtype, options.seed, options.shards)
        write_json(options.directory / "config.json", model.config())
        return
    d = model.dimensions[0]
    if d % options.reduction or d // options.reduction % options.n or d % options.n:
        parser.error(f"--n {options.n} must divide dModel {d} and the bottleneck {d / options.reduction:g}")
    if options.compacter == "authors" and options.gated:
        parser.error("the authors' code trains T5 v1.0 only: leave out --gated")
    compacter = Compacter(model, options.n, options.reduction, options.plus_plus)
    write = write_authors if options.compacter == "authors" else write_adapterhub
    write(options.directory, compacter, options.name, options.seed)


if __name__ == "__main__":
    main()
