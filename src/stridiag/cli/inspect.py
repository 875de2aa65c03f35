"""`stridiag inspect`: what is in a model file, and what a prediction costs here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as RichTable
from rich.text import Text

from stridiag.cli.fit import scores_in_words, told
from stridiag.cli.model_files import load_model
from stridiag.cli.output import print_json
from stridiag.cli.tables import Cell, Table, duration
from stridiag.cli.terminal import encodable, open_console, print_table, print_text
from stridiag.nn.average import Average
from stridiag.nn.ensemble import Ensemble
from stridiag.nn.layers import Layer
from stridiag.nn.network import Network
from stridiag.sklearn import TableModel

__all__ = ["layers_of", "run", "seconds_of"]

_REPEATS = 15
_MANY = 1000
# More columns, offsets or categories than this are counted and not listed.
_SHOWN_COLUMNS = 60
_SHOWN_OFFSETS = 7
_SHOWN_CATEGORIES = 6


def run(file: Path, *, as_json: bool) -> None:
    """Print what is known of a model."""
    model = load_model(file)
    one, many = seconds_of(model, 1), seconds_of(model, _MANY)
    layers = layers_of(model)
    if as_json:
        seconds = {"1 row": one, f"{_MANY} rows": many}
        print_json({**told(model, file), "layers": layers, "penalty": penalties_of(model), "seconds": seconds})
        return
    console = open_console()
    # Both columns from the left, the second one wrapped: sentences, not numbers.
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, text in _facts(model, file, one, many):
        grid.add_row(name, Text(encodable(text, console.encoding)))
    print_text(console, str(file), wrap=False)
    console.print(grid)
    console.print()
    print_table(console, _columns_table(model))
    if layers:
        print_table(console, _layers_table(layers))


def _facts(model: TableModel, file: Path, one: float, many: float) -> Iterator[tuple[str, str]]:
    facts, count = model.facts, model.estimator.n_parameters_
    yield "task", f"{model.task} of {', '.join(target.name for target in model.targets)}"
    if model.task == "classification" and len(model.targets) == 1:
        yield "classes", _few([str(label) for label in model.classes], 12)
    rows = f"{facts['rows']:,}"
    updates = facts.get("updates", [])
    if updates:
        rows += f", and {sum(one_['rows'] for one_ in updates):,} more in updates ({len(updates)})"
    yield "rows", rows
    yield "trained", f"{facts['created']} by stridiag {facts['stridiag']}, {facts['seconds']:.1f} s"
    yield "from", str(facts.get("source", "Python"))
    yield "leave-one-out", scores_in_words(facts["leave-one-out"])
    if "held out" in facts:
        yield "held out", f"{facts['held out']['rows']:,} rows: {scores_in_words(facts['held out'])}"
    chosen = ", ".join(f"{name}={value}" for name, value in facts["settings"].items())
    yield "settings", chosen or "defaults"
    yield "takes more rows", "yes" if model.updatable else "no (fit with --updatable)"
    yield "inputs", f"{len(model.encoding.names)} numbers from {len(model.encoding.columns)} columns"
    yield "parameters", f"{count.total:,}: {count.hidden:,} hidden, {count.readout:,} readout"
    memory = getattr(model.estimator.model_, "memory", None)
    if memory is not None:
        yield "memory", "keeps training rows with what it got wrong"
    penalties = [f"{value:.3g}" for value in penalties_of(model)]
    yield "penalty per row", " to ".join(dict.fromkeys(penalties)) or "none"
    yield "file", f"{_bytes(file.stat().st_size)}, schema {facts['schema']}"
    yield "prediction here", f"{duration(one)} for one row, {duration(many)} for {_MANY:,}"


def penalties_of(model: TableModel) -> list[float]:
    """Return the least and the largest penalty of the readouts; nothing where there is none."""
    found = model.estimator.model_
    parts = [found] if isinstance(found, Network) else list(getattr(found, "members", ()))
    values = [float(value) for part in parts for value in np.ravel(part.readout.alpha)]
    return [min(values), max(values)] if values else []


def layers_of(model: TableModel) -> list[dict[str, Any]]:
    """Return what is known of each hidden layer: network, units, inputs, wrapped diagonals, links, activation."""
    found = model.estimator.model_
    members = found.members if isinstance(found, Average | Ensemble) else (found,)
    result = []
    for k, member in enumerate(members):
        for t, layer in enumerate(_layers(getattr(member, "hidden", None))):
            structure = layer.weight.structure
            result.append(
                {
                    "network": k + 1,
                    "layer": t + 1,
                    "inputs": layer.inputs,
                    "units": layer.units,
                    "offsets": _wrapped(structure.offsets, layer.inputs),
                    "links": int(structure.link_rows.size),
                    "activation": layer.activation,
                }
            )
    return result


def _wrapped(offsets: tuple[int, ...], width: int) -> list[int]:
    """Return each wrapped diagonal once, by how far it is from the main one: 63 of 64 steps on is one step back."""
    signed = {(offset + (width - 1) // 2) % width - (width - 1) // 2 for offset in map(int, offsets)}
    return sorted(signed, key=lambda offset: (abs(offset), offset))


def _layers(hidden: Any) -> Iterator[Layer]:
    """Find the layers of a hidden part, whatever its kind, in the order of its fields."""
    if isinstance(hidden, Layer):
        yield hidden
    elif isinstance(hidden, tuple):
        for part in hidden:
            yield from _layers(part)
    else:
        for name in getattr(type(hidden), "__dataclass_fields__", ()):
            yield from _layers(getattr(hidden, name))


def seconds_of(model: TableModel, count: int) -> float:
    """Return the median time of predicting `count` rows from a table, made of medians and frequent categories."""
    rows = {
        column.name: [column.frequent[0] if column.kind == "category" else column.fill] * count
        for column in model.encoding.columns
    }
    import pyarrow as pa

    table = pa.table(
        {
            column.name: pa.array(rows[column.name], pa.string() if column.kind == "category" else pa.float64())
            for column in model.encoding.columns
        }
    )
    # The first call loads kernels.
    model.predict(table)
    spent = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        model.predict(table)
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


def _columns_table(model: TableModel) -> Table:
    rows = []
    for column in model.encoding.columns[:_SHOWN_COLUMNS]:
        if column.kind == "category":
            shown = ["(missing)" if one is None else one for one in column.frequent]
            values = _few(shown, _SHOWN_CATEGORIES) + (", rare ones together" if column.rare else "")
        else:
            values = f"median {column.fill:.6g}"
        missing = Cell("some", "") if column.missing else Cell("none", "quiet")
        rows.append([Cell(column.name), Cell(column.kind), Cell(str(column.width)), missing, Cell(values)])
    more = len(model.encoding.columns) - len(rows)
    text = f"And {more} more: --json has them all. " if more else ""
    if model.encoding.dropped:
        text += "Not used: " + "; ".join(f"{one.name} ({one.reason})" for one in model.encoding.dropped[:10]) + "."
    return Table("Columns", text, ("column", "kind", "numbers", "missing", "values"), rows, expendable=("values",))


def _layers_table(layers: list[dict[str, Any]]) -> Table:
    shapes: Counter[tuple[Any, ...]] = Counter()
    for one in layers:
        offsets = _few([str(k) for k in one["offsets"]], _SHOWN_OFFSETS) or "none"
        shapes[one["layer"], one["inputs"], one["units"], offsets, one["links"], one["activation"]] += 1
    rows = [
        [
            Cell(f"{layer}"),
            Cell(f"{times}"),
            Cell(f"{inputs:,}"),
            Cell(f"{units:,}"),
            Cell(offsets),
            Cell(f"{links:,}"),
            Cell(f),
        ]
        for (layer, inputs, units, offsets, links, f), times in shapes.items()
    ]
    heads = ("layer", "times", "inputs", "units", "offsets", "links", "activation")
    return Table("Hidden layers", "", heads, rows, expendable=("activation", "links", "times"))


def _few(texts: list[str], most: int) -> str:
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def _bytes(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1e3:,.0f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"
