"""The Python module on the demonstration T5, and on MiniLM where it is there.

tools/check_library.py runs this with TUSK_MODELS, a folder of packed files, and TUSK_COMMAND, the program `tusk`.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np

import tusk
from tusk import _abi

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tools" / "demo"
MODELS = Path(os.environ["TUSK_MODELS"])
COMMAND = os.environ["TUSK_COMMAND"]
TASKS = ("iso-date", "clock-24", "dollar-sign")


def demo() -> tusk.Model:
    return tusk.Model(MODELS / "t5.tusk", [MODELS / f"{task}.tusk" for task in TASKS])


def golden(task: str | None, count: int) -> list[dict[str, object]]:
    """PyTorch's answers of one task, with their sentences."""
    rows = [json.loads(line) for line in (DEMO / "golden.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row["task"] == task][:count]
    for row in chosen:
        sentences = (DEMO / "sentences" / f"{row['sentences']}.jsonl").read_text().splitlines()
        row["sentence"] = json.loads(sentences[row["index"]])["text"]
    return chosen


class GenerationTests(unittest.TestCase):
    def test_answers_are_those_of_pytorch(self) -> None:
        with demo() as model, model.session() as session:
            for task in (None, *TASKS):
                session.task = task
                for row in golden(task, 5):
                    self.assertEqual(session.generate(row["sentence"]), row["text"])
                    self.assertEqual(session.tokenize(row["sentence"]).ids.tolist(), row["source_ids"])
                    self.assertEqual(session.generate_ids(row["source_ids"]).tolist(), row["ids"])
                    self.assertEqual(session.decode(row["ids"]), row["text"])

    def test_a_callback_sees_every_token(self) -> None:
        sentence = golden("iso-date", 1)[0]["sentence"]
        for beams in (1, 3):
            with demo() as model, model.session("iso-date", beams=beams) as session:
                whole = session.generate(sentence)
                seen: list[tuple[int, str]] = []
                self.assertEqual(session.generate(sentence, on_token=lambda *token: seen.append(token)), whole)
                self.assertEqual("".join(text for _, text in seen), whole)
                self.assertEqual([id for id, _ in seen], session.generate_ids(session.tokenize(sentence).ids).tolist())
                short = session.generate(sentence, on_token=lambda id, text: id != seen[3][0])
                self.assertTrue(whole.startswith(short) and short != whole)
                with self.assertRaises(ZeroDivisionError):
                    session.generate(sentence, on_token=lambda id, text: bool(1 / 0))
                self.assertEqual(session.generate(sentence), whole)

    def test_logits_have_the_greedy_answer(self) -> None:
        row = golden("clock-24", 1)[0]
        with demo() as model, model.session("clock-24") as session:
            logits = session.logits(row["source_ids"], [model.info.start_id, *row["ids"][:-1]])
            self.assertEqual((logits.shape, logits.dtype), ((len(row["ids"]), 8000), np.float32))
            self.assertEqual(logits.argmax(axis=1).tolist(), row["ids"])
            hidden = session.encode(row["source_ids"])
            self.assertEqual(hidden.shape, (len(row["source_ids"]), 256))
            np.testing.assert_array_equal(hidden, session.encode(row["sentence"]))

    def test_tasks_act_one_behind_the_other(self) -> None:
        with demo() as model, model.session("iso-date") as session:
            self.assertEqual((session.task, session.tasks), ("iso-date", ("iso-date",)))
            alone = session.logits("twelve chairs", [0])
            session.tasks = ["iso-date", "clock-24"]
            both = session.logits("twelve chairs", [0])
            self.assertFalse(np.array_equal(alone, both))
            with self.assertRaises(tusk.UsageError):
                session.task
            with self.assertRaises(tusk.UsageError):
                session.tasks = ["iso-date", "dates"]
            session.task = "iso-date"
            np.testing.assert_array_equal(session.logits("twelve chairs", [0]), alone)
            session.tasks = ()
            self.assertIsNone(session.task)

    def test_sessions_work_in_parallel(self) -> None:
        rows = golden("iso-date", 6)
        wrong: list[str] = []
        finished: list[bool] = []
        with demo() as model:
            def work() -> None:
                with model.session("iso-date") as session:
                    wrong.extend(row["text"] for row in rows if session.generate(row["sentence"]) != row["text"])
                    finished.append(True)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual((wrong, len(finished)), ([], 4))


class ModelTests(unittest.TestCase):
    def test_a_model_says_what_it_is(self) -> None:
        with demo() as model:
            self.assertEqual([task.name for task in model.tasks], list(TASKS))
            self.assertEqual((model.info.width, model.info.layers, model.info.decoder_layers), (256, 3, 2))
            self.assertFalse(model.info.is_encoder)
            plan = model.plan(source_tokens=64, target_tokens=8)
            self.assertEqual((plan.source_tokens, plan.target_tokens), (64, 8))
            self.assertEqual(plan.private_bytes,
                             plan.key_value_cache + plan.activations + plan.tokenizer + plan.runtime_floor)
            with model.session(source_tokens=64, target_tokens=8) as session:
                self.assertEqual(session.footprint, plan)
        with open(MODELS / "all.tusk", "rb") as file, tusk.Model(file.fileno()) as model:
            self.assertEqual([task.name for task in model.tasks], sorted(TASKS, key=TASKS.index))

    def test_every_group_has_its_exception(self) -> None:
        with self.assertRaisesRegex(tusk.InputError, "nonexistent: .*found 2.*TUSK_ERROR_CANNOT_OPEN"):
            tusk.Model("/nonexistent")
        with self.assertRaises(tusk.DataError):
            tusk.Model(ROOT / "README.md")
        with demo() as model:
            with self.assertRaisesRegex(tusk.UsageError, "no task 'dates'; the model has iso-date, clock-24"):
                model.session("dates")
            with self.assertRaises(tusk.BudgetError) as caught:
                model.session(budget_bytes=1000)
            least = int(re.findall(r"required (\d+)", str(caught.exception))[0])
            self.assertEqual(model.plan(budget_bytes=least).private_bytes, least)
            self.assertIsInstance(caught.exception, MemoryError)
            for options in ({"beams": -1}, {"threads": 2 ** 40}, {"source_tokens": 2 ** 31 - 1}, {"isa": "sse9"},
                            {"budget_bytes": -1}):
                with self.assertRaises(tusk.UsageError, msg=str(options)):
                    model.session(**options)
            with model.session(source_tokens=4) as session:
                with self.assertRaises(tusk.DataError):
                    session.generate("one two three four five six")
                with self.assertRaises(tusk.DataError):
                    session.generate_ids([1, 8000])
                with self.assertRaises(tusk.UsageError):
                    model.close()
                with self.assertRaises(tusk.UsageError):
                    session.encode([5, 1], types=[0])
                with self.assertRaises(TypeError):
                    session.generate_ids([0.5])
                with self.assertRaises(ValueError):
                    session.generate_ids([2 ** 40])
            with model.session(source_tokens=4, truncates=True) as session:
                self.assertEqual(len(session.tokenize("one two three four five six").ids), 4)

    def test_closed_handles_are_refused_and_forgotten_ones_freed(self) -> None:
        model = demo()
        session = model.session()
        session.close()
        session.close()
        with self.assertRaises(ValueError):
            session.generate("a")
        forgotten = model.session()
        del forgotten
        gc.collect()
        model.close()
        with self.assertRaises(ValueError):
            model.tasks

    def test_texts_that_are_not_unicode(self) -> None:
        with demo() as model, model.session() as session:
            for text in ("", "\0", "\ud800", "ﷺ 🐘"):
                self.assertIsInstance(session.generate(text), str)

    def test_the_structures_are_those_of_the_header(self) -> None:
        listed = {}
        for line in (ROOT / "Tests" / "LibraryTests" / "abi.txt").read_text().splitlines():
            words = line.split()
            if words[0] == "member":
                listed[words[1]] = (int(words[2]), int(words[3]))
        kinds = {"tusk_text": _abi.Text, "tusk_tokens": _abi.Tokens, "tusk_matrix": _abi.Matrix,
                 "tusk_model_info": _abi.ModelInfo, "tusk_task_info": _abi.TaskInfo,
                 "tusk_session_options": _abi.SessionOptions, "tusk_footprint": _abi.Footprint}
        found = {}
        for name, kind in kinds.items():
            for member, _ in kind._fields_:
                place = getattr(kind, member)
                found[f"{name}.{member}"] = (place.offset, place.size)
        self.assertEqual(found, listed)

    def test_every_function_of_the_header_has_a_prototype(self) -> None:
        header = (ROOT / "Sources" / "CTusk" / "include" / "tusk.h").read_text()
        declared = dict(re.findall(r"^TUSK_API [^(]*?(tusk_\w+)\(([^;]*)\);", header, re.MULTILINE))
        self.assertEqual(set(declared), set(_abi._PROTOTYPES))
        for name, text in declared.items():
            count = 0 if text == "void" else text.count(",") + 1
            self.assertEqual(len(_abi._PROTOTYPES[name]) - 1, count, name)


@unittest.skipUnless((MODELS / "minilm.tusk").exists(), "MiniLM is not cached")
class EncoderTests(unittest.TestCase):
    SENTENCES = ("A great film.", "The plot is thin and the jokes are stale.", "How far is it to Aspen?")

    def run_tusk(self, *arguments: str | Path) -> str:
        return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=True).stdout

    def test_scores_are_those_of_the_command(self) -> None:
        with tusk.Model(MODELS / "minilm.tusk", [MODELS / "sst2.tusk", MODELS / "trec.tusk"]) as model:
            for task in ("sst2", "trec"):
                with model.session(task) as session:
                    for sentence in self.SENTENCES:
                        printed = json.loads(self.run_tusk("run", MODELS / "minilm.tusk", "--task",
                                                           MODELS / f"{task}.tusk", "--json", sentence))
                        scores = session.classify(sentence)
                        self.assertEqual(scores.label, printed["label"])
                        for label, score in scores.items():
                            self.assertAlmostEqual(score, printed["scores"][label], places=6)
                        self.assertAlmostEqual(float(scores.values.sum()), 1, places=5)
                        logits = session.outputs()
                        np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), scores.values, rtol=1e-5)

    def test_pairs_have_types(self) -> None:
        with tusk.Model(MODELS / "minilm.tusk", [MODELS / "mrpc.tusk"]) as model, model.session("mrpc") as session:
            tokens = session.tokenize("A great film.", "A good movie.")
            self.assertEqual(tokens.ids[0], 101)
            self.assertEqual(sorted(set(tokens.types.tolist())), [0, 1])
            pair = session.classify("A great film.", "A good movie.")
            session.encode(tokens.ids, types=tokens.types)
            with_types = session.outputs()
            session.classify("A great film.", "A good movie.")
            np.testing.assert_array_equal(session.outputs(), with_types)
            self.assertEqual(len(pair.values), 2)

    def test_embeddings_are_those_of_the_command(self) -> None:
        with tusk.Model(MODELS / "minilm.tusk") as model, model.session() as session:
            found = session.embed(self.SENTENCES)
            self.assertEqual((found.shape, found.dtype), ((3, 384), np.float32))
            np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "e.npy"
                self.run_tusk("embed", MODELS / "minilm.tusk", *self.SENTENCES, "--output", output)
                # One thread here, perhaps more there: the same bits.
                np.testing.assert_array_equal(found, np.load(output))
            self.assertEqual(session.embed([]).shape, (0, 384))
            np.testing.assert_array_equal(session.embed(self.SENTENCES[0]), found[0])
            with self.assertRaises(tusk.DataError):
                session.classify("A great film.")


if __name__ == "__main__":
    unittest.main()
