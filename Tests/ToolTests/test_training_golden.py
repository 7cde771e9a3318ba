"""What trains the cases of golden-training, and whether the cases are whole.

Run: python3 -m unittest discover -s Tests/ToolTests
"""

from __future__ import annotations

import json
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests" / "Fixtures" / "golden-training"
sys.path.insert(0, str(ROOT / "tools"))

import checkpoint  # noqa: E402
import training_golden_cases  # noqa: E402
from training_golden_recipe import Recipe  # noqa: E402

T5_BASE = SimpleNamespace(
    model_type="t5", hidden_size=768, d_model=768, d_kv=64, d_ff=3072, num_heads=12, num_layers=12, num_decoder_layers=12,
    vocab_size=32100, is_gated_act=False)


class RecipeTests(unittest.TestCase):
    def test_the_rate_rises_and_falls_to_zero(self) -> None:
        recipe = Recipe(learning_rate=8.0, warmup_steps=4, total_steps=20)
        self.assertEqual([recipe.rate(step) for step in (0, 1, 4, 5, 19, 20, 21)], [0, 2, 8, 7.5, 0.5, 0, 0])

    def test_only_long_gradients_are_clipped(self) -> None:
        recipe = Recipe(learning_rate=1.0)
        self.assertEqual(recipe.clipping(0.5), 1)
        self.assertAlmostEqual(recipe.clipping(4.0), 0.25, places=6)

    def test_a_first_step_is_as_long_as_the_rate(self) -> None:
        recipe = Recipe(learning_rate=0.5, warmup_steps=0)
        gradient = np.array([3.0, -1e-3, 0.0])
        value, moments = recipe.moved(np.ones(3), gradient, (0.0, 0.0), 0)
        np.testing.assert_allclose(value, [0.5, 1.5, 1], atol=1e-5)
        np.testing.assert_allclose(moments[0], 0.1 * gradient)


class CountTests(unittest.TestCase):
    def test_counts_are_those_of_the_paper_on_t5_base(self) -> None:
        cases = dict(training_golden_cases.authors_cases("t5_v10"))
        upper = list(range(5, 12))
        changes: dict[str, dict[str, Any]] = {
            "prompt": {"prefix_dim": 100}, "phm": {"hypercomplex_division": 12},
            "adapter-drop": {"task_adapter_layers_encoder": upper, "task_adapter_layers_decoder": upper}}
        wanted = {
            "adapter": 1_855_104, "pfeiffer": 951_360, "adapter-drop": 1_101_984, "low-rank": 161_664, "phm": 398_976,
            "compacter": 161_728, "compacter++": 104_704, "prompt": 76_800, "bitfit": 280_932}
        self.assertEqual(set(cases), set(wanted))
        for method, count in wanted.items():
            settings = {**cases[method].settings, "task_reduction_factor": 32, **changes.get(method, {})}
            case = replace(cases[method], settings=settings)
            self.assertEqual(training_golden_cases.trained_count(case, T5_BASE, 0), count, method)


class FixtureTests(unittest.TestCase):
    def test_every_trained_number_has_a_gradient_and_no_other_changes(self) -> None:
        folders = sorted(path.parent for path in GOLDEN.glob("*/case.json"))
        self.assertEqual(len(folders), 51)
        for folder in folders:
            with self.subTest(folder.name):
                case = json.loads((folder / "case.json").read_text())
                self.assertEqual(len(case["losses"]), case["optimizer"]["total_steps"])
                self.assertLess(case["loss_after"], 0.9 * case["losses"][0])
                backbone = (folder.parent / case["backbone"]).resolve()
                initial = tensors_in(folder / "initial") if case["method"] != "full" else tensors_in(backbone)
                gradient = tensors_in(folder / "gradient")
                self.assertEqual(set(initial), set(gradient))
                changed = [name for name in initial if not np.array_equal(initial[name], gradient[name])]
                shapes = sorted(list(initial[name].shape) for name in changed)
                self.assertEqual(shapes, sorted(case["trained"].values()))


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    """Those of a task, its head's among them, or of a whole model. PEFT stores the bias of a classifier twice."""
    files = [path for path in folder.glob("*.safetensors") if "adapter" in path.name or "head" in path.name]
    if not files:
        return checkpoint.read_checkpoint(folder)
    return {name: value for path in files for name, value in checkpoint.read_file(path).items()
            if "modules_to_save" not in name}


if __name__ == "__main__":
    unittest.main()
