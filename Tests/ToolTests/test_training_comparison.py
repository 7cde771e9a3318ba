"""The measuring and the page of tools/compare --train, from a program that only pretends to train and from made-up numbers.

Run: python3 -m unittest discover -s Tests/ToolTests
"""

from __future__ import annotations

import json
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools/peers")]

import training_data  # noqa: E402
import training_measure as measure  # noqa: E402
import training_report as report  # noqa: E402

# Holds 50 MB for a while, then gives them back; five steps of which it says that they took 1, 2, 3, 4 and 5 s.
TRAINER = """
import json, sys, time
held = bytearray(50_000_000)
with open(sys.argv[1], "w") as log:
    for step in range(5):
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
        print(json.dumps({"event": "step", "ms": 1000 * (step + 1)}), file=log, flush=True)
        if step == 2:
            del held
    print(json.dumps({"event": "evaluation", "ms": 7000}), file=log, flush=True)
print(json.dumps({"trained_parameters": 7}))
"""


def run(private: float, steps: list[float], accuracy: float = 0.5) -> measure.Run:
    summary = {"trained_parameters": 14_320, "head_parameters": 148_610, "metrics": {"accuracy": accuracy}}
    return measure.Run(int(private), sum(steps) + 9, sum(steps), steps, steps[-1], summary)


def results(*, private: float = 80e6, step: float = 4.0, accuracy: float = 0.80) -> report.Results:
    made = report.Results("t5-base", "tools/compare --train", 0.1, rounds=1, examples=4000, epochs=3)
    torch = measure.Cell([run(2200e6, [9.0, 9.0, 5.0])])
    compacter = {"tusk": measure.Cell([run(private, [9.0, 9.0, step])]), "smallest": measure.Cell([run(50e6, [9.0, 9.0, 6.0])]),
                 "torch": torch}
    made.steps = {"full": {2: {"torch": measure.Cell([run(4400e6, [9.0, 9.0, 10.0])])}}, "compacter": {2: compacter}}
    made.task = {"tusk": measure.Cell([run(30e6, [1.0, 1.0], accuracy)]), "torch": measure.Cell([run(900e6, [2.0, 2.0], 0.80)])}
    made.task_threads = 2
    return made


class WatchTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def watch(self, program: str) -> measure.Run:
        log = self.folder / "log"
        return measure.watched([sys.executable, "-c", program, log], log, 1)

    def test_memory_steps_and_processor_time_are_those_of_the_process(self) -> None:
        done = self.watch(TRAINER)
        self.assertGreater(done.private, 50e6)
        self.assertLess(done.private, 80e6)
        self.assertEqual(done.steps, [1, 2, 3, 4, 5])
        self.assertEqual(measure.Cell([done]).step, 4)
        assert done.step_processor is not None
        self.assertAlmostEqual(done.step_processor, 0.1, delta=0.05)
        self.assertEqual(done.summary, {"trained_parameters": 7})

    def test_a_program_that_fails_is_told_with_its_words(self) -> None:
        with self.assertRaisesRegex(measure.MeasureFailure, "(?s)exit code 3.*no room"):
            self.watch("import sys; print('no room', file=sys.stderr); sys.exit(3)")

    def test_trainers_of_different_size_are_not_compared(self) -> None:
        other = run(1, [1.0])
        other.summary = {"trained_parameters": 14_321}
        with self.assertRaisesRegex(measure.MeasureFailure, "14321"):
            measure.require_same_size("compacter", {"tusk": run(1, [1.0]), "torch": other})

    def test_the_first_examples_of_sst2_are_taken(self) -> None:
        (self.folder / "sst2").mkdir()
        for split in ("train", "validation"):
            rows = [{"sentence": f" {split} {number} ", "label": number % 2} for number in range(5)]
            training_data.write_lines(self.folder / f"sst2/{split}.jsonl", rows)
        training_data.write_sst2(self.folder, 3, self.folder)
        lines = [json.loads(line) for line in (self.folder / "train.jsonl").read_text().splitlines()]
        self.assertEqual(lines, [{"text": f"train {number}", "label": str(number % 2)} for number in range(3)])
        self.assertEqual(len((self.folder / "validation.jsonl").read_text().splitlines()), 5)
        with self.assertRaisesRegex(measure.MeasureFailure, "found 5 examples, required 6"):
            training_data.write_sst2(self.folder, 6, self.folder)


class VerdictTests(unittest.TestCase):
    def failures(self, made: report.Results) -> list[str]:
        return [verdict.what for verdict in report.verdicts(made) if not verdict.passes]

    def test_good_numbers_pass(self) -> None:
        self.assertEqual(len(report.verdicts(results())), 8)
        self.assertEqual(self.failures(results()), [])

    def test_each_limit_can_fail(self) -> None:
        self.assertEqual(self.failures(results(private=129e6)), ["t5-base, 2 threads: private"])
        self.assertEqual(self.failures(results(step=5.1)), ["t5-base, 2 threads: step by PyTorch's"])
        self.assertEqual(self.failures(results(step=2.9)),
                         ["t5-base, 2 threads: step in the smallest budget by that of the default plan"])
        for accuracy in (0.785, 0.815):
            self.assertEqual(self.failures(results(accuracy=accuracy)), ["MiniLM: points of accuracy above PyTorch's"])

    def test_methods_stand_beside_full_fine_tuning(self) -> None:
        lines = report.method_table(results())
        self.assertIn("| full fine-tuning | not offered |  |  |  | 10 | 4400.0 | +0.00 % | +0.00 % | +0.00 % | +0.00 % |", lines)
        self.assertIn("| Compacter | 4 | 80.0 | -98.18 % | -60.00 % | 5 | 2200.0 | -50.00 % | -50.00 % |  | -13.41 % |", lines)

    def test_every_table_is_in_the_page(self) -> None:
        page = report.page(results(), "train.svg")
        for word in ("FAIL", "pass"):
            self.assertEqual(word in page, word == "pass")
        for word in ("![time and memory", "step, s: best / median", "full fine-tuning", "accuracy, mean of the seeds"):
            self.assertIn(word, page)
        drawing = report.chart(results())
        ElementTree.fromstring(drawing)
        self.assertIn("Compacter, 2 threads (PyTorch: 5 s a step)", drawing)
        json.dumps(results().json())


if __name__ == "__main__":
    unittest.main()
