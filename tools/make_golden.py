#!/usr/bin/env python3
"""Record answers of PyTorch for the adapter settings that seldom occur together, in the layout of a golden folder.

Two tiny T5 backbones are fitted to random pairs, then one adapter per setting, on other pairs: enough steps that
answers are confident, few enough that a run takes minutes. Only the `adapters` library decides what a setting means.

Versions: torch 2.13.0+cpu, transformers 4.57.6, adapters 1.3.0, safetensors 0.8.0, numpy 2.4.6.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PINNED = {"torch": "2.13.0+cpu", "transformers": "4.57.6", "adapters": "1.3.0", "safetensors": "0.8.0",
          "numpy": "2.4.6"}
MAX_LENGTH = 16
END = 1
Pair = tuple[list[int], list[int]]

BACKBONES: dict[str, dict[str, Any]] = {
    "t5_tied": dict(vocab_size=96, d_model=32, d_kv=12, num_heads=3, d_ff=48, num_layers=3, num_decoder_layers=2,
                    relative_attention_num_buckets=8, relative_attention_max_distance=24, feed_forward_proj="relu",
                    tie_word_embeddings=True),
    "t5_deep_decoder": dict(vocab_size=80, d_model=24, d_kv=8, num_heads=2, d_ff=40, num_layers=1,
                            num_decoder_layers=2, feed_forward_proj="gated-silu", tie_word_embeddings=False),
}


@dataclass(frozen=True)
class Setting:
    """One adapter: a preset of the library and what is changed in it."""

    backbone: str
    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ("bin", "safetensors")


SETTINGS: dict[str, Setting] = {
    "t5_cross_scaling_half": Setting("t5_tied", "compacter", dict(cross_adapter=True, scaling=0.5)),
    # Its LayerNorm is stored under two names, which safetensors refuses.
    "t5_norm_before": Setting("t5_tied", "compacter", dict(ln_before=True, non_linearity="swish"), ("bin",)),
    "t5_norm_after_learned_scale": Setting("t5_tied", "compacter", dict(ln_after=True, scaling="learned")),
    "t5_channel_scale": Setting("t5_tied", "compacter++", dict(scaling="channel", non_linearity="tanh")),
    "t5_without_stream": Setting("t5_tied", "compacter", dict(original_ln_after=False)),
    "t5_skip_of_input": Setting("t5_tied", "compacter++", dict(residual_before_ln=False, non_linearity="relu")),
    "t5_leave_out_and_map": Setting("t5_tied", "compacter", dict(
        leave_out=[1, 3], reduction_factor={"0": 2, "default": 4}, phm_dim=2)),
    "t5_unshared_factorized_rule": Setting("t5_tied", "compacter", dict(
        shared_phm_rule=False, factorized_phm_rule=True, phm_rank=3, phm_bias=False)),
    "t5_gated_compacter": Setting("t5_deep_decoder", "compacter", dict(phm_dim=6, reduction_factor=2)),
    "t5_gated_plusplus_n1": Setting("t5_deep_decoder", "compacter++", dict(
        phm_dim=1, phm_rank=2, reduction_factor=4.0, non_linearity="leakyrelu")),
}


def random_pairs(generator: random.Random, vocabulary: int, count: int) -> list[Pair]:
    def ids(length: int) -> list[int]:
        return [generator.randrange(3, vocabulary) for _ in range(length)] + [END]

    return [(ids(generator.randint(5, 14) if index else 40), ids(generator.randint(2, 7))) for index in range(count)]


def padded(rows: list[list[int]], value: int) -> Any:
    import torch
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def batch(pairs: list[Pair]) -> dict[str, Any]:
    ids = padded([source for source, _ in pairs], 0)
    labels = padded([label for _, label in pairs], -100)
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def fit(model: Any, pairs: list[Pair], steps: int, rate: float) -> float:
    """Overfits on purpose: confident answers, so that a small error does not change them."""
    import torch
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    model.eval()
    for _ in range(steps):
        loss = model(**batch(pairs)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    return loss.item()


def save_array(path: Path, values: Any) -> None:
    import numpy as np
    array = np.asarray(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.ascontiguousarray(array, dtype="<i4" if array.dtype.kind == "i" else "<f4"), allow_pickle=False)


def save_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def record(model: Any, pairs: list[Pair], long_source: list[int], folder: Path, description: dict[str, Any]) -> None:
    """Runs the model over the pairs and writes inputs and answers."""
    import torch
    inputs = batch(pairs)
    targets = torch.where(inputs["labels"] == -100, 0, inputs["labels"])
    targets = torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], dim=1)

    def forward(**arguments: Any) -> Any:
        return model(**arguments, use_cache=False, return_dict=True)

    def generated(source: list[int], **arguments: Any) -> Any:
        return model.generate(input_ids=torch.tensor([source]), max_length=MAX_LENGTH, do_sample=False,
                              use_cache=False, return_dict_in_generate=True, output_scores=True, **arguments)

    with torch.no_grad():
        output = forward(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                         decoder_input_ids=targets)
        for name, values in (("input_ids", inputs["input_ids"]), ("attention_mask", inputs["attention_mask"]),
                             ("decoder_input_ids", targets), ("encoder_out", output.encoder_last_hidden_state),
                             ("logits", output.logits)):
            save_array(folder / "io" / f"{name}.npy", values)
        first = forward(input_ids=torch.tensor([long_source]), decoder_input_ids=torch.tensor([[0]]))
        save_array(folder / "io" / "long_input_ids.npy", [long_source])
        save_array(folder / "io" / "long_encoder_out.npy", first.encoder_last_hidden_state)
        save_array(folder / "io" / "long_first_logits.npy", first.logits[:, 0])
        greedy = [generated(source).sequences[0].tolist() for source, _ in pairs]
        beams = [generated(source, num_beams=4, num_return_sequences=4, length_penalty=1.0, early_stopping=False)
                 for source, _ in pairs]
    save_json(folder / "expect.json", {
        **description, "max_length": MAX_LENGTH, "source_ids": [source for source, _ in pairs],
        "labels": [label for _, label in pairs], "single_greedy": greedy,
        "long_greedy": generated(long_source).sequences[0].tolist(),
        "single_beam4_top4": [answer.sequences.tolist() for answer in beams],
        "single_beam4_top4_scores": [answer.sequences_scores.tolist() for answer in beams]})
    answered = sum(answer[1:len(label) + 1] == label for answer, (_, label) in zip(greedy, pairs))
    print(f"{folder.parent.name}/{folder.name}: {answered} of {len(pairs)} labels answered", flush=True)


def make_backbone(name: str, root: Path, steps: int) -> tuple[Any, list[Pair]]:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration
    torch.manual_seed(len(name))
    config = T5Config(**BACKBONES[name], decoder_start_token_id=0, pad_token_id=0, eos_token_id=END, dropout_rate=0.0)
    model = T5ForConditionalGeneration(config)
    pairs = random_pairs(random.Random(name), config.vocab_size, 12)
    loss = fit(model, pairs, steps, 5e-3)
    print(f"{name}: loss {loss:.4f}", flush=True)
    model.save_pretrained(root / "backbones" / name)
    unseen = random_pairs(random.Random(name + "unseen"), config.vocab_size, 2)
    record(model, pairs[1:3] + unseen[1:], pairs[0][0], root / "base" / name,
           {"backbone": name, "note": "no adapter"})
    return model, pairs


def make_adapter(name: str, setting: Setting, backbone: Any, root: Path, steps: int) -> None:
    import torch
    from adapters import AdapterConfig, T5AdapterModel
    torch.manual_seed(len(name))
    # The library writes heads and adapters into the config it is given.
    model = T5AdapterModel(copy.deepcopy(backbone.config))
    model.transformer.load_state_dict(
        {key: value for key, value in backbone.state_dict().items() if not key.startswith("lm_head")})
    model.add_seq2seq_lm_head("head")
    model.heads["head"][0].weight = (model.transformer.shared.weight if backbone.config.tie_word_embeddings
                                     else backbone.lm_head.weight)
    changes = {"reduction_factor": 4, "phm_dim": 4, "phm_init_range": 0.1, **setting.changes}
    model.add_adapter("task", config=AdapterConfig.load(setting.preset, **changes))
    model.train_adapter("task")
    model.set_active_adapters("task")
    for parameter in model.heads.parameters():
        parameter.requires_grad_(False)
    generator = random.Random(name)
    pairs = random_pairs(generator, backbone.config.vocab_size, 4)
    loss = fit(model, pairs[:3], steps, 2e-2)
    print(f"{name}: loss {loss:.4f}", flush=True)
    folder = root / "hub" / name
    (folder / "adapter").mkdir(parents=True)
    for weights in setting.formats:
        model.save_adapter(str(folder / "adapter"), "task", use_safetensors=weights == "safetensors", with_head=False)
    record(model, pairs[1:], pairs[0][0], folder,
           {"backbone": setting.backbone, "adapter_name": "task",
            "note": f"{setting.preset} with " + json.dumps(setting.changes, sort_keys=True)})


def installed_versions() -> dict[str, Any]:
    from importlib.metadata import version
    return {"python": platform.python_version(), "threads": 1, **{name: version(name) for name in PINNED}}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python3 tools/make_golden.py /tmp/golden && tools/golden /tmp/golden")
    parser.add_argument("output", type=Path, help="folder to write; replaced if it exists")
    parser.add_argument("--steps", type=int, default=400, help="training steps of each model (default: 400)")
    parser.add_argument("--only", nargs="+", choices=sorted(SETTINGS), default=list(SETTINGS), metavar="SETTING",
                        help=f"record only these adapters: {', '.join(SETTINGS)}")
    arguments = parser.parse_args()
    try:
        import torch
        versions = installed_versions()
    except ImportError as error:
        print(f"{error}; needs " + ", ".join(f"{name} {version}" for name, version in PINNED.items()), file=sys.stderr)
        return 64
    for name, wanted in PINNED.items():
        if versions[name] != wanted:
            print(f"warning: {name} {versions[name]}, the committed answers were recorded with {wanted}",
                  file=sys.stderr)
    torch.set_num_threads(1)
    shutil.rmtree(arguments.output, ignore_errors=True)
    save_json(arguments.output / "versions.json", versions)
    backbones = {name: make_backbone(name, arguments.output, arguments.steps)[0] for name in BACKBONES}
    for name in arguments.only:
        make_adapter(name, SETTINGS[name], backbones[SETTINGS[name].backbone], arguments.output, arguments.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
