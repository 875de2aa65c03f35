r"""A choice among candidates by rows that took no part in their fits.

For what the readout's own leave-one-out errors cannot judge: depth, offsets, links, anything that has looked at the
targets, or that makes features of which there are ever more. (By the readout's generalised cross-validation the deepest
network won every time; by held-out rows it did not.) Some of the *training* rows are held out, every candidate is
fitted to the rest with the same random numbers, and the one of least error on them wins, the first of equals: so list
the simplest first. Whoever wins should be fitted again, to all rows.

Cost: one fit for each candidate and repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.nn.options import is_integer, is_number
from stridiag.nn.training import check_training_data

__all__ = ["Choice", "choose", "split_rows"]

Array = NDArray[Any]
Candidate = TypeVar("Candidate")


class Decides(Protocol):
    """What a fit returns: a `Network`, for example."""

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (n, q)."""


class Choice(NamedTuple, Generic[Candidate]):
    """The candidate that won, its place, and the losses of all: held-out error over the error of constants."""

    candidate: Candidate
    place: int
    losses: Array


def split_rows(n: int, fraction: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw which of n rows are trained on and which are held out, both ascending and neither empty.

    Raises
    ------
    ValueError
        If `fraction` is not between 0 and 1, both excluded, or there are fewer than 2 rows.
    """
    if not (is_number(fraction) and 0.0 < fraction < 1.0):
        raise ValueError(f"fraction must be between 0 and 1, got {fraction!r}")
    if n < 2:
        raise ValueError(f"holding rows out needs at least 2, got {n}")
    order = rng.permutation(n)
    out = min(max(1, round(fraction * n)), n - 1)
    return np.sort(order[out:]), np.sort(order[:out])


def choose(
    candidates: Sequence[Candidate],
    fit: Callable[[Candidate, Array, Array, Array, np.random.Generator], Decides],
    X: ArrayLike,
    Z: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    fraction: float = 0.25,
    repeats: int = 1,
    rng: int | np.random.Generator | None = None,
) -> Choice[Candidate]:
    """Choose the candidate of least squared error on held-out rows.

    Parameters
    ----------
    candidates : sequence
        Whatever `fit` understands; the simplest first.
    fit : callable
        ``fit(candidate, X, Z, weights, rng)`` returns something with a `decision`.
    X, Z : array_like, (n, d) and (n, q)
        Training rows and targets. Each target counts in units of its spread.
    weights : array_like, (n,), optional
        Sample weights, for the fits and the errors.
    fraction : float, default 0.25
        Share of the rows that is held out.
    repeats : int, default 1
        How many times, each with rows of its own; losses are averaged.
    rng : int, numpy.random.Generator or None
        Of the split, and of the seed that all candidates share.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        If there is no candidate, an option is out of range, or the data are not fit for a training.

    Examples
    --------
    How deep should a network be for a smooth function of one variable?

    >>> import numpy as np
    >>> from stridiag.nn import Architecture, fit_random
    >>> from stridiag.nn import choose
    >>> X = np.random.default_rng(0).uniform(-2, 2, (200, 1))
    >>> depths = [Architecture(units=32, layers=k) for k in (1, 2, 3)]
    >>> def fit(architecture, X, Z, weights, rng):
    ...     return fit_random(X, Z, architecture, weights=weights, rng=rng)
    >>> choice = choose(depths, fit, X, np.sin(2 * X), rng=0)
    >>> choice.losses.shape, choice.candidate is depths[choice.place]
    ((3,), True)
    """
    if not len(candidates):
        raise ValueError("there must be at least one candidate, got none")
    if not (is_integer(repeats) and repeats >= 1):
        raise ValueError(f"repeats must be an integer of at least 1, got {repeats!r}")
    x, z, d = check_training_data(X, Z, weights)
    generator = np.random.default_rng(rng)
    losses = np.zeros(len(candidates))
    for _ in range(repeats):
        inside, outside = split_rows(x.shape[0], fraction, generator)
        seed = int(generator.integers(2**63))
        for i, candidate in enumerate(candidates):
            model = fit(candidate, x[inside], z[inside], d[inside], np.random.default_rng(seed))
            losses[i] += _loss(model.decision(x[outside]), z[outside], d[outside]) / repeats
    place = int(np.argmin(losses))
    return Choice(candidates[place], place, losses)


def _loss(outputs: Array, z: Array, d: Array) -> float:
    """Return the mean over the targets of error over variance; targets that are constant here do not count."""
    share = d / d.sum()
    variance = share @ (z - share @ z) ** 2
    error = share @ (z - outputs) ** 2
    some = variance > 0.0
    return float(np.mean(error[some] / variance[some])) if some.any() else float(error.mean())
