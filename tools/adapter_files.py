"""What the files of an adapter directory put where: `adapters`, PEFT, and the Compacter authors' directories."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from adapter_reference import (ACTIVATIONS, Bottleneck, EncoderReference, LinearChange, Prefix, Reference, Tensors,
                               without_model_prefix)
from checkpoint import read_checkpoint, read_file
from numeric import kronecker_linear

PEFT_MODEL = "base_model.model."


def read_tensors(path: Path) -> Tensors:
    return {name: value.astype(np.float64) for name, value in read_file(path).items()}


def first_existing(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)


def mount(reference: Reference, folder: Path, tensors: Tensors | None = None) -> None:
    """Mounts the task of a directory behind those mounted before. `tensors`: instead of the file's, an average."""
    if (folder / "training_config.json").exists():
        mount_authors(reference, folder)
        return
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = task_tensors(folder) if tensors is None else tensors
    if "peft_type" in config:
        mount_peft(reference, config, tensors)
    else:
        mount_adapters(reference, config, {without_model_prefix(name): value for name, value in tensors.items()})
        mount_head(reference, folder)


def task_tensors(folder: Path) -> Tensors:
    path = first_existing(folder, "adapter.safetensors", "pytorch_adapter.bin", "adapter_model.safetensors",
                          "adapter_model.bin")
    assert path, folder
    return read_tensors(path)


def grouped(tensors: Tensors, pattern: str) -> dict[str, Tensors]:
    """Tensors by what the first group of `pattern` matches, named by what the second does."""
    groups: dict[str, Tensors] = defaultdict(dict)
    for name, value in tensors.items():
        if match := re.fullmatch(pattern, name):
            groups[match[1]][match[2]] = value
    return groups


# The `adapters` library

def mount_adapters(reference: Reference, config: dict[str, Any], tensors: Tensors) -> None:
    if config["config"].get("architecture") == "union":
        for part in config["config"]["configs"]:
            kept = {key: value for key, value in tensors.items()
                    if ("prefix_tuning" in key) == (part.get("architecture") == "prefix_tuning")}
            mount_adapters(reference, {**config, "config": part}, kept)
        return
    name, settings = re.escape(config["name"]), config["config"]
    shared = grouped(tensors, rf"(shared_parameters)\.{name}\.(.+)")["shared_parameters"]
    for site, own in grouped(tensors, rf"(.+?)\.?adapters\.{name}\.(.+)").items():
        reference.sites[site].append(read_bottleneck(own, shared, settings))
    for module, own in grouped(tensors, rf"(.+)\.loras\.{name}\.(.+)").items():
        gate = (own["gate.weight"], own["gate.bias"]) if "gate.weight" in own else None
        alpha = settings["alpha"]
        change = (LinearChange(own["lora_B"] @ own["lora_A"], scale=alpha / len(own["lora_A"]), gate=gate)
                  if "lora_A" in own else LinearChange(vector=own["lora_B"][:, 0], scale=alpha, gate=gate))
        reference.changes[module].append(change)
    gates = grouped(tensors, rf"(.+)\.prefix_tuning\.prefix_gates\.{name}\.(.+)")
    pools = grouped(tensors, rf".*prefix_tunings\.{name}\.(\w+?)\.(.+)")
    for location, own in pools.items():
        mount_adapters_prefix(reference, location, own, gates, settings)
    for own in grouped(tensors, rf"(prompt_tuning)\.prompt_tunings\.{name}\.(.+)").values():
        reference.prompt, reference.prompt_behind_embedding = own["prompt_embedding.weight"], True
        reference.prompt_start = 1 if settings["combine"] == "prefix_after_bos" else 0


