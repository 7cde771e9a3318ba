"""Models with adapters as `adapters` 1.3.0 and PEFT 0.21.2 make, save and run them, for make_adapter_golden.py."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parent.parent / "Tests" / "Fixtures"
# Made here, of random weights: the inner width of `t5` is its d_model, which prefixes of PEFT and stacked LoRAs need.
OWN_BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5ForConditionalGeneration", dict(
        vocab_size=48, d_model=16, d_kv=4, num_heads=4, d_ff=24, num_layers=3, num_decoder_layers=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=24, decoder_start_token_id=0)),
    "bert": ("BertForSequenceClassification", dict(
        vocab_size=40, hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=24,
        max_position_embeddings=28, num_labels=3)),
}
BORROWED_BACKBONES = {
    "t5_gated": "golden-extra/backbones/t5_deep_decoder",
    "bert_bare": "golden-encoders/backbones/bert_without_head",
    "roberta": "golden/backbones/roberta",
    "distilbert": "golden-encoders/backbones/distilbert",
}
BACKBONES = (*OWN_BACKBONES, *BORROWED_BACKBONES)


@dataclass(frozen=True)
class Case:
    """A backbone and its tasks, by the name of their directory: a configuration each, of the library or the kind."""

    backbone: str
    tasks: dict[str, Any]
    library: str = "adapters"
    # Weights of an average of the tasks; several tasks without are a stack.
    average: tuple[float, ...] = ()
    # Arguments of add_classification_head, of the last task.
    head: dict[str, Any] | None = None
    with_head: bool = False
    # Weight files: "safetensors", "bin" or both.
    formats: tuple[str, ...] = ("safetensors",)
    eject: bool = False
    # Of the tensors in the file, if not float32.
    dtype: str | None = None


def backbone_path(name: str) -> str:
    """From the folder of the cases."""
    return f"../{BORROWED_BACKBONES[name]}" if name in BORROWED_BACKBONES else f"backbones/{name}"


def backbone_folder(name: str, root: Path) -> Path:
    return FIXTURES / BORROWED_BACKBONES[name] if name in BORROWED_BACKBONES else root / "backbones" / name


def make_backbones(root: Path) -> None:
    import torch
    import transformers
    for name, (class_name, settings) in OWN_BACKBONES.items():
        torch.manual_seed(len(name))
        model_class = getattr(transformers, class_name)
        model = model_class(model_class.config_class(**settings))
        perturb(list(model.parameters()), 0.25)
        model.save_pretrained(backbone_folder(name, root))


def load_backbone(name: str, root: Path) -> Any:
    import transformers
    folder = backbone_folder(name, root)
    config = json.loads((folder / "config.json").read_text())
    model = getattr(transformers, config["architectures"][0]).from_pretrained(folder)
    # What ends up in the adapter's configuration must not be a path of the machine it was made on.
    model.config._name_or_path = model.name_or_path = f"tiny-{name.replace('_', '-')}"
    return model.eval()


def perturb(parameters: list[Any], scale: float) -> None:
    """Far from the identity: values large enough that every part shows in the answer."""
    import torch
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter) * scale)


def needs_library_class(case: Case) -> bool:
    """A rule shared by all layers is only saved by the library's own classes; so are its own heads."""
    return case.head is not None or case.backbone.startswith("t5") and any(
        getattr(config, "phm_layer", False) for config in case.tasks.values())


def library_model(case: Case, root: Path) -> Any:
    import adapters
    backbone = load_backbone(case.backbone, root)
    if not needs_library_class(case):
        adapters.init(backbone)
        return backbone
    model = adapters.AutoAdapterModel.from_config(copy.deepcopy(backbone.config))
    if backbone.config.model_type == "t5":
        model.transformer.load_state_dict(
            {key: value for key, value in backbone.state_dict().items() if not key.startswith("lm_head")})
        last = list(case.tasks)[-1]
        model.add_seq2seq_lm_head(last)
        model.heads[last][0].weight = (model.transformer.shared.weight if backbone.config.tie_word_embeddings
                                       else backbone.lm_head.weight)
    else:
        # Without the head that a class may have; a pooler may be missing.
        tensors = getattr(backbone, backbone.base_model_prefix, backbone).state_dict()
        loaded = getattr(model, model.base_model_prefix).load_state_dict(tensors, strict=False)
        assert not loaded.unexpected_keys, loaded
    return model


def make_library_case(case: Case, root: Path, folder: Path, scale: float) -> Any:
    """Saves the tasks of a case below `folder` and returns the model that runs them together."""
    import adapters.composition
    model = library_model(case, root)
    last = list(case.tasks)[-1]
    before = {key for key, _ in model.named_parameters()}
    if case.head:
        model.add_classification_head(last, **case.head)
    for name, config in case.tasks.items():
        model.add_adapter(name, config=config)
    perturb([parameter for key, parameter in model.named_parameters()
             if key not in before or case.with_head and key.startswith(("classifier.", "pre_classifier."))], scale)
    if case.eject:
        model.eject_prefix_tuning(last)
    for name in case.tasks:
        (folder / name).mkdir(parents=True)
        for weights in case.formats:
            model.save_adapter(str(folder / name), name, use_safetensors=weights == "safetensors",
                               with_head=case.with_head or bool(case.head) and name == last)
    active: Any = last
    if case.average:
        model.average_adapter("average", list(case.tasks), weights=list(case.average))
        active = "average"
    elif len(case.tasks) > 1:
        active = adapters.composition.Stack(*case.tasks)
    model.set_active_adapters(active)
    if case.head:
        model.active_head = last
    return model.eval()


def make_peft_case(case: Case, root: Path, folder: Path, scale: float) -> Any:
    """`save_pretrained` as it is, but for the model card. The answer is that of the model loaded again."""
    import peft
    (name, config), = case.tasks.items()
    model = peft.get_peft_model(load_backbone(case.backbone, root), copy.deepcopy(config))
    perturb([parameter for parameter in model.parameters() if parameter.requires_grad], scale)
    for weights in case.formats:
        model.save_pretrained(folder / name, safe_serialization=weights == "safetensors")
    (folder / name / "README.md").unlink()
    if case.dtype:
        change_type(folder / name / "adapter_model.safetensors", case.dtype)
    sort_module_names(folder / name / "adapter_config.json")
    return peft.PeftModel.from_pretrained(load_backbone(case.backbone, root), folder / name).eval()


def change_type(path: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    tensors = {name: tensor.to(getattr(torch, dtype)) for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def sort_module_names(path: Path) -> None:
    """PEFT keeps them in sets, whose order changes from run to run."""
    config = json.loads(path.read_text())
    for key in ("target_modules", "feedforward_modules"):
        if isinstance(config.get(key), list):
            config[key].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True))
