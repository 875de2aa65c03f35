"""What the results say together: means, ranks, duels, ratios, totals. Less loss is better everywhere.

The loss of a run is its root mean squared error or its share of wrong labels. Models are compared on the splits that
all of them have.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from learning.store import Result

__all__ = [
    "Duel",
    "Ranks",
    "Runs",
    "common",
    "critical_difference",
    "duels",
    "holm",
    "matched",
    "mean_ranks",
    "median_ratio",
    "relative_losses",
    "runs_of",
    "total_seconds",
    "wilcoxon_holm",
]

# Model -> data set -> split -> result, of runs that ended with a score.
Runs = dict[str, dict[str, dict[int, Result]]]

# How a rival of many sizes is matched with one of ours: by what, and whether it must have at least as much.
_MATCHED = {"equal units": ("units", True), "equal hidden numbers": ("hidden", True), "equal time": ("fit_cpu", False)}


class Duel(NamedTuple):
    """Over data sets: how often a model has clearly less loss than another, about as much, and clearly more."""

    wins: int
    draws: int
    losses: int


class Ranks(NamedTuple):
    """Mean rank of each model, the data sets that they are over, and the p-value of Friedman's test."""

    ranks: dict[str, float]
    data: list[str]
    friedman: float


def runs_of(results: Iterable[Result]) -> Runs:
    """Sort the runs that have a score by model, data set and split."""
    runs: Runs = {}
    for result in results:
        if result.done:
            runs.setdefault(result.model, {}).setdefault(result.data, {})[result.split] = result
    return runs


def common(runs: Runs, models: Sequence[str]) -> dict[str, list[int]]:
    """Return the splits of each data set that all these models have; data sets without one are left out."""
    found = {}
    for data in runs.get(models[0], {}):
        shared = set.intersection(*(set(runs.get(model, {}).get(data, {})) for model in models))
        if shared:
            found[data] = sorted(shared)
    return found


def matched(runs: Runs, reference: str, family: Sequence[str]) -> Runs:
    """Return the runs of a rival of many widths, matched with those of one of our models.

    Parameters
    ----------
    runs : dict
        All runs.
    reference : str
        Our model.
    family : sequence of str
        The rival's widths. At equal units and at equal hidden numbers, the narrowest that has at least as many (the
        widest, if none has); at equal time, the one of the nearest fit seconds, in ratio.

    Returns
    -------
    dict
        Runs of the models ``"dense, equal units"``, ``"dense, equal hidden numbers"`` and ``"dense, equal time"``.
    """
    found: Runs = {}
    for data, by_split in runs.get(reference, {}).items():
        for split, ours in by_split.items():
            rivals = [runs[m][data][split] for m in family if split in runs.get(m, {}).get(data, {})]
            for label, (by, at_least) in _MATCHED.items():
                chosen = _nearest(rivals, by, getattr(ours, by), at_least=at_least)
                if chosen is not None:
                    name = f"dense, {label}"
                    found.setdefault(name, {}).setdefault(data, {})[split] = replace(chosen, model=name)
    return found


def _nearest(rivals: list[Result], by: str, target: float, *, at_least: bool) -> Result | None:
    if not rivals:
        return None
    if not at_least:
        return min(rivals, key=lambda r: abs(math.log(max(getattr(r, by), 1e-9) / max(target, 1e-9))))
    enough = [r for r in rivals if getattr(r, by) >= target]
    return min(enough, key=lambda r: getattr(r, by)) if enough else max(rivals, key=lambda r: getattr(r, by))


def mean_ranks(runs: Runs, models: Sequence[str], data: Iterable[str] | None = None) -> Ranks:
    """Rank the models on each data set by their mean loss over common splits (ties share), and average."""
    shared = common(runs, models)
    kept = [name for name in shared if data is None or name in set(data)]
    if not kept:
        return Ranks({}, [], float("nan"))
    losses = np.array([[_mean_loss(runs, model, name, shared[name]) for model in models] for name in kept])
    ranks = stats.rankdata(losses, axis=1).mean(axis=0)
    enough = len(models) >= 3 and len(kept) >= 2 and np.ptp(losses, axis=1).any()
    p = float(stats.friedmanchisquare(*losses.T).pvalue) if enough else float("nan")
    return Ranks(dict(sorted(zip(models, ranks.tolist(), strict=True), key=lambda pair: pair[1])), kept, p)


