r"""Networks for tables: ranks beside values, units that follow relevance, an average, and a memory of residuals.

1. Rows T = [standardised | ranks] (see `ranks`).
2. Three small networks in turn (more while the error falls by a fifth) on at most some thousand rows: the gradients of
   each give the relevance from which the next one is drawn; that of least leave-one-out error is kept. Where they leave
   less than 2 % of the variance, a sharper form of it is kept if it lowers the error by another fifth. More small
   networks decide, by the same error, which share of the units is sparse and whether mixed units stand behind a dense
   premix (see `mixed_units`). 3. Networks of one layer of such units, each a ridge regression whose penalty is found
   by a walk (see `penalty_walk`). The gradients of each one are added to the relevance from which the next is drawn.
4. Their mean; and, where it helps by more than 0.5 %, a memory of leave-one-out residuals (see `memory`).
5. Predictions stop 10 % of the training range beyond it, unless they are scores of classes.

No gradient descent: gradients are with respect to rows, of functions that are linear in what was solved for.

Cost, for n rows, E networks of D units: E n D^2 + (E + 4) (D^3 / 3 + 700 D^2) flops, and 64 E n D for the leverages of
all rows that the memory needs (see `leverages`; E n D^2 where they are large, which is done only if a look at rougher
ones says that a memory is useful). With no more than D rows, E n^2 D + (E + 4) n^3 2 / 3. One network finds the penalty
for all. Where small networks leave more than 1e-4 of the variance, all but small penalties' D^3 / 3 is in single
precision and the penalty at least 1e-5; up to a weight of 500 it is double precision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.nn.ensemble import PRESETS, Ensemble, Member, Preset, Sizes, networks_for, sizes_for
from stridiag.nn.memory import LEAST_GAIN, Memory, Near, choose
from stridiag.nn.mixed_units import Mixing
from stridiag.nn.options import check_name, is_integer, is_number
from stridiag.nn.penalty_walk import START
from stridiag.nn.ranks import Both
from stridiag.nn.readout import Readout
from stridiag.nn.relevance import WIDE, Relevance
from stridiag.nn.shifted_products import SAFE
from stridiag.nn.table_rows import SolvedUnits, TableRows, judged_errors, left_out_errors, sketches_serve
from stridiag.nn.training import Clock, LeftOut, ProgressHook, check_training_data
from stridiag.nn.transforms import Standardization

__all__ = ["TrainedTable", "fit_tabular", "train_tabular"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Rows whose leave-one-out errors decide: penalties of networks, those of small ones, and the memory's form.
_JUDGES, _SMALL_JUDGES = 1024, 512
_GRADIENT_ROWS = 500
# Where small networks leave less than this share of the variance there is next to no noise: width is all that counts.
_NOISELESS = 0.005
# Where they leave less than this share, all digits of double precision count.
_EXACT = 1e-4
# Where they leave less than this share, relevance that takes gradients at their word is tried.
_CLEAR = 0.02
_MARGIN = 0.1
# Relevance takes two turns, and more while each lowers the error to less than this share.
_MOST_TURNS, _FALLING = 7, 0.8


class TrainedTable(NamedTuple):
    """A model, and what it says of some training rows without them."""

    model: Ensemble
    left_out: LeftOut


def fit_tabular(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    preset: Preset = "fast",
    memory: bool | Literal["auto"] = "auto",
    mixing: Mixing | Literal["auto"] = "structured",
    units: int | None = None,
    networks: int | None = None,
    alpha: float | Literal["loo"] = "loo",
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    classification: bool = False,
    progress: ProgressHook | None = None,
) -> Ensemble:
    """Fit an average of networks, with a memory of residuals, to a table.

    Parameters
    ----------
    X : array_like, (n, d)
        Inputs, finite: categories one-hot, missing entries filled in. At least two rows.
    Z : array_like, (n, q)
        Targets; for classes +-1 indicators, one column for two classes.
    preset : {"fast", "accurate"}, default "fast"
        Sizes by n; see `sizes_for`.
    memory : {"auto", True, False}, default "auto"
        Whether leave-one-out residuals of training rows correct predictions near them; "auto": if that lowers the
        leave-one-out error by more than 0.5 %. The model then holds the training rows.
    mixing : {"structured", "dense", "auto"}, default "structured"
        Whether mixed units stand behind a dense premix of the inputs, whose numbers are counted; "auto": if that lowers
        the leave-one-out error of small networks.
    units, networks : int, optional
        Instead of the preset's: width of each network, and how many are averaged.
    alpha : float or "loo", default "loo"
        Ridge penalty per observation on standardised columns, positive; "loo": by leave-one-out errors.
    weights : array_like, (n,), optional
        Sample weights. An integer weight counts as repetition: exactly so where the weights add up to no more than 500
        and there is no memory.
    rng : int, numpy.random.Generator or None
        Seed or generator of everything random. The order of rows does not matter, up to rounding.
    classification : bool, default False
        Targets are indicators: scores are not cut off.
    progress : callable, optional
        Called with a `Progress` after relevance, each network and the memory.

    Returns
    -------
    Ensemble
        ``decision(rows)``, (m, q), and ``parameter_count()``.

    Raises
    ------
    ValueError
        If shapes do not match, an option is unknown, or fewer than two rows have positive weight.
    NonFiniteError
        If a number is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import fit_tabular
    >>> X = np.random.default_rng(0).uniform(-2, 2, (600, 5))
    >>> Z = np.sin(2 * X[:, :1]) * X[:, 1:2]
    >>> model = fit_tabular(X[:500], Z[:500], rng=0)
    >>> error = model.decision(X[500:]) - Z[500:]
    >>> bool(np.sqrt(np.mean(error**2)) < 0.1 * Z.std())
    True
    """
    return train_tabular(
        X,
        Z,
        preset=preset,
        memory=memory,
        mixing=mixing,
        units=units,
        networks=networks,
        alpha=alpha,
        weights=weights,
        rng=rng,
        classification=classification,
        progress=progress,
    ).model


def train_tabular(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    preset: Preset,
    memory: bool | Literal["auto"],
    mixing: Mixing | Literal["auto"],
    units: int | None,
    networks: int | None,
    alpha: float | Literal["loo"],
    weights: ArrayLike | None,
    rng: int | np.random.Generator | None,
    classification: bool,
    progress: ProgressHook | None,
) -> TrainedTable:
    """Do what `fit_tabular` says; return also leave-one-out scores."""
    _check_options(preset, memory, mixing, units, networks, alpha)
    x, z, d = check_training_data(X, Z, weights)
    generator = np.random.default_rng(rng)
    inputs = Both.fit(x, d)
    outputs = Standardization.fit(z, d)
    table = TableRows(inputs.apply(x), outputs.apply(z), d, generator)
    sizes = sizes_for(float(d.sum()), preset)
    clock = Clock(progress, (networks or sizes.networks) + 2)
    plan = _plan(table, sizes, mixing, generator)
    noiseless = plan.error < _NOISELESS
    width = units or (sizes.noiseless_units if noiseless else sizes.units)
    count = networks or networks_for(float(d.sum()), preset, noiseless=noiseless)
    clock.expect(count + 2)
    clock.tick("relevance")
    judges = table.sampler.spread(_JUDGES, generator)
    solved: list[SolvedUnits] = []
    product = np.zeros(())
    relevance = plan.relevance
    # Penalties per observation fall as rows and units grow.
    grown = table.d.sum() / sizes.small_rows * width / sizes.small_units
    start = plan.start - round(float(np.log10(max(grown, 1.0))))
    given = None if alpha == "loo" else float(alpha)
    single = plan.error >= _EXACT if given is None else given >= SAFE
    for _ in range(count):
        hidden = table.draw(width, plan.share, plan.mixing, relevance, generator)
        # Networks of one law want about one penalty: the first finds it.
        fit = table.solve(hidden, judges, given, start, settle=bool(solved), single=single)
        solved.append(fit)
        start = float(np.log10(fit.walked.readout.alpha[0]))
        own = table.product(fit, table.sampler.spread(_GRADIENT_ROWS, generator))
        trace = float(own.sum() if own.ndim == 1 else np.trace(own))
        product = product + (own / trace if trace > 0.0 else own)
        relevance = Relevance.from_product(product, plan.spread)
        clock.tick("network")
    memory_of, corrections = None, np.empty(0)
    if memory is not False:
        memory_of, corrections = _remember(table, solved, relevance, judges, always=memory is True)
    clock.tick("memory")
    scores = table.z[judges] - judged_errors(solved)
    if memory_of is not None:
        scores += corrections
    back = _Back.of(outputs)
    members = tuple(Member(one.hidden, back.readout(one.walked.readout)) for one in solved)
    if memory_of is not None:
        memory_of = replace(memory_of, residuals=memory_of.residuals * back.scale)
    room = np.inf if classification else _MARGIN * (z.max(axis=0) - z.min(axis=0))
    model = Ensemble(inputs, members, memory_of, z.min(axis=0) - room, z.max(axis=0) + room)
    return TrainedTable(model, LeftOut(judges, scores * back.scale + back.mean))


def _check_options(
    preset: object, memory: object, mixing: object, units: object, networks: object, alpha: object
) -> None:
    check_name(preset, "preset", PRESETS)
    check_name(mixing, "mixing", ("auto", "dense", "structured"))
    if not (isinstance(memory, bool | np.bool_) or (isinstance(memory, str) and memory == "auto")):
        raise ValueError(f"memory must be 'auto', True or False, got {memory!r}")
    for value, name in ((units, "units"), (networks, "networks")):
        if value is not None and not (is_integer(value) and value >= 1):  # type: ignore[operator]  # an integer
            raise ValueError(f"{name} must be an integer of at least 1 or None, got {value!r}")
    loo = isinstance(alpha, str) and alpha == "loo"
    if not (loo or (is_number(alpha) and 0.0 < alpha < np.inf)):  # type: ignore[operator]  # a number
        raise ValueError(f"alpha must be 'loo' or a finite positive number, got {alpha!r}")


class _Plan(NamedTuple):
    """What small networks decided; `spread` is the covariance of the rows where relevance is sharp."""

    relevance: Relevance
    share: float
    mixing: Mixing
    start: float
    error: float
    spread: Array | None


class _Back(NamedTuple):
    """From targets in units of their spread to their own."""

    scale: Array
    mean: Array

    @classmethod
    def of(cls, outputs: Standardization) -> _Back:
        deviation = np.where(np.isinf(outputs.deviation), 0.0, outputs.deviation)
        return cls(deviation * outputs.magnitude, outputs.mean * outputs.magnitude)

    def readout(self, readout: Readout) -> Readout:
        return replace(
            readout,
            coefficients=readout.coefficients * self.scale,
            intercept=readout.intercept * self.scale + self.mean,
            score=readout.score * self.scale**2,
        )


def _plan(table: TableRows, sizes: Sizes, mixing: Mixing | Literal["auto"], rng: np.random.Generator) -> _Plan:
    """Choose relevance, share of sparse units and mixing by small networks."""
    part = table.part(table.sampler.spread(sizes.small_rows, rng), rng)
    judges, seen = part.sampler.spread(_SMALL_JUDGES, rng), part.sampler.spread(_GRADIENT_ROWS, rng)
    start = START

    def small(relevance: Relevance, share: float, kind: Mixing, *, settle: bool = False) -> tuple[float, SolvedUnits]:
        nonlocal start
        hidden = part.draw(sizes.small_units, share, kind, relevance, rng)
        # Unless next to no noise has been seen, penalties are far above the rounding of single precision.
        single = best >= _NOISELESS * part.z.shape[1]
        fit = part.solve(hidden, judges, None, start, fine=False, settle=settle, single=single, rough=True)
        start = float(np.log10(fit.walked.readout.alpha[0]))
        return float(fit.walked.readout.score.sum()), fit

    kind: Mixing = "dense" if mixing == "auto" else mixing
    relevance = Relevance.none(part.t.shape[1])
    best, chosen, found, kept = np.inf, relevance, START, None
    for turn in range(_MOST_TURNS):
        score, fit = small(relevance, 0.5, kind)
        falling = score < _FALLING * best
        if score < best:
            best, chosen, found, kept = score, relevance, start, fit
        if turn >= 2 and not falling:
            break
        relevance = Relevance.from_product(part.product(fit, seen))
    spread = None
    if kept is not None and best < _CLEAR * part.z.shape[1] and part.t.shape[1] <= WIDE:
        covariance = part.spread()
        for _ in range(_MOST_TURNS):
            relevance = Relevance.from_product(part.product(kept, seen), covariance)
            score, fit = small(relevance, 0.5, kind)
            if score >= _FALLING * best:
                break
            best, chosen, found, kept, spread = score, relevance, start, fit, covariance
    # Other kinds of units on the same relevance want about the same penalty.
    start = found
    mixed, _ = small(chosen, 0.0, kind, settle=True)
    if mixing == "auto":
        without, _ = small(chosen, 0.0, "structured", settle=True)
        if not mixed < without:
            kind, mixed = "structured", without
    sparse, _ = small(chosen, 1.0, kind, settle=True)
    scores = (best, mixed, sparse)
    least = int(np.argmin(scores))
    share = (0.5, 0.0, 1.0)[least]
    return _Plan(chosen, share, kind, found, scores[least] / part.z.shape[1], spread)


def _remember(
    table: TableRows,
    solved: list[SolvedUnits],
    relevance: Relevance,
    judges: Index,
    *,
    always: bool,
) -> tuple[Memory | None, Array]:
    """Return the memory, or None where it does not help enough, and its corrections at the judges."""
    left_out = left_out_errors(table, solved, judges, rough=not always)
    # Plain distances forget nothing, but neither do those of the square root of M, which tell as much or more.
    metrics = (relevance.scale, relevance.metric)
    if always or judges.size == table.d.size:
        near = [Near.of(table.t, metric, judges) for metric in metrics]
    else:
        # Many rows, and distances and exact leverages are work: first a look at a quarter of the judges.
        few = table.sampler.every_other(judges)[::2]
        looked = choose(left_out, table.d, [Near.of(table.t, metric, judges[few]) for metric in metrics], judges[few])
        if looked.gain <= LEAST_GAIN / 2.0:
            return None, np.empty(0)
        near = [looked.near.among(judges, few)]
        if not sketches_serve(solved):
            left_out = left_out_errors(table, solved, judges)
    chosen = choose(left_out, table.d, near, judges)
    kept = always or chosen.gain > LEAST_GAIN
    return (Memory.of(chosen, left_out) if kept else None), chosen.guess