def read_bottleneck(own: Tensors, shared: Tensors, settings: dict[str, Any]) -> Bottleneck:
    down = "adapter_down.1." if settings["ln_before"] else "adapter_down.0."

    def layer(prefix: str, sharing: str) -> Any:
        if not settings["phm_layer"]:
            weight, bias = own[prefix + "weight"], own[prefix + "bias"]
            return lambda x: x @ weight.T + bias
        parts = {key[len(prefix):]: value for key, value in own.items() if key.startswith(prefix)}
        parts |= {key.replace(f"W_{sharing}_", "W_"): value for key, value in shared.items()
                  if key.startswith(("phm_rule", f"W_{sharing}_"))}
        rule = parts["phm_rule"] if "phm_rule" in parts else parts["phm_rule_left"] @ parts["phm_rule_right"]
        left, right = (parts["W"], None) if "W" in parts else (parts["W_left"], parts["W_right"])
        return lambda x: kronecker_linear(x, rule, left, right, parts.get("b"))

    return Bottleneck(own, layer(down, "down"), layer("adapter_up.", "up"), settings)


def mount_adapters_prefix(reference: Reference, location: str, own: Tensors, gates: dict[str, Tensors],
                          settings: dict[str, Any]) -> None:
    length = settings["prefix_length"]
    flat = own.get("control_trans")
    if flat is None:
        inner = ACTIVATIONS[settings["non_linearity"].lower()](
            own["wte.weight"] @ own["control_trans.0.weight"].T + own["control_trans.0.bias"])
        flat = inner @ own["control_trans.2.weight"].T + own["control_trans.2.bias"]
    if reference.is_t5:
        stack, layers = ("encoder", "num_layers") if location == "encoder_prefix" else ("decoder", "num_decoder_layers")
        index = 1 if location == "cross_prefix" else 0
        places = [f"{stack}.block.{layer}.layer.{index}" for layer in range(reference.config[layers])]
        offset = 0 if stack == "encoder" else reference.config["num_layers"]
        modules = [place + (".EncDecAttention" if index else ".SelfAttention") for place in places]
    else:
        distilbert = reference.config["model_type"] == "distilbert"
        block, attention = ("transformer.layer", ".attention") if distilbert else ("encoder.layer", ".attention.self")
        places = [f"{block}.{layer}" for layer in range(
            reference.config.get("n_layers") or reference.config["num_hidden_layers"])]
        offset, modules = 0, [place + attention for place in places]
    kept = [position for position in range(len(places)) if position + offset not in settings["leave_out"]]
    slots = flat.reshape(length, 2 * len(kept), -1)
    for number, position in enumerate(kept):
        gate = gates.get(modules[position])
        reference.prefixes[places[position]].append(Prefix(
            slots[:, 2 * number], slots[:, 2 * number + 1], (gate["weight"], gate["bias"]) if gate else None))


def mount_head(reference: Reference, folder: Path) -> None:
    path = first_existing(folder, "model_head.safetensors", "pytorch_model_head.bin")
    # A T5's head is the table of its embeddings, under another name.
    if path is None or reference.is_t5:
        return
    tensors = read_tensors(path)
    if not any(name.startswith("heads.") for name in tensors):
        reference.tensors.update({without_model_prefix(name): value for name, value in tensors.items()})
        return
    assert isinstance(reference, EncoderReference)
    config = json.loads((folder / "head_config.json").read_text())["config"]
    layers = sorted(int(name.split(".")[2]) for name in tensors if name.endswith(".weight"))
    prefix = next(iter(tensors)).rsplit(".", 2)[0]
    reference.flexible_head_uses_pooler = config["use_pooler"]
    reference.flexible_head = [(config["activation_function"] if index != layers[-1] else None,
                                tensors[f"{prefix}.{index}.weight"], tensors[f"{prefix}.{index}.bias"])
                               for index in layers]


# PEFT

