"""The documentation's page, made of stored results alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from learning.models import DENSE_UNITS, models
from learning.ours import LINES
from learning.plots import BASE, draw
from learning.store import Result
from learning.summary import (
    Runs,
    common,
    critical_difference,
    duels,
    matched,
    mean_ranks,
    median_ratio,
    runs_of,
    total_seconds,
    wilcoxon_holm,
)
from stridiag.cli.report import write_atomically
from stridiag.sklearn import StridiagRegressor

__all__ = ["page", "write_page"]

IMAGES = ("digits", "mnist")
FAMILY = tuple(f"dense {units}" for units in DENSE_UNITS)
# Whose ranks the targets are about, the first that has results.
_CHAMPIONS = ("ours",)
# A model with results for fewer of the tables than this share is not ranked: it would take data sets from the others.
_COVERAGE = 0.75
# Seconds that a fit may take from this accuracy on.
_MNIST_SECONDS = ((0.994, 600.0), (0.992, 60.0), (0.0, 20.0))

_HEAD = """# Learning: benchmarks

<!-- Made by `python benchmarks/learning.py`: change that, not this page. -->

Our estimators beside others on tables and images, losses included. Tables with published splits are measured on
those; tables without, and the digits, on five shuffled folds with a fixed seed (stratified by class). Categories are
one-hot, missing numbers are medians, both from the training part. Every model is fitted in a process of its own, on
one thread. **Seconds are CPU seconds**, and a *gemm* is the time of a product of two 768 × 768 matrices in the same
process. Hyper-parameters are chosen on the training part only, and those seconds count. Errors of regression are root
mean squared errors in units of the target, those of classification are given as accuracy. Memory is the peak during
the fit above what the process held before; a model's bytes are those of its own file where it has one, and of its
pickle otherwise. *Loss* is the root mean squared error or the share of wrong labels.

