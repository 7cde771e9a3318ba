"""The Python side of the parity checks: readers of checkpoints, and the arithmetic the engine is compared with.

Run: python3 -m unittest discover -s Tests/ToolTests
"""

from __future__ import annotations

import io
import json
import pickle
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests" / "Fixtures" / "golden"
sys.path.insert(0, str(ROOT / "tools"))

import checkpoint  # noqa: E402
import golden_cases  # noqa: E402
import golden_checks  # noqa: E402
import integer_layers  # noqa: E402
import tusk_backbone  # noqa: E402


class CheckpointTests(unittest.TestCase):
    def test_both_layouts_hold_the_same_tensors(self) -> None:
        for folder in (GOLDEN / "backbones").iterdir():
            if not folder.is_dir():
                continue
            with self.subTest(folder.name):
                tensors = checkpoint.read_file(folder / "model.safetensors")
                pickled = checkpoint.read_file(folder / "pytorch_model.bin")
                for name, values in tensors.items():
                    np.testing.assert_array_equal(values, pickled[name])

    def test_a_pickle_that_calls_anything_else_is_refused(self) -> None:
        class Hostile:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return print, ("executed",)

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pytorch_model.bin"
            data = io.BytesIO()
            pickle.dump({"a": Hostile()}, data)
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", data.getvalue())
            with self.assertRaisesRegex(checkpoint.CheckpointError, "asks for builtins.print"):
                checkpoint.read_file(path)

    def test_bfloat16_is_the_upper_half(self) -> None:
        bits = np.array([0x3F80, 0xC040, 0x0000], dtype=np.uint16)
        np.testing.assert_array_equal(checkpoint.widen_bfloat16(bits), np.float32([1, -3, 0]))


class ArithmeticTests(unittest.TestCase):
    def setUp(self) -> None:
        self.random = np.random.default_rng(2)

    def test_units_of_the_golden_folder(self) -> None:
        result = golden_checks.check_numpy_units(GOLDEN / "units")
        self.assertEqual(result.failures, [])
        self.assertEqual(set(result.quantities), {"activations", "rmsnorm", "phm"})

    def test_rows_are_rounded_by_at_most_half_a_step(self) -> None:
        sizes = np.logspace(-6, 6, 40, dtype=np.float32)
        source = self.random.normal(size=(40, 65)).astype(np.float32) * sizes[:, None]
        source[7] = 0
        codes, scales = tusk_backbone.quantize_rows(source)
        self.assertEqual(int(np.abs(codes.astype(int)).max()), 127)
        self.assertEqual(scales[7], 0)
        error = np.abs(codes * scales[:, None].astype(np.float64) - source)
        self.assertTrue((error <= scales[:, None] * 0.5001).all())

    def test_activations_use_fourteen_bits(self) -> None:
        rows = self.random.normal(size=(5, 300)).astype(np.float32)
        rows[2] = 0
        codes, scales = integer_layers.activation_codes(rows)
        self.assertEqual(float(np.abs(codes).max()), 16383)
        self.assertEqual(scales[2], 0)
        self.assertTrue((np.abs(codes * scales[:, None].astype(np.float64) - rows) <= scales[:, None] * 0.5001).all())

    def test_a_float64_product_of_codes_is_the_exact_integer(self) -> None:
        left = self.random.integers(-16383, 2048, size=8192 * 8)
        right = self.random.integers(-127, 128, size=8192 * 8)
        exact = sum(int(a) * int(b) for a, b in zip(left, right))
        self.assertEqual(int(left.astype(np.float64) @ right.astype(np.float64)), exact)


class CaseTests(unittest.TestCase):
    def test_every_folder_of_fixtures_is_understood(self) -> None:
        for name, count in (("golden", 20), ("golden-extra", 12), ("golden-encoders", 12)):
            cases = golden_cases.discover(GOLDEN.parent / name)
            self.assertEqual(len(cases), count)
            for case in cases:
                self.assertTrue(case.is_rejection or case.backbone.is_encoder or case.memorised, case.name)

    def test_a_folder_with_holes_is_refused_with_every_hole(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "backbones" / "a").mkdir(parents=True)
            (root / "backbones" / "a" / "config.json").write_text(json.dumps({"model_type": "t5"}))
            (root / "base" / "a").mkdir(parents=True)
            (root / "base" / "a" / "expect.json").write_text(json.dumps({"backbone": "a", "max_length": 8}))
            with self.assertRaisesRegex(golden_cases.GoldenError, "(?s)single_greedy.*no io/logits.npy"):
                golden_cases.discover(root)

    def test_a_sequence_ends_behind_its_first_end(self) -> None:
        self.assertEqual(golden_cases.cut([0, 5, 1, 0, 0], 1), [0, 5, 1])
        self.assertEqual(golden_cases.cut([1, 5, 6], 1), [1, 5, 6])

    def test_a_nan_and_a_wrong_shape_are_the_worst_error(self) -> None:
        self.assertEqual(golden_checks.worst(np.float32([np.nan]), np.float32([0])), float("inf"))
        self.assertEqual(golden_checks.worst(np.zeros((1, 2)), np.zeros((2, 1))), float("inf"))


if __name__ == "__main__":
    unittest.main()
