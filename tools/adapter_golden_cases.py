"""The cases of golden-adapters: every kind of adapter `adapters` and PEFT write, and how they compose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapter_golden_models import Case

SEQ2SEQ = "SEQ_2_SEQ_LM"
CLASSIFY = "SEQ_CLS"


def one(backbone: str, config: Any, **options: Any) -> Case:
    return Case(backbone, {"task": config}, **options)


def bottleneck_cases() -> Iterator[tuple[str, Case]]:
    from adapters import CompacterConfig, CompacterPlusPlusConfig, DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
    both = ("bin", "safetensors")
    yield "t5_double_seq_bn", one("t5", DoubleSeqBnConfig(reduction_factor=4), formats=both)
    yield "t5_seq_bn_leave_out", one("t5", SeqBnConfig(reduction_factor=4, leave_out=[0, 3]), with_head=True)
    yield "t5_par_bn", one("t5", ParBnConfig(reduction_factor=4))
    yield "t5_par_bn_everywhere", one("t5_gated", ParBnConfig(
        reduction_factor=4, mh_adapter=True, cross_adapter=True, ln_after=True, scaling="learned"))
    yield "t5_cross_adapter", one("t5_gated", DoubleSeqBnConfig(
        reduction_factor=3, cross_adapter=True, scaling="channel", non_linearity="leakyrelu"))
    # The LayerNorm of ln_before is stored under two names, which safetensors refuses.
    yield "t5_norms_around", one("t5", DoubleSeqBnConfig(
        reduction_factor=4, ln_before=True, ln_after=True, adapter_residual_before_ln=True), formats=("bin",))
    yield "bert_double_seq_bn", one("bert", DoubleSeqBnConfig(reduction_factor=4), with_head=True)
    yield "bert_seq_bn", one("bert", SeqBnConfig(reduction_factor=4), with_head=True, formats=both)
    yield "bert_par_bn", one("bert", ParBnConfig(reduction_factor=4, mh_adapter=True))
    yield "bert_par_bn_gated", one("bert", ParBnConfig(reduction_factor=4, use_gating=True, scaling=0.5))
    yield "bert_seq_bn_gated", one("bert_bare", SeqBnConfig(reduction_factor=4, use_gating=True, ln_before=True),
                                   head=dict(num_labels=3, layers=1), formats=("bin",))
    yield "bert_norm_behind_skip", one("bert_bare", SeqBnConfig(
        reduction_factor={"0": 2, "2": 16, "default": 4}, ln_after=True, adapter_residual_before_ln=True,
        residual_before_ln="post_add", scaling="learned"), head=dict(num_labels=2, layers=2))
    yield "roberta_skip_of_input", one("roberta", SeqBnConfig(
        reduction_factor=4, residual_before_ln=False, scaling=2.5, non_linearity="gelu_new"))
    yield "distilbert_double_seq_bn", one("distilbert", DoubleSeqBnConfig(
        reduction_factor=4, scaling="channel", non_linearity="tanh", leave_out=[1]), with_head=True)
    yield "distilbert_par_bn", one("distilbert", ParBnConfig(reduction_factor=4, non_linearity="sigmoid"))
    # Wider than the model: the reduction is below 1.
    yield "roberta_wide", one("roberta", SeqBnConfig(reduction_factor=0.5, non_linearity="gelu"))
    for activation in ("quick_gelu", "mish", "relu6", "relu2", "gelu_10", "laplace"):
        yield f"bert_{activation}", one("bert", SeqBnConfig(reduction_factor=8, non_linearity=activation))
    phm = dict(reduction_factor=4, phm_dim=2, phm_init_range=0.3)
    yield "t5_compacter_flexible_head", one("t5", CompacterConfig(**phm), with_head=True)
    yield "bert_compacter", one("bert", CompacterConfig(**phm), with_head=True)
    yield "roberta_compacterpp", one("roberta", CompacterPlusPlusConfig(**phm, phm_rank=2))
    yield "roberta_phm", one("roberta", CompacterConfig(**phm, factorized_phm_W=False))
    yield "distilbert_compacter", one("distilbert", CompacterConfig(**phm, phm_bias=False))


def library_linear_cases() -> Iterator[tuple[str, Case]]:
    from adapters import IA3Config, LoRAConfig
    yield "t5_lora", one("t5", LoRAConfig(
        r=3, alpha=7, attn_matrices=["q", "k", "v"], intermediate_lora=True, output_lora=True), with_head=True)
    yield "t5_lora_gated_ff", one("t5_gated", LoRAConfig(r=2, alpha=3, intermediate_lora=True, leave_out=[1]))
    yield "bert_lora", one("bert", LoRAConfig(r=4, alpha=8, intermediate_lora=True, output_lora=True), with_head=True,
                           formats=("bin", "safetensors"))
    yield "bert_lora_flexible_head", one("bert_bare", LoRAConfig(r=2, alpha=5, leave_out=[0], init_weights="bert"),
                                         head=dict(num_labels=3, layers=2, use_pooler=True))
    yield "distilbert_lora", one("distilbert", LoRAConfig(
        r=1, alpha=2, attn_matrices=["k"], intermediate_lora=True, output_lora=True), with_head=True)
    yield "t5_ia3", one("t5", IA3Config())
    yield "t5_ia3_gated_ff", one("t5_gated", IA3Config(output_lora=True, alpha=2))
    yield "bert_ia3", one("bert", IA3Config(attn_matrices=["q", "k", "v"], output_lora=True), with_head=True)
    yield "distilbert_ia3", one("distilbert", IA3Config(leave_out=[0]))


def library_prompt_cases() -> Iterator[tuple[str, Case]]:
    from adapters import ConfigUnion, ParBnConfig, PrefixTuningConfig, PromptTuningConfig
    small = dict(prefix_length=3, bottleneck_size=6)
    # The pool is stored once per layer, which safetensors refuses.
    bin_only: dict[str, Any] = dict(formats=("bin",))
    # The file of T5's head then holds the prefixes too, once more.
    yield "t5_prefix", one("t5", PrefixTuningConfig(**small), with_head=True, **bin_only)
    yield "t5_prefix_decoder_only", one("t5_gated", PrefixTuningConfig(
        prefix_length=4, flat=True, encoder_prefix=False, cross_prefix=False), **bin_only)
    yield "t5_prefix_ejected", one("t5", PrefixTuningConfig(**small), eject=True, **bin_only)
    yield "bert_prefix", one("bert", PrefixTuningConfig(**small, non_linearity="relu"), with_head=True, **bin_only)
    yield "bert_prefix_flat", one("bert_bare", PrefixTuningConfig(prefix_length=2, flat=True, leave_out=[1]),
                                  head=dict(num_labels=3, layers=1), **bin_only)
    yield "roberta_prefix", one("roberta", PrefixTuningConfig(prefix_length=5, flat=True), **bin_only)
    yield "distilbert_prefix", one("distilbert", PrefixTuningConfig(**small), with_head=True, **bin_only)
    both = ConfigUnion(PrefixTuningConfig(**small), ParBnConfig(reduction_factor=4))
    yield "t5_prefix_and_parallel", one("t5", both, **bin_only)
    yield "bert_prefix_and_parallel", one("bert", both, **bin_only)
    yield "bert_prompt", one("bert", PromptTuningConfig(prompt_length=4), with_head=True)
    yield "bert_prompt_after_bos", one("bert", PromptTuningConfig(prompt_length=3, combine="prefix_after_bos"))
    yield "roberta_prompt", one("roberta", PromptTuningConfig(prompt_length=2))
    yield "distilbert_prompt", one("distilbert", PromptTuningConfig(prompt_length=3))


def peft(backbone: str, config: Any, **options: Any) -> Case:
    return one(backbone, config, library="peft", **options)


def peft_lora_cases() -> Iterator[tuple[str, Case]]:
    from peft import LoraConfig
    t5_all = ["q", "k", "v", "o", "wi", "wo"]
    bert_heads = dict(task_type=CLASSIFY, r=3, lora_alpha=5)
    yield "t5_lora_qv", peft("t5", LoraConfig(task_type=SEQ2SEQ, r=4, lora_alpha=8, target_modules=["q", "v"]))
    yield "t5_lora_qv_bin", peft("t5", LoraConfig(task_type=SEQ2SEQ, r=2, lora_alpha=3), formats=("bin",))
    yield "t5_lora_bfloat16", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=2, lora_alpha=3, target_modules=["k", "wi"]), dtype="bfloat16")
    yield "bert_lora_float16", peft("bert", LoraConfig(
        **bert_heads, target_modules=["query", "intermediate.dense"]), dtype="float16")
    yield "t5_lora_everywhere", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=2, lora_alpha=5, target_modules=t5_all))
    yield "t5_lora_gated_ff", peft("t5_gated", LoraConfig(
        task_type=SEQ2SEQ, r=2, lora_alpha=2, target_modules=["q", "k", "v", "o", "wi_0", "wi_1", "wo"]))
    yield "t5_lora_patterns", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=2, lora_alpha=4, target_modules=["q", "v", "wo"],
        rank_pattern={"wo": 3, r"encoder\.block\.1.*\.q": 1}, alpha_pattern={"SelfAttention.v": 7, "wo": 2}))
    yield "t5_lora_rank_stabilised", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=4, lora_alpha=3, use_rslora=True, rank_pattern={"EncDecAttention.q": 2}))
    yield "t5_lora_regex", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=2, target_modules=r".*decoder.*(SelfAttention|EncDecAttention)\.(k|o)$"))
    yield "t5_lora_all_linear", peft("t5_gated", LoraConfig(task_type=SEQ2SEQ, r=1, target_modules="all-linear"))
    yield "t5_lora_some_layers", peft("t5", LoraConfig(
        task_type=SEQ2SEQ, r=2, target_modules=["q", "v"], layers_to_transform=[1]))
    yield "bert_lora", peft("bert", LoraConfig(**bert_heads, target_modules=["query", "value"]))
    yield "bert_lora_bias_all", peft("bert", LoraConfig(**bert_heads, bias="all"))
    yield "bert_lora_bias_own", peft("bert", LoraConfig(
        **bert_heads, bias="lora_only", lora_bias=True, target_modules=["key", "output.dense"]))
    yield "bert_lora_all_linear", peft("bert", LoraConfig(task_type=CLASSIFY, r=1, target_modules="all-linear"))
    yield "bert_lora_features", peft("bert_bare", LoraConfig(
        task_type="FEATURE_EXTRACTION", r=2, target_modules=["query", "intermediate.dense"]))
    yield "roberta_lora", peft("roberta", LoraConfig(**bert_heads, target_modules=["query", "value", "dense"]))
    yield "distilbert_lora", peft("distilbert", LoraConfig(
        **bert_heads, target_modules=["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
        modules_to_save=["pre_classifier", "classifier"]))


def peft_other_cases() -> Iterator[tuple[str, Case]]:
    from peft import (IA3Config, LNTuningConfig, LoKrConfig, PrefixTuningConfig, PromptEncoderConfig,
                      PromptTuningConfig)
    yield "t5_lokr", peft("t5", LoKrConfig(task_type=SEQ2SEQ, r=2, alpha=4, target_modules=["q", "v", "wi", "wo"]))
    yield "t5_lokr_decomposed", peft("t5", LoKrConfig(
        task_type=SEQ2SEQ, r=1, alpha=3, decompose_both=True, decompose_factor=4, target_modules=["q", "v"]))
    yield "t5_lokr_full", peft("t5_gated", LoKrConfig(
        task_type=SEQ2SEQ, r=40, alpha=60, decompose_factor=2, target_modules=["k", "o", "wi_0"]))
    yield "bert_lokr_patterns", peft("bert", LoKrConfig(
        task_type=CLASSIFY, r=2, alpha=4, decompose_factor=3, target_modules=["query", "dense"],
        rank_pattern={"output.dense": 30}, alpha_pattern={"query": 1}))
    yield "t5_ia3", peft("t5", IA3Config(task_type=SEQ2SEQ))
    yield "t5_ia3_gated_ff", peft("t5_gated", IA3Config(
        task_type=SEQ2SEQ, target_modules=["k", "v", "wi_1", "wo"], feedforward_modules=["wo"]))
    yield "bert_ia3", peft("bert", IA3Config(task_type=CLASSIFY))
    yield "bert_ia3_outputs", peft("bert", IA3Config(
        task_type=CLASSIFY, target_modules=["query", "value", "intermediate.dense"], feedforward_modules=[]))
    prefix = dict(num_virtual_tokens=3)
    yield "t5_prefix", peft("t5", PrefixTuningConfig(task_type=SEQ2SEQ, **prefix))
    yield "t5_prefix_projected", peft("t5", PrefixTuningConfig(
        task_type=SEQ2SEQ, **prefix, prefix_projection=True, encoder_hidden_size=12))
    yield "bert_prefix", peft("bert", PrefixTuningConfig(task_type=CLASSIFY, **prefix))
    yield "bert_prefix_projected", peft("bert", PrefixTuningConfig(
        task_type=CLASSIFY, **prefix, prefix_projection=True, encoder_hidden_size=8))
    yield "t5_prompt", peft("t5", PromptTuningConfig(task_type=SEQ2SEQ, num_virtual_tokens=4))
    yield "t5_p_tuning", peft("t5_gated", PromptEncoderConfig(
        task_type=SEQ2SEQ, num_virtual_tokens=3, encoder_hidden_size=8))
    yield "bert_prompt", peft("bert", PromptTuningConfig(task_type=CLASSIFY, num_virtual_tokens=3))
    yield "roberta_prompt", peft("roberta", PromptTuningConfig(task_type=CLASSIFY, num_virtual_tokens=2))
    yield "t5_norms", peft("t5", LNTuningConfig(task_type=SEQ2SEQ))
    yield "bert_norms", peft("bert", LNTuningConfig(task_type=CLASSIFY, target_modules=["LayerNorm"]))


def stack_cases() -> Iterator[tuple[str, Case]]:
    from adapters import (CompacterConfig, DoubleSeqBnConfig, IA3Config, LoRAConfig, ParBnConfig, PrefixTuningConfig,
                          PromptTuningConfig, SeqBnConfig)

    def stack(backbone: str, first: Any, second: Any, **options: Any) -> Case:
        return Case(backbone, {"first": first, "second": second}, **options)

    double, seq, lora = DoubleSeqBnConfig(reduction_factor=4), SeqBnConfig(reduction_factor=8), LoRAConfig(r=2, alpha=5)
    phm = CompacterConfig(reduction_factor=4, phm_dim=2, phm_init_range=0.3)
    yield "bert_double_seq", stack("bert", double, seq)
    yield "bert_seq_double", stack("bert", seq, double)
    yield "bert_seq_seq", stack("bert", seq, SeqBnConfig(reduction_factor=4, residual_before_ln=False, scaling=0.5))
    yield "t5_double_seq", stack("t5", double, seq)
    yield "t5_seq_double", stack("t5", seq, double)
    yield "t5_compacter_seq", stack("t5", phm, seq)
    yield "bert_compacter_seq", stack("bert", phm, seq)
    yield "bert_parallel_seq", stack("bert", ParBnConfig(reduction_factor=4), seq)
    # The parallel one adds the sub-layer's output, not what the adapter before it made of that.
    yield "bert_double_parallel", stack("bert", double, ParBnConfig(reduction_factor=4))
    yield "bert_lora_lora", stack("bert", lora, LoRAConfig(r=3, alpha=4, attn_matrices=["k", "v"]))
    yield "t5_lora_lora", stack("t5", lora, lora)
    yield "t5_lora_lora_apart", stack("t5", lora, LoRAConfig(r=3, alpha=4, selfattn_lora=False, output_lora=True))
    yield "bert_lora_seq", stack("bert", lora, seq)
    yield "t5_lora_double", stack("t5", lora, double)
    yield "bert_ia3_ia3", stack("bert", IA3Config(), IA3Config(attn_matrices=["q", "v"]))
    prefix = PrefixTuningConfig(prefix_length=2, flat=True)
    yield "bert_prefix_lora", stack("bert", prefix, lora, formats=("bin",))
    yield "bert_prompt_double", stack("bert", PromptTuningConfig(prompt_length=2), double)


def average_cases() -> Iterator[tuple[str, Case]]:
    from adapters import CompacterConfig, IA3Config, LoRAConfig, PrefixTuningConfig, SeqBnConfig

    def average(backbone: str, config: Any, *weights: float, **options: Any) -> Case:
        names = ("first", "second", "third")[:len(weights)]
        return Case(backbone, {name: config for name in names}, average=weights, **options)

    yield "bert_compacter", average("bert", CompacterConfig(
        reduction_factor=4, phm_dim=2, phm_init_range=0.3), 0.3, 0.7)
    yield "t5_compacter", average("t5", CompacterConfig(
        reduction_factor=4, phm_dim=4, phm_init_range=0.3), 0.25, 0.75)
    yield "bert_lora", average("bert", LoRAConfig(r=2, alpha=5), 0.6, 0.4)
    yield "t5_lora", average("t5", LoRAConfig(r=2, alpha=3, output_lora=True), 2.0, 6.0)
    yield "t5_seq_bn", average("t5", SeqBnConfig(reduction_factor=4, ln_after=True, scaling="learned"), 0.2, 0.3, 0.5)
    yield "bert_ia3", average("bert", IA3Config(), 0.5, 0.5)
    yield "bert_prefix", average("bert", PrefixTuningConfig(prefix_length=2, flat=True), 0.4, 0.6, formats=("bin",))


def all_cases() -> dict[str, Case]:
    """Every case by its name: LIBRARY_BACKBONE_KIND, stack_... or average_..."""
    cases: dict[str, Case] = {}
    for prefix, makers in {
            "adapters": (bottleneck_cases, library_linear_cases, library_prompt_cases),
            "peft": (peft_lora_cases, peft_other_cases), "stack": (stack_cases,), "average": (average_cases,)}.items():
        for maker in makers:
            cases |= {f"{prefix}_{name}": case for name, case in maker()}
    return cases
