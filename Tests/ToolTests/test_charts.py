"""The drawings of tools/compare and tools/scaling, and the pages around them, from made-up numbers.

Run: python3 -m unittest discover -s Tests/ToolTests
"""

from __future__ import annotations

import sys
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools/peers")]

import charts  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def bench(**values: float | str) -> dict[str, float | str]:
    return {"isa": "avx2", "machine_read_gb_per_second": 20.0, "machine_int8_gmac_per_second": 100.0,
            "machine_avx2_int8_gmac_per_second": 100.0, "decode_gb_per_second": 17.0, "encode_gmac_per_second": 65.0,
            "encode_tokens_per_second": 650.0, "task_switch_microseconds": 3.0, "logits_hash": "00ff", **values}


def results() -> report.Results:
    samples = measure.Samples()
    samples.speeds = {row: {"tusk": [90.0, 100.0, 95.0], "onnxruntime": [50.0, 60.0, 40.0]} for row in measure.ROWS}
    samples.speeds["decode 8 tasks"] = {"tusk": [99.0, 99.0, 99.0]}
    samples.speeds |= {"decode 1 bare": {"tusk": [90.9, 101.0, 95.95]}, "encode 128 bare": {"tusk": [90.0, 100.0, 95.0]}}
    samples.benches = {row: [bench()] for row in ("decode 1", "encode 512", "decode 8", "decode 8 tasks", "decode 1 bare")}
    made = report.Results("t5-base", "tools/compare", 0.1, ["onnxruntime"], tokens=64, rounds=3)
    made.samples[1] = samples
    made.errors = {"tusk": {"error": 0.01, "same": 32, "of": 32}, "onnxruntime": {"error": 0.02, "same": 30, "of": 32}}
    made.memory = {"tusk": {128: {"private": 16.5e6, "load": 0.0006}},
                   "onnxruntime": {128: {"private": 439e6, "bare": 18e6, "load": 2.3}}}
    return made


class ChartTests(unittest.TestCase):
    def test_bars_are_as_long_as_their_values(self) -> None:
        drawing = charts.bar_chart("A < B", "", ["one", "two"], [("left", [charts.Bars("speed", [10.0, 5.0])])])
        rectangles = list(ElementTree.fromstring(drawing).iter(f"{SVG}rect"))[1:]
        bars = [float(rectangle.get("width", "0")) for rectangle in rectangles]
        self.assertAlmostEqual(bars[0], 2 * bars[1], delta=0.1)

    def test_a_missing_value_has_no_bar(self) -> None:
        drawing = charts.bar_chart("", "", ["one", "two"], [("left", [charts.Bars("speed", [10.0, None])])])
        self.assertIn(">none<", drawing)

    def test_doublings_are_equally_far_apart_on_logarithmic_axes(self) -> None:
        axis = charts.Axis.over([1, 2, 4, 8], logarithmic=True)
        self.assertEqual([axis.place(value) for value in (1, 8)], [0, 1])
        self.assertAlmostEqual(axis.place(4) - axis.place(2), axis.place(2) - axis.place(1))

    def test_plots_are_well_formed(self) -> None:
        lines = [charts.Line("measured", [(1, 3.0), (2, 5.0)]), charts.Line("planned", [(1, 3.0), (2, 6.0)], True)]
        for logarithmic in (False, True):
            ElementTree.fromstring(charts.plot_row("T", "", [charts.Plot("a & b", "x", "y", lines, logarithmic)]))


class PageTests(unittest.TestCase):
    def test_ratios_are_against_the_fastest_peer(self) -> None:
        lines = report.speed_table(results(), 1)
        decode = next(line for line in lines if line.startswith("| greedy decode, batch 1 "))
        self.assertIn("| 100 / 95 | 60 / 50 | 1.67 / 1.90 |", decode)
        tasks = next(line for line in lines if line.startswith("| the same, eight"))
        self.assertIn("| 99 / 99 |  | 1.65 / 1.98 |", tasks)

    def test_costs_are_above_nothing_where_the_task_is_slower(self) -> None:
        lines = "\n".join(report.limits(results(), 1))
        self.assertIn("| a mounted task adds to decoding, to encoding | +1.0 %, +0.0 % |", lines)
        self.assertIn("| Tusk's decode, batch 1: share of reading | 85 % / 85 % |", lines)

    def test_attention_adds_to_the_share_as_its_tokens_squared(self) -> None:
        # T5-base: 2 * 12 layers * 12 heads * 64 * 512 multiply-adds a token beside the 1e8 of the products.
        self.assertEqual(report.attention_multiply_adds("t5-base", 512), 512 * 9_437_184)
        self.assertIn(", which are float32 | 67 % / 67 %, 71 % / 71 % |", "\n".join(report.limits(results(), 1)))

    def test_every_table_is_in_the_page(self) -> None:
        page = report.page(results(), "compare.svg")
        for word in ("ONNX Runtime", "relative RMS error", "private memory, source 128", "00ff", "![tokens per second"):
            self.assertIn(word, page)
        ElementTree.fromstring(report.chart(results()))


if __name__ == "__main__":
    unittest.main()
