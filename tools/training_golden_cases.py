"""The cases of golden-training: which method, in whose dialect, on which backbone, and how many numbers it trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapter_golden_authors import ADAPTER, COMMON
from adapter_golden_cases import CLASSIFY, SEQ2SEQ

T5_BACKBONES = ("t5_v10", "t5_v11")
# The bottleneck is 8 or 12 wide, in which 4 terms go for T5's and 2 or 4 for BERT's.
REDUCTIONS = {"t5_v10": 8, "t5_v11": 3, "bert": 6}
PROMPT_ROWS = 5
LABELS = 3


@dataclass(frozen=True)
class TrainingCase:
    backbone: str
    # "authors", "adapterhub", "peft", or "none" where the backbone itself is trained.
    dialect: str
    method: str
    # The authors' launch file, or a configuration of `adapters` or PEFT.
    settings: Any
    learning_rate: float
    # Arguments of add_classification_head. An encoder's case without them trains its class's own classifier.
    head: dict[str, Any] | None = None
    # Of the random numbers that training starts from.
    scale: float = 0.3

    @property
    def is_regression(self) -> bool:
        return self.head is not None and self.head["num_labels"] == 1


def authors_cases(backbone: str) -> Iterator[tuple[str, TrainingCase]]:
    """The settings are those of the authors' launch files, but for the sizes."""
    adapter = {**ADAPTER, "task_reduction_factor": REDUCTIONS[backbone]}
    compacter = {
        **adapter, "hypercomplex_adapters": True, "hypercomplex_division": 4, "factorized_phm": True,
        "shared_phm_rule": True, "factorized_phm_rule": False, "learn_phm": True}
    kinds: dict[str, tuple[dict[str, Any], float]] = {
        "compacter": (compacter, 1e-2),
        "compacter++": ({**compacter, "add_adapter_in_self_attention": False}, 1e-2),
        "phm": ({**compacter, "factorized_phm": False, "shared_phm_rule": False}, 1e-2),
        "adapter": (adapter, 1e-2),
        "pfeiffer": ({**adapter, "add_adapter_in_feed_forward": False}, 1e-2),
        "adapter-drop": ({**adapter, "task_adapter_layers_encoder": [1],
                          "task_adapter_layers_decoder": [1 if backbone == "t5_v10" else 0]}, 1e-2),
        "low-rank": ({**adapter, "low_rank_adapters": True, "low_rank_w_init": "glorot-uniform", "low_rank_rank": 1},
                     1e-2),
        "prompt": ({**COMMON, "prefix_tuning": True, "prefix_dim": PROMPT_ROWS}, 1e-1),
        "bitfit": ({**COMMON, "bitfit": True, "freeze_bitfit_lm_head": True}, 1e-2)}
    for method, (settings, rate) in kinds.items():
        yield method, TrainingCase(backbone, "authors", method, settings, rate)


def adapterhub_configurations(backbone: str) -> dict[str, Any]:
    from adapters import CompacterConfig, CompacterPlusPlusConfig, DoubleSeqBnConfig, SeqBnConfig
    reduction = {"reduction_factor": REDUCTIONS[backbone]}
    phm: dict[str, Any] = {**reduction, "phm_dim": 3 if backbone == "t5_v11" else 4}
    return {
        "compacter": CompacterConfig(**phm, phm_rank=2 if backbone == "t5_v11" else 1),
        "compacter++": CompacterPlusPlusConfig(**phm),
        "phm": CompacterConfig(**phm, factorized_phm_W=False, shared_phm_rule=False),
        "adapter": DoubleSeqBnConfig(**reduction), "pfeiffer": SeqBnConfig(**reduction),
        "adapter-drop": DoubleSeqBnConfig(**reduction, leave_out=[0]),
        # One term, whose rule stays 1.
        "low-rank": CompacterConfig(**reduction, phm_dim=1, learn_phm=False)}


def t5_cases(backbone: str) -> Iterator[tuple[str, TrainingCase]]:
    from peft import LoraConfig
    for method, case in authors_cases(backbone):
        yield f"authors_{method}", case
    for method, settings in adapterhub_configurations(backbone).items():
        yield f"adapterhub_{method}", TrainingCase(backbone, "adapterhub", method, settings, 1e-2)
    rank, alpha = (4, 8) if backbone == "t5_v10" else (3, 5)
    yield "peft_lora", TrainingCase(backbone, "peft", "lora", LoraConfig(
        task_type=SEQ2SEQ, r=rank, lora_alpha=alpha, target_modules=["q", "v"]), 5e-3, scale=0.1)
    yield "full", TrainingCase(backbone, "none", "full", None, 1e-3)


