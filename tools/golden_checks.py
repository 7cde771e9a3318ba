"""What a golden case must hold: one function per pack, each returning its quantities and failures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from golden_cases import Case, cut
from golden_tusk import ToolError, Tusk
from integer_model import EncoderDecoder, load_model
from numeric import activate, kronecker_linear, relative_bucket, rms_norm
from read_tusk import compare_with_checkpoint, open_tusk

ENCODER_TOLERANCE = 1e-4
LOGITS_TOLERANCE = 1e-3
# A log-softmax moves by at most twice what its logits move, and a score is a mean of log-softmaxes.
SCORE_TOLERANCE = 2 * LOGITS_TOLERANCE
UNIT_TOLERANCE = 1e-5
MODEL_TOLERANCE = 0.005
CLEAR_GAP_ERRORS = 4
LEAST_EQUAL_SHARE = 0.97
BEAMS = 4


@dataclass
class Result:
    case: str
    pack: str
    quantities: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    skipped: str | None = None
    positions: int = 0
    equal_positions: int = 0

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            self.failures.append(message)

    def limit(self, name: str, error: float, tolerance: float) -> None:
        self.quantities[name] = max(error, self.quantities.get(name, 0.0))
        self.require(error <= tolerance, f"{name} {error:.2e} above {tolerance:.1e}")

    def count(self, name: str, good: int, total: int) -> None:
        self.quantities[name] = f"{good}/{total}"


def worst(found: np.ndarray, wanted: np.ndarray) -> float:
    """A NaN or a wrong shape is the worst error there is."""
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.astype(np.float64) - wanted).max(initial=0))


def root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64)**2)))


@dataclass
class Packs:
    backbone: Path
    task: Path | None


def section_bytes(path: Path) -> list[bytes]:
    container = open_tusk(path).container
    return [container.bytes_of(section).tobytes() for section in container.sections if section.name != "provenance"]


def check_reader(case: Case, packs: Packs, result: Result) -> None:
    """The independent reader accepts the files, and finds the checkpoint's values in them."""
    backbone = open_tusk(packs.backbone)
    backbone.verify()
    compare_with_checkpoint(backbone, case.backbone.folder)
    if packs.task:
        open_tusk(packs.task).verify()


def check_layouts(case: Case, packs: Packs, tusk: Tusk, encoding: str, result: Result) -> None:
    """A .bin beside a .safetensors of the same tensors gives the same sections."""
    def has_both(folder: Path) -> bool:
        return any(folder.glob("*.safetensors")) and any(folder.glob("*.bin"))

    if packs.task is None and has_both(case.backbone.folder):
        other = tusk.backbone(tusk.only(case.backbone.folder, ".safetensors"), encoding)
        result.require(section_bytes(other) == section_bytes(packs.backbone), "the .bin gives another backbone")
    if packs.task and case.task_folder and has_both(case.task_folder):
        other = tusk.task(tusk.only(case.task_folder, ".safetensors"), packs.backbone, f"{case.name}-bin")
        result.require(section_bytes(other) == section_bytes(packs.task), "the .bin gives another task")


def teacher_forced(case: Case, packs: Packs, tusk: Tusk) -> tuple[list[np.ndarray], list[np.ndarray]]:
    pairs = [tusk.logits(packs.backbone, packs.task, source, target.tolist())
             for source, target in zip(case.sources, case.array("decoder_input_ids"))]
    return [logits for logits, _ in pairs], [encoder for _, encoder in pairs]


def check_float32(case: Case, packs: Packs, tusk: Tusk) -> Result:
    result = Result(case.name, "float32")
    check_reader(case, packs, result)
    check_layouts(case, packs, tusk, "float32", result)
    model = load_model(packs.backbone, packs.task)
    logits, encoded = teacher_forced(case, packs, tusk)
    targets = case.array("decoder_input_ids")
    for index, source in enumerate(case.sources):
        wanted, wanted_encoder = case.array("logits")[index], case.array("encoder_out")[index, :len(source)]
        result.limit("encoder", worst(encoded[index], wanted_encoder), ENCODER_TOLERANCE)
        result.limit("logits", worst(logits[index], wanted), LOGITS_TOLERANCE)
        memory = model.encode(np.array(source))
        result.limit("numpy", worst(model.logits(memory, targets[index]), wanted), LOGITS_TOLERANCE)
    if case.has_long_source:
        check_long_source(case, packs, tusk, result)
    check_sequences(case, packs, tusk, result)
    return result


