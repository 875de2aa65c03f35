"""Measurements into tables of text, for the terminal and the page alike; and the sentences that sum them up."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from stridiag.cli import learning_demo, matrix_demo
from stridiag.cli.learning_demo import Contestant, Score
from stridiag.cli.matrix_demo import Job, Measurement
from stridiag.nn.layers import Layer

__all__ = [
    "Cell",
    "Table",
    "Tone",
    "accuracy_table",
    "duration",
    "learning_verdict",
    "matrix_table",
    "matrix_verdict",
    "mean_and_deviation",
    "picture_sentence",
    "structure_sentence",
    "times_over",
]

Tone = Literal["", "good", "bad", "quiet"]
Scores = dict[Contestant, list[Score]]

_TITLES = {
    "solve": "Solve one right-hand side, factorization included",
    "slogdet": "Sign and log of the determinant",
    "inverse": "Inverse, as a dense array",
    "pinv": "Pseudoinverse of a singular matrix of rank n - 2, as a dense array",
}
_ERRORS = {
    "solve": "backward error",
    "slogdet": "relative difference of log|det| from SuperLU",
    "inverse": "relative residual of A X = I",
    "pinv": "worst of Penrose's four conditions",
}
# Sizes that the terminal shows; the page has them all.
_SHORT = {"solve": (1000, 10_000, 100_000, 1_000_000), "slogdet": (1000, 10_000, 100_000, 1_000_000)}
_EVEN = 1.1


class Cell(NamedTuple):
    """A text and how it should look."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the first column reads from the left, the others from the right.

    Attributes
    ----------
    title, note : str
        Above and below it.
    columns : tuple of str
        Heads.
    rows : list of list of Cell
        As long as `columns`.
    groups : tuple of int
        Rows before which a line is drawn.
    expendable : tuple of str
        Columns that a narrow terminal may leave out, the first one first.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    groups: tuple[int, ...] = ()
    expendable: tuple[str, ...] = ()

    def without(self, column: str) -> Table:
        """Return the table without one of its columns."""
        k = self.columns.index(column)
        return replace(
            self,
            columns=self.columns[:k] + self.columns[k + 1 :],
            rows=[row[:k] + row[k + 1 :] for row in self.rows],
            expendable=tuple(name for name in self.expendable if name != column),
        )


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation; the latter 0 for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def accuracy_table(scores: Scores) -> Table:
    """Make the table of contestants: accuracy, time and parameters, ours first."""
    rows = []
    shown = {entrant: marks for entrant, marks in scores.items() if entrant.in_table}
    best = max(statistics.fmean(mark.accuracy for mark in marks) for marks in shown.values())
    for entrant, marks in shown.items():
        mean, deviation = mean_and_deviation([mark.accuracy for mark in marks])
        seconds = statistics.median(mark.seconds for mark in marks)
        hidden, readout = marks[0].hidden, marks[0].readout
        rows.append(
            [
                Cell(entrant.name),
                Cell(f"{100 * mean:.2f} ± {100 * deviation:.2f}", "good" if mean == best else ""),
                Cell(duration(seconds)),
                Cell(f"{hidden:,}"),
                Cell(f"{readout:,}"),
            ]
        )
    splits = max(len(marks) for marks in shown.values())
    note = (
        f"Mean and standard deviation over {splits} stratified shuffled splits, a quarter of 1,797 images held out; "
        "time: median fit. Hidden weights are drawn (random), solved for (targets) or descended to (MLP); "
        "readouts are solved but for the MLP's, the penalty of all networks' "
        f"{learning_demo.penalty_rule()}. Layers are L x units."
    )
    columns = ("model", "accuracy %", "fit", "hidden", "readout")
    return Table("Digits: learning by pseudoinverse", note, columns, rows, expendable=("readout", "hidden"))


def matrix_table(operation: matrix_demo.Operation, measured: list[Measurement], *, full: bool) -> Table:
    """Make the table of one operation: a row for each matrix, a column for each method.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    measured : list of Measurement
        Of all operations.
    full : bool
        All sizes and the first call too, or what fits a terminal.
    """
    byjob = _by_job(measured, operation)
    methods = list(dict.fromkeys(m.method for row in byjob.values() for m in row.values()))
    shown: tuple[int, ...] = () if full else _SHORT.get(operation, ())
    # Tiny runs have none of the chosen sizes: then all.
    if not any(job.n in shown for job in byjob):
        shown = tuple(job.n for job in byjob)
    rows: list[list[Cell]] = []
    groups, last = [], None
    for job, row in byjob.items():
        if job.n not in shown:
            continue
        if job.case != last:
            groups.append(len(rows))
            last = job.case
        rows.append(_matrix_row(job, row, methods))
    ours, *rivals = methods
    columns = ("p,q,links", "n", ours, "speed-up", *rivals, "error", "rivals' worst")
    note = f"Error: {_ERRORS[operation]}. Speed-up: over the fastest rival; below 1 we are slower."
    if any(m.ill_conditioned for row in byjob.values() for m in row.values()):
        note += " *: found singular to working precision; the time includes finding that out."
    # Time and speed-up stay; the rivals go from the one that is slowest at large sizes.
    expendable = ("rivals' worst", *(m for m in rivals if m == matrix_demo.DENSE), "error")
    expendable += tuple(m for m in rivals[::-1] if m != matrix_demo.DENSE)
    return Table(_TITLES[operation], note, columns, rows, tuple(groups[1:]), expendable)