def critical_difference(models: int, data: int, level: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks.

    Source: Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), section 3.2.2.
    """
    q = stats.studentized_range.ppf(1.0 - level, models, np.inf) / math.sqrt(2.0)
    return float(q * math.sqrt(models * (models + 1) / (6.0 * data)))


def wilcoxon_holm(
    runs: Runs, reference: str, models: Sequence[str], data: Iterable[str] | None = None
) -> dict[str, float]:
    """Return p-values of Wilcoxon's signed-rank test of each model against one, by log ratios of loss, after Holm."""
    raw = {}
    for model in models:
        ratios = relative_losses(runs, model, reference, data)
        logs = np.log(list(ratios.values()))
        if logs.size >= 5 and logs.any():
            raw[model] = float(stats.wilcoxon(logs).pvalue)
    return holm(raw)


def holm(raw: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for their number, by Holm's step-down rule."""
    adjusted, largest = {}, 0.0
    for k, (name, p) in enumerate(sorted(raw.items(), key=lambda pair: pair[1])):
        largest = max(largest, min(1.0, (len(raw) - k) * p))
        adjusted[name] = largest
    return adjusted


def duels(runs: Runs, ours: str, rival: str) -> Duel:
    """Count clear wins, draws and clear losses over data sets.

    A difference is clear if its mean over common splits is more than the deviation of the differences over splits.
    With one split only, a difference of accuracies is clear if it is more than its binomial deviation; one of
    regression errors is not judged.
    """
    counts = [0, 0, 0]
    for data, splits in common(runs, (ours, rival)).items():
        a, b = ([runs[model][data][s] for s in splits] for model in (ours, rival))
        differences = [y.loss - x.loss for x, y in zip(a, b, strict=True)]
        if len(splits) > 1:
            deviation = statistics.stdev(differences)
        elif a[0].task == "classification":
            deviation = math.sqrt(sum(r.loss * (1.0 - r.loss) for r in (a[0], b[0])) / a[0].test_rows)
        else:
            continue
        mean = statistics.mean(differences)
        counts[1 if abs(mean) <= deviation else 0 if mean > 0 else 2] += 1
    return Duel(*counts)


def relative_losses(runs: Runs, model: str, base: str, data: Iterable[str] | None = None) -> dict[str, float]:
    """Return loss over the base's loss on each data set, each a mean over common splits."""
    kept = None if data is None else set(data)
    ratios = {}
    for name, splits in common(runs, (model, base)).items():
        if kept is None or name in kept:
            # No label wrong still is a loss: half a label.
            first = runs[base][name][splits[0]]
            floor = 0.5 / first.test_rows if first.task == "classification" else 1e-300
            above, below = (max(floor, _mean_loss(runs, m, name, splits)) for m in (model, base))
            ratios[name] = above / below
    return ratios


def median_ratio(
    runs: Runs, model: str, base: str, task: str | None = None, data: Iterable[str] | None = None
) -> float:
    """Return the median of `relative_losses` over the data sets of a task; NaN without any."""
    ratios = relative_losses(runs, model, base, data)
    some = [r for name, r in ratios.items() if task is None or _task(runs, base, name) == task]
    return statistics.median(some) if some else float("nan")


def total_seconds(runs: Runs, model: str, shared: Mapping[str, Sequence[int]]) -> float:
    """Return the sum over data sets of the mean CPU seconds of a fit."""
    return sum(statistics.mean(runs[model][name][s].fit_cpu for s in splits) for name, splits in shared.items())


def _mean_loss(runs: Runs, model: str, data: str, splits: Sequence[int]) -> float:
    return statistics.mean(runs[model][data][s].loss for s in splits)


def _task(runs: Runs, model: str, data: str) -> str:
    return next(iter(runs[model][data].values())).task