`dense 512` has 512 dense random tanh units, biases anchored at random training rows, and our leave-one-out readout; the
gain is the best of four. *Random places* has as many units, layers and hidden numbers as one of ours, each entry at a
random place, and the same readout: the control of our structure. The dense ones read standardised inputs beside their
empirical distribution functions, the controls what ours read. A trained mode's control is the random one.
"""


def write_page(results: list[Result], path: Path, pictures: Path) -> None:
    """Write the page and its pictures."""
    pictures.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page(results, pictures, path.parent))


def page(results: list[Result], pictures: Path, beside: Path) -> str:
    """Return the text of the page; the pictures are written into a folder, and named from another one."""
    runs = runs_of(results)
    tables = sorted({r.data for r in results if r.done} - set(IMAGES))
    champion = next((name for name in _CHAMPIONS if name in runs), None)
    if champion is not None:
        runs |= matched(runs, champion, FAMILY)
    shown = [name for name in _order(runs) if name not in FAMILY]
    covering = [m for m in shown if len(set(runs[m]) & set(tables)) >= max(1.0, _COVERAGE * len(tables))]
    ranked = [m for m in covering if m not in ("dense, equal time", "dense, equal hidden numbers")]
    parts = [_HEAD, _facts(results)]
    if champion is not None and BASE in runs:
        parts.append(_targets(runs, champion, tables))
    if len(ranked) > 1:
        parts.append(_ranks(runs, ranked, champion, tables))
    for title, names in (
        ("Regression: root mean squared error", [d for d in tables if _task(results, d) == "regression"]),
        ("Classification: accuracy", [d for d in tables if _task(results, d) == "classification"]),
        ("Images: accuracy", [d for d in IMAGES if any(d in of for of in runs.values())]),
    ):
        if names:
            images = names[0] in IMAGES
            parts.append(_scores(runs, title, names, [*shown, *(m for m in FAMILY if m in runs)] if images else shown))
    parts += [_against_dense(runs), _controls(runs)]
    parts += [
        _costs(runs, shown, names, title) for names, title in ((tables, "Cost: tables"), (IMAGES, "Cost: images"))
    ]
    if BASE in runs:
        drawn = [m for m in covering if not m.startswith("dense,")]
        shared = [d for d in tables if all(d in runs[m] for m in [*drawn, BASE])]
        if shared:
            files = draw(runs, drawn, [m for m in FAMILY if m in runs], shared, pictures)
            folder = Path(*([".."] if pictures.parent != beside else []), pictures.name)
            text = f"## Loss against cost\n\nOver {len(shared)} tables: {', '.join(shared)}.\n\n"
            parts.append(text + "\n\n".join(f"![{said}]({(folder / name).as_posix()})" for name, said in files.items()))
    parts.append(_left_out(results))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _facts(results: list[Result]) -> str:
    dates = sorted({r.date for r in results if r.date})
    lines = [f"* measured: {dates[0]} to {dates[-1]}" if dates else "* nothing measured yet"]
    for label, found in (("machine", {r.machine for r in results}), ("packages", {r.packages for r in results})):
        lines += [f"* {label}: {text}" for text in sorted(found) if text]
    settings: dict[str, str] = {}
    for r in results:
        if not r.model.startswith(("random places", "dense ")):
            settings[r.model] = r.settings
    lines += [f"* `{name}`: {text}" for name, text in sorted(settings.items())]
    return "## Machine and models\n\n" + "\n".join(lines)


def _targets(runs: Runs, champion: str, tables: Sequence[str]) -> str:
    rows = []

    def row(text: str, value: float, target: float, *, least: bool, digits: int = 2) -> None:
        if value == value:
            met = value >= target if least else value <= target
            sign = "≥" if least else "≤"
            told = f"{value:.{digits}f}"
            rows.append((text, f"{sign} {target:g}", told if met else f"**{told}**", "met" if met else "**missed**"))

    row(
        "median ratio of regression errors to histgb",
        median_ratio(runs, champion, BASE, "regression"),
        0.85,
        least=False,
    )
    for rival, target in (("mlp", 8.0), ("mlp, tuned", 40.0), (BASE, 1.0)):
        shared = {d: s for d, s in common(runs, (champion, rival)).items() if d in tables}
        if shared:
            factor = total_seconds(runs, rival, shared) / total_seconds(runs, champion, shared)
            row(f"fit seconds of {rival} over ours ({len(shared)} tables)", factor, target, least=True)
    for model in (name for name in runs if name.startswith("ours")):
        # The plain recipe does not know that its columns are pixels: MNIST is for the one that does.
        targets = {"digits": 0.99, "mnist": 0.99} if "image" in model else {"digits": 0.983}
        for data, target in targets.items():
            if data in runs[model]:
                found = runs[model][data].values()
                row(
                    f"{data}, accuracy of {model}",
                    statistics.mean(r.score for r in found),
                    target,
                    least=True,
                    digits=4,
                )
    lines = _table(("", "target", "measured", ""), rows)
    return f"## Targets\n\nOf `{champion}` where no model is named.\n\n{lines}"


def _ranks(runs: Runs, ranked: list[str], champion: str | None, tables: Sequence[str]) -> str:
    found = mean_ranks(runs, ranked, tables)
    if not found.data:
        return ""
    rivals = [m for m in ranked if m != champion]
    p = wilcoxon_holm(runs, champion, rivals, found.data) if champion in ranked else {}
    rows = [
        (
            f"`{name}`",
            f"{rank:.2f}",
            _number(median_ratio(runs, name, BASE, "regression", found.data)),
            _number(median_ratio(runs, name, BASE, "classification", found.data)),
            f"{p[name]:.2g}" if name in p else "",
        )
        for name, rank in found.ranks.items()
    ]
    head = (
        "model",
        "mean rank",
        "median RMSE over histgb's",
        "median share wrong over histgb's",
        f"p against {champion}",
    )
    distance = critical_difference(len(ranked), len(found.data))
    return (
        f"## Mean ranks over {len(found.data)} tables\n\n{_table(head, rows)}\n\n"
        f"Mean ranks that differ by less than {distance:.2f} (Nemenyi, 5 %) are not told apart; Friedman's test: "
        f"p = {found.friedman:.2g}. The last column is Wilcoxon's signed-rank test on log ratios of loss, after Holm. "
        f"Tables: {', '.join(found.data)}."
    )


def _scores(runs: Runs, title: str, names: list[str], models: list[str]) -> str:
    present = [m for m in models if any(d in runs[m] for d in names)]
    rows = []
    for data in names:
        # The splits that our own model was measured on, so that a row is about the same test rows.
        wanted = next((set(runs[m][data]) for m in _CHAMPIONS if data in runs.get(m, {})), None)
        found = {m: [r for s, r in runs[m].get(data, {}).items() if wanted is None or s in wanted] for m in present}
        most = max(len(of) for of in found.values())
        means = {m: statistics.mean(r.loss for r in of) for m, of in found.items() if len(of) == most}
        best = min(means.values())
        cells = [data]
        for model, of in found.items():
            text = _spread([r.score for r in of])
            text = f"**{text}**" if means.get(model) == best else text
            cells.append(f"{text} [{len(of)}]" if text and len(of) < most else text)
        rows.append(tuple(cells))
    note = (
        "Mean ± deviation over the splits that `ours` was measured on; in brackets their number for a model that was "
        "measured on fewer of them. Bold is the best of those that were measured on all."
    )
    return f"## {title}\n\n{note}\n\n" + _table(("", *present), rows)


def _against_dense(runs: Runs) -> str:
    rows = []
    for model in (name for name in runs if name.startswith("ours")):
        rivals = matched(runs, model, FAMILY)
        cells = [f"{d.wins} / {d.draws} / {d.losses}" for d in (duels(runs | rivals, model, r) for r in rivals)]
        if cells:
            rows.append((f"`{model}`", *cells))
    if not rows:
        return ""
    text = """A draw is a mean difference over splits of no more than the deviation of the differences over splits; with
