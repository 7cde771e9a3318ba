"""What a case of a golden-adapters folder must hold: tasks of any kind, alone, stacked or averaged, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from golden_cases import Backbone, GoldenError, folders_in, load_json
from golden_checks import (CLEAR_GAP_ERRORS, ENCODER_TOLERANCE, LOGITS_TOLERANCE, MODEL_TOLERANCE, Result,
                           root_mean_square, section_bytes, worst)
from golden_tusk import Tusk, ToolError
from integer_encoder import Encoder
from integer_model import EncoderDecoder, load_model
from read_tusk import compare_with_checkpoint, open_tusk

# Models this narrow have few numbers to average a rounding error over, worst seen 3.8 %; a missing term costs far more.
INT8_TOLERANCE = 0.05
NEW_TOKENS = 8


@dataclass(frozen=True)
class AdapterCase:
    """Tasks over a backbone: one, a stack in this order, or with `average` their mean."""

    name: str
    folder: Path
    backbone: Backbone
    inputs: Path
    tasks: tuple[str, ...]
    average: tuple[float, ...]
    output_rows: tuple[int, ...]
    # What the message of the refusal must name, if the task must be refused.
    refused_naming: tuple[str, ...] | None

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy", allow_pickle=False)

    def rows(self, name: str) -> list[list[int]]:
        """An array of the inputs without what pads it; the decoder's input is not padded."""
        array = np.load(self.inputs / f"{name}.npy", allow_pickle=False)
        if name == "decoder_input_ids":
            return array.tolist()
        mask = np.load(self.inputs / "attention_mask.npy", allow_pickle=False)
        return [row[kept == 1].tolist() for row, kept in zip(array, mask)]

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        return [output[:rows] for output, rows in zip(self.array("output"), self.output_rows)]

    @cached_property
    def logits(self) -> np.ndarray | None:
        """None of a model without a head."""
        return self.array("logits") if (self.folder / "logits.npy").exists() else None


def discover(root: Path) -> list[AdapterCase]:
    return [read_case(root, folder) for folder in folders_in(root / "cases")]


def read_case(root: Path, folder: Path) -> AdapterCase:
    case = load_json(folder / "case.json")
    try:
        backbone = (root / case["backbone"]).resolve()
        return AdapterCase(
            f"cases/{folder.name}", folder, Backbone(backbone, load_json(backbone / "config.json")),
            root / case["inputs"], tuple(case["tasks"]), tuple(case.get("average", ())), tuple(case["output_rows"]),
            tuple(case["refused_naming"]) if "refused_naming" in case else None)
    except KeyError as error:
        raise GoldenError(f"{folder / 'case.json'}: no {error}") from error


def convert(case: AdapterCase, pack: str, tusk: Tusk, result: Result,
            dense: str = "float32") -> tuple[Path, list[Path]]:
    """`dense`: what the matrices of bottlenecks are kept as."""
    backbone = tusk.backbone(case.backbone.folder, pack)
    compare_with_checkpoint(open_tusk(backbone), case.backbone.folder)
    tasks = []
    for name in case.tasks:
        folder = case.folder / name
        tasks.append(tusk.task(folder, backbone, f"{case.name}-{name}-{pack}", dense))
        if all(any(folder.glob(f"*{suffix}")) for suffix in (".bin", ".safetensors")):
            other = tusk.task(tusk.only(folder, ".safetensors"), backbone, f"{case.name}-{name}-{pack}-bin", dense)
            result.require(section_bytes(other) == section_bytes(tasks[-1]), "the .bin gives another task")
    if case.average:
        tasks = [tusk.average(tasks, case.average, f"{case.name}-average-{pack}")]
    for task in tasks:
        open_tusk(task).verify()
    return backbone, tasks


def modelled(case: AdapterCase, model: EncoderDecoder | Encoder) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """The same of the numpy model, which reads the packed files."""
    if isinstance(model, Encoder):
        outputs = [model.encode(np.array(ids), np.array(types))
                   for ids, types in zip(case.rows("input_ids"), case.rows("token_type_ids"))]
        return [(model.answer(output), output) for output in outputs]
    pairs = [(model.encode(np.array(ids)), np.array(target))
             for ids, target in zip(case.rows("input_ids"), case.rows("decoder_input_ids"))]
    return [(model.logits(memory, target), memory) for memory, target in pairs]


def answers(case: AdapterCase, backbone: Path, tasks: list[Path], tusk: Tusk) -> list[tuple[np.ndarray, np.ndarray]]:
    """Logits and encoder output of every source."""
    sources = case.rows("input_ids")
    if case.backbone.is_encoder:
        return [tusk.encoder_logits(backbone, tasks, ids, types)
                for ids, types in zip(sources, case.rows("token_type_ids"))]
    return [tusk.logits(backbone, tasks, ids, target) for ids, target in zip(sources, case.rows("decoder_input_ids"))]


