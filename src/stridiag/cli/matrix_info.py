"""`stridiag info`: what a matrix is made of, how it would be factored, and what its numbers are like."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

import stridiag
from stridiag import Detection, StridiagMatrix, linalg
from stridiag._files import written_whole
from stridiag.cli.errors import UsageError
from stridiag.cli.matrix_algebra import found_in
from stridiag.cli.output import note, print_json
from stridiag.cli.structure_picture import picture
from stridiag.cli.tables import Cell, Table
from stridiag.cli.terminal import encodable, open_console, print_table
from stridiag.errors import ConvergenceError, IllConditionedWarning, NonFiniteError, SizeLimitError, StructureError
from stridiag.structure.structure import diagonal_length

__all__ = ["describe", "run", "show", "told_determinant", "told_offsets"]

# Diagonals that are listed one by one; of more the longest filled ones.
_LISTED = 12
_PLOTS = (".png", ".svg", ".pdf")


def run(file: Path, plot: Path | None, *, numbers: bool, json: bool, quiet: bool) -> None:
    """Read a matrix, print what is known of it, and draw it."""
    if plot is not None and plot.suffix.lower() not in _PLOTS:
        raise UsageError(f"--plot must end in {', '.join(_PLOTS)}, got {plot.name!r}")
    with found_in(file) as (found, kind):
        # What it says of condition and rank stands in the result.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IllConditionedWarning)
            content = describe(found, str(file), kind, numbers=numbers)
        if json:
            print_json(content)
        else:
            show(open_console(), content, found.matrix)
        if plot is not None:
            _draw(found.matrix, plot)
            note(f"Drawn to {plot}", quiet=quiet)


def _draw(matrix: StridiagMatrix, file: Path) -> None:
    axes = matrix.plot_structure()
    with written_whole(file) as stream:
        axes.figure.savefig(stream, format=file.suffix[1:].lower(), dpi=150, bbox_inches="tight")


def describe(found: Detection, file: str, kind: str, *, numbers: bool) -> dict[str, Any]:
    """Return all that is known of a matrix, for JSON and for `show`.

    Parameters
    ----------
    found : Detection
        Of the matrix.
    file, kind : str
        Where it came from.
    numbers : bool
        Whether to factor it: condition, determinant, rank.
    """
    matrix = found.matrix
    structure = matrix.structure
    rows, columns = structure.shape
    content: dict[str, Any] = {
        "file": file,
        "kind": kind,
        "shape": [rows, columns],
        "dtype": str(matrix.dtype),
        "entries": structure.nnz - found.padding,
        "offsets": list(found.offsets),
        "coverage": found.coverage,
        "links": found.links,
        "padding": found.padding,
        "diagonals": _diagonals(matrix),
        "symmetry": _symmetry(matrix),
        "finite": bool(np.isfinite(matrix.values).all()),
    }
    if rows == columns:
        content["plan"] = _plan(matrix)
    if numbers:
        content["numbers"] = _numbers(matrix)
    return content


def _diagonals(matrix: StridiagMatrix) -> list[dict[str, int]]:
    return [
        {
            "offset": offset,
            "length": diagonal_length(matrix.structure.shape, offset),
            "nonzeros": int(np.count_nonzero(matrix.diagonal(offset))),
        }
        for offset in matrix.offsets
    ]


def _symmetry(matrix: StridiagMatrix) -> str:
    if matrix.structure.shape[0] != matrix.structure.shape[1]:
        return "rectangular"
    sparse: Any = matrix.to_scipy("csr")
    sparse.eliminate_zeros()
    if (sparse != sparse.conj().T).nnz == 0:
        return "Hermitian" if matrix.dtype.kind == "c" else "symmetric"
    if (sparse != sparse.T).nnz == 0:
        return "complex symmetric"
    pattern = sparse.astype(np.bool)
    return "symmetric pattern" if (pattern != pattern.T).nnz == 0 else "unsymmetric"


def _plan(matrix: StridiagMatrix) -> dict[str, Any]:
    plan = stridiag.plan(matrix.structure)
    return {
        "method": plan.method,
        "description": plan.layout.describe(),
        "reason": plan.reason,
        **_cost(plan.cost, plan.cost.price),
        "alternatives": {
            method: {"no": cost} if isinstance(cost, str) else _cost(cost, plan.cost.price)
            for method, cost in plan.alternatives.items()
        },
    }


def _cost(cost: Any, price: float) -> dict[str, Any]:
    operations = cost.operations
    return {
        "factor": operations.factor,
        "solve": operations.solve,
        "slogdet": operations.slogdet,
        "inverse": operations.inverse,
        "exact": operations.exact,
        "bytes": cost.bytes,
        "times_the_price": cost.price / price,
    }


def _numbers(matrix: StridiagMatrix) -> dict[str, Any]:
    rows, columns = matrix.structure.shape
    result: dict[str, Any] = {}
    try:
        doubtful = rows != columns
        if not doubtful:
            factor = matrix.factor()
            sign, logarithm = factor.slogdet()
            rcond = float(factor.rcond)
            result["determinant"] = {"sign": sign, "logabs": float(logarithm)}
            result["condition"] = {
                "norm": 1,
                "cond": 1.0 / rcond if rcond > 0.0 else math.inf,
                "exact": bool(factor.cond_is_exact),
            }
            result["singular"] = bool(factor.singular)
            doubtful = factor.singular or rcond < max(rows, 1) * np.finfo(matrix.dtype).eps
        if doubtful:
            result["rank"] = _rank(matrix)
    except NonFiniteError as error:
        result["not_found"] = str(error)
    return result


def _rank(matrix: StridiagMatrix) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            # What it says stands in the result.
            warnings.simplefilter("ignore")
            info = linalg.rank_info(matrix)
    except (SizeLimitError, ConvergenceError, StructureError) as error:
        return {"not_found": str(error)}
    return {
        "rank": info.rank,
        "full": min(info.shape),
        "clear": not info.ambiguous,
        "certified": info.certified,
        "told": str(info),
    }


# ------------------------------------------------------------------ for people


def show(console: Console, content: dict[str, Any], matrix: StridiagMatrix) -> None:
    """Print it all, and the picture."""
    rows, columns = content["shape"]

    def say(name: str, text: str) -> None:
        line = Text(f"{name:<12}", "bold").append(Text(encodable(text, console.encoding), ""))
        line.stylize("not bold", 12)
        # Lines that go on begin under the first one's text.
        wrapped = Text(line.plain[12:]).wrap(console, max(20, console.width - 12))
        console.print(Text(f"{name:<12}", "bold"), wrapped[0], sep="", end="\n", soft_wrap=True)
        for more in wrapped[1:]:
            console.print(Text(" " * 12), more, sep="", soft_wrap=True)

    say("Matrix", f"{content['file']} ({content['kind']})")
    say("Shape", f"{rows:,} x {columns:,}, {content['dtype']}, {content['symmetry']}")
    say("Entries", f"{content['entries']:,}" + ("" if content["finite"] else ", some of them NaN or infinite"))
    say("Diagonals", _told_diagonals(content))
    say("Links", f"{content['links']:,}")
    if content["padding"]:
        say("Padding", f"{content['padding']:,} zeros complete the diagonals")
    for line in picture(matrix.structure, console.width, encoding=console.encoding):
        console.print(line, soft_wrap=True)
    if "plan" in content:
        _show_plan(console, content["plan"], say)
    _show_numbers(content.get("numbers", {}), say)


def _told_diagonals(content: dict[str, Any]) -> str:
    listed = content["diagonals"]
    if not listed:
        return "none"
    full = [d["offset"] for d in listed if d["nonzeros"] == d["length"]]
    partly = [f"{d['offset']} ({d['nonzeros'] / d['length']:.0%})" for d in listed if 0 < d["nonzeros"] < d["length"]]
    empty = [d["offset"] for d in listed if d["nonzeros"] == 0 and d["length"]]
    parts = [f"{content['coverage']:.1%} of the entries"]
    if full:
        parts.append(f"full: {told_offsets(full)}")
    if partly:
        more = f" and {len(partly) - _LISTED} more" if len(partly) > _LISTED else ""
        parts.append(f"partly nonzero: {', '.join(partly[:_LISTED])}{more}")
    if empty:
        parts.append(f"zero: {told_offsets(empty)}")
    return "; ".join(parts)


def told_offsets(offsets: Iterable[int]) -> str:
    """Return offsets with runs drawn together.

    Examples
    --------
    >>> from stridiag.cli.matrix_info import told_offsets
    >>> told_offsets([-7, -1, 0, 1, 2, 30])
    '-7, -1 to 2, 30'
    """
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][-1] + 1:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    told = [f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
    return ", ".join(told[:_LISTED]) + (f" and {len(told) - _LISTED} more runs" if len(told) > _LISTED else "")


def _show_plan(console: Console, plan: dict[str, Any], say: Any) -> None:
    at_most = "" if plan["exact"] else "at most "
    say("Method", f"{plan['method']}: {plan['description']}")
    say("Because", plan["reason"])
    say(
        "Operations",
        f"{at_most}{_number(plan['factor'])} to factor, {_number(plan['solve'])} to solve, "
        f"{_number(plan['slogdet'])} for the determinant, {_number(plan['inverse'])} for a dense inverse",
    )
    say("Memory", f"{at_most}{_number(plan['bytes'])} bytes for the factors, in float64")
    able = {method: cost for method, cost in plan["alternatives"].items() if "no" not in cost}
    if able:
        console.print()
        rows = [
            [
                Cell(method),
                Cell(f"{cost['times_the_price']:.2g}"),
                Cell(("" if cost["exact"] else "≤ ") + _number(cost["factor"])),
                Cell(("" if cost["exact"] else "≤ ") + _number(cost["solve"])),
                Cell(("" if cost["exact"] else "≤ ") + _number(cost["bytes"])),
            ]
            for method, cost in sorted(able.items(), key=lambda item: item[1]["times_the_price"])
        ]
        columns = ("method", "times the price", "factor", "solve", "bytes")
        no = [f"{method}: {cost['no']}" for method, cost in plan["alternatives"].items() if "no" in cost]
        print_table(console, Table("Instead", "", columns, rows, expendable=("bytes", "solve", "factor")))
        for k, line in enumerate(no):
            say("" if k else "Not", line)
    console.print()


def _show_numbers(numbers: dict[str, Any], say: Any) -> None:
    if "not_found" in numbers:
        say("Numbers", numbers["not_found"])
    if "condition" in numbers:
        cond = numbers["condition"]
        how = "exactly, in the 1-norm" if cond["exact"] else "estimated, in the 1-norm"
        say("Condition", "infinite" if math.isinf(cond["cond"]) else f"{cond['cond']:.3g} ({how})")
    if "determinant" in numbers:
        say("Determinant", told_determinant(numbers["determinant"]["sign"], numbers["determinant"]["logabs"]))
    if "rank" in numbers:
        rank = numbers["rank"]
        say("Rank", rank["told"] if "rank" in rank else f"not found: {rank['not_found']}")


def told_determinant(sign: Any, logarithm: float) -> str:
    """Return a determinant as a number of any size.

    Examples
    --------
    >>> from stridiag.cli.matrix_info import told_determinant
    >>> told_determinant(-1.0, 2302.585092994046)
    '-1.00e+1000 (sign -1, log 2302.585)'
    """
    if logarithm == -math.inf:
        return "0"
    exponent, digits = math.floor(logarithm / math.log(10.0)), 0.0
    digits = math.exp(logarithm - exponent * math.log(10.0))
    if round(digits, 2) >= 10.0:
        exponent, digits = exponent + 1, digits / 10.0
    shown = f"{digits:.2f}e{exponent:+03d}"
    if isinstance(sign, complex | np.complexfloating):
        return f"{shown} times {complex(sign):.4g} (log {logarithm:.7g})"
    return f"{'-' if sign < 0 else ''}{shown} (sign {int(sign)}, log {logarithm:.7g})"


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**7 else f"{count:.2e}"
