"""Models that load what `tusk export task` writes, as the users of each format load it, for export_worker.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import adapters
import peft
import torch
import transformers

ADAPTER_NORM_EPSILON = 1e-5


def checkpoint_config(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / "config.json").read_text())


def load_class(name: str, checkpoint: Path, **options: Any) -> Any:
    return getattr(transformers, name).from_pretrained(checkpoint, **options)


def adapterhub(directory: Path, checkpoint: Path, model_class: str) -> Any:
    """`adapter` is a class of transformers that adapters are added to, `own` the library's own class of the kind of model."""
    is_t5 = checkpoint_config(checkpoint)["model_type"] == "t5"
    if model_class == "plain":
        model = load_class("T5ForConditionalGeneration" if is_t5 else "AutoModel", checkpoint)
        adapters.init(model)
    else:
        model = own_class(checkpoint) if is_t5 else adapters.AutoAdapterModel.from_pretrained(checkpoint)
    found: dict[str, list[str]] = {}
    # The library's own classes look for safetensors only when they are told to.
    uses_safetensors = not (directory / "pytorch_adapter.bin").exists()
    name = model.load_adapter(str(directory), set_active=True, loading_info=found, use_safetensors=uses_safetensors)
    # Every attention shows the one prefix of the model under a name of its own.
    missing = [key for key in found["missing_keys"] if ".prefix_tuning.pool." not in key]
    if missing or found["unexpected_keys"]:
        raise ValueError(f"not loaded: {missing}, left over: {found['unexpected_keys']}")
    if (directory / "head_config.json").exists() and name not in getattr(model, "heads", {}):
        raise ValueError(f"the head was not loaded; the model has {list(getattr(model, 'heads', {}))}")
    return model


def own_class(checkpoint: Path) -> Any:
    """A T5AdapterModel with the checkpoint's head: from_pretrained of the library refuses a head that is not tied."""
    backbone = load_class("T5ForConditionalGeneration", checkpoint)
    model = adapters.AutoAdapterModel.from_config(backbone.config)
    model.transformer.load_state_dict(
        {key: value for key, value in backbone.state_dict().items() if not key.startswith("lm_head")})
    model.add_seq2seq_lm_head("answer")
    model.heads["answer"][0].weight = (
        model.transformer.shared.weight if backbone.config.tie_word_embeddings else backbone.lm_head.weight)
    model.active_head = "answer"
    return model


def peft_model(directory: Path, checkpoint: Path, _: str) -> Any:
    task_type = json.loads((directory / "adapter_config.json").read_text())["task_type"]
    options: dict[str, Any] = {}
    if task_type == "SEQ_CLS":
        labels = json.loads((directory / "config.json").read_text())
        options = {"num_labels": len(labels["id2label"])} if "id2label" in labels else {"num_labels": labels["num_labels"]}
    name = {"SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM", "SEQ_CLS": "AutoModelForSequenceClassification",
            "FEATURE_EXTRACTION": "AutoModel"}[task_type]
    # The backbone's own head may have other outputs; the adapter brings its own.
    return peft.PeftModel.from_pretrained(load_class(name, checkpoint, ignore_mismatched_sizes=True, **options), directory)


def authors(directory: Path, _: Path, __: str) -> Any:
    """The authors' model on today's T5: modules of the same names, so that `load_state_dict` finds a place for every
    tensor and a tensor for every place."""
    config = checkpoint_config(directory)
    training = json.loads((directory / "training_config.json").read_text())
    state = torch.load(directory / "pytorch_model.bin", weights_only=True)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**config))
    if training.get("bitfit"):
        add_biases(model, state)
    if config["prefix_tuning"]:
        add_prompt(model, training["prefix_dim"])
    if config["train_task_adapters"]:
        add_adapters(model, training)
    model.load_state_dict(state, strict=True)
    # Tensors with several names are one storage in the file too.
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        if state[name].untyped_storage().data_ptr() != state["shared.weight"].untyped_storage().data_ptr():
            raise ValueError(f"{name} is stored apart from shared.weight")
    return model


