"""Directories of the Compacter authors' code (github.com/rabeehk/compacter) for their other methods, on today's T5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapter_golden_models import Case, load_backbone, perturb

AUTHORS_TASK = "mrpc"
REDUCTION = 4
COMMON = {"task_name": AUTHORS_TASK, "non_linearity": "gelu_new"}
ADAPTER = {**COMMON, "adapter_config_name": "adapter", "train_task_adapters": True, "task_reduction_factor": REDUCTION,
           "add_layer_norm_before_adapter": False, "add_layer_norm_after_adapter": False, "unfreeze_layer_norms": True}
AUTHORS_KINDS = {
    "authors_low_rank": Case("t5", {"task": {
        **ADAPTER, "low_rank_adapters": True, "low_rank_w_init": "glorot-uniform", "low_rank_rank": 1}}, "authors"),
    "authors_adapter_drop": Case("t5", {"task": {
        **ADAPTER, "task_adapter_layers_encoder": [1, 2], "task_adapter_layers_decoder": [1]}}, "authors"),
    "authors_bitfit": Case("t5", {"task": {**COMMON, "bitfit": True, "freeze_bitfit_lm_head": True}}, "authors"),
    "authors_prompt": Case("t5", {"task": {**COMMON, "prefix_tuning": True, "prefix_dim": 4}}, "authors"),
}
# Everything is trained: another backbone.
FULL_FINE_TUNING = Case("t5", {"task": {**COMMON, "learning_rate": 3e-4}}, "authors")


def make_authors_case(case: Case, root: Path, folder: Path, scale: float) -> Any:
    """Writes what the authors' script leaves: the whole model, its configuration and the launch file."""
    import torch
    (name, training), = case.tasks.items()
    model = authors_model(load_backbone(case.backbone, root), training, scale)
    output = folder / name
    output.mkdir(parents=True)
    torch.save(model.state_dict(), output / "pytorch_model.bin")
    write_settings(model, training, output)
    return model


def authors_model(model: Any, training: dict[str, Any], scale: float) -> Any:
    """The backbone with what the launch file asks for, of random numbers."""
    if training.get("bitfit"):
        add_biases(model, scale)
    elif training.get("prefix_tuning"):
        add_prompt(model, training["prefix_dim"])
    elif training.get("train_task_adapters"):
        add_adapters(model, training, scale)
        perturb([parameter for key, parameter in model.named_parameters() if "layer_norm" in key], scale / 3)
    else:
        perturb(list(model.parameters()), scale / 10)
    return model.eval()


def write_settings(model: Any, training: dict[str, Any], output: Path) -> None:
    config = {key: value for key, value in model.config.to_diff_dict().items()
              if key not in ("dense_act_fn", "is_gated_act", "dtype", "transformers_version")}
    config |= {"model_type": "t5", "transformers_version": "4.6.0", "train_task_adapters": bool(
        training.get("train_task_adapters")), "prefix_tuning": bool(training.get("prefix_tuning"))}
    for path, value in (("config.json", config), ("training_config.json", training)):
        (output / path).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def add_biases(model: Any, scale: float) -> None:
    """One for every linear, the head among them, and for every norm of a block; the final norms have none."""
    import torch

    def bias(width: int) -> Any:
        return torch.nn.Parameter(torch.randn(width) * scale)

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.bias = bias(module.out_features)
        elif name.endswith(".layer_norm"):
            module.bias = bias(len(module.weight))
            module.register_forward_hook(lambda norm, _, output: output + norm.bias)


def add_prompt(model: Any, rows: int) -> None:
    """Rows in front of the encoder's embeddings. Both of the authors' stacks hold them; only the encoder uses them."""
    import torch
    prompt = torch.nn.Parameter(torch.rand(rows, model.config.d_model) * 2 - 1)
    model.prefix_shared = model.encoder.prefix_emb = model.decoder.prefix_emb = prompt
    forward = model.forward

    def with_prompt(input_ids: Any, attention_mask: Any, **arguments: Any) -> Any:
        embedded = torch.cat([prompt.expand(len(input_ids), -1, -1), model.shared(input_ids)], dim=1)
        mask = torch.cat([attention_mask.new_ones(len(input_ids), rows), attention_mask], dim=1)
        return forward(inputs_embeds=embedded, attention_mask=mask, **arguments)

    model.forward = with_prompt


def add_adapters(model: Any, training: dict[str, Any], scale: float) -> None:
    import torch
    from transformers.activations import get_activation
    activation, terms = get_activation(training["non_linearity"]), training.get("hypercomplex_division")
    rule = None
    if training.get("hypercomplex_adapters") and training["shared_phm_rule"]:
        rule = model.phm_rule = torch.nn.Parameter(torch.zeros(terms, terms, terms))
        perturb([rule], scale)

    def parameter(*shape: int) -> Any:
        return torch.nn.Parameter(torch.zeros(*shape))

    class LowRank(torch.nn.Module):
        def __init__(self, width: int, out_width: int) -> None:
            super().__init__()
            self.W_left, self.W_right = parameter(width, 1), parameter(1, out_width)
            self.b = parameter(out_width)

        def forward(self, x: Any) -> Any:
            return x @ (self.W_left * self.W_right) + self.b

    class KroneckerSum(torch.nn.Module):
        def __init__(self, width: int, out_width: int) -> None:
            super().__init__()
            self.phm_rule = parameter(terms, terms, terms) if rule is None else rule
            if training["factorized_phm"]:
                self.W_left, self.W_right = parameter(terms, width // terms, 1), parameter(terms, 1, out_width // terms)
            else:
                self.W = parameter(terms, width // terms, out_width // terms)
            self.b = parameter(out_width)

        def forward(self, x: Any) -> Any:
            right = self.W_left @ self.W_right if training["factorized_phm"] else self.W
            matrix = torch.einsum("iac,ikj->akcj", self.phm_rule, right)
            return x @ matrix.reshape(x.shape[-1], len(self.b)) + self.b

    class Adapter(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            layer = (LowRank if training.get("low_rank_adapters")
                     else KroneckerSum if training.get("hypercomplex_adapters") else torch.nn.Linear)
            inner = width // training["task_reduction_factor"]
            self.down_sampler, self.up_sampler = layer(width, inner), layer(inner, width)

        def forward(self, x: Any) -> Any:
            return x + self.up_sampler(activation(self.down_sampler(x)))

    def behind(adapter: Any) -> Any:
        def hook(_: Any, __: Any, output: Any) -> Any:
            return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)

        return hook

    for stack in ("encoder", "decoder"):
        layers = training.get(f"task_adapter_layers_{stack}")
        for index, block in enumerate(getattr(model, stack).block):
            if layers is not None and index not in layers:
                continue
            for kind, site, sub_layer in (("self_attention", block.layer[0], block.layer[0].SelfAttention),
                                          ("feed_forward", block.layer[-1], block.layer[-1].DenseReluDense)):
                if not training.get(f"add_adapter_in_{kind}", True):
                    continue
                adapter = Adapter(model.config.d_model)
                site.adapter_controller = torch.nn.Module()
                site.adapter_controller.adapters = torch.nn.ModuleDict({AUTHORS_TASK: adapter})
                perturb([own for own in adapter.parameters() if own is not rule], scale)
                sub_layer.register_forward_hook(behind(adapter))
