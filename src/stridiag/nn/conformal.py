r"""Intervals that hold the truth with a given probability, whatever the model: conformal prediction.

**Split conformal.** Of n rows that took no part in the fit, let :math:`s_i = |z_i - \hat z_i| / \sigma_i` (sigma = 1
without normalisation). For a new row exchangeable with these,

.. math:: P\bigl(|z - \hat z| \le \sigma\, s_{(k)}\bigr) \ge \beta , \qquad k = \lceil (n + 1)\,\beta \rceil ,

with s_(k) the k-th smallest: at least beta, and less than beta + 1 / (n + 1) if scores do not tie. Where k > n the
interval is infinite: so few rows cannot promise that much. The probability is over the held-out rows too, and over all
new rows, not given one; sigma, from anything that did not see these rows, makes intervals wide where errors are.

**Leave-one-out** scores are residuals of the training rows over 1 - leverage, the exact errors of the *readout* without
each row. They cost no rows, but the hidden part has seen the targets or at least the inputs of all, and promises are
lost: these intervals are labelled approximate.

Cost: sorting n numbers for each output.

References: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005); J. Lei, M. G'Sell, A.
Rinaldo, R. Tibshirani, L. Wasserman, "Distribution-free predictive inference for regression", JASA 113 (2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats, require_finite
from stridiag.nn.calibration import leave_one_out
from stridiag.nn.options import is_number
from stridiag.nn.storage import storable

__all__ = ["Conformal"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Conformal:
    """Scores of rows, from which intervals of any level follow; made by `split` or `approximate`.

    Parameters
    ----------
    scores : ndarray, (n, q)
        Nonnegative, each column ascending.
    kind : {"split", "approximate"}
        Whether the promise of coverage holds.
    normalised : bool
        Whether scores are in units of a scale that must be given for each new row.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Conformal
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((1000, 1))
    >>> band = Conformal.split(truth[:500], np.zeros((500, 1)))
    >>> lower, upper = band.interval(np.zeros((500, 1)), 0.9)
    >>> inside = (lower <= truth[500:]) & (truth[500:] <= upper)
    >>> bool(0.86 < inside.mean() < 0.94)
    True
    """

    scores: Array
    kind: Literal["split", "approximate"]
    normalised: bool = False

    def __post_init__(self) -> None:
        scores = self.scores
        if (
            scores.ndim != 2
            or scores.dtype.kind != "f"
            or not scores.shape[0]
            or not (np.diff(scores, axis=0) >= 0.0).all()
        ):
            raise ValueError(f"scores must be (n, q) with ascending columns, got shape {scores.shape}")
        if not scores[0].min(initial=0.0) >= 0.0:
            raise ValueError(f"scores must be nonnegative, got {scores[0].min()}")

    @classmethod
    def split(cls, targets: ArrayLike, predictions: ArrayLike, scale: ArrayLike | None = None) -> Conformal:
        """Take the scores of rows that the model has not seen.

        Parameters
        ----------
        targets, predictions : array_like, (n, q)
            Truth and model at these rows; all of equal weight.
        scale : array_like, (n, q) or (n, 1), optional
            Positive: how large errors are expected to be at each row, by a rule that did not see these rows.

        Raises
        ------
        ValueError
            If shapes do not match, or a scale is not positive.
        NonFiniteError
            If a number is NaN or infinite.
        """
        z, f = as_floats(targets, "targets"), as_floats(predictions, "predictions")
        if z.ndim != 2 or z.shape != f.shape or not z.shape[0]:
            raise ValueError(f"targets and predictions must both be (n, q) with n > 0, got {z.shape} and {f.shape}")
        require_finite(z, "targets")
        require_finite(f, "predictions")
        with np.errstate(over="ignore"):
            scores = np.minimum(np.abs(z - f), np.finfo(np.float64).max)
        if scale is not None:
            scores /= _positive(scale, z.shape)
        return cls(np.sort(scores, axis=0), "split", scale is not None)

    @classmethod
    def approximate(cls, targets: Array, fitted: Array, left: Array) -> Conformal:
        """Take leave-one-out residuals of the training rows; see `leave_one_out` for the parameters, all (n, q)."""
        held = leave_one_out(as_floats(targets, "targets"), as_floats(fitted, "fitted"), as_floats(left, "left"))
        return cls(cls.split(targets, held).scores, "approximate")

    def half_width(self, level: float) -> Array:
        """Return half the width of intervals, (q,), in units of the scale if normalised.

        Parameters
        ----------
        level : float
            The probability wanted, between 0 and 1. It is infinite where there are fewer than
            ``level / (1 - level)`` scores.
        """
        if not (is_number(level) and 0.0 < level < 1.0):
            raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
        n = self.scores.shape[0]
        # Products such as 0.9 * 10 may come out above the integer that they are.
        place = math.ceil((n + 1) * level * (1.0 - 4 * np.finfo(np.float64).eps))
        return self.scores[place - 1].copy() if place <= n else np.full(self.scores.shape[1], np.inf)

    def interval(self, predictions: ArrayLike, level: float, scale: ArrayLike | None = None) -> tuple[Array, Array]:
        """Return lower and upper ends, (n, q) each.

        Parameters
        ----------
        predictions : array_like, (n, q)
            Of the model at new rows.
        level : float
            See `half_width`.
        scale : array_like, (n, q) or (n, 1), optional
            Needed if, and only if, scores are normalised.
        """
        f = as_floats(predictions, "predictions")
        if f.ndim != 2 or f.shape[1] != self.scores.shape[1]:
            raise ValueError(f"predictions must have shape (n, {self.scores.shape[1]}), got {f.shape}")
        if (scale is not None) != self.normalised:
            raise ValueError(f"scores are {'' if self.normalised else 'not '}normalised: a scale must fit that")
        half = self.half_width(level) * (1.0 if scale is None else _positive(scale, f.shape))
        return f - half, f + half


def _positive(scale: ArrayLike, shape: tuple[int, ...]) -> Array:
    s = as_floats(scale, "scale")
    if s.shape not in (shape, (shape[0], 1)):
        raise ValueError(f"scale must have shape {shape} or {(shape[0], 1)}, got {s.shape}")
    require_finite(s, "scale")
    if not s.min(initial=1.0) > 0.0:
        raise ValueError(f"scale must be positive, got {s.min()}")
    return s