def check_long_source(case: Case, packs: Packs, tusk: Tusk, result: Result) -> None:
    source = case.array("long_input_ids").reshape(-1).tolist()
    logits, encoded = tusk.logits(packs.backbone, packs.task, source, [case.backbone.start])
    result.limit("long_encoder", worst(encoded, case.array("long_encoder_out").reshape(len(source), -1)),
                 ENCODER_TOLERANCE)
    result.limit("long_logits", worst(logits.reshape(-1), case.array("long_first_logits").reshape(-1)),
                 LOGITS_TOLERANCE)
    if "long_greedy" in case.expect:
        found, wanted = (cut(ids, case.backbone.eos) for ids in (
            tusk.generate(packs.backbone, packs.task, source, case.new_tokens)["ids"], case.expect["long_greedy"]))
        result.require(found == wanted, f"long source: greedy {found}, PyTorch {wanted}")


def check_sequences(case: Case, packs: Packs, tusk: Tusk, result: Result) -> None:
    """Greedy and beam search give PyTorch's sequences and scores."""
    eos, equal_greedy, equal_beams = case.backbone.eos, 0, 0
    for index, source in enumerate(case.sources):
        answer = tusk.generate(packs.backbone, packs.task, source, case.new_tokens)
        found = cut(answer["ids"], eos)
        equal_greedy += found == case.greedy[index]
        result.require(found == case.greedy[index], f"source {index}: greedy {found}, PyTorch {case.greedy[index]}")

        answer = tusk.generate(packs.backbone, packs.task, source, case.new_tokens, BEAMS)
        ranked = [cut(beam["ids"], eos) for beam in answer["beams"]]
        wanted, scores = case.beams[index], case.expect["single_beam4_top4_scores"][index]
        if case.has_older_beams:
            # An unfinished hypothesis is scored by another length there.
            ranked, wanted, scores = ranked[:1], wanted[:1], scores[:1] if wanted[0][-1] == eos else []
        result.require(ranked == wanted, f"source {index}: beams {ranked}, PyTorch {wanted}")
        result.require(cut(answer["ids"], eos) == ranked[0], f"source {index}: ids are not those of the best beam")
        equal_beams += ranked == wanted
        if ranked == wanted:
            for beam, score in zip(answer["beams"], scores):
                result.limit("score", abs(beam["score"] - score), SCORE_TOLERANCE)
    result.count("greedy", equal_greedy, len(case.sources))
    result.count("beam", equal_beams, len(case.sources))