def check(case: AdapterCase, pack: str, tusk: Tusk) -> Result:
    """float32: the library's numbers. int8: its argmax outside an error of rounding, and the numpy model's numbers."""
    result = Result(case.name, pack)
    if case.refused_naming is not None:
        check_refusal(case, pack, tusk, result)
        return result
    backbone, tasks = convert(case, pack, tusk, result)
    if pack == "float32":
        compare(case, backbone, tasks, tusk, result)
        return result
    compare_int8(case, backbone, tasks, tusk, result)
    backbone, tasks = convert(case, pack, tusk, result, dense="int8")
    if any(linear.codes is not None for task in tasks for linear in open_tusk(task).task().linears):
        result.quantities["dense"] = "int8"
        compare_int8(case, backbone, tasks, tusk, result)
    return result


def compare(case: AdapterCase, backbone: Path, tasks: list[Path], tusk: Tusk, result: Result) -> None:
    model = load_model(backbone, tasks)
    found, expected = answers(case, backbone, tasks, tusk), modelled(case, model)
    for prefix, pairs in (("", found), ("numpy_", expected)):
        for (_, output), wanted in zip(pairs, case.outputs):
            result.limit(f"{prefix}encoder", worst(output, wanted), ENCODER_TOLERANCE)
        if case.logits is not None:
            result.limit(f"{prefix}logits", worst(np.stack([logits for logits, _ in pairs]), case.logits),
                         LOGITS_TOLERANCE)
    if isinstance(model, EncoderDecoder):
        check_generation(case, backbone, tasks, tusk, model, result)


def compare_int8(case: AdapterCase, backbone: Path, tasks: list[Path], tusk: Tusk, result: Result) -> None:
    found, expected = answers(case, backbone, tasks, tusk), modelled(case, load_model(backbone, tasks))
    outputs = [output for _, output in found]
    result.limit("relative_rms", relative_error(outputs, case.outputs), INT8_TOLERANCE)
    result.limit("model_encoder", relative_error(outputs, [output for _, output in expected]), MODEL_TOLERANCE)
    if case.logits is not None:
        logits = [row for row, _ in found]
        result.limit("model", relative_error(logits, [row for row, _ in expected]), MODEL_TOLERANCE)
        check_argmax(np.stack(logits), case.logits, result)


def check_refusal(case: AdapterCase, pack: str, tusk: Tusk, result: Result) -> None:
    """A task or a stack is refused as bad data, by the name of what is wrong, and nothing is left behind."""
    name, backbone = f"{case.name}-{pack}", tusk.backbone(case.backbone.folder, pack)
    stack = convert(case, pack, tusk, result)[1] if len(case.tasks) > 1 else []
    try:
        if stack:
            answers(case, backbone, stack, tusk)
        else:
            tusk.task(case.folder / case.tasks[0], backbone, name)
        result.failures.append("accepted, must be refused")
    except ToolError as error:
        result.quantities["exit"] = error.status
        result.require(error.status == 65, f"exit {error.status}, required 65")
        # A path would name it too.
        message = error.message.replace(str(case.folder), "").strip()
        for word in case.refused_naming or ():
            result.require(word in message, f"the message does not name {word}: {message}")
    left = [path.name for path in tusk.work.glob(f"{name.replace('/', '-')}.tusk*")]
    result.require(not left or "exit" not in result.quantities, f"left behind: {left}")


def check_generation(case: AdapterCase, backbone: Path, tasks: list[Path], tusk: Tusk, model: EncoderDecoder,
                     result: Result) -> None:
    """Token by token, with keys and values kept, the engine goes where the model goes, which computes all anew."""
    source = case.rows("input_ids")[1]
    wanted = model.greedy(model.encode(np.array(source)), NEW_TOKENS + 1)
    found = tusk.generate(backbone, tasks, source, NEW_TOKENS)["ids"]
    result.count("greedy", int(found == wanted), 1)
    result.require(found == wanted, f"greedy {found}, the model {wanted}")


def relative_error(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    if any(first.shape != second.shape or not np.isfinite(first).all() for first, second in zip(found, wanted)):
        return float("inf")
    return root_mean_square(np.concatenate(found) - np.concatenate(wanted)) / root_mean_square(np.concatenate(wanted))


def check_argmax(found: np.ndarray, wanted: np.ndarray, result: Result) -> None:
    if found.shape != wanted.shape or not np.isfinite(found).all():
        result.failures.append(f"logits {found.shape}, recorded {wanted.shape}, or not finite")
        return
    error = root_mean_square(found - wanted)
    ordered = np.sort(wanted, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > CLEAR_GAP_ERRORS * error
    equal = found.argmax(axis=-1) == wanted.argmax(axis=-1)
    result.quantities["rms"] = error
    result.count("argmax", int(equal.sum()), equal.size)
    result.count("clear", int((equal & clear).sum()), int(clear.sum()))
    result.require(bool(equal[clear].all()), f"{int((~equal & clear).sum())} clear argmaxes differ")
