#!/usr/bin/env python3
"""Record what `adapters`, PEFT and the Compacter authors' arithmetic answer, for every kind of adapter and for stacks.

The backbones are tiny, some those of the other golden folders; the tasks have random weights far from the identity,
and nothing is trained. Each source is run alone and without padding: with padding `adapters` lets it into prompts, prefixes
and gates. What was recorded is held against plain numpy over the saved files (adapter_reference.py), in which every task
must matter.

Versions: torch 2.13.0+cpu, transformers 4.57.6, adapters 1.3.0, peft 0.21.2 (accelerate 1.12.0), safetensors 0.8.0,
numpy 2.4.6.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from adapter_files import mount, task_tensors
from adapter_golden_authors import AUTHORS_KINDS, make_authors_case
from adapter_golden_cases import all_cases
from adapter_golden_models import (BACKBONES, Case, backbone_folder, backbone_path, load_backbone, make_backbones,
                                   make_library_case, make_peft_case)
from adapter_golden_refusals import Refusal, all_refusals, apply_damage
from adapter_reference import load_reference
from make_golden import PINNED, installed_versions, save_array, save_json

PINNED_HERE = {**PINNED, "peft": "0.21.2", "accelerate": "1.12.0"}
SOURCE_LENGTHS = (4, 9, 17)
TARGET_LENGTH = 5
REFERENCE_TOLERANCE = 1e-4
# The least change of an answer that shows that a task was run at all.
LEAST_EFFECT = 1e-2
MAKERS = {"adapters": make_library_case, "peft": make_peft_case, "authors": make_authors_case}


def make_inputs(name: str, root: Path) -> dict[str, list[list[int]]]:
    """The sources of a backbone, and what belongs to each: the decoder's input, or the token types."""
    generator = random.Random(name)
    config = load_backbone(name, root).config
    sources = [[generator.randrange(3, config.vocab_size) for _ in range(length)] for length in SOURCE_LENGTHS]
    if config.model_type == "t5":
        inputs = {"input_ids": [source[:-1] + [1] for source in sources], "decoder_input_ids": [
            [0] + [generator.randrange(3, config.vocab_size) for _ in range(TARGET_LENGTH - 1)] for _ in sources]}
    else:
        kinds = min(getattr(config, "type_vocab_size", 1), 2)
        inputs = {"input_ids": sources, "token_type_ids": [
            [int(kinds > 1 and position > 2) for position in range(len(source))] for source in sources]}
    mask = [[1] * len(source) for source in sources]
    for array, rows in {**inputs, "attention_mask": mask}.items():
        save_array(root / "inputs" / name / f"{array}.npy", padded(rows))
    return inputs


def padded(rows: list[Any]) -> Any:
    """Rows of any shape under each other, filled with zeros behind the shorter ones."""
    arrays = [np.asarray(row) for row in rows]
    stacked = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(stacked, arrays):
        row[:len(array)] = array
    return stacked


def answers(model: Any, inputs: dict[str, list[list[int]]]) -> tuple[list[Any], list[Any]]:
    """Per source the encoder's output and the logits (none without a head)."""
    import torch
    takes_types = "token_type_ids" in inputs and "distilbert" not in type(model.get_base_model() if hasattr(
        model, "get_base_model") else model).__name__.lower()
    outputs, logits = [], []
    for index in range(len(inputs["input_ids"])):
        arguments = {name: torch.tensor(rows[index:index + 1]) for name, rows in inputs.items()
                     if name != "token_type_ids" or takes_types}
        arguments["attention_mask"] = torch.ones_like(arguments["input_ids"])
        with torch.no_grad():
            answer = model(**arguments, output_hidden_states=True, return_dict=True)
        hidden = answer.encoder_last_hidden_state if "decoder_input_ids" in inputs else answer.hidden_states[-1]
        outputs.append(hidden[0].numpy())
        if "logits" in answer:
            logits.append(answer.logits[0].numpy())
    return outputs, logits


def reference_answers(case: Case, root: Path, folder: Path, inputs: dict[str, list[list[int]]],
                      without: str | None = None) -> tuple[list[Any], list[Any]]:
    reference = load_reference(backbone_folder(case.backbone, root))
    if case.average:
        mount(reference, folder / list(case.tasks)[-1], averaged(case, folder, without))
    else:
        for name in case.tasks:
            if name != without:
                mount(reference, folder / name)
    second = inputs.get("decoder_input_ids") or inputs["token_type_ids"]
    pairs = [reference.answer(np.array(ids), np.array(row)) for ids, row in zip(inputs["input_ids"], second)]
    return [output for output, _ in pairs], [logits for _, logits in pairs if logits is not None]


