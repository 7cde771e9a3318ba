"""What must be refused, and what the message must name: kinds and stacks Tusk has no place for, and damaged files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_golden_authors import FULL_FINE_TUNING
from adapter_golden_cases import CLASSIFY, SEQ2SEQ, one, peft
from adapter_golden_models import Case

LORA_A, LORA_B = (f"encoder.block.1.layer.0.SelfAttention.q.lora_{part}.weight" for part in "AB")
Tensors = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    case: Case
    names: tuple[str, ...]
    # What is done to the saved tensors.
    damage: Callable[[Tensors], Tensors] | None = None


def library_refusals() -> Iterator[tuple[str, Refusal]]:
    from adapters import (DoRAConfig, IA3Config, LoRAConfig, LoReftConfig, PrefixTuningConfig, SeqBnConfig,
                          SeqBnInvConfig, VeraConfig)
    prefix = dict(prefix_length=2, flat=True)
    yield "lora_gated", Refusal(one("bert", LoRAConfig(r=1, use_gating=True)), ("use_gating",))
    yield "ia3_gated", Refusal(one("bert", IA3Config(use_gating=True)), ("use_gating",))
    yield "prefix_gated", Refusal(one("bert", PrefixTuningConfig(**prefix, use_gating=True), formats=("bin",)),
                                  ("use_gating",))
    # A decoder does not know all positions the gate is a mean of.
    yield "bottleneck_gated_decoder", Refusal(one("t5", SeqBnConfig(reduction_factor=8, use_gating=True)),
                                              ("use_gating",))
    # The library gives blocks behind one without a prefix no position bias at all.
    yield "t5_prefix_leave_out", Refusal(one("t5", PrefixTuningConfig(**prefix, leave_out=[1]), formats=("bin",)),
                                         ("leave_out",))
    yield "dora", Refusal(one("bert", DoRAConfig(r=1)), ("use_dora",))
    yield "vera", Refusal(one("bert_bare", VeraConfig(r=1), head=dict(num_labels=2)), ("vera",))
    yield "reft", Refusal(one("bert", LoReftConfig(r=1)), ("reft",))
    yield "invertible", Refusal(one("bert", SeqBnInvConfig(reduction_factor=8)), ("inv_adapter",))
    yield "activation", Refusal(one("bert", SeqBnConfig(reduction_factor=8, non_linearity="prelu")), ("prelu",))


def stack_refusals() -> Iterator[tuple[str, Refusal]]:
    """What the library runs, but with a meaning nobody can want, or not at all."""
    from adapters import IA3Config, LoRAConfig, PrefixTuningConfig, PromptTuningConfig

    def stack(backbone: str, first: Any, second: Any) -> Refusal:
        return Refusal(Case(backbone, {"first": first, "second": second}, formats=("bin",)), ())

    prefix, lora = PrefixTuningConfig(prefix_length=2, flat=True), LoRAConfig(r=1)
    yield "prefix_prefix", stack("t5", prefix, prefix)
    yield "lora_ia3", stack("bert", LoRAConfig(r=1, attn_matrices=["k"]), IA3Config())
    yield "lora_lora_not_square", stack("t5_gated", lora, lora)
    yield "lora_prompt", stack("bert", lora, PromptTuningConfig(prompt_length=2))


def peft_refusals() -> Iterator[tuple[str, Refusal]]:
    from peft import LoHaConfig, LoraConfig, OFTConfig, VeraConfig
    small = dict(task_type=SEQ2SEQ, r=1, target_modules=["q"])
    yield "dora", Refusal(peft("t5", LoraConfig(**small, use_dora=True)), ("use_dora",))
    yield "loha", Refusal(peft("t5", LoHaConfig(**small)), ("LOHA",))
    yield "oft", Refusal(peft("bert", OFTConfig(
        task_type=CLASSIFY, target_modules=["query"], oft_block_size=4)), ("OFT",))
    yield "vera", Refusal(peft("t5", VeraConfig(task_type=SEQ2SEQ, r=2, target_modules=["o"])), ("VERA",))
    yield "embedding", Refusal(peft("bert", LoraConfig(
        task_type=CLASSIFY, r=1, target_modules=["word_embeddings"])), ("word_embeddings",))
    yield "new_tokens", Refusal(peft("bert", LoraConfig(
        task_type=CLASSIFY, r=1, target_modules=["query"], trainable_token_indices=[3, 4])),
        ("trainable_token_indices",))


def damaged() -> Iterator[tuple[str, Refusal]]:
    import torch
    from peft import LoraConfig

    def of(names: tuple[str, ...], damage: Callable[[Tensors], Tensors]) -> Refusal:
        return Refusal(peft("t5", LoraConfig(task_type=SEQ2SEQ, r=2, target_modules=["q"])), names, damage)

    def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Tensors], Tensors]:
        return lambda tensors: {key: change(value) if key.endswith(name) else value for key, value in tensors.items()}

    def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
        return lambda tensors: {key.replace(old, new): value for key, value in tensors.items()}

    def with_value(value: float) -> Callable[[Any], Any]:
        return lambda tensor: torch.cat([tensor.flatten()[:-1], torch.tensor([value])]).reshape(tensor.shape)

    yield "missing_half", of((LORA_B,), lambda tensors: {
        key: value for key, value in tensors.items() if not key.endswith(LORA_B)})
    yield "nan", of((LORA_A,), changed(LORA_A, with_value(float("nan"))))
    yield "infinity", of((LORA_B,), changed(LORA_B, with_value(float("inf"))))
    yield "integers", of((LORA_A,), changed(LORA_A, lambda tensor: tensor.to(torch.int32)))
    yield "other_width", of((LORA_A,), changed(LORA_A, lambda tensor: tensor[:, :8].contiguous()))
    yield "other_rank", of((LORA_B.removesuffix("B.weight"),), changed(LORA_A, lambda tensor: tensor[:1].clone()))
    yield "no_such_layer", of(("block.9",), renamed("encoder.block.2.", "encoder.block.9."))
    yield "no_such_module", of(("SelfAttention.query",), renamed("SelfAttention.q.", "SelfAttention.query."))
    yield "nothing_matches", of(("q_proj",), renamed(".q.", ".q_proj."))


def all_refusals() -> dict[str, Refusal]:
    makers = {"adapters": library_refusals, "stack": stack_refusals, "peft": peft_refusals, "damaged": damaged}
    refusals = {f"REFUSED_{prefix}_{name}": refusal for prefix, maker in makers.items() for name, refusal in maker()}
    return refusals | {"REFUSED_authors_full_fine_tuning": Refusal(FULL_FINE_TUNING, ("backbone",))}


def apply_damage(folder: Path, damage: Callable[[Tensors], Tensors]) -> None:
    from safetensors.torch import load_file, save_file
    path = folder / "adapter_model.safetensors"
    save_file(damage(load_file(path)), path, metadata={"format": "pt"})
