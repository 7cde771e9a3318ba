"""What a golden folder holds: its cases, their recorded inputs and answers. See Tests/Fixtures/README.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from checkpoint import read_checkpoint

ARRAYS = ("input_ids", "attention_mask", "decoder_input_ids", "encoder_out", "logits")
ENCODER_ARRAYS = ("input_ids", "attention_mask", "token_type_ids", "logits")
ENCODER_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")
ANSWERS = ("single_greedy", "single_beam4_top4", "single_beam4_top4_scores", "max_length")


class GoldenError(Exception):
    """The folder is not laid out as a golden folder; one line per problem."""


def load_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GoldenError(f"{path}: {error}") from error
    if not isinstance(loaded, dict):
        raise GoldenError(f"{path}: not a JSON object")
    return loaded


def cut(ids: list[int], eos: int) -> list[int]:
    """The sequence up to its first end, behind which transformers fills."""
    return ids[:ids.index(eos, 1) + 1] if eos in ids[1:] else list(ids)


@dataclass(frozen=True)
class Backbone:
    folder: Path
    config: dict[str, Any]

    @property
    def family(self) -> str:
        return self.config.get("model_type", "unknown")

    @property
    def is_encoder(self) -> bool:
        return self.family in ENCODER_FAMILIES

    @property
    def layers(self) -> int:
        """Of an encoder."""
        return self.config.get("num_hidden_layers", self.config.get("n_layers", 0))

    @property
    def width(self) -> int:
        return self.config.get("d_model", self.config.get("hidden_size", self.config.get("dim", 0)))

    @property
    def eos(self) -> int:
        return self.config.get("eos_token_id", 1)

    @property
    def start(self) -> int:
        return self.config.get("decoder_start_token_id", 0)


@dataclass(frozen=True)
class Case:
    """One recorded model: a backbone, a task or none, inputs and answers."""

    name: str
    folder: Path
    backbone: Backbone
    task_folder: Path | None
    expect: dict[str, Any]

    @property
    def is_rejection(self) -> bool:
        return self.expect.get("expect") == "reject"

    @property
    def family(self) -> str:
        return self.backbone.family

    @property
    def has_older_beams(self) -> bool:
        """Recorded with transformers 4.6.0, which ends a beam search later: only the best hypothesis is comparable."""
        return self.name.startswith("orig/")

    @property
    def new_tokens(self) -> int:
        return self.expect["max_length"] - 1

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / "io" / f"{name}.npy", allow_pickle=False)

    @property
    def has_long_source(self) -> bool:
        return (self.folder / "io" / "long_input_ids.npy").exists()

    @property
    def output_name(self) -> str:
        """The array with an encoder's output."""
        return f"hidden_{self.backbone.layers}"

    @cached_property
    def token_types(self) -> list[list[int]]:
        return [row[mask == 1].tolist() for row, mask in zip(self.array("token_type_ids"), self.array("attention_mask"))]

    @cached_property
    def sources(self) -> list[list[int]]:
        return [row[mask == 1].tolist() for row, mask in zip(self.array("input_ids"), self.array("attention_mask"))]

    @cached_property
    def greedy(self) -> list[list[int]]:
        return [cut(ids, self.backbone.eos) for ids in self.expect["single_greedy"]]

    @cached_property
    def beams(self) -> list[list[list[int]]]:
        return [[cut(ids, self.backbone.eos) for ids in ranked] for ranked in self.expect["single_beam4_top4"]]

    @cached_property
    def memorised(self) -> list[int]:
        """Sources whose label PyTorch reproduces: their margins are those of training."""
        labels = self.expect.get("labels", [])
        return [index for index, (label, answer) in enumerate(zip(labels, self.greedy))
                if answer == [self.backbone.start, *label]]

    def problems(self) -> list[str]:
        if self.is_rejection or not (self.family == "t5" or self.backbone.is_encoder):
            return []
        arrays = (*ENCODER_ARRAYS, self.output_name) if self.backbone.is_encoder else ARRAYS
        answers = () if self.backbone.is_encoder else ANSWERS
        missing = [f"{self.name}: expect.json has no {key}" for key in answers if key not in self.expect]
        missing += [f"{self.name}: no io/{name}.npy" for name in arrays
                    if not (self.folder / "io" / f"{name}.npy").exists()]
        return missing


def folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def read_backbones(root: Path) -> dict[str, Backbone]:
    return {folder.name: Backbone(folder, load_json(folder / "config.json"))
            for folder in folders_in(root / "backbones")}


def backbone_of_rejection(adapter: Path, backbones: dict[str, Backbone]) -> Backbone:
    """An adapter that must be refused names no backbone: any that its configuration fits will do."""
    config = load_json(adapter / "adapter_config.json")
    fitting = [backbone for backbone in backbones.values()
               if (backbone.family, backbone.width) == (config.get("model_type"), config.get("hidden_size"))]
    if not fitting:
        raise GoldenError(f"{adapter}: no backbone of type {config.get('model_type')} and width "
                          f"{config.get('hidden_size')}")
    return fitting[0]


def discover(root: Path) -> list[Case]:
    """Every case of the folder; GoldenError with every problem found."""
    backbones = read_backbones(root)
    cases, problems = [], []
    for top in ("base", "hub", "orig"):
        for folder in folders_in(root / top):
            try:
                case = read_case(f"{top}/{folder.name}", folder, backbones)
            except GoldenError as error:
                problems.append(str(error))
                continue
            problems += case.problems()
            cases.append(case)
    if problems:
        raise GoldenError("\n".join(problems))
    if not cases:
        raise GoldenError(f"{root}: no cases in base, hub or orig; is this a golden folder?")
    return cases


def read_case(name: str, folder: Path, backbones: dict[str, Backbone]) -> Case:
    expect = load_json(folder / "expect.json")
    if name.startswith("orig/"):
        output = folder / "output_dir"
        return Case(name, folder, Backbone(output, load_json(output / "config.json")), output, expect)
    adapter = folder / "adapter" if name.startswith("hub/") else None
    if adapter and not (adapter / "adapter_config.json").exists():
        raise GoldenError(f"{name}: no adapter/adapter_config.json")
    if expect.get("expect") == "reject":
        assert adapter
        return Case(name, folder, backbone_of_rejection(adapter, backbones), adapter, expect)
    backbone = backbones.get(expect.get("backbone", folder.name))
    if backbone is None:
        raise GoldenError(f"{name}: no backbones/{expect.get('backbone', folder.name)}")
    return Case(name, folder, backbone, adapter, expect)


def backbones_before_training(case: Case, root: Path) -> list[Backbone]:
    """The folder's backbones an authors' checkpoint was trained from: the same tensors, but for norms."""
    trained = read_checkpoint(case.backbone.folder)
    found = []
    for backbone in read_backbones(root).values():
        if backbone.family != case.family:
            continue
        original = read_checkpoint(backbone.folder)
        if all(name in trained and (name.endswith("layer_norm.weight") or np.array_equal(value, trained[name]))
               for name, value in original.items()):
            found.append(backbone)
    return found