def averaged(case: Case, folder: Path, without: str | None) -> dict[str, Any]:
    """The mean of every tensor, under the last task's names."""
    weights = np.array([0.0 if name == without else weight for name, weight in zip(case.tasks, case.average)])
    tasks = [task_tensors(folder / name) for name in case.tasks]
    last = list(case.tasks)[-1]

    def of(key: str, name: str) -> str:
        return key.replace(f".{last}.", f".{name}.")

    return {key: sum(weight * task[of(key, name)] for weight, task, name in zip(weights, tasks, case.tasks))
            / sum(weights) for key in tasks[-1]}


def worst(first: list[Any], second: list[Any]) -> float:
    if [row.shape for row in first] != [row.shape for row in second]:
        return float("inf")
    return max((float(np.abs(a - b).max()) for a, b in zip(first, second)), default=0.0)


def record(name: str, case: Case, root: Path, inputs: dict[str, list[list[int]]], scale: float) -> list[str]:
    """Writes a case and returns what is wrong with it."""
    import torch
    torch.manual_seed(len(name))
    folder = root / "cases" / name
    model = MAKERS[case.library](case, root, folder, scale)
    outputs, logits = answers(model, inputs)
    composition: dict[str, Any] = {"tasks": list(case.tasks)}
    if case.average:
        composition["average"] = list(case.average)
    arrays = {"output": outputs, **({"logits": logits} if logits else {})}
    for array, rows in arrays.items():
        save_array(folder / f"{array}.npy", padded(rows) if array == "output" else np.stack(rows))
    save_json(folder / "case.json", {
        "backbone": backbone_path(case.backbone), "inputs": f"inputs/{case.backbone}", "library": case.library,
        "output_rows": [len(rows) for rows in outputs], **composition})

    expected = reference_answers(case, root, folder, inputs)
    errors = worst(outputs, expected[0]), worst(logits, expected[1])
    problems = [f"{name}: numpy differs by {error:.1e}" for error in errors if not error <= REFERENCE_TOLERANCE]
    effects = []
    for task in case.tasks:
        other = reference_answers(case, root, folder, inputs, without=task)
        effects.append(worst(expected[-1], other[-1]) if logits else worst(expected[0], other[0]))
        problems += [f"{name}: {task} changes little"] if effects[-1] < LEAST_EFFECT else []
    print(f"{name}: numpy {errors[0]:.1e} {errors[1]:.1e}, effect {' '.join(f'{x:.2g}' for x in effects)}", flush=True)
    return problems


def record_refusal(name: str, refusal: Refusal, root: Path, scale: float) -> list[str]:
    import torch
    torch.manual_seed(len(name))
    case, folder = refusal.case, root / "cases" / name
    MAKERS[case.library](case, root, folder, scale)
    if refusal.damage:
        apply_damage(folder / "task", refusal.damage)
    save_json(folder / "case.json", {
        "backbone": backbone_path(case.backbone), "inputs": f"inputs/{case.backbone}", "library": case.library,
        "output_rows": [], "tasks": list(case.tasks), "refused_naming": list(refusal.names)})
    return []


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/make_adapter_golden.py /tmp/golden-adapters --only t5_lora")
    parser.add_argument("output", type=Path, help="folder to write; cases made again are replaced, others stay")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--scale", type=float, default=0.3, help="of the random weights (default: 0.3)")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    try:
        import torch
        import transformers
        from importlib.metadata import version
        versions = {**installed_versions(), **{name: version(name) for name in ("peft", "accelerate")}}
        cases: dict[str, Case | Refusal] = all_cases() | AUTHORS_KINDS | all_refusals()
    except ImportError as error:
        print(f"{error}; needs " + ", ".join(f"{name} {version}" for name, version in PINNED_HERE.items()),
              file=sys.stderr)
        return 64
    for name, wanted in PINNED_HERE.items():
        if versions[name] != wanted:
            print(f"warning: {name} {versions[name]}, the committed answers were recorded with {wanted}",
                  file=sys.stderr)
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    make_backbones(arguments.output)
    inputs = {name: make_inputs(name, arguments.output) for name in BACKBONES}
    save_json(arguments.output / "versions.json", versions)
    problems = []
    for name, case in cases.items():
        if arguments.only in name:
            shutil.rmtree(arguments.output / "cases" / name, ignore_errors=True)
            problems += (record_refusal(name, case, arguments.output, arguments.scale) if isinstance(case, Refusal)
                         else record(name, case, arguments.output, inputs[case.backbone], arguments.scale))
    print("\n".join(problems) or "every case agrees with numpy")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
