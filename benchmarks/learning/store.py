"""Results as CSV files, one for each model: a line for each run, appended when it is done."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["Result", "append", "read"]

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Seconds and bytes; `memory` is the peak above what the process held before the fit."""

    data: str
    task: str
    split: int
    model: str
    settings: str
    status: str
    score: float = NAN
    fit_cpu: float = NAN
    fit_wall: float = NAN
    predict_cpu: float = NAN
    gemm_cpu: float = NAN
    memory: int = 0
    hidden: int = 0
    readout: int = 0
    units: int = 0
    layers: int = 0
    bytes: int = 0
    latency: float = NAN
    train_rows: int = 0
    test_rows: int = 0
    columns: int = 0
    date: str = ""
    machine: str = ""
    packages: str = ""

    @property
    def done(self) -> bool:
        """Whether there is a score."""
        return self.status == "ok"

    @property
    def loss(self) -> float:
        """The root of the mean squared error, or the share of wrong labels: less is better."""
        return self.score if self.task == "regression" else 1.0 - self.score


_NAMES = [field.name for field in fields(Result)]
_KINDS = {field.name: {"int": int, "float": float}.get(str(field.type), str) for field in fields(Result)}


def append(folder: Path, result: Result) -> None:
    """Write a result behind those of its model."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_file_name(result.model)}.csv"
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(_NAMES)
        writer.writerow([_text(value) for value in asdict(result).values()])


def read(folder: Path) -> list[Result]:
    """Return all results of a folder; of several of the same split and model the last one.

    Raises
    ------
    ValueError
        If a file is not one of results.
    """
    found: dict[tuple[str, int, str], Result] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if table.fieldnames != _NAMES:
                raise ValueError(f"{path} must have the columns {', '.join(_NAMES)}, got {table.fieldnames}")
            for line in _complete(table):
                result = Result(**{name: _KINDS[name](text) for name, text in line.items()})
                found[result.data, result.split, result.model] = result
    return list(found.values())


def _complete(lines: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    # A line that is being written has fewer cells.
    return (line for line in lines if None not in line.values())


def _file_name(model: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in model).strip("-").replace("--", "-")


def _text(value: Any) -> Any:
    return f"{value:.8g}" if isinstance(value, float) else value
