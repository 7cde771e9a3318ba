"""The models of golden-training: what is trained in each, and the directories its numbers and its gradients are saved in."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_golden_authors import authors_model, write_settings
from adapter_golden_models import FIXTURES, Case, library_model, load_backbone, perturb, sort_module_names
from make_golden import save_json
from training_golden_cases import TrainingCase

GOLDEN = FIXTURES / "golden"
TASK = "task"
MATRICES, NORMS, OWN = "matrices.safetensors", "norms.safetensors", "task.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    model: Any
    # By the names of the model; each appears once.
    trained: dict[str, Any]
    # Writes what the parameters are now as the directory of a task.
    save: Callable[[Path], None]


def make_model(case: TrainingCase, root: Path) -> TrainedModel:
    """A model whose trained numbers are random and far from the identity; of a whole backbone, its own."""
    makers = {"authors": authors_case, "adapterhub": adapterhub_case, "peft": peft_case, "none": full_case}
    return makers[case.dialect](case, root)


def only_trained(model: Any, trained: dict[str, Any]) -> dict[str, Any]:
    chosen = {id(parameter) for parameter in trained.values()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    return trained


def authors_case(case: TrainingCase, root: Path) -> TrainedModel:
    """Adapters, rules and all norms; or the prompt; or the biases."""
    model = authors_model(load_backbone(case.backbone, GOLDEN), case.settings, case.scale)
    kinds = {"prompt": ("prefix_shared",), "bitfit": (".bias",)}.get(
        case.method, ("adapter_controller", "phm_rule", "layer_norm"))
    trained = only_trained(model, {name: parameter for name, parameter in model.named_parameters()
                                   if any(kind in name for kind in kinds)})

    def save(folder: Path) -> None:
        """The whole model in shards, of which those that nothing trains are links to one copy for all cases."""
        from safetensors.torch import load_file, save_file
        folder.mkdir(parents=True)
        write_settings(model, case.settings, folder)
        save_file({name: parameter.data.contiguous() for name, parameter in trained.items()}, folder / OWN,
                  metadata={"format": "pt"})
        shards = dict.fromkeys(trained, OWN)
        for shard in frozen_shards(case.backbone, root):
            names = list(load_file(shard))
            if any(name in trained for name in names):
                continue
            (folder / shard.name).symlink_to(os.path.relpath(shard, folder))
            shards |= dict.fromkeys(names, shard.name)
        total = sum(parameter.numel() * 4 for parameter in dict(model.named_parameters()).values())
        save_json(folder / "model.safetensors.index.json",
                  {"metadata": {"total_size": total}, "weight_map": shards})

    return TrainedModel(model, trained, save)


def frozen_shards(backbone: str, root: Path) -> list[Path]:
    """The backbone in two files, so that norms a task has trained can stand in the place of one of them."""
    from safetensors.torch import load_file, save_file
    folder = root / "frozen" / backbone
    if not folder.exists():
        tensors = load_file(GOLDEN / "backbones" / backbone / "model.safetensors")
        folder.mkdir(parents=True)
        for shard, are_norms in ((MATRICES, False), (NORMS, True)):
            save_file({name: tensor for name, tensor in tensors.items() if ("layer_norm" in name) == are_norms},
                      folder / shard, metadata={"format": "pt"})
    return [folder / MATRICES, folder / NORMS]


def adapterhub_case(case: TrainingCase, _: Path) -> TrainedModel:
    """Adapters, their rule and an encoder's head. T5's head is never trained, though the library's own class would if
    it is not tied."""
    import torch
    model = library_model(Case(case.backbone, {TASK: case.settings}, head=case.head), GOLDEN)
    is_encoder = model.config.model_type != "t5"
    before = {name for name, _ in model.named_parameters()}
    if case.head:
        model.add_classification_head(TASK, **case.head)
    model.add_adapter(TASK, config=case.settings)
    perturb([parameter for name, parameter in model.named_parameters()
             if name not in before or name.startswith("classifier.")], case.scale)
    model.train_adapter(TASK)
    if case.head:
        model.active_head = TASK
    keeps_rule = case.method == "low-rank"
    trained = only_trained(model, {
        name: parameter for name, parameter in model.named_parameters()
        if parameter.requires_grad and (is_encoder or not name.startswith("heads."))
        and not (keeps_rule and name.endswith("phm_rule"))})
    if keeps_rule:
        with torch.no_grad():
            rule, = (parameter for name, parameter in model.named_parameters() if name.endswith("phm_rule"))
            rule.fill_(1)

    def save(folder: Path) -> None:
        folder.mkdir(parents=True)
        model.save_adapter(str(folder), TASK, use_safetensors=True, with_head=is_encoder)

    return TrainedModel(model.eval(), trained, save)


def peft_case(case: TrainingCase, _: Path) -> TrainedModel:
    import peft
    import torch
    model = peft.get_peft_model(load_backbone(case.backbone, GOLDEN), copy.deepcopy(case.settings))
    trains_biases = case.settings.bias == "all"
    # The library also unfreezes the bias of the classifier that its copy stands for.
    trained = only_trained(model, {
        name: parameter for name, parameter in model.named_parameters()
        if parameter.requires_grad and ".original_module." not in name and not (trains_biases and "lora_" in name)})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if trains_biases and "lora_B" in name:
                parameter.zero_()
    perturb(list(trained.values()), case.scale)

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        sort_module_names(folder / "adapter_config.json")

    return TrainedModel(model.eval(), trained, save)


def full_case(case: TrainingCase, _: Path) -> TrainedModel:
    """Everything is trained, so the directory is that of a backbone."""
    model = load_backbone(case.backbone, GOLDEN)
    trained = only_trained(model, dict(model.named_parameters()))

    def save(folder: Path) -> None:
        from safetensors.torch import save_file
        folder.mkdir(parents=True)
        shutil.copyfile(GOLDEN / "backbones" / case.backbone / "config.json", folder / "config.json")
        save_file({name: parameter.data.contiguous() for name, parameter in trained.items()},
                  folder / "model.safetensors", metadata={"format": "pt"})

    return TrainedModel(model, trained, save)


def whole_count(backbone: str) -> int:
    """The numbers of a backbone with its head, tied ones once."""
    return sum(parameter.numel() for parameter in load_backbone(backbone, GOLDEN).parameters())


