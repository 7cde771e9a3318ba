"""The results of tools/compare --train as a Markdown page and a chart."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import charts
from report import counted, machine, table
from training_measure import BATCH, SOURCE, TARGET, TASK_BATCH, TASK_RATE, WARM, Cell, StepCells

NAMES = {"tusk": "Tusk", "smallest": "smallest budget", "torch": "PyTorch", "grouped": "PyTorch, like lengths together"}
CHARTED = ("tusk", "smallest", "torch")
METHOD_NAMES = {"full": "full fine-tuning", "adapter": "Adapter", "compacter": "Compacter", "compacter++": "Compacter++"}
# Memory and time against full fine-tuning, in percent: T5-base, one epoch of MNLI on a GPU. arXiv 2106.04647.
PAPER = {"full": (0.0, 0.0), "compacter": (None, -13.41), "compacter++": (-41.94, -26.51)}
MOST_PRIVATE, MOST_SMALLEST, MOST_TASK = 128e6, 64e6, 40e6
MOST_SHARE, MOST_SLOWER, MOST_TIME = 0.1, 2.0, 1.0
MOST_POINTS = 1.0


@dataclass
class Results:
    size: str
    command: str
    load: float  # the load average before the run
    rounds: int
    examples: int
    epochs: int
    steps: StepCells = field(default_factory=dict)
    task: dict[str, Cell] = field(default_factory=dict)
    task_threads: int = 0

    def json(self) -> dict[str, Any]:
        return {"machine": machine(), "verdicts": [asdict(verdict) for verdict in verdicts(self)], **asdict(self)}


@dataclass(frozen=True)
class Verdict:
    what: str
    required: str
    measured: str
    passes: bool


def at_most(what: str, found: float, most: float, unit: str = "") -> Verdict:
    return Verdict(what, f"<= {most:g}{unit}", f"{charts.short(found)}{unit}", found <= most)


def verdicts(results: Results) -> list[Verdict]:
    made = []
    for threads, cells in results.steps.get("compacter", {}).items():
        tusk, smallest, torch = cells["tusk"], cells["smallest"], cells["torch"]
        where = f"{results.size}, {counted(threads)}"
        made += [
            at_most(f"{where}: private", tusk.private / 1e6, MOST_PRIVATE / 1e6, " MB"),
            at_most(f"{where}: private by PyTorch's", tusk.private / torch.private, MOST_SHARE),
            at_most(f"{where}: private in the smallest budget", smallest.private / 1e6, MOST_SMALLEST / 1e6, " MB"),
            at_most(f"{where}: step in the smallest budget by that of the default plan", smallest.step / tusk.step, MOST_SLOWER),
            at_most(f"{where}: step by PyTorch's", tusk.step / torch.step, MOST_TIME),
        ]
    if results.task:
        tusk, torch = results.task["tusk"], results.task["torch"]
        points = 100 * (tusk.accuracy - torch.accuracy)
        made += [
            Verdict("MiniLM: points of accuracy above PyTorch's", f"within {MOST_POINTS:g}", f"{points:+.2f}",
                    abs(points) <= MOST_POINTS),
            at_most("MiniLM: private", tusk.private / 1e6, MOST_TASK / 1e6, " MB"),
            at_most("MiniLM: time of all steps by PyTorch's", tusk.training / torch.training, MOST_TIME),
        ]
    return made


def verdict_table(results: Results) -> list[str]:
    rows = [[verdict.what, verdict.required, verdict.measured, "pass" if verdict.passes else "FAIL"]
            for verdict in verdicts(results)]
    return table(["Compacter", "required", "measured", ""], rows)


def seconds(value: float | None) -> str:
    return charts.short(value) if value is not None else ""


def step_table(results: Results) -> list[str]:
    header = [f"{results.size}, Compacter", "step, s: best / median", "processor, s per step", "private, MB", "planned, MB",
              "numbers trained"]
    rows = []
    for threads, cells in results.steps.get("compacter", {}).items():
        for engine, cell in cells.items():
            summary = cell.runs[0].summary
            planned = summary.get("planned_private_bytes")
            rows.append([f"{counted(threads)}: {NAMES[engine]}", f"{seconds(min(cell.counted))} / {seconds(cell.step)}",
                         seconds(cell.step_processor), f"{cell.private / 1e6:.1f}", f"{planned / 1e6:.1f}" if planned else "",
                         f"{summary['trained_parameters']:,}"])
    return table(header, rows)


def method_cells(results: Results, method: str) -> dict[str, Cell]:
    """With the most threads."""
    by_threads = results.steps.get(method, {})
    return by_threads[max(by_threads)] if by_threads else {}


def change(ratio: float | None) -> str:
    return f"{100 * (ratio - 1):+.2f} %" if ratio is not None else ""


def method_table(results: Results) -> list[str]:
    """Each method by full fine-tuning of the same trainer; where that does not do it, by PyTorch's."""
    threads = max(count for by_threads in results.steps.values() for count in by_threads)
    header = [f"{results.size}, {counted(threads)}", *(f"{NAMES[engine]}: {what}" for engine in ("tusk", "torch") for what in (
        "step, s", "private, MB", "memory", "time")), "the paper: memory", "time"]
    rows = []
    for method in results.steps:
        cells = method_cells(results, method)
        row = [METHOD_NAMES[method]]
        for engine in ("tusk", "torch"):
            base = method_cells(results, "full").get(engine) or method_cells(results, "full").get("torch")
            if cell := cells.get(engine):
                ratios = (cell.private / base.private, cell.step / base.step) if base else (None, None)
                row += [seconds(cell.step), f"{cell.private / 1e6:.1f}", *map(change, ratios)]
            else:
                row += ["not offered", "", "", ""]
        rows.append([*row, *(f"{value:+.2f} %" if value is not None else "" for value in PAPER.get(method, (None, None)))])
    return table(header, rows)


