#!/usr/bin/env python3
"""Makes the T5 demonstration that `tools/quickstart` converts and runs, or checks the one in the repository.

A small T5 learns to write the one quantity of a sentence in a plain form; three Compacter tasks, trained with that
backbone frozen, then each teach it a canonical form it never saw. See `tools/demo/README.md`.

    tools/make_demo.py            trains everything and writes every file but the README
    tools/make_demo.py --check    answers the sentences again and compares
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import adapters
import torch
import transformers
from adapters import CompacterConfig, CompacterPlusPlusConfig, T5AdapterModel
from torch import nn
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration, T5Tokenizer

from demo_data import KINDS, TASK_KINDS, Example, example, held_out_examples
from demo_training import Recipe, accuracy, answer, decode, pair, train

DEMO = Path(__file__).resolve().parent / "demo"
VOCABULARY = DEMO / "t5-backbone" / "spiece.model"
VERSIONS = {"torch": "2.13.0+cpu", "transformers": "4.57.6", "adapters": "1.3.0"}
SENTENCES_PER_FILE = 100
MAX_NEW_TOKENS = 16
BACKBONE = "plain"
HEAD = "text"

KIND_WEIGHTS = {"date": 5, "clock": 4, "money": 4, "count": 4, "measure": 3}
BACKBONE_RECIPE = Recipe(steps=1800, batch=32, learning_rate=1e-3)
SAVED_AS_BIN = ("dollar-sign",)
TASK_RECIPE = Recipe(steps=1000, batch=32, learning_rate=1e-2)
LOOSE_GAP = 1e-3
TASK_CONFIGS = {
    "iso-date": CompacterConfig(),
    "clock-24": CompacterConfig(reduction_factor=8),
    "dollar-sign": CompacterPlusPlusConfig(reduction_factor=16),
}


def load_tokenizer(directory: Path) -> T5Tokenizer:
    return T5Tokenizer.from_pretrained(directory)


def train_backbone(vocabulary: Path, directory: Path, recipe: Recipe, seed: int) -> None:
    """Pretrains the backbone on the plain forms and saves it in float16."""
    torch.manual_seed(seed)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = T5Tokenizer(str(vocabulary), extra_ids=0, legacy=True)
    config = T5Config(
        vocab_size=tokenizer.vocab_size,
        d_model=256,
        d_kv=32,
        d_ff=512,
        num_heads=8,
        num_layers=3,
        num_decoder_layers=2,
        dropout_rate=0.0,
        feed_forward_proj="relu",
        tie_word_embeddings=True,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    nn.init.normal_(model.shared.weight, std=0.5)
    kinds, weights = zip(*KIND_WEIGHTS.items(), strict=True)

    def draw(rng: random.Random) -> tuple[list[int], list[int]]:
        return pair(tokenizer, example(rng, rng.choices(kinds, weights)[0], held_out=False), canonical=False)

    train(BACKBONE, model, model.named_parameters(), draw, recipe, seed)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, max_new_tokens=MAX_NEW_TOKENS
    )
    tokenizer.save_pretrained(directory)
    model.half().save_pretrained(directory)


def load_backbone(directory: Path) -> T5AdapterModel:
    """The stored float16 weights, computed with in float32."""
    model = T5AdapterModel.from_pretrained(directory, dtype=torch.float32)
    model.config.name_or_path = directory.name
    model.add_seq2seq_lm_head(HEAD)
    model.eval()
    return model


def train_task(name: str, backbone: Path, directory: Path, recipe: Recipe, seed: int) -> None:
    """Trains one Compacter task on the frozen backbone and saves it as an AdapterHub directory."""
    torch.manual_seed(seed)
    tokenizer, model = load_tokenizer(backbone), load_backbone(backbone)
    model.add_adapter(name, config=TASK_CONFIGS[name])
    model.train_adapter(name)
    own = {key: value for key, value in model.named_parameters() if f".{name}." in key}
    frozen = {key: value.clone() for key, value in model.named_parameters() if key not in own}
    for key, value in model.named_parameters():
        value.requires_grad_(key in own)

    def draw(rng: random.Random) -> tuple[list[int], list[int]]:
        return pair(tokenizer, example(rng, TASK_KINDS[name], held_out=False), canonical=True)

    train(name, model, own.items(), draw, recipe, seed)
    if any(not torch.equal(frozen[key], value) for key, value in model.named_parameters() if key in frozen):
        raise RuntimeError("training a task changed the backbone")
    directory.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(directory), name, with_head=False, use_safetensors=name not in SAVED_AS_BIN)


def answers_of(
    model: nn.Module, tokenizer: T5Tokenizer, task: str | None, sentences: str, texts: list[str]
) -> list[dict[str, Any]]:
    """One line of `golden.jsonl` per text."""
    rows = []
    for index, (source, ids, gap) in enumerate(answer(model, tokenizer, texts, MAX_NEW_TOKENS)):
        row = {"task": task, "sentences": sentences, "index": index, "text": decode(tokenizer, ids)}
        rows.append(row | {"gap": round(gap, 4), "source_ids": source, "ids": ids})
    return rows


def evaluate(demo: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """PyTorch's greedy answers to every sentence file, by the backbone alone and by the file's own task."""
    golden: list[dict[str, Any]] = []
    results: dict[str, Any] = {}
    tokenizer = load_tokenizer(demo / "t5-backbone")
    for name in (BACKBONE, *TASK_KINDS):
        lines = [json.loads(line) for line in (demo / "sentences" / f"{name}.jsonl").read_text("utf-8").splitlines()]
        texts, labels = [line["text"] for line in lines], [line["label"] for line in lines]
        model = load_backbone(demo / "t5-backbone")
        rows = answers_of(model, tokenizer, None, name, texts)
        results[name] = {"sentences": len(lines), "backbone_accuracy": accuracy([row["text"] for row in rows], labels)}
        golden += rows
        if name in TASK_KINDS:
            model.set_active_adapters(model.load_adapter(str(demo / "tasks" / name), use_safetensors=True))
            rows = answers_of(model, tokenizer, name, name, texts)
            results[name]["task_accuracy"] = accuracy([row["text"] for row in rows], labels)
            golden += rows
        print(name, results[name], file=sys.stderr, flush=True)
    return golden, results


def write_sentences(demo: Path, seed: int) -> None:
    """Held-out sentences: the backbone's file holds every kind with plain labels, a task's its own kind."""
    directory = demo / "sentences"
    directory.mkdir(parents=True, exist_ok=True)
    files = {BACKBONE: KINDS} | {task: (kind,) for task, kind in TASK_KINDS.items()}
    for offset, (name, kinds) in enumerate(files.items()):
        items = held_out_examples(seed + offset, kinds, SENTENCES_PER_FILE)
        write_lines(directory / f"{name}.jsonl", [{"text": item.text, "label": label_of(item, name)} for item in items])


def label_of(item: Example, name: str) -> str:
    return item.canonical if name in TASK_KINDS else item.plain


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def make(demo: Path, vocabulary: Path | None, seed: int, scale: float) -> None:
    """Trains and writes every file of the demonstration except its README; without a vocabulary the backbone stays."""
    backbone = demo / "t5-backbone"
    if vocabulary is not None:
        train_backbone(vocabulary, backbone, scaled(BACKBONE_RECIPE, scale), seed)
    for offset, name in enumerate(TASK_KINDS, 1):
        shutil.rmtree(demo / "tasks" / name, ignore_errors=True)
        train_task(name, backbone, demo / "tasks" / name, scaled(TASK_RECIPE, scale), seed + offset)
    write_sentences(demo, seed)
    golden, results = evaluate(demo)
    write_lines(demo / "golden.jsonl", golden)
    (demo / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def scaled(recipe: Recipe, scale: float) -> Recipe:
    return replace(recipe, steps=max(1, round(recipe.steps * scale)))


def check(demo: Path) -> list[str]:
    """What the stored checkpoints answer now, against `golden.jsonl` and `results.json`; empty when it agrees.

    Other processors round differently, so an answer may differ where its smallest logit gap is below `LOOSE_GAP`.
    """
    golden, results = evaluate(demo)
    faults = []
    stated = [json.loads(line) for line in (demo / "golden.jsonl").read_text("utf-8").splitlines()]
    if len(stated) != len(golden):
        faults.append(f"golden.jsonl has {len(stated)} answers, {len(golden)} were computed")
    for then, now in zip(stated, golden, strict=False):
        where = f"{now['sentences']}[{now['index']}] task {now['task']}"
        if now["source_ids"] != then["source_ids"]:
            faults.append(f"{where}: source ids differ")
        if now["ids"] != then["ids"] and then["gap"] >= LOOSE_GAP:
            faults.append(f"{where}: {now['text']!r}, stated {then['text']!r}")
    if results != json.loads((demo / "results.json").read_text("utf-8")):
        faults.append("the accuracies differ from results.json")
    return faults


def versions_found() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": transformers.__version__, "adapters": adapters.__version__}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--check", action="store_true", help="train nothing: answer again with the stored checkpoints and compare")
    option("--vocabulary", type=Path, default=VOCABULARY, help="SentencePiece model to build on (default: %(default)s)")
    option("--output", type=Path, default=DEMO, help="the demonstration's folder (default: %(default)s)")
    option("--keep-backbone", action="store_true", help="train only the tasks, on the stored backbone")
    option("--seed", type=int, default=1, help="seed of weights and examples (default: %(default)s)")
    option("--threads", type=int, default=1, help="threads PyTorch may use (default: %(default)s)")
    option("--scale", type=float, default=1.0, help="multiplies the numbers of steps, to try the script quickly")
    arguments = parser.parse_args()
    if versions_found() != VERSIONS:
        print(f"warning: made with {VERSIONS}, found {versions_found()}", file=sys.stderr)
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
    torch.set_num_threads(arguments.threads)
    if not arguments.check:
        vocabulary = None if arguments.keep_backbone else arguments.vocabulary
        make(arguments.output, vocabulary, arguments.seed, arguments.scale)
        return 0
    faults = check(arguments.output)
    print("\n".join(faults) or "every answer and accuracy is as stated")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