def check_int8(case: Case, packs: Packs, tusk: Tusk) -> Result:
    """Argmax where PyTorch is clear, memorised answers, and the numpy model of the same integers."""
    result = Result(case.name, "int8")
    check_reader(case, packs, result)
    logits, encoded = teacher_forced(case, packs, tusk)
    found, wanted = np.stack(logits).astype(np.float64), case.array("logits")
    if found.shape != wanted.shape or not np.isfinite(found).all():
        result.failures.append(f"logits {found.shape}, recorded {wanted.shape}, or not finite")
        return result
    error = root_mean_square(found - wanted)
    result.quantities["rms"], result.quantities["relative_rms"] = error, error / root_mean_square(wanted)
    ordered = np.sort(wanted, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > CLEAR_GAP_ERRORS * error
    equal = found.argmax(axis=-1) == wanted.argmax(axis=-1)
    result.positions, result.equal_positions = equal.size, int(equal.sum())
    result.count("argmax", result.equal_positions, result.positions)
    result.count("clear", int((equal & clear).sum()), int(clear.sum()))
    result.require(bool(equal[clear].all()), f"{int((~equal & clear).sum())} clear argmaxes differ")
    check_model(case, load_model(packs.backbone, packs.task), found, encoded, result)

    answers = [cut(tusk.generate(packs.backbone, packs.task, case.sources[index], case.new_tokens)["ids"],
                   case.backbone.eos) for index in case.memorised]
    equal_answers = [answer == case.greedy[index] for index, answer in zip(case.memorised, answers)]
    result.count("greedy", sum(equal_answers), len(answers))
    result.require(all(equal_answers), f"memorised pairs answered {answers}")
    return result


def modelled(case: Case, model: EncoderDecoder) -> tuple[np.ndarray, np.ndarray]:
    """Teacher-forced logits of every source, and the encoder outputs, each flat."""
    memories = [model.encode(np.array(source)) for source in case.sources]
    logits = [model.logits(memory, target) for memory, target in zip(memories, case.array("decoder_input_ids"))]
    return np.concatenate([x.reshape(-1) for x in logits]), np.concatenate([x.reshape(-1) for x in memories])


def check_model(case: Case, model: EncoderDecoder, logits: np.ndarray, encoded: list[np.ndarray],
                result: Result) -> None:
    """The engine's int8 answers are those of the numpy model."""
    wanted = modelled(case, model)
    found = (logits.reshape(-1), np.concatenate([x.reshape(-1) for x in encoded]))
    for name, values, expected in zip(("model", "model_encoder"), found, wanted):
        same_shape = values.shape == expected.shape
        error = root_mean_square(values - expected) / root_mean_square(expected) if same_shape else float("inf")
        result.limit(name, error, MODEL_TOLERANCE)


def check_all_positions(results: list[Result]) -> Result:
    """A case has some 20 positions, so a share of them means something over the whole folder only."""
    total, equal = (sum(getattr(result, name) for result in results) for name in ("positions", "equal_positions"))
    result = Result("all positions", "int8")
    result.count("argmax", equal, total)
    result.require(equal >= LEAST_EQUAL_SHARE * total,
                   f"{equal / max(total, 1):.1%} of the argmaxes are equal, required {LEAST_EQUAL_SHARE:.0%}")
    return result


def check_rejection(case: Case, tusk: Tusk) -> Result:
    """The conversion is refused as bad data, says why, and leaves nothing behind."""
    result = Result(case.name, "-")
    assert case.task_folder
    backbone = tusk.backbone(case.backbone.folder, "int8")
    try:
        output = tusk.task(case.task_folder, backbone, case.name)
        result.failures.append(f"converted, must be refused: {case.expect.get('reason', '')}")
        output.unlink(missing_ok=True)
    except ToolError as error:
        result.quantities["exit"] = error.status
        result.require(error.status == 65, f"exit {error.status}, required 65")
        if "phm_rule" in case.expect.get("reason", ""):
            result.require("phm_rule" in error.message, f"the message does not name phm_rule: {error.message.strip()}")
        left = [path.name for path in tusk.work.glob(f"{case.name.replace('/', '-')}.tusk*")]
        result.require(not left, f"left behind: {left}")
    return result


def check_numpy_units(units: Path) -> Result:
    """The single layers, through the numpy functions the models here are made of."""
    result = Result("units/numpy", "-")

    def load(name: str) -> np.ndarray:
        return np.load(units / f"{name}.npy", allow_pickle=False)

    for path in sorted(units.glob("act_*.npy")):
        name = path.stem.removeprefix("act_")
        if name != "x":
            function = {"swish": "silu"}.get(name, name)
            result.limit("activations", worst(activate(function, load("act_x")), load(path.stem)), UNIT_TOLERANCE)
    if (units / "rmsnorm_x.npy").exists():
        found = rms_norm(load("rmsnorm_x"), load("rmsnorm_w"), 1e-6)
        result.limit("rmsnorm", worst(found, load("rmsnorm_y")), UNIT_TOLERANCE)
    manifest = units / "phm_manifest.json"
    for unit in json.loads(manifest.read_text()) if manifest.exists() else []:
        at = unit["dir"] + "/"
        rule = load(at + "phm_rule_left") @ load(at + "phm_rule_right") if unit["factorized_rule"] else load(
            at + "phm_rule")
        left, right = (load(at + "W"), None) if unit["full_W"] else (load(at + "W_left"), load(at + "W_right"))
        found = kronecker_linear(load(at + "x"), rule, left, right, load(at + "b"))
        result.limit("phm", worst(found, load(at + "y")), UNIT_TOLERANCE)
    table = units / "relative_position_buckets.json"
    buckets = json.loads(table.read_text()) if table.exists() else {}
    for key, wanted in buckets.items():
        if key.startswith("buckets"):
            count, reach = int(key[7:].split("_")[0]), int(key.split("max")[1].split("_")[0])
            found = relative_bucket(np.array(buckets["relative_position"]), "bidirectional" in key, count, reach)
            result.require(found.tolist() == wanted, f"{key} differ")
    return result
