"""Charts as SVG, from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

FONT = "font-family='system-ui, sans-serif'"
INK, FAINT, GRID = "#1f2430", "#667085", "#e3e6ec"
# Told apart by people who see colours differently, and in grey.
COLOURS = ("#0b62a4", "#e69f00", "#5aa469", "#b04a8f", "#8c8c8c", "#56b4e9")


def text(x: float, y: float, content: str, size: int = 12, anchor: str = "start", colour: str = INK, weight: int = 400) -> str:
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}' "
            f"font-weight='{weight}'>{escape(content)}</text>")


def drawing(width: float, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
            f"viewBox='0 0 {width:.0f} {height:.0f}' {FONT}>\n<rect width='100%' height='100%' fill='white'/>\n{body}\n</svg>\n")


def short(value: float) -> str:
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Bars:
    """One group of bars with a scale of its own; `values` in the order of the chart's names, None where there is none."""

    title: str
    values: Sequence[float | None]


def bar_chart(title: str, subtitle: str, names: Sequence[str], columns: Sequence[tuple[str, Sequence[Bars]]]) -> str:
    """Columns of groups side by side; equal rows stand for equal quantities and share a scale."""
    row, gap, label, bar_width, value_width = 17, 34, 112, 210, 62
    column_width = label + bar_width + value_width + 24
    width = max(24 + column_width * len(columns), 760)
    group_height = row * len(names) + gap
    rows = max(len(groups) for _, groups in columns)
    parts = [text(24, 30, title, 17, weight=600), text(24, 50, subtitle, 12, colour=FAINT)]
    for column, (heading, groups) in enumerate(columns):
        left = 24 + column * column_width
        parts.append(text(left, 82, heading, 14, weight=600))
        for place, group in enumerate(groups):
            top = 92 + place * group_height
            most = max((value for _, gs in columns if place < len(gs) for value in gs[place].values if value), default=1)
            parts.append(text(left, top + 14, group.title, 12, weight=600))
            for index, (name, value) in enumerate(zip(names, group.values)):
                y = top + 22 + index * row
                parts.append(text(left + label - 8, y + 11, name, 11, "end"))
                length = bar_width * (value or 0) / most
                parts.append(f"<rect x='{left + label}' y='{y}' width='{length:.1f}' height='{row - 4}' "
                             f"fill='{COLOURS[index % len(COLOURS)]}'/>")
                shown = short(value) if value is not None else "none"
                parts.append(text(left + label + length + 6, y + 11, shown, 11, colour=INK if value else FAINT))
    return drawing(width, 92 + rows * group_height + 8, parts)


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]
    is_reference: bool = False  # what is planned or expected: dashed


@dataclass(frozen=True)
class Plot:
    """`logarithmic`: of both axes; otherwise both begin at 0. `from_zero`: the y axis does in any case."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    logarithmic: bool = True
    from_zero: bool = False


def plot_row(title: str, subtitle: str, plots: Sequence[Plot]) -> str:
    plot_width, plot_height, left, top = 330, 240, 62, 96
    advance = plot_width + left + 30
    parts = [text(24, 30, title, 17, weight=600), text(24, 50, subtitle, 12, colour=FAINT)]
    for index, plot in enumerate(plots):
        parts += plotted(plot, 24 + left + index * advance, top, plot_width, plot_height)
    keys = max(len(plot.lines) for plot in plots)
    return drawing(24 + advance * len(plots), top + plot_height + 58 + 18 * keys, parts)


def plotted(plot: Plot, left: float, top: float, width: float, height: float) -> list[str]:
    points = [point for line in plot.lines for point in line.points]
    x_axis = Axis.over([x for x, _ in points], plot.logarithmic)
    y_axis = Axis.over([y for _, y in points], plot.logarithmic and not plot.from_zero)
    bottom = top + height
    parts = [text(left - 50, top - 14, plot.title, 13, weight=600)]
    for tick in y_axis.ticks:
        y = bottom - height * y_axis.place(tick)
        parts.append(f"<line x1='{left}' x2='{left + width}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(text(left - 6, y + 4, short(tick), 11, "end", FAINT))
    for tick in x_axis.ticks:
        x = left + width * x_axis.place(tick)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{bottom}' stroke='{GRID}'/>")
        parts.append(text(x, bottom + 16, short(tick), 11, "middle", FAINT))
    parts.append(text(left + width / 2, bottom + 33, plot.x_label, 11, "middle"))
    parts.append(text(left + 6, top + 14, plot.y_label, 11))
    for index, line in enumerate(plot.lines):
        colour = COLOURS[index % len(COLOURS)]
        placed = [(left + width * x_axis.place(x), bottom - height * y_axis.place(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        dash = " stroke-dasharray='5 4'" if line.is_reference else ""
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'{dash}/>")
        if not line.is_reference:
            parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in placed]
        key = bottom + 50 + 18 * index
        parts.append(f"<line x1='{left}' x2='{left + 22}' y1='{key}' y2='{key}' stroke='{colour}' stroke-width='2'{dash}/>")
        parts.append(text(left + 28, key + 4, line.name, 11))
    return parts


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    logarithmic: bool
    ticks: Sequence[float]

    @staticmethod
    def over(values: Sequence[float], logarithmic: bool) -> Axis:
        least, most = min(values), max(values)
        if not logarithmic:
            step = 10 ** math.floor(math.log10(most or 1))
            while (most or 1) / step < 4:
                step /= 2
            high = math.ceil((most or 1) / step) * step
            return Axis(0, high, False, [step * count for count in range(round(high / step) + 1)])
        positive = max(least, 1e-9)
        # Powers of two while few, otherwise of ten.
        base = 2 if most / positive <= 200 else 10
        first, last = math.floor(math.log(positive, base) + 1e-9), math.ceil(math.log(max(most, positive), base) - 1e-9)
        last = max(last, first + 1)
        return Axis(base**first, base**last, True, [float(base**power) for power in range(first, last + 1)])

    def place(self, value: float) -> float:
        if not self.logarithmic:
            return value / self.high
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
