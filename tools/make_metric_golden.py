#!/usr/bin/env python3
"""Record what scikit-learn and scipy make of series of labels and numbers, for the tests of the metrics.

Writes into Tests/Fixtures/metrics:

  labels.json   predictions and golds (whole numbers; -1 stands for an answer that is no label), and of each case accuracy, the F1
                of label 1 with wrong answers in place of those that are neither 0 nor 1, the mean F1 of the labels `classes`, and
                Matthews' coefficient
  numbers.json  x and y, and of each case Pearson's and Spearman's correlation, null for NaN
  texts.json    predictions and right answers as SQuAD compares them: whether one is the same, and the best F1

The texts are measured by the few lines of Python below, which follow the SQuAD 1.1 script; the rest by the libraries.

example: .venv/bin/pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
         .venv/bin/python tools/make_metric_golden.py
"""

from __future__ import annotations

import argparse
import json
import math
import re
import string
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics

PACKAGE = Path(__file__).resolve().parent.parent
OUTPUT = PACKAGE / "Tests" / "Fixtures" / "metrics"
VERSIONS = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-learn": "1.9.1"}
SEED = 20210614
LENGTHS = (1, 2, 3, 5, 17, 64, 257)
TEXTS = [
    ("The Eiffel Tower", ["Eiffel tower"]), ("a dog", ["the cat", "a  DOG."]), ("", [""]), ("the", ["an"]), ("the", [""]),
    ("New York City", ["New York", "York"]), ("york york new", ["New York"]), ("U.S.A.", ["usa", "U S A"]),
    ("Ça va l'été", ["ça va lété"]), ("the\u2013end", ["end", "theend"]), ("anthem", ["them"]), ("a_b", ["ab"]),
    ("İstanbul", ["istanbul"]), ("10,000 the 2", ["10000 2"]), ("x the y a z an", ["z y x"]), ("@placeholder", ["placeholder"]),
    ("Barack Obama", ["Obama", "Barack Hussein Obama", "president"]), ("e\u0301t\u00e9", ["\u00e9te\u0301"]), ("五 the 六", ["五 六"]),
    ("tab\tnew\nline\u00a0space", ["tab new line space"]),
]


def checked_versions() -> dict[str, str]:
    found = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    for name, version in VERSIONS.items():
        if found[name] != version:
            print(f"{name} {version} is pinned, found {found[name]}", file=sys.stderr)
    return found


def number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def label_case(name: str, predictions: np.ndarray, golds: np.ndarray, classes: int) -> dict[str, Any]:
    binary = np.where((predictions == 0) | (predictions == 1), predictions, 1 - golds)
    return {
        "name": name, "predictions": predictions.tolist(), "golds": golds.tolist(), "classes": classes,
        "accuracy": float(metrics.accuracy_score(golds, predictions)),
        "f1": float(metrics.f1_score(golds, binary)) if classes == 2 else None,
        "macro_f1": float(metrics.f1_score(golds, predictions, labels=range(classes), average="macro")),
        "matthews": float(metrics.matthews_corrcoef(golds, predictions)),
    }


def label_cases(random: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for length in LENGTHS:
        for classes in (2, 3, 6):
            golds = random.integers(0, classes, length)
            noisy = np.where(random.random(length) < 0.7, golds, random.integers(0, classes, length))
            cases.append(label_case(f"{classes} labels, {length} examples", noisy, golds, classes))
            invalid = np.where(random.random(length) < 0.2, -1, noisy)
            cases.append(label_case(f"{classes} labels, {length} examples, some invalid", invalid, golds, classes))
            other = np.where(random.random(length) < 0.2, classes + 3, invalid)
            cases.append(label_case(f"{classes} labels, {length} examples, two kinds of invalid", other, golds, classes))
    zeros, ones = np.zeros(9, int), np.ones(9, int)
    mixed = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    for name, predictions, golds in [
        ("all right", mixed, mixed), ("all wrong", 1 - mixed, mixed), ("one label predicted", ones, mixed),
        ("one gold", mixed, ones), ("only zeros", zeros, zeros), ("only ones", ones, ones), ("zeros for ones", zeros, ones),
        ("nothing valid", zeros - 1, mixed), ("nothing valid, one gold", zeros - 1, zeros),
    ]:
        cases.append(label_case(name, predictions, golds, 2))
    return cases


def number_case(name: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    return {"name": name, "x": x.tolist(), "y": y.tolist(), "pearson": number(stats.pearsonr(x, y)[0]),
            "spearman": number(stats.spearmanr(x, y)[0])}


def number_cases(random: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for length in LENGTHS[1:]:
        x = random.normal(size=length)
        cases.append(number_case(f"{length} numbers", x, x + random.normal(size=length)))
        cases.append(number_case(f"{length} large numbers", 1e12 + 1e9 * x, -1e9 * x + random.normal(size=length)))
        tied = np.round(random.uniform(0, 5, length) * 2) / 2
        cases.append(number_case(f"{length} with ties", tied, np.round(tied + random.normal(size=length))))
    cases.append(number_case("ties on one side", np.array([1.0, 2, 2, 3, 3, 3]), np.array([6.0, 5, 4, 3, 2, 1])))
    cases.append(number_case("a line", np.arange(10.0), 3 * np.arange(10.0) - 4))
    cases.append(number_case("a falling line", np.arange(10.0), -np.arange(10.0)))
    cases.append(number_case("squares that overflow", np.array([1e200, -1e200, 3e200]), np.array([1.0, 2.0, 4.0])))
    cases.append(number_case("constant x", np.full(7, 2.5), random.normal(size=7)))
    cases.append(number_case("constant y", random.normal(size=7), np.full(7, -1.0)))
    cases.append(number_case("both constant", np.zeros(4), np.ones(4)))
    cases.append(number_case("invalid answers", np.array([-1.0, 3.8, -1, 2.2, 5]), np.array([0.2, 3.6, 4.8, 2.4, 5.0])))
    return cases


def words(text: str) -> list[str]:
    plain = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def token_f1(prediction: str, gold: str) -> float:
    found, wanted = words(prediction), words(gold)
    shared = sum((Counter(found) & Counter(wanted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def text_case(prediction: str, golds: list[str]) -> dict[str, Any]:
    return {"prediction": prediction, "golds": golds, "exact": any(words(prediction) == words(gold) for gold in golds),
            "f1": max(token_f1(prediction, gold) for gold in golds)}


def write(name: str, versions: dict[str, str], cases: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (OUTPUT / name).write_text(f'{{"versions": {json.dumps(versions)}, "cases": [\n{lines}\n]}}\n', "utf-8")
    print(f"{OUTPUT / name}: {len(cases)} cases")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")
    versions = checked_versions()
    random = np.random.default_rng(SEED)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    write("labels.json", versions, label_cases(random))
    write("numbers.json", versions, number_cases(random))
    write("texts.json", versions, [text_case(prediction, golds) for prediction, golds in TEXTS])


if __name__ == "__main__":
    main()
