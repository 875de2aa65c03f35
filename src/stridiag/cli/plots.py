"""The pictures of the report, as SVG text that takes its colours from the page: one picture for light and dark.

Figures are made without pyplot, so nothing global changes. Colours are drawn as placeholders that no other
element uses and turned into CSS variables afterwards; text stays text, at the size of the page's figures.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from stridiag.cli import learning_demo, matrix_demo
from stridiag.cli.bench.problem import Case
from stridiag.cli.matrix_demo import Measurement
from stridiag.cli.tables import Scores, mean_and_deviation
from stridiag.cli.timing import fitted_slope
from stridiag.nn.layers import Layer

__all__ = ["Curve", "accuracy_figure", "loglog", "structure_figures", "time_figures"]

# Placeholder -> CSS variable. Series 1 is always ours.
_INK, _GRID = "#0a0b0c", "#0a0b0d"
_SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05")
_MARKERS = ("o", "s", "^", "v", "D")
_VARIABLES = {_INK: "--ink", _GRID: "--grid"} | {color: f"--s{k}" for k, color in enumerate(_SERIES, 1)}
_FAMILIES = {
    learning_demo.STRUCTURED: (_SERIES[0], "o"),
    learning_demo.TARGETS: (_SERIES[1], "D"),
    learning_demo.DENSE: (_SERIES[2], "s"),
    learning_demo.SHALLOW: (_SERIES[2], "P"),
    learning_demo.MLP: (_SERIES[3], "^"),
    learning_demo.RIDGE: (_SERIES[4], "v"),
}
_METHODS = {
    matrix_demo.OURS: (_SERIES[0], "o"),
    matrix_demo.DENSE: (_SERIES[2], "s"),
    matrix_demo.SUPERLU: (_SERIES[3], "^"),
    matrix_demo.LAPACK: (_SERIES[4], "v"),
}
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}


def structure_figures(layers: tuple[Layer, ...]) -> list[str]:
    """Draw where the weights of each layer stand."""
    from matplotlib.ticker import MaxNLocator

    def picture(number: int, layer: Layer) -> str:
        structure = layer.weight.structure
        share = structure.nnz / (structure.shape[0] * structure.shape[1])

        def draw(figure: Any, ax: Any) -> None:
            layer.weight.plot_structure(ax=ax)
            title = f"layer {number}: {structure.nnz:,} weights ({100 * share:.1f} %)"
            ax.set(title=title, xlabel="input (shuffled)", ylabel="unit")
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))

        return _picture(f"structure{number}", f"Where the weights of layer {number} stand", (3.2, 3.4), draw)

    return [picture(number, layer) for number, layer in enumerate(layers, 1)]


def accuracy_figure(scores: Scores) -> str:
    """Draw accuracy against the number of parameters, a line for each family, with deviations."""

    def draw(figure: Any, ax: Any) -> None:
        for family, (color, marker) in _FAMILIES.items():
            points = []
            for entrant, marks in scores.items():
                if entrant.family == family:
                    mean, deviation = mean_and_deviation([100 * mark.accuracy for mark in marks])
                    points.append((marks[0].hidden + marks[0].readout, mean, deviation))
            size, mean_, deviation_ = zip(*sorted(points), strict=True)
            ax.errorbar(size, mean_, deviation_, color=color, marker=marker, elinewidth=0.8, capsize=2, label=family)
        ax.set(xscale="log", xlabel="parameters, readout included", ylabel="accuracy on unseen digits, %")
        ax.xaxis.set_major_formatter(lambda value, _: _power(value))
        ax.xaxis.set_minor_formatter(lambda value, _: "")
        ax.grid(visible=True)
        figure.legend(loc="outside lower center", ncols=2)

    return _picture("accuracy", "Accuracy against number of parameters", (4.8, 4.2), draw)


def time_figures(operation: matrix_demo.Operation, measured: list[Measurement]) -> list[str]:
    """Draw time against n for each case of an operation, on common axes, slopes in the legend."""
    here = [m for m in measured if m.job.operation == operation]
    times = [m.timing.median for m in here]

    def picture(case: Case) -> str:
        mine = [m for m in here if m.job.case == case]
        curves = [
            Curve(method, [(m.job.n, m.timing.median) for m in mine if m.method == method], *_METHODS[method])
            for method in dict.fromkeys(m.method for m in mine)
        ]
        title = f"{operation}: p = {case.p}, q = {case.q}, {case.links} links"
        limits = (min(times) / 2, 2 * max(times))
        return loglog(f"{operation}-{case.p}-{case.q}-{case.links}", title, curves, limits=limits)

    return [picture(case) for case in dict.fromkeys(m.job.case for m in here)]


class Curve(NamedTuple):
    """Points (n, seconds) under a name; without a colour it takes the next one."""

    name: str
    points: list[tuple[int, float]]
    color: str = ""
    marker: str = ""


def loglog(name: str, title: str, curves: list[Curve], *, limits: tuple[float, float] | None = None) -> str:
    """Draw seconds against n, both in logarithms, with slopes in the legend; `name` is unique on the page."""
    sizes = sorted({n for curve in curves for n, _ in curve.points})

    def draw(figure: Any, ax: Any) -> None:
        for k, curve in enumerate(curves):
            n, seconds = zip(*curve.points, strict=True)
            slope = fitted_slope(n, seconds)
            label = curve.name if slope is None else f"{curve.name}: n^{slope:.2f}"
            color, marker = curve.color or _SERIES[k], curve.marker or _MARKERS[k]
            ax.plot(n, seconds, color=color, marker=marker, label=label)
        ax.set(xscale="log", yscale="log", xlabel="n", title=title)
        if limits is not None:
            ax.set(ylim=limits)
        ax.set_xticks(sizes, [_count(n) for n in sizes])
        ax.set_xticks([], minor=True)
        ax.yaxis.set_major_formatter(lambda value, _: _duration(value))
        ax.yaxis.set_minor_formatter(lambda value, _: "")
        ax.grid(visible=True)
        figure.legend(loc="outside lower center", ncols=2)

    return _picture(name, f"Time against n. {title}", (4.6, 3.5), draw)


def _picture(name: str, label: str, inches: tuple[float, float], draw: Callable[[Any, Any], None]) -> str:
    """Return what `draw(figure, axes)` draws, in our style, as SVG for the page."""
    from cycler import cycler
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # plot_structure takes the main diagonal's colour from place 0, the others' from 1, the links' from 3.
    style: Any = _STYLE | {"svg.hashsalt": name, "axes.prop_cycle": cycler(color=[_SERIES[k] for k in (2, 0, 1, 3)])}
    buffer = io.StringIO()
    with rc_context(style):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure, figure.add_subplot())
        figure.savefig(buffer, format="svg", transparent=True)
    return _adopt(buffer.getvalue(), name, label)


def _adopt(svg: str, name: str, label: str) -> str:
    """Fit an SVG file into a page: no header, no links, no clashing ids, colours from the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:xlink)?|version|width|height)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">") :]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for placeholder, variable in _VARIABLES.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _power(value: float) -> str:
    exponent = f"{value:.0e}".partition("e")[2]
    return "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _count(n: int) -> str:
    return f"{n // 10**6}M" if n >= 10**6 else f"{n // 1000}k" if n >= 1000 else str(n)


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.99 * size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1e9:g} ns"