def pattern_value(patterns: dict[str, Any], module: str, default: Any) -> Any:
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def mount_peft(reference: Reference, config: dict[str, Any], tensors: Tensors) -> None:
    named = {without_model_prefix(name.removeprefix(PEFT_MODEL).removeprefix("base_model.")): value
             for name, value in tensors.items()}
    kind = config["peft_type"]
    if kind in ("PROMPT_TUNING", "P_TUNING"):
        reference.prompt = named.pop("prompt_embeddings")[:config["num_virtual_tokens"]]
    elif kind == "PREFIX_TUNING":
        mount_peft_prefix(reference, config, named.pop("prompt_embeddings"))
    groups = grouped(named, r"(.+?)\.((?:lora_[AB]\.(?:weight|bias))|lokr_\w+|ia3_l)")
    original = {without_model_prefix(name.removeprefix(PEFT_MODEL)): name.removeprefix(PEFT_MODEL).rsplit(".", 1)[0]
                for name in tensors}
    for module, own in groups.items():
        full_name = next(full for short, full in original.items() if short.startswith(module + "."))
        full_name = re.sub(r"\.lora_[AB]$", "", full_name)
        rank = pattern_value(config.get("rank_pattern", {}), full_name, config.get("r"))
        alpha = pattern_value(config.get("alpha_pattern", {}), full_name, config.get("lora_alpha", config.get("alpha")))
        if "lora_A.weight" in own:
            scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
            reference.changes[module].append(LinearChange(
                own["lora_B.weight"] @ own["lora_A.weight"], scale=scale, bias=own.get("lora_B.bias")))
        elif "ia3_l" in own and own["ia3_l"].shape[0] == 1:
            reference.input_scales[module] = own["ia3_l"][0]
        elif "ia3_l" in own:
            reference.changes[module].append(LinearChange(vector=own["ia3_l"][:, 0]))
        else:
            first, second = (own[f"lokr_{part}"] if f"lokr_{part}" in own
                             else own[f"lokr_{part}_a"] @ own[f"lokr_{part}_b"] for part in ("w1", "w2"))
            reference.changes[module].append(LinearChange(np.kron(first, second), scale=alpha / rank))
    for name, value in named.items():
        name = name.replace(".base_layer.", ".").replace(".ln_tuning_layers.", ".")
        if name in reference.tensors:
            reference.tensors[name] = value


def mount_peft_prefix(reference: Reference, config: dict[str, Any], rows: np.ndarray) -> None:
    """T5's list of slots is repeated and taken in fours, of which a block's self-attention uses the first two."""
    slots = rows.reshape(len(rows), 2 * config["num_layers"], -1)
    reference.prefix_moves_queries = True
    if reference.is_t5:
        for layer in range(reference.config["num_decoder_layers"]):
            key = 4 * layer % slots.shape[1]
            reference.prefixes[f"decoder.block.{layer}.layer.0"].append(
                Prefix(slots[:, key], slots[:, (key + 1) % slots.shape[1]]))
    else:
        for layer in range(config["num_layers"]):
            reference.prefixes[f"encoder.layer.{layer}"].append(Prefix(slots[:, 2 * layer], slots[:, 2 * layer + 1]))


# The authors' directories: whole models

def mount_authors(reference: Reference, folder: Path) -> None:
    training = json.loads((folder / "training_config.json").read_text())
    tensors = {name: value.astype(np.float64) for name, value in read_checkpoint(folder).items()}
    reference.tensors.update({name: value for name, value in tensors.items() if "adapter_controller" not in name})
    reference.prompt = tensors.get("prefix_shared")
    settings = {"non_linearity": training["non_linearity"], "scaling": 1.0, "ln_before": False, "ln_after": False,
                "is_parallel": False, "original_ln_before": False, "original_ln_after": True,
                "residual_before_ln": True, "adapter_residual_before_ln": False}

    def layer(own: Tensors, prefix: str) -> Any:
        if prefix + "weight" in own:
            return lambda x: x @ own[prefix + "weight"].T + own[prefix + "bias"]
        return lambda x: x @ (own[prefix + "W_left"] * own[prefix + "W_right"]) + own[prefix + "b"]

    for site, own in grouped(tensors, r"(.+)\.adapter_controller\.adapters\.[^.]+\.(.+)").items():
        reference.sites[site].append(Bottleneck(own, layer(own, "down_sampler."), layer(own, "up_sampler."), settings))
