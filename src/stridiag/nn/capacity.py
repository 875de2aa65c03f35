r"""The capacity surface: scores on training rows and on held-out rows over two knobs.

A structured network has knobs in whole numbers: diagonals, links, units, layers. Too little and it cannot follow the
data (both scores low), too much and it follows the noise (the training score rises while the held-out score falls).
The surface shows where a problem lies between the two. It is a picture to learn from: choose hyper-parameters on
training rows (`selection`), and judge them on others.

Each seed draws the rows that are held out and the seed of the fits, the same for all settings: differences between
settings vary less than `deviation` says. Cost: one fit for each setting and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag.nn.options import is_integer
from stridiag.nn.selection import split_rows
from stridiag.structure.plot import new_axes

__all__ = ["CapacitySurface", "capacity_surface"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class CapacitySurface:
    """Scores over two knobs; `capacity_surface` makes it.

    Parameters
    ----------
    names : tuple of str
        The knobs.
    values : tuple of tuple
        What each was set to.
    train, held_out : ndarray, (a, b)
        Mean scores over the seeds, at each value of the first knob and each of the second.
    deviation : ndarray, (a, b)
        Of the held-out score between the seeds.
    seeds : int
        How many.
    """

    names: tuple[str, str]
    values: tuple[tuple[Any, ...], tuple[Any, ...]]
    train: Array
    held_out: Array
    deviation: Array
    seeds: int

    @property
    def gap(self) -> Array:
        """Training score less held-out score, (a, b): what was learned of the rows and not of the rule."""
        return np.asarray(self.train - self.held_out)

    def best(self) -> dict[str, Any]:
        """Return the setting of the highest held-out score, the first of equals."""
        i, j = np.unravel_index(int(np.argmax(self.held_out)), self.held_out.shape)
        return {self.names[0]: self.values[0][i], self.names[1]: self.values[1][j]}

    def plot(self, ax: Any = None) -> Any:
        """Draw held-out scores as colours, with the training score in brackets below each; return the axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            New ones by default.

        Raises
        ------
        ImportError
            If matplotlib is needed for new axes and not installed.
        """
        rows, columns = self.held_out.shape
        if ax is None:
            ax = new_axes("CapacitySurface.plot", (1.6 + 0.8 * columns, 1.2 + 0.55 * rows))
        ax.imshow(self.held_out, cmap="viridis", origin="lower", aspect="auto")
        middle = (self.held_out.min() + self.held_out.max()) / 2.0
        for i in range(rows):
            for j in range(columns):
                here = self.held_out[i, j]
                text = f"{here:.3f}\n({self.train[i, j]:.3f})"
                ax.text(j, i, text, ha="center", va="center", size=8, color="white" if here < middle else "black")
        ax.set_xticks(range(columns), [str(value) for value in self.values[1]])
        ax.set_yticks(range(rows), [str(value) for value in self.values[0]])
        ax.set(xlabel=self.names[1], ylabel=self.names[0], title="held-out score (training score)")
        return ax


def capacity_surface(
    fit: Any,
    X: ArrayLike,
    y: ArrayLike,
    knobs: Mapping[str, Sequence[Any]],
    *,
    fraction: float = 0.25,
    seeds: int = 3,
    score: Callable[[Any, Array, Array], float] | None = None,
    rng: int | np.random.Generator | None = 0,
) -> CapacitySurface:
    """Fit at every setting of two knobs and score on the training rows and on rows held out.

    Parameters
    ----------
    fit : callable or estimator
        ``fit(X, y, rng=seed, **settings)``, which returns a model; or an object with `set_params`, `get_params`,
        `fit` and `score` in the manner of scikit-learn, of which copies are set and fitted, with `random_state` too
        where there is one.
    X : array_like, (n, d)
        Rows.
    y : array_like, (n,) or (n, q)
        What `fit` takes; classes for a classifier.
    knobs : mapping of str to sequence
        Two of the settings that `fit` knows, and their values.
    fraction : float, default 0.25
        Share of the rows that each seed holds out.
    seeds : int, default 3
        How many splits, with a seed each.
    score : callable, optional
        ``score(model, X, y)``, higher is better. By default `model.score`, or, for a model with a `decision`, R2.
    rng : int, numpy.random.Generator or None
        Of splits and seeds.

    Returns
    -------
    CapacitySurface

    Raises
    ------
    ValueError
        If there are not two knobs with values, or an option is out of range.
    TypeError
        If `fit` is neither a function nor an estimator, or a model cannot be scored.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, fit_random
    >>> from stridiag.nn import capacity_surface
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((120, 4))
    >>> y = np.sin(X[:, :1]) * X[:, 1:2] + 0.5 * rng.standard_normal((120, 1))
    >>> def fit(X, y, rng, units, layers):
    ...     return fit_random(X, y, Architecture(units=units, layers=layers), alpha=1e-6, rng=rng)
    >>> surface = capacity_surface(fit, X, y, {"units": [4, 64], "layers": [1, 2]})
    >>> bool(surface.train[1, 1] > 0.99), surface.best()["units"]
    (True, 4)
    """
    if len(knobs) != 2 or not all(isinstance(name, str) and len(given) for name, given in knobs.items()):
        raise ValueError(f"knobs must be two names with values, got {knobs!r}")
    if not (is_integer(seeds) and seeds >= 1):
        raise ValueError(f"seeds must be an integer of at least 1, got {seeds!r}")
    if not (callable(fit) or all(hasattr(fit, name) for name in ("get_params", "set_params", "fit", "score"))):
        raise TypeError(f"fit must be a function or an estimator, got {type(fit).__name__}")
    x, z = as_array(X, "X"), as_array(y, "y")
    if x.ndim != 2 or z.ndim not in (1, 2) or z.shape[0] != x.shape[0]:
        raise ValueError(f"X and y must be (n, d) and (n,) or (n, q), got {x.shape} and {z.shape}")
    (first, rows), (second, columns) = ((name, tuple(given)) for name, given in knobs.items())
    generator = np.random.default_rng(rng)
    scores = np.empty((2, seeds, len(rows), len(columns)))
    judge = _default_score if score is None else score
    for s in range(seeds):
        inside, outside = split_rows(x.shape[0], fraction, generator)
        seed = int(generator.integers(2**31))
        for i, a in enumerate(rows):
            for j, b in enumerate(columns):
                model = _fitted(fit, x[inside], z[inside], seed, {first: a, second: b})
                scores[:, s, i, j] = judge(model, x[inside], z[inside]), judge(model, x[outside], z[outside])
    train, held_out = scores.mean(axis=1)
    deviation = scores[1].std(axis=0, ddof=1) if seeds > 1 else np.zeros_like(held_out)
    return CapacitySurface((first, second), (rows, columns), train, held_out, deviation, int(seeds))


def _fitted(fit: Any, x: Array, y: Array, seed: int, settings: dict[str, Any]) -> Any:
    if not hasattr(fit, "set_params"):
        return fit(x, y, rng=seed, **settings)
    own = deepcopy(fit)
    own.set_params(**settings)
    if "random_state" in own.get_params() and "random_state" not in settings:
        own.set_params(random_state=seed)
    return own.fit(x, y)


def _default_score(model: Any, x: Array, y: Array) -> float:
    if hasattr(model, "score"):
        return float(model.score(x, y))
    if not hasattr(model, "decision"):
        raise TypeError(f"a {type(model).__name__} has neither score nor decision: say how to score it")
    z = y.reshape(y.shape[0], -1)
    error = np.square(z - model.decision(x)).sum()
    return float(1.0 - error / np.square(z - z.mean(axis=0)).sum())