one split, no more than the binomial deviation of a difference of accuracies (one of regression errors is not judged).
The dense rival is the narrowest with at least as many units or hidden numbers, and that of the nearest fit seconds."""
    head = ("wins / draws / losses", "equal units", "equal hidden numbers", "equal time")
    return f"## Against dense random features\n\n{text}\n\n{_table(head, rows)}"


def _controls(runs: Runs) -> str:
    rows = []
    for line in LINES:
        if line.name in runs and line.control in runs:
            duel = duels(runs, line.name, line.control)
            ratio = median_ratio(runs, line.name, line.control)
            rows.append(
                (f"`{line.name}`", f"`{line.control}`", f"{duel.wins} / {duel.draws} / {duel.losses}", _number(ratio))
            )
    head = ("", "control", "wins / draws / losses", "median loss over the control's")
    return f"## Beside their random controls\n\n{_table(head, rows)}" if rows else ""


def _costs(runs: Runs, models: list[str], tables: Sequence[str], title: str) -> str:
    rows = []
    for model in [*models, *(m for m in FAMILY if m in runs)]:
        if model.startswith("dense, "):
            continue
        found = [r for d in tables for r in runs[model].get(d, {}).values()]
        if not found:
            continue
        shared = {d: list(runs[model][d]) for d in tables if d in runs[model]}
        median = {f: statistics.median(getattr(r, f) for r in found) for f in ("hidden", "readout", "bytes", "latency")}
        rows.append(
            (
                f"`{model}`",
                f"{total_seconds(runs, model, shared):.1f} ({len(shared)})",
                f"{statistics.median(r.fit_cpu / r.gemm_cpu for r in found):.3g}",
                f"{statistics.median(r.predict_cpu / r.test_rows for r in found) * 1e6:.3g}",
                f"{median['latency'] * 1e6:.0f}",
                f"{max(r.memory for r in found) / 2**20:.0f}",
                f"{median['hidden']:,.0f}",
                f"{median['readout']:,.0f}",
                f"{median['bytes'] / 1000:,.0f}",
            )
        )
    head = (
        "model",
        "all fits, s (data sets)",
        "a fit, gemms",
        "a row of many, µs",
        "one row, µs",
        "most memory, MiB",
        "hidden numbers",
        "readout numbers",
        "file, kB",
    )
    text = "Over those that each model has: the sum of mean fit seconds, the most memory, and medians else."
    return f"## {title}\n\n{text}\n\n{_table(head, rows)}" if rows else ""


def _left_out(results: Sequence[Result]) -> str:
    measured = {r.model for r in results}
    lines = [f"* `{name}`: no result is stored" for name in models(StridiagRegressor) if name not in measured]
    lines += [f"* `{r.model}` on {r.data}, split {r.split}: {r.status}" for r in results if not r.done]
    return "## Not measured\n\n" + "\n".join(lines) if lines else ""


def _order(runs: Runs) -> list[str]:
    def place(name: str) -> tuple[int, str]:
        kinds = ("ours", "random places", "dense,", "hpelm", "gfdl", "linear", "mlp", "histgb", "dense ")
        return next((k for k, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name

    return sorted(runs, key=place)


def _task(results: Iterable[Result], data: str) -> str:
    return next(r.task for r in results if r.data == data)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    mean = statistics.mean(values)
    return f"{mean:.4g} ± {statistics.stdev(values):.2g}" if len(values) > 1 else f"{mean:.4g}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
