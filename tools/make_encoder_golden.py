#!/usr/bin/env python3
"""Record answers of PyTorch for encoders and adapters on them, in the layout of a golden folder.

Tiny encoders with random weights, and one adapter with random factors per setting: nothing is trained, since what counts
is that the same numbers come out. Only transformers and the `adapters` library decide what a setting means.

Versions: torch 2.13.0+cpu, transformers 4.57.6, adapters 1.3.0, safetensors 0.8.0, numpy 2.4.6.
"""

from __future__ import annotations

import argparse
import copy
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from make_golden import PINNED, installed_versions, padded, save_array, save_json

LENGTHS = (7, 14, 23)

BERT = dict(vocab_size=90, hidden_size=32, num_attention_heads=4, intermediate_size=56, max_position_embeddings=28)
ROBERTA = dict(vocab_size=70, hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2,
               max_position_embeddings=30, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2)
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert_without_head": ("BertModel", dict(BERT, num_hidden_layers=3, hidden_act="gelu_new")),
    "distilbert": ("DistilBertForSequenceClassification", dict(
        vocab_size=80, dim=32, n_heads=2, hidden_dim=48, n_layers=2, max_position_embeddings=26, num_labels=4)),
    "xlmr_regression": ("XLMRobertaForSequenceClassification", dict(ROBERTA, num_labels=1)),
    "camembert": ("CamembertForSequenceClassification", dict(
        ROBERTA, num_labels=2, pad_token_id=1, bos_token_id=5, eos_token_id=6)),
    "electra": ("ElectraForSequenceClassification", dict(
        BERT, embedding_size=32, num_hidden_layers=2, num_labels=3)),
    "bert_multilabel": ("BertForSequenceClassification", dict(
        BERT, num_hidden_layers=1, problem_type="multi_label_classification",
        id2label={0: "calm", 1: "très joyeux", 2: "angry"})),
}


@dataclass(frozen=True)
class Setting:
    """One adapter: a preset of the library, what is changed in it, and the head, if it is one of the library's own."""

    backbone: str
    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] | None = None


SETTINGS: dict[str, Setting] = {
    "bert_post_add_pooler_head": Setting("bert_without_head", "compacter++", dict(residual_before_ln="post_add"), dict(
        num_labels=4, layers=1, use_pooler=True)),
    "bert_skip_of_input": Setting("bert_without_head", "compacter", dict(
        original_ln_before=True, residual_before_ln=False, non_linearity="relu"), dict(num_labels=1, layers=1)),
    "bert_dense_leave_out": Setting("bert_without_head", "double_seq_bn", dict(leave_out=[1], ln_after=True), dict(
        num_labels=2, layers=2, activation_function="gelu", id2label={0: "no", 1: "yes"})),
    "bert_dense_norm_before": Setting("bert_without_head", "seq_bn", dict(ln_before=True, scaling="channel"), dict(
        num_labels=3, layers=2, activation_function="relu")),
    "distilbert_phm": Setting("distilbert", "compacter", dict(factorized_phm_W=False, shared_phm_rule=False)),
    "distilbert_plusplus": Setting("distilbert", "compacter++", dict(phm_rank=2)),
    "xlmr_dense": Setting("xlmr_regression", "seq_bn", dict(reduction_factor={"0": 2, "default": 4})),
}


def randomize(module: Any, scale: float = 0.25) -> None:
    """Values large enough that every part shows in the answer."""
    import torch
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter) * scale)


def inputs_for(config: Any, generator: random.Random) -> dict[str, Any]:
    import torch
    rows = [[generator.randrange(3, config.vocab_size) for _ in range(length)] for length in LENGTHS]
    ids = padded(rows, config.pad_token_id)
    mask = padded([[1] * len(row) for row in rows], 0)
    types = torch.zeros_like(ids)
    if getattr(config, "type_vocab_size", 1) > 1:
        types[:, 4:] = mask[:, 4:]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def record(model: Any, folder: Path, description: dict[str, Any], generator: random.Random) -> None:
    import torch
    inputs = inputs_for(model.config, generator)
    accepted = inputs if model.config.model_type != "distilbert" else {
        name: value for name, value in inputs.items() if name != "token_type_ids"}
    model.eval()
    with torch.no_grad():
        output = model(**accepted, output_hidden_states=True, return_dict=True)
    for name, values in (*inputs.items(), ("logits", output.logits),
                         (f"hidden_{len(output.hidden_states) - 1}", output.hidden_states[-1])):
        save_array(folder / "io" / f"{name}.npy", values)
    save_json(folder / "expect.json", description)
    print(f"{folder.parent.name}/{folder.name}: {output.logits.tolist()[0]}", flush=True)


def make_backbone(name: str, root: Path) -> Any:
    import torch
    import transformers
    torch.manual_seed(len(name))
    class_name, settings = BACKBONES[name]
    model_class = getattr(transformers, class_name)
    model = model_class(model_class.config_class(**settings))
    randomize(model)
    model.save_pretrained(root / "backbones" / name)
    if class_name.endswith("ForSequenceClassification"):
        record(model, root / "base" / name, {"backbone": name, "note": "no adapter"}, random.Random(name))
    return model


def make_adapter(name: str, setting: Setting, backbone: Any, root: Path) -> None:
    import adapters
    import torch
    torch.manual_seed(len(name))
    if setting.head:
        model = adapters.AutoAdapterModel.from_config(copy.deepcopy(backbone.config))
        getattr(model, model.base_model_prefix).load_state_dict(backbone.state_dict(), strict=False)
        model.add_classification_head("task", **setting.head)
    else:
        model = copy.deepcopy(backbone)
        adapters.init(model)
    before = {key for key, _ in model.named_parameters()}
    dense = {"reduction_factor": 4}
    changes = dense if setting.preset.endswith("seq_bn") else {**dense, "phm_dim": 2, "phm_init_range": 0.3}
    model.add_adapter("task", config=adapters.AdapterConfig.load(setting.preset, **{**changes, **setting.changes}))
    model.set_active_adapters("task")
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key not in before or key.startswith("heads."):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    folder = root / "hub" / name
    (folder / "adapter").mkdir(parents=True)
    # The LayerNorm of ln_before is stored under two names, which safetensors refuses.
    for safetensors in (False, True)[:1 if "ln_before" in setting.changes else 2]:
        model.save_adapter(str(folder / "adapter"), "task", use_safetensors=safetensors, with_head=True)
    record(model, folder, {"backbone": setting.backbone, "adapter_name": "task",
                           "note": f"{setting.preset} with {sorted(setting.changes)}"}, random.Random(name))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python3 tools/make_encoder_golden.py /tmp/golden && tools/golden /tmp/golden")
    parser.add_argument("output", type=Path, help="folder to write; replaced if it exists")
    arguments = parser.parse_args()
    try:
        import torch
        versions = installed_versions()
    except ImportError as error:
        print(f"{error}; needs " + ", ".join(f"{name} {version}" for name, version in PINNED.items()), file=sys.stderr)
        return 64
    torch.set_num_threads(1)
    shutil.rmtree(arguments.output, ignore_errors=True)
    save_json(arguments.output / "versions.json", versions)
    backbones = {name: make_backbone(name, arguments.output) for name in BACKBONES}
    for name, setting in SETTINGS.items():
        make_adapter(name, setting, backbones[setting.backbone], arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
