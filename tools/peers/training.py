"""tools/compare --train: its options, the measurements in their order, and what is written."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

import environment
import training_data
import training_measure as measure
import training_report as report

MAKER = training_data.ROOT / "tools/make_checkpoint.py"
TASK_EPOCHS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --train", "--quick: 3 steps of T5-small, one round, 320 examples, one seed")
    group.add_argument("--train", action="store_true", help="measure training beside PyTorch and the `adapters` library")
    group.add_argument("--methods", default=",".join(measure.METHODS), metavar="NAMES",
                       help="on T5, separated by commas; 'none' leaves T5 out (%(default)s)")
    group.add_argument("--steps", type=int, help=f"of a run on T5, the first {measure.WARM} not counted (6)")
    group.add_argument("--data", type=Path, metavar="GLUE_FOLDER", help="trains MiniLM, too, on sst2/ in this folder")
    group.add_argument("--examples", type=int, help="of SST-2 (4000)")
    group.add_argument("--seeds", type=int, help="runs of MiniLM (3)")


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    options.methods = [] if options.methods == "none" else options.methods.split(",")
    unknown = [method for method in options.methods if method not in measure.METHODS]
    if unknown:
        parser.error(f"--methods: {', '.join(unknown)} is none of {', '.join(measure.METHODS)}")
    if not options.methods and not options.data:
        parser.error("--methods none leaves nothing to do without --data")
    options.steps = options.steps or (3 if options.quick else 6)
    options.examples = options.examples or (320 if options.quick else 4000)
    options.seeds = options.seeds or (1 if options.quick else 3)
    if min(options.steps, options.examples, options.seeds) < 1:
        parser.error("--steps, --examples and --seeds take 1 and more")


def results_of(options: argparse.Namespace, python: Path) -> report.Results:
    command = "tools/compare" + "".join(f" {shlex.quote(word)}" for word in sys.argv[1:])
    results = report.Results(options.size, command, os.getloadavg()[0], options.rounds, options.examples, TASK_EPOCHS)
    if options.methods:
        with measure.folder_for(options.size) as folder:
            steps = measure.Steps(options.tusk, python, folder, options.size, options.steps)
            steps.prepare(MAKER)
            if options.prepare:
                return results
            results.steps = measure.measure_steps(steps, options.threads, options.methods, options.rounds)
    if options.data and not options.prepare:
        results.task_threads = max(options.threads)
        with measure.folder_for("minilm") as folder:
            training_data.write_sst2(options.data, options.examples, folder)
            trainers = measure.Trainers(options.tusk, python, folder)
            results.task = measure.measure_task(trainers, TASK_EPOCHS, options.seeds, results.task_threads)
    return results


def compare(options: argparse.Namespace) -> bool:
    """Whether every limit is kept."""
    python = environment.chosen_python(options.python, ["adapters"])
    results = results_of(options, python)
    if options.prepare:
        return True
    options.output.mkdir(parents=True, exist_ok=True)
    page, text = report.page(results, "train.svg"), json.dumps(results.json(), indent=1)
    (options.output / "train.svg").write_text(report.chart(results))
    (options.output / "train.md").write_text(page)
    (options.output / "train.json").write_text(text + "\n")
    print(text if options.json else page)
    environment.say(f"wrote train.md, train.svg and train.json in {options.output}")
    return all(verdict.passes for verdict in report.verdicts(results))