def task_table(results: Results) -> list[str]:
    cells = results.task
    header = [f"all-MiniLM-L6-v2, SST-2, Compacter, {counted(results.task_threads)}", *(NAMES[engine] for engine in cells)]
    every = list(cells.values())
    summaries = [cell.runs[0].summary for cell in every]
    return table(header, [
        ["accuracy, mean of the seeds", *(f"{100 * cell.accuracy:.2f} %" for cell in every)],
        ["of each seed", *(", ".join(f"{100 * run.accuracy:.2f}" for run in cell.runs) for cell in every)],
        ["all steps, s", *(seconds(cell.training) for cell in every)],
        ["whole process, s", *(seconds(cell.whole) for cell in every)],
        ["processor in it, s", *(seconds(cell.processor) for cell in every)],
        ["private, MB", *(f"{cell.private / 1e6:.1f}" for cell in every)],
        ["numbers trained, and in the head",
         *(f"{summary['trained_parameters']:,} + {summary['head_parameters']:,}" for summary in summaries)],
    ])


def page(results: Results, drawing: str) -> str:
    lines = [
        f"# Training beside PyTorch and `adapters`: {results.size}", "",
        f"`{results.command}` wrote this page. {machine()}; load average before the run {results.load:.1f}, 0 being an idle "
        "machine.", "",
        "Tusk trains on an int8 backbone that is mapped, PyTorch on the same weights in float32. Both train the same numbers, "
        "placed as the `adapters` library places them, with dropout 0.1, AdamW, gradients bounded by 1 and a rate that falls "
        "to 0. Every run is a fresh process, and the trainers take turns. Private memory is that in no file: RssAnon, its peak "
        "over the process, loading included. Processor time is that of all threads.", "",
        *verdict_table(results), f"![time and memory by PyTorch's]({drawing})", "",
    ]
    if results.steps:
        lines += [
            f"Random weights of {results.size} shapes; steps on {BATCH} examples of {SOURCE} source and {TARGET} target tokens. "
            f"Times are of {results.rounds} round{'s' if results.rounds > 1 else ''}, without the first {WARM} steps of each.",
            "", *step_table(results),
            "Changes against full fine-tuning: by the same trainer, or by PyTorch where Tusk does not offer it. The paper's are "
            "of T5-base on a GPU.", "", *method_table(results)]
    if results.task:
        lines += [
            f"The first {results.examples:,} examples of SST-2, {results.epochs} epochs, batches of {TASK_BATCH}, rate "
            f"{TASK_RATE:g}; accuracy on its validation examples after each epoch, of which the best counts. PyTorch pads a "
            "batch to its longest text, which costs it less where texts of like length are put together, as group_by_length "
            "of `transformers` does; Tusk pads nothing. The time of all steps leaves loading and evaluation out. Times are the "
            "median of the seeds.", "", *task_table(results)]
    return "\n".join(lines)


def chart(results: Results) -> str:
    rows = [(f"Compacter, {counted(threads)}", cells, "step", "s a step")
            for threads, cells in results.steps.get("compacter", {}).items()]
    if results.task:
        rows.append(("MiniLM on SST-2", results.task, "training", "s"))

    def bars(title: str, values: dict[str, float], unit: str) -> charts.Bars:
        unity = values["torch"]
        return charts.Bars(f"{title} (PyTorch: {charts.short(unity)} {unit})",
                           [values[engine] / unity if engine in values else None for engine in CHARTED])

    times = [bars(title, {engine: getattr(cell, of) for engine, cell in cells.items()}, unit) for title, cells, of, unit in rows]
    spaces = [bars(title, {engine: cell.private / 1e6 for engine, cell in cells.items()}, "MB") for title, cells, _, _ in rows]
    return charts.bar_chart(f"Training, {results.size}: PyTorch with `adapters` is 1", machine(),
                            [NAMES[engine] for engine in CHARTED], [("time", times), ("private memory", spaces)])
