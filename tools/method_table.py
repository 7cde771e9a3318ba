#!/usr/bin/env python3
"""Count what every method of the Compacter paper trains on T5-base, with `tusk inspect`.

Makes a random T5-base checkpoint (vocabulary 32,100, 0.9 GB in a temporary folder, removed afterwards) and for each method a
checkpoint as the authors' code leaves it behind: the whole model, with its norms changed by training where the method
trains them. Converts all of them and prints, for each, the parameters and their share, the bytes of the task file and the
multiply-adds it adds to a token, from factors and as they would be if matrices were formed. Ends with 1 if a count is not
the one that instantiating the authors' model gives. Takes about a minute.

  tools/method_table.py
  tools/method_table.py --time          also the milliseconds that each adds to a token, by `tusk compare`
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from make_checkpoint import Compacter, Model, Progress, Tensor, write_json, write_safetensors
from processes import run

ROOT = Path(__file__).resolve().parent.parent
MODEL = Model("t5-base", False, 32100)
D, FF, HEADS, KV, LAYERS = MODEL.dimensions
INNER = HEADS * KV
REDUCTION = 32
WIDTH = D // REDUCTION
BACKBONE_PARAMETERS = 222_882_048
NAME = "mrpc"

Layer = Callable[[str, int, int], Iterator[Tensor]]


def dense(prefix: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield Tensor(f"{prefix}.weight", (outputs, inputs), inputs**-0.5)
    yield Tensor(f"{prefix}.bias", (outputs,), 0.02)


def low_rank(prefix: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield Tensor(f"{prefix}.W_left", (inputs, 1), 0.05)
    yield Tensor(f"{prefix}.W_right", (1, outputs), 0.05)
    yield Tensor(f"{prefix}.b", (outputs,), 0.02)


def phm(n: int) -> Layer:
    def layer(prefix: str, inputs: int, outputs: int) -> Iterator[Tensor]:
        yield Tensor(f"{prefix}.W", (n, inputs // n, outputs // n), 0.05)
        yield Tensor(f"{prefix}.phm_rule", (n, n, n), 0.05)
        yield Tensor(f"{prefix}.b", (outputs,), 0.02)

    return layer


def sites(layers: range = range(LAYERS), attention: bool = True, feed_forward: bool = True) -> Iterator[str]:
    for stack, layer in itertools.product(("encoder", "decoder"), layers):
        last = 1 if stack == "encoder" else 2
        for place in [0] * attention + [last] * feed_forward:
            yield f"{stack}.block.{layer}.layer.{place}.adapter_controller.adapters.{NAME}"


def adapters(layer: Layer, where: Iterator[str]) -> list[Tensor]:
    return [tensor for site in where for half in
            (layer(f"{site}.down_sampler", D, WIDTH), layer(f"{site}.up_sampler", WIDTH, D)) for tensor in half]


def compacter(where: Iterator[str]) -> list[Tensor]:
    made = Compacter(MODEL, 4, REDUCTION, plus_plus=False)
    return [made.rule("phm_rule"), *adapters(made.layer, where)]


def biases() -> Iterator[Tensor]:
    """Of every linear and every norm of a sub-layer, and of the language-model head."""
    for stack, layer in itertools.product(("encoder", "decoder"), range(LAYERS)):
        block = f"{stack}.block.{layer}.layer"
        attentions = ("SelfAttention",) if stack == "encoder" else ("SelfAttention", "EncDecAttention")
        for place, attention in enumerate(attentions):
            yield from (Tensor(f"{block}.{place}.{attention}.{name}.bias", (INNER,), 0.02) for name in "qkv")
            yield Tensor(f"{block}.{place}.{attention}.o.bias", (D,), 0.02)
            yield Tensor(f"{block}.{place}.layer_norm.bias", (D,), 0.02)
        place = len(attentions)
        yield Tensor(f"{block}.{place}.DenseReluDense.wi.bias", (FF,), 0.02)
        yield Tensor(f"{block}.{place}.DenseReluDense.wo.bias", (D,), 0.02)
        yield Tensor(f"{block}.{place}.layer_norm.bias", (D,), 0.02)
    yield Tensor("lm_head.bias", (MODEL.vocabulary,), 0.02)


class Quiet(Progress):
    def add(self, count: int) -> None:
        pass


@dataclass(frozen=True)
class Method:
    title: str
    paper: str
    """Percent of T5-base, as printed in the paper."""
    parameters: int
    tensors: list[Tensor] = field(default_factory=list)
    """None: not a task beside the backbone."""
    training: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    trains_norms: bool = True


ADAPTER: dict[str, object] = {"train_task_adapters": True, "task_reduction_factor": REDUCTION,
                              "non_linearity": "gelu_new", "unfreeze_layer_norms": True}
COMPACTER = ADAPTER | {"hypercomplex_adapters": True, "hypercomplex_division": 4, "factorized_phm": True,
                       "shared_phm_rule": True}
PHM = ADAPTER | {"hypercomplex_adapters": True, "hypercomplex_division": 12, "factorized_phm": False,
                 "shared_phm_rule": False}
LAST_LAYERS = range(5, LAYERS)
DROPPED: dict[str, object] = {"task_adapter_layers_encoder": [*LAST_LAYERS], "task_adapter_layers_decoder": [*LAST_LAYERS]}


def methods() -> list[Method]:
    return [
        Method("Adapter", "0.832", 1_855_104, adapters(dense, sites()), ADAPTER),
        Method("Pfeiffer-Adapter", "0.427", 951_360, adapters(dense, sites(feed_forward=False)), ADAPTER),
        Method("AdapterDrop", "0.494", 1_101_984, adapters(dense, sites(LAST_LAYERS)), ADAPTER | DROPPED),
        Method("Adapter-LowRank", "0.073", 161_664, adapters(low_rank, sites()), ADAPTER | {"low_rank_adapters": True}),
        Method("PHM-Adapter, n = 12", "0.179", 398_976, adapters(phm(12), sites()), PHM),
        Method("Compacter", "0.073", 161_728, compacter(sites()), COMPACTER),
        Method("Compacter++", "0.047", 104_704, compacter(sites(attention=False)), COMPACTER),
        Method("Prompt tuning", "0.034", 76_800, [Tensor("prefix_shared", (100, D), 1.0)],
               config={"prefix_tuning": True, "prefix_dim": 100}, trains_norms=False),
        Method("BitFit", "0.126", 280_932, list(biases()), {"bitfit": True}, trains_norms=False),
    ]


OTHER_BACKBONES = (("Intrinsic-SAID", "0.009", 20_000), ("Full fine-tuning", "100", BACKBONE_PARAMETERS))


def write_model(directory: Path, shards: dict[Path, list[Tensor]], config: dict[str, object]) -> None:
    """A checkpoint of several files; those that are elsewhere already are linked, not copied."""
    directory.mkdir()
    weight_map = {}
    for path, tensors in shards.items():
        if path.parent != directory:
            (directory / path.name).symlink_to(path)
        elif tensors:
            write_safetensors(path, tensors, "float32", 0, Quiet(0))
        weight_map |= {tensor.name: path.name for tensor in tensors}
    write_json(directory / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    write_json(directory / "config.json", config)


def write_methods(folder: Path) -> dict[str, Method]:
    frozen = [tensor for tensor in MODEL.backbone() if not tensor.is_norm]
    trained = {drift: [tensor for tensor in MODEL.backbone(norm_drift=drift) if tensor.is_norm] for drift in (0, 0.02)}
    base = folder / "t5-base"
    write_model(base, {base / "frozen.safetensors": frozen, base / "norms.safetensors": trained[0]}, MODEL.config())
    made = {}
    for number, method in enumerate(methods()):
        directory = folder / f"method-{number}"
        own = trained[0.02 if method.trains_norms else 0] + method.tensors
        has_adapters = method.training.get("train_task_adapters", False)
        config = MODEL.config() | {"train_task_adapters": has_adapters, "prefix_tuning": False} | method.config
        write_model(directory, {base / "frozen.safetensors": frozen, directory / "task.safetensors": own}, config)
        write_json(directory / "training_config.json", {"model_name_or_path": "t5-base", "task_name": NAME} | method.training)
        made[directory.name] = method
    return made


def row(title: str, task: dict[str, Any], paper: str, milliseconds: str) -> str:
    parts = [title, f"{task['parameters']:,}", f"{task['percent_of_backbone']:.4f}", paper, f"{task['bytes']:,}"]
    for stack in ("encoder", "decoder"):
        factored, formed = (sum(kind[f"{stack}_{form}multiply_adds"] for kind in task["attachments"])
                            for form in ("", "dense_"))
        parts.append(f"{factored:,} ({formed:,})")
    return "| " + " | ".join(parts + ([milliseconds] if milliseconds else [])) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk", help="the program")
    parser.add_argument("--time", action="store_true", help="measure what each method adds to a token")
    options = parser.parse_args()
    tusk = options.tusk
    wrong = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        made = write_methods(folder)
        backbone = folder / "t5-base.tusk"
        run(tusk, "convert", "backbone", folder / "t5-base", "--output", backbone)
        for directory in made:
            run(tusk, "convert", "task", folder / directory, "--backbone", backbone, "--output",
                folder / f"{directory}.tusk", "--name", directory)
        times: dict[str, str] = {}
        if options.time:
            tasks = [folder / f"{directory}.tusk" for directory in made]
            compared = json.loads(run(tusk, "compare", backbone, *tasks, "--threads", "1", "--rounds", "5", "--json"))
            times = {task["name"]: f"{task['added_encode_ms_per_token']:+.3f} / {task['added_decode_ms_per_token']:+.3f}"
                     for task in compared["tasks"]}
            bare = compared["backbone"]
        titles = ["method", "parameters", "%", "paper", "bytes", "multiply-adds per source token (formed)",
                  "per target token (formed)"] + ["ms per source / target token"] * options.time
        print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
        for directory, method in made.items():
            report = json.loads(run(tusk, "inspect", folder / f"{directory}.tusk", "--json"))
            task = report["tasks"][0]
            print(row(method.title, task, method.paper, times.get(directory, "")))
            if task["parameters"] != method.parameters:
                wrong += 1
                print(f"{method.title}: {method.parameters:,} required", file=sys.stderr)
        bytes_of_backbone = backbone.stat().st_size
        if json.loads(run(tusk, "inspect", backbone, "--json"))["backbone"]["parameters"] != BACKBONE_PARAMETERS:
            wrong += 1
    for title, paper, count in OTHER_BACKBONES:
        cells = [title, f"{count:,}", f"{100 * count / BACKBONE_PARAMETERS:.4f}", paper, f"{bytes_of_backbone:,}",
                 "another backbone", "another backbone"] + [""] * options.time
        print("| " + " | ".join(cells) + " |")
    if options.time:
        print(f"\nThe bare backbone takes {bare['encode_ms_per_token']:.3f} / {bare['decode_ms_per_token']:.3f} ms per token.")
    print(f"\n{len(made)} methods counted, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