def bert_cases() -> Iterator[tuple[str, TrainingCase]]:
    from adapters import CompacterConfig
    from peft import LoraConfig

    def hub(method: str, settings: Any, head: dict[str, Any] | None) -> TrainingCase:
        # A single term needs larger numbers to count.
        return TrainingCase("bert", "adapterhub", method, settings, 3e-3, head, 0.5 if method == "low-rank" else 0.3)

    configurations = adapterhub_configurations("bert")
    layers = dict(num_labels=LABELS, layers=2)
    for method, settings in configurations.items():
        yield f"adapterhub_{method}", hub(method, settings, layers)
    yield "adapterhub_phm_shared", hub("phm", CompacterConfig(
        reduction_factor=REDUCTIONS["bert"], phm_dim=2, factorized_phm_W=False), layers)
    for method in ("compacter", "pfeiffer"):
        yield f"adapterhub_{method}_regression", hub(method, configurations[method], dict(num_labels=1, layers=2))
        yield f"adapterhub_{method}_static_head", hub(method, configurations[method], None)
    yield "peft_lora", TrainingCase("bert", "peft", "lora", LoraConfig(
        task_type=CLASSIFY, r=4, lora_alpha=6, target_modules=["query", "value"]), 3e-3)
    # PEFT saves biases only beside a LoRA: this one is zero, and stays it.
    yield "peft_bitfit", TrainingCase("bert", "peft", "bitfit", LoraConfig(
        task_type=CLASSIFY, r=1, bias="all", target_modules=["encoder.layer.0.attention.self.query"]), 1e-2)
    yield "full", TrainingCase("bert", "none", "full", None, 3e-4)


def all_cases() -> dict[str, TrainingCase]:
    """Every case by its folder: BACKBONE_DIALECT_METHOD, and what is special."""
    cases = {f"{backbone}_{name}": case for backbone in T5_BACKBONES for name, case in t5_cases(backbone)}
    cases |= {f"bert_{name}": case for name, case in bert_cases()}
    return {name.replace("++", "pp").replace("-", "_"): case for name, case in cases.items()}


# How many numbers are trained, counted from the widths alone.

def adapter_count(case: TrainingCase, width: int, blocks: int) -> int:
    """Of the adapters and their rules, on a backbone of so many blocks."""
    is_authors, shared = case.dialect == "authors", 0
    settings = case.settings if is_authors else case.settings.to_dict()
    inner = width // settings["task_reduction_factor" if is_authors else "reduction_factor"]
    if case.method in ("adapter", "pfeiffer", "adapter-drop"):
        matrices = 2 * width * inner
    elif case.method == "low-rank":
        matrices = 2 * (width + inner)
    else:
        terms = settings["hypercomplex_division" if is_authors else "phm_dim"]
        is_factorized = settings["factorized_phm" if is_authors else "factorized_phm_W"]
        matrices = (2 * settings.get("phm_rank", 1) * (width + inner) if is_factorized
                    else 2 * width * inner // terms)
        if settings["shared_phm_rule"]:
            shared = terms**3
        else:
            matrices += 2 * terms**3
    sites = blocks if case.method in ("compacter++", "pfeiffer") else 2 * blocks
    return sites * (matrices + inner + width) + shared


def trained_count(case: TrainingCase, config: Any, whole: int) -> int:
    """Of everything; `whole` is the size of the backbone with its head."""
    if case.method == "full":
        return whole
    is_t5 = config.model_type == "t5"
    width, encoder = config.hidden_size, config.num_layers if is_t5 else config.num_hidden_layers
    decoder = config.num_decoder_layers if is_t5 else 0
    if case.method == "prompt":
        return case.settings["prefix_dim"] * width
    if case.method == "bitfit":
        return t5_biases(config) if is_t5 else bert_biases(config) + LABELS * width
    head = 0 if is_t5 else LABELS * (width + 1)
    if case.head:
        head = (width + 1) * (width + case.head["num_labels"])
    if case.method == "lora":
        inner = config.num_heads * config.d_kv if is_t5 else width
        return 2 * (encoder + 2 * decoder) * case.settings.r * (width + inner) + head
    blocks = encoder + decoder
    if case.method == "adapter-drop":
        blocks = (sum(len(case.settings[f"task_adapter_layers_{stack}"]) for stack in ("encoder", "decoder"))
                  if case.dialect == "authors" else blocks - len(case.settings.leave_out))
    norms = (2 * encoder + 3 * decoder + 2) * width if case.dialect == "authors" else 0
    return adapter_count(case, width, blocks) + norms + head


def t5_biases(config: Any) -> int:
    """One for every linear and for the norms of blocks."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    attention = 3 * inner + 2 * width
    feed_forward = (2 if config.is_gated_act else 1) * config.d_ff + 2 * width
    encoder, decoder = config.num_layers, config.num_decoder_layers
    return (encoder + 2 * decoder) * attention + (encoder + decoder) * feed_forward + config.vocab_size


def bert_biases(config: Any) -> int:
    """Of every linear and every norm, the pooler and the classifier among them."""
    width = config.hidden_size
    return config.num_hidden_layers * (7 * width + config.intermediate_size) + 2 * width + LABELS