def add_biases(model: Any, state: dict[str, Any]) -> None:
    """One for every linear, the head among them, and for every norm of a block."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.bias = torch.nn.Parameter(torch.zeros(module.out_features))
        elif name.endswith(".layer_norm"):
            module.bias = torch.nn.Parameter(torch.zeros(len(module.weight)))
            module.register_forward_hook(lambda norm, _, output: output + norm.bias)


def add_prompt(model: Any, rows: int) -> None:
    prompt = torch.nn.Parameter(torch.zeros(rows, model.config.d_model))
    model.prefix_shared = model.encoder.prefix_emb = model.decoder.prefix_emb = prompt
    forward = model.forward

    def with_prompt(input_ids: Any, attention_mask: Any, **arguments: Any) -> Any:
        embedded = torch.cat([prompt.expand(len(input_ids), -1, -1), model.shared(input_ids)], dim=1)
        mask = torch.cat([attention_mask.new_ones(len(input_ids), rows), attention_mask], dim=1)
        return forward(inputs_embeds=embedded, attention_mask=mask, **arguments)

    model.forward = with_prompt


class HypercomplexLinear(torch.nn.Module):
    """`x H + b`, H the sum of the Kronecker products of the rule's matrices and the factors', as the paper has it."""

    def __init__(self, width: int, out_width: int, training: dict[str, Any], shared: dict[str, Any], direction: str) -> None:
        super().__init__()
        n = training["hypercomplex_division"]
        shapes = {"phm_rule_left": (n, n, 1), "phm_rule_right": (n, 1, n)} if training["factorized_phm_rule"] else {
            "phm_rule": (n, n, n)}
        for name, shape in shapes.items():
            self.register_parameter(name, self.parameter(name, shape, shared if training["shared_phm_rule"] else None))
        weights: dict[str, tuple[int, ...]] = {"": (n, width // n, out_width // n)}
        if training["factorized_phm"]:
            rank = training.get("phm_rank", 1)
            weights = {"_left": (n, width // n, rank), "_right": (n, rank, out_width // n)}
        for name, shape in weights.items():
            self.register_parameter(f"W{name}", self.parameter(
                f"W_{direction}{name}", shape, shared if training["shared_W_phm"] else None))
        self.b = torch.nn.Parameter(torch.zeros(out_width))

    @staticmethod
    def parameter(name: str, shape: tuple[int, ...], shared: dict[str, Any] | None) -> Any:
        if shared is None:
            return torch.nn.Parameter(torch.zeros(shape))
        return shared.setdefault(name, torch.nn.Parameter(torch.zeros(shape)))

    def forward(self, x: Any) -> Any:
        own = dict(self.named_parameters())
        rule = own["phm_rule"] if "phm_rule" in own else own["phm_rule_left"] @ own["phm_rule_right"]
        weight = own["W"] if "W" in own else own["W_left"] @ own["W_right"]
        return x @ sum(torch.kron(a.contiguous(), b.contiguous()) for a, b in zip(rule, weight)) + self.b


class LowRankLinear(torch.nn.Module):
    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.W_left = torch.nn.Parameter(torch.zeros(width, 1))
        self.W_right = torch.nn.Parameter(torch.zeros(1, out_width))
        self.b = torch.nn.Parameter(torch.zeros(out_width))

    def forward(self, x: Any) -> Any:
        return x @ (self.W_left * self.W_right) + self.b


class Controller(torch.nn.Module):
    """The adapter of one place with the norms around it."""

    def __init__(self, width: int, training: dict[str, Any], shared: dict[str, Any]) -> None:
        super().__init__()
        inner = width // training["task_reduction_factor"]

        def linear(rows: int, columns: int, direction: str) -> Any:
            if training.get("hypercomplex_adapters"):
                return HypercomplexLinear(rows, columns, training, shared, direction)
            return LowRankLinear(rows, columns) if training.get("low_rank_adapters") else torch.nn.Linear(rows, columns)

        adapter = torch.nn.Module()
        adapter.down_sampler, adapter.up_sampler = linear(width, inner, "down"), linear(inner, width, "up")
        self.adapters = torch.nn.ModuleDict({training["task_name"]: adapter})
        self.adapter, self.activation = [adapter], transformers.activations.get_activation(training["non_linearity"])
        for place, name in (("before", "pre_layer_norm"), ("after", "post_layer_norm")):
            has_norm = training[f"add_layer_norm_{place}_adapter"]
            setattr(self, name, torch.nn.LayerNorm(width, ADAPTER_NORM_EPSILON) if has_norm else torch.nn.Identity())

    def forward(self, x: Any) -> Any:
        adapter, = self.adapter
        inner = self.activation(adapter.down_sampler(self.pre_layer_norm(x)))
        return self.post_layer_norm(adapter.up_sampler(inner)) + x


def add_adapters(model: Any, training: dict[str, Any]) -> None:
    shared: dict[str, Any] = {}
    for stack in ("encoder", "decoder"):
        layers = training.get(f"task_adapter_layers_{stack}")
        if stack == "decoder" and not training["task_adapter_in_decoder"]:
            continue
        for index, block in enumerate(getattr(model, stack).block):
            if layers is not None and index not in layers:
                continue
            for key, layer, sub_layer in (
                    ("add_adapter_in_self_attention", block.layer[0], block.layer[0].SelfAttention),
                    ("add_adapter_in_feed_forward", block.layer[-1], block.layer[-1].DenseReluDense)):
                if training[key]:
                    layer.adapter_controller = Controller(model.config.d_model, training, shared)
                    sub_layer.register_forward_hook(behind(layer.adapter_controller))
    for name, parameter in shared.items():
        model.register_parameter(name, parameter)


def behind(controller: Controller) -> Any:
    def hook(_: Any, __: Any, output: Any) -> Any:
        return (controller(output[0]), *output[1:]) if isinstance(output, tuple) else controller(output)

    return hook


LOADERS = {"adapterhub": adapterhub, "peft": peft_model, "authors": authors}
