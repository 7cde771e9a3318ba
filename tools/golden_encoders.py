"""What a golden case of an encoder must hold: its output, its head's logits, and the numpy model of the same integers."""

from __future__ import annotations

import numpy as np

from golden_cases import Case
from golden_checks import (CLEAR_GAP_ERRORS, ENCODER_TOLERANCE, LOGITS_TOLERANCE, MODEL_TOLERANCE, Packs, Result,
                           check_layouts, check_reader, root_mean_square, worst)
from golden_tusk import Tusk
from integer_model import load_model


def answers(case: Case, packs: Packs, tusk: Tusk) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits [B, labels] and the encoder outputs."""
    pairs = [tusk.encoder_logits(packs.backbone, packs.task, ids, types)
             for ids, types in zip(case.sources, case.token_types)]
    return np.stack([logits for logits, _ in pairs]), [output for _, output in pairs]


def modelled(case: Case, packs: Packs) -> tuple[np.ndarray, list[np.ndarray]]:
    model = load_model(packs.backbone, packs.task)
    outputs = [model.encode(np.array(ids), np.array(types)) for ids, types in zip(case.sources, case.token_types)]
    return np.stack([model.answer(output) for output in outputs]), outputs


def check_float32(case: Case, packs: Packs, tusk: Tusk) -> Result:
    result = Result(case.name, "float32")
    check_reader(case, packs, result)
    check_layouts(case, packs, tusk, "float32", result)
    wanted, wanted_outputs = case.array("logits"), case.array(case.output_name)
    for prefix, (logits, outputs) in (("", answers(case, packs, tusk)), ("numpy_", modelled(case, packs))):
        result.limit(f"{prefix}logits", worst(logits, wanted), LOGITS_TOLERANCE)
        for output, recorded in zip(outputs, wanted_outputs):
            result.limit(f"{prefix}encoder", worst(output, recorded[:len(output)]), ENCODER_TOLERANCE)
    return result


def check_int8(case: Case, packs: Packs, tusk: Tusk) -> Result:
    """Argmax where PyTorch is clear, and the numpy model of the same integers."""
    result = Result(case.name, "int8")
    check_reader(case, packs, result)
    logits, outputs = answers(case, packs, tusk)
    wanted = case.array("logits")
    if logits.shape != wanted.shape or not np.isfinite(logits).all():
        result.failures.append(f"logits {logits.shape}, recorded {wanted.shape}, or not finite")
        return result
    error = root_mean_square(logits - wanted)
    result.quantities["rms"], result.quantities["relative_rms"] = error, error / root_mean_square(wanted)
    if wanted.shape[1] > 1:
        check_argmax(logits, wanted, error, result)

    expected, expected_outputs = modelled(case, packs)
    for name, found, model in (("model", logits, expected),
                               ("model_encoder", np.concatenate(outputs), np.concatenate(expected_outputs))):
        same_shape = found.shape == model.shape
        difference = root_mean_square(found - model) / root_mean_square(model) if same_shape else float("inf")
        result.limit(name, difference, MODEL_TOLERANCE)
    return result


def check_argmax(logits: np.ndarray, wanted: np.ndarray, error: float, result: Result) -> None:
    ordered = np.sort(wanted, axis=-1)
    clear = ordered[:, -1] - ordered[:, -2] > CLEAR_GAP_ERRORS * error
    equal = logits.argmax(axis=-1) == wanted.argmax(axis=-1)
    result.positions, result.equal_positions = equal.size, int(equal.sum())
    result.count("argmax", result.equal_positions, result.positions)
    result.count("clear", int((equal & clear).sum()), int(clear.sum()))
    result.require(bool(equal[clear].all()), f"{int((~equal & clear).sum())} clear argmaxes differ")