def _matrix_row(job: Job, row: dict[str, Measurement], methods: list[str]) -> list[Cell]:
    ours = row[matrix_demo.OURS]
    gain = _gain(row)
    tone: Tone = "good" if gain >= _EVEN else "bad" if gain < 1.0 / _EVEN else ""
    errors = [m.error for m in row.values() if m is not ours]
    mark = "*" if ours.ill_conditioned else ""
    cells = [Cell(str(job.case)), Cell(f"{job.n:,}{mark}")]
    cells += [Cell(duration(ours.timing.median)), Cell(times_over(gain), tone)]
    cells += [Cell(duration(row[m].timing.median)) if m in row else Cell("–", "quiet") for m in methods[1:]]
    return [*cells, Cell(_error(ours.error)), Cell(_error(_worst(errors)))]


def matrix_verdict(measured: list[Measurement]) -> list[str]:
    """Say in sentences how much faster or slower than the fastest rival we were, at the largest size and overall."""
    result = []
    for operation in matrix_demo.OPERATIONS:
        gains = {job: _gain(row) for job, row in _by_job(measured, operation).items()}
        largest = max(job.n for job in gains)
        last = [f"{times_over(gain)} for ({job.case})" for job, gain in gains.items() if job.n == largest]
        won = sum(gain >= _EVEN for gain in gains.values())
        lost = sum(gain < 1.0 / _EVEN for gain in gains.values())
        result.append(
            f"{operation}, speed-up over the fastest rival at n = {largest:,}: {', '.join(last)}. "
            f"Over all sizes: faster in {won}, slower in {lost} of {len(gains)}."
        )
    return result


def learning_verdict(scores: Scores) -> str:
    """Say in a sentence how the structured network did beside the dense one and the perceptron."""
    means = {
        entrant: mean_and_deviation([mark.accuracy for mark in marks])
        for entrant, marks in scores.items()
        if entrant.in_table
    }
    ours = next(entrant for entrant in means if entrant.family == learning_demo.STRUCTURED)
    dense = next(entrant for entrant in means if entrant.family == learning_demo.DENSE)
    perceptron = next(entrant for entrant in means if entrant.family == learning_demo.MLP)
    share = scores[ours][0].hidden / scores[dense][0].hidden
    return (
        f"The structured network reads {100 * means[ours][0]:.1f} % of unseen digits with {scores[ours][0].hidden:,} "
        f"hidden parameters, {100 * share:.1f} % of those of the dense network of the same width "
        f"({100 * means[dense][0]:.1f} %); the perceptron trained by gradient descent reads "
        f"{100 * means[perceptron][0]:.1f} %, with {_total(scores[perceptron]):,} parameters in all against "
        f"{_total(scores[ours]):,}."
    )


def picture_sentence(scores: Scores) -> str:
    """Say what the picture of accuracies shows besides the table."""
    counts = {len(marks) for marks in scores.values()}
    result = "The picture adds other widths"
    if len(counts) > 1:
        few = min(counts)
        result += f", on {few} of the {max(counts)} splits" + (" and so without bars" if few == 1 else "")
    result += "; bars are one standard deviation. "
    return result + "Parameters that were drawn count as much as those that were learned."


def structure_sentence(layers: tuple[Layer, ...]) -> str:
    """Say how far apart the diagonals of each layer stand, and which inputs the last layer can see through them."""
    strides = [min((abs(k) for k in layer.weight.structure.offsets if k), default=0) for layer in layers]
    result = f"Strides, layer by layer: {', '.join(map(str, strides))}"
    if all(a < b for a, b in pairwise(strides)):
        result += ", growing so that few layers reach far"
    seen = np.eye(layers[0].inputs, dtype=bool)
    for layer in layers:
        rows, columns = layer.weight.structure.coordinates()
        sources = columns if layer.source is None else layer.source[columns]
        after = np.zeros((layer.units, seen.shape[1]), dtype=bool)
        np.logical_or.at(after, rows, seen[sources])
        seen = after
    return f"{result}. Through them a unit of the last layer sees {100 * seen.mean():.0f} % of the inputs on average."


def _total(marks: list[Score]) -> int:
    return marks[0].hidden + marks[0].readout


def _by_job(measured: list[Measurement], operation: str) -> dict[Job, dict[str, Measurement]]:
    result: dict[Job, dict[str, Measurement]] = {}
    for m in measured:
        if m.job.operation == operation:
            result.setdefault(m.job, {})[m.method] = m
    return result


def _gain(row: dict[str, Measurement]) -> float:
    """Return the fastest rival's time over ours."""
    rivals = (m.timing.median for method, m in row.items() if method != matrix_demo.OURS)
    return min(rivals) / row[matrix_demo.OURS].timing.median


def _worst(errors: list[float]) -> float:
    return math.nan if any(math.isnan(error) for error in errors) else max(errors)


def duration(seconds: float) -> str:
    """Write a time with its unit, in three digits.

    Examples
    --------
    >>> from stridiag.cli.tables import duration
    >>> duration(2.6e-6), duration(0.0283), duration(12.0)
    ('2.6 µs', '28.3 ms', '12.00 s')
    """
    if seconds < 1e-3:
        micro = 1e6 * seconds
        return f"{micro:.0f} µs" if micro >= 100 else f"{micro:.3g} µs"
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def times_over(value: float) -> str:
    """Write a ratio: whole from 10 on, else with one digit, or two below 1."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _error(error: float) -> str:
    return f"{error:.0e}" if error else "0"
