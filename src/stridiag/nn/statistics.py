r"""Sufficient statistics of least squares: all that a solve needs to know of the rows.

With rows H (samples x columns), targets Z and weights D they stand for

.. math:: G = [H\; 1]^T D\, [H\; 1], \qquad R = [H\; 1]^T D\, Z, \qquad Z^T D Z

and are kept centred: means, and products of deviations from the means,

.. math:: C = (H - \bar h)^T D\, (H - \bar h), \qquad B = (H - \bar h)^T D\, (Z - \bar z),

since an unpenalised intercept needs exactly these, and forming C from G later would cancel the digits that
columns of large mean and small spread consist of. Two sets add up by

.. math:: C = C_1 + C_2 + \frac{w_1 w_2}{w_1 + w_2} (\bar h_1 - \bar h_2)(\bar h_1 - \bar h_2)^T .

Cost: N p^2 flops for the first product (a symmetric one), 2 N p q for the second; p^2 + p q numbers are kept.

References: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing
sample variances", 1979.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats
from stridiag.errors import FileFormatError, NonFiniteError
from stridiag.nn.chunks import labelled, read_chunks
from stridiag.nn.deviations import deviations, mirror
from stridiag.nn.parts import require_array
from stridiag.nn.storage import load, save, storable

__all__ = ["Statistics"]

Array = NDArray[Any]

# What subtraction may leave below zero, relative to what was there; and which share of a weight is rounding.
_SLACK, _ROUNDING = 1e-8, 1e-12
# What subtraction leaves of a column's squares counts as nothing below this share: of sums of rounded products.
_GONE = 1e-11


def _is_semidefinite(square: Array, slack: float) -> bool:
    """Whether no eigenvalue is below -slack: a Cholesky factor tells, at a fraction of the cost of eigenvalues."""
    raised = square.copy()
    np.einsum("ii->i", raised)[...] += slack
    try:
        np.linalg.cholesky(raised)
    except np.linalg.LinAlgError:
        return False
    return True


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Weight, means and centred products of rows and targets, float64; made by `from_rows`, added by ``+``.

    Parameters
    ----------
    weight : float
        Sum of the sample weights: the number of rows if they are 1.
    row_mean : ndarray, (p,)
        Weighted mean of the rows.
    target_mean : ndarray, (q,)
        Weighted mean of the targets.
    scatter : ndarray, (p, p)
        Products of the rows' deviations.
    cross : ndarray, (p, q)
        Products of the rows' deviations with the targets'.
    target_scatter : ndarray, (q,)
        Squares of the targets' deviations, summed.
    count : int
        Number of rows of positive weight.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics
    >>> H, Z = np.random.default_rng(0).standard_normal((2, 100, 3))
    >>> parts = Statistics.from_rows(H[:60], Z[:60]) + Statistics.from_rows(H[60:], Z[60:])
    >>> bool(np.allclose(parts.scatter, Statistics.from_rows(H, Z).scatter, rtol=1e-12))
    True
    """

    weight: float
    row_mean: Array
    target_mean: Array
    scatter: Array
    cross: Array
    target_scatter: Array
    count: int

    @classmethod
    def from_rows(cls, rows: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> Statistics:
        """Compute the statistics of some rows.

        Parameters
        ----------
        rows : array_like, (n, p)
            At least one.
        targets : array_like, (n, q) or (n,)
            What they should map to.
        weights : array_like, (n,), optional
            Nonnegative, not all zero; 1 by default. A row of weight 2 counts as two rows.

        Raises
        ------
        ValueError
            If shapes do not match, or a weight is negative, or all are zero.
        NonFiniteError
            If a number is NaN or infinite, or deviations so large (above about 1e150) that their squares are.
            Squares of deviations below 1e-160 vanish: bring such columns to another unit.
        """
        part = deviations(rows, targets, weights)
        a, b = part.rows, part.targets
        with np.errstate(over="ignore", invalid="ignore"):
            # The same array on both sides of @ lets numpy take the symmetric product at half the cost.
            products = a.T @ a, a.T @ b, np.einsum("ij,ij->j", b, b)
        return cls(part.weight, part.row_mean, part.target_mean, *products, a.shape[0])._finite()

    @classmethod
    def from_data(
        cls,
        rows: Any,
        targets: Any = None,
        weights: ArrayLike | None = None,
        *,
        features: Callable[[Array], Array] | None = None,
        classes: ArrayLike | None = None,
        class_weights: Mapping[Any, float] | None = None,
    ) -> Statistics:
        """Compute the statistics of data of any size and kind, a chunk in memory at a time.

        Parameters
        ----------
        rows : array, memory-mapped array, scipy sparse matrix, data frame, or iterable of chunks
            (n, p). Whatever can be cut by rows and turned into an array: pandas and polars frames, Arrow tables, HDF5
            data sets, tensors. Without `targets`, an iterable of chunks ``(rows, targets)`` or ``(rows, targets,
            weights)``, each of these kinds and of any length.
        targets : of the same kinds, (n, q) or (n,), optional
            What rows should map to; with `classes`, one label for each row.
        weights : array_like, (n,), optional
            Nonnegative; 1 by default.
        features : callable, optional
            Applied to each chunk of rows, float64: a network's ``features``, for example. The statistics are
            those of what it returns.
        classes : array_like, (q,), optional
            The labels there are; targets then are +1 in the column of a row's label and -1 in the others.
        class_weights : mapping, optional
            From labels to factors of the weights of their rows; labels that it lacks keep theirs.

        Raises
        ------
        ValueError
            If shapes do not match, weights are bad, or a label is not among `classes`.
        NonFiniteError
            If a number is NaN or infinite.
        TypeError
            If something is of none of these kinds, or holds anything but numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from stridiag.nn import Statistics
        >>> X = np.arange(12.0).reshape(6, 2)
        >>> part = Statistics.from_data(X, list("abbabb"), classes=["a", "b"], class_weights={"a": 2.0})
        >>> part.weight, part.target_mean
        (8.0, array([0., 0.]))
        """
        if class_weights is not None and classes is None:
            raise ValueError("class_weights need classes, to know the labels by")
        chunks = read_chunks(rows, targets, weights, features=features)
        return cls.from_chunks(chunks if classes is None else labelled(chunks, classes, class_weights))

    def accumulate(
        self, rows: Any, targets: Any = None, weights: ArrayLike | None = None, **options: Any
    ) -> Statistics:
        """Return these statistics with those of more data added; the parameters are those of `from_data`."""
        return self + Statistics.from_data(rows, targets, weights, **options)

    @classmethod
    def from_chunks(cls, chunks: Iterable[tuple[Array, Array, Array]]) -> Statistics:
        """Add up the statistics of ``(rows, targets, weights)`` chunks, one in memory at a time.

        Raises
        ------
        ValueError
            If there is no chunk of positive weight.
        """
        from scipy.linalg.blas import dsyrk

        total: Statistics | None = None
        for rows, targets, weights in chunks:
            if not (weights.size and weights.max() > 0.0):
                continue
            if total is None:
                total = cls.from_rows(rows, targets, weights)
                # One triangle, in Fortran's order, to which products are added where they stand.
                scatter = total.scatter.T
                continue
            part = deviations(rows, targets, weights)
            if (part.rows.shape[1], part.targets.shape[1]) != total.cross.shape:
                raise ValueError(
                    f"chunks must agree in (columns, targets), got {total.cross.shape} "
                    f"and {(part.rows.shape[1], part.targets.shape[1])}"
                )
            weight = total.weight + part.weight
            dh, dz = part.row_mean - total.row_mean, part.target_mean - total.target_mean
            with np.errstate(over="ignore", invalid="ignore"):
                # The two means' own products are one more row.
                root = np.sqrt(total.weight / weight * part.weight)
                a, b = np.vstack((part.rows, root * dh)), np.vstack((part.targets, root * dz))
                scatter = dsyrk(1.0, a.T, beta=1.0, c=scatter, lower=0, overwrite_c=1)
                total = cls(
                    weight,
                    total.row_mean + part.weight / weight * dh,
                    total.target_mean + part.weight / weight * dz,
                    scatter.T,
                    total.cross + a.T @ b,
                    total.target_scatter + np.einsum("ij,ij->j", b, b),
                    total.count + part.rows.shape[0],
                )
        if total is None:
            raise ValueError("statistics need at least one row of positive weight, got none")
        mirror(total.scatter)
        return total._finite()

    def __add__(self, other: Statistics) -> Statistics:
        """Return the statistics of both sets of rows together."""
        return self._combine(other, 1.0)

    def __sub__(self, other: Statistics) -> Statistics:
        """Return the statistics without the rows of `other`, which must have been among these.

        Raises
        ------
        ValueError
            If no weight or no row would be left, or products that no rows have (negative squares of columns, of
            targets, or of combinations of columns): `other` was not part. Only what is impossible is noticed.
        """
        self._check_kind(other)
        rest = self.weight - other.weight
        if not (rest > _ROUNDING * self.weight and other.count < self.count):
            raise ValueError(
                f"cannot take weight {other.weight} in {other.count} rows from statistics of weight {self.weight} "
                f"in {self.count} rows: nothing would be left"
            )
        left = self._combine(other, -1.0)
        left._check_remainder(self)
        # A column that varied in the other rows alone leaves rounding behind, which standardising would blow up.
        gone = ~(np.diagonal(left.scatter) > _GONE * np.diagonal(self.scatter))
        left.scatter[gone] = 0.0
        left.scatter[:, gone] = 0.0
        left.cross[gone] = 0.0
        np.maximum(left.target_scatter, 0.0, out=left.target_scatter)
        return left

    def _check_remainder(self, whole: Statistics) -> None:
        """Raise ValueError unless these can be products of real rows, up to rounding in those of the whole."""
        scale, target_scale = np.sqrt(np.diagonal(whole.scatter)), np.sqrt(whole.target_scatter)
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
        target_inverse = np.divide(1.0, target_scale, out=np.zeros_like(target_scale), where=target_scale > 0.0)
        scaled = self.scatter * inverse * inverse[:, None]
        targets = self.target_scatter * target_inverse**2
        cross = self.cross * inverse[:, None] * target_inverse
        columns = np.diagonal(scaled)
        # Where the whole column was constant, nothing but the rounding of its mean may be left.
        floor = _SLACK * scale**2 + whole.weight * (64 * np.finfo(np.float64).eps * np.abs(whole.row_mean)) ** 2
        below = np.diagonal(self.scatter) + floor
        if not (below >= 0.0).all():
            raise ValueError(
                "these rows were not part of the statistics: "
                f"column {int(np.argmin(below))} would have negative scatter"
            )
        if (
            not (targets >= -_SLACK).all()
            or not (
                # Cauchy and Schwarz: products of columns with targets are bounded by the squares of both.
                cross**2 <= (np.maximum(columns, 0.0) + _SLACK)[:, None] * (np.maximum(targets, 0.0) + _SLACK)
            ).all()
        ):
            raise ValueError("these rows were not part of the statistics: targets would have negative scatter")
        if not _is_semidefinite(scaled, _SLACK * max(1, columns.size)):
            raise ValueError(
                "these rows were not part of the statistics: a combination of columns would have "
                f"negative scatter, {np.linalg.eigvalsh(scaled).min():.2g} of what it had"
            )

    def _finite(self) -> Statistics:
        """Return these statistics if no square overflowed."""
        for squares, name in ((np.diagonal(self.scatter), "rows"), (self.target_scatter, "targets")):
            if not np.isfinite(squares).all():
                column = int(np.flatnonzero(~np.isfinite(squares))[0])
                raise NonFiniteError(f"squares of column {column} of {name} overflow: bring it to another unit")
        return self

    def _check_kind(self, other: Statistics) -> None:
        if not isinstance(other, Statistics):
            raise TypeError(f"expected Statistics, got {type(other).__name__}")
        if self.cross.shape != other.cross.shape:
            raise ValueError(
                f"statistics must agree in (columns, targets), got {self.cross.shape} and {other.cross.shape}"
            )

    def _combine(self, other: Statistics, sign: float) -> Statistics:
        self._check_kind(other)
        total = self.weight + sign * other.weight
        share = sign * other.weight / total
        dh, dz = other.row_mean - self.row_mean, other.target_mean - self.target_mean
        # The mean moves by the share of the other set, and w1 w2 / (w1 + w2) = share * w1.
        factor = share * self.weight
        with np.errstate(over="ignore", invalid="ignore"):
            return Statistics(
                total,
                self.row_mean + share * dh,
                self.target_mean + share * dz,
                self.scatter + sign * other.scatter + factor * np.outer(dh, dh),
                self.cross + sign * other.cross + factor * np.outer(dh, dz),
                self.target_scatter + sign * other.target_scatter + factor * dz * dz,
                self.count + int(sign) * other.count,
            )._finite()

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the statistics to an ``.npz`` file; see `stridiag.nn.save` for the format."""
        save(self, file)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Statistics:
        """Read statistics that `save` wrote; nothing in the file is executed.

        Raises
        ------
        FileFormatError
            If the file holds anything else, or is damaged.
        """
        found = load(file)
        if not isinstance(found, cls):
            raise FileFormatError(f"{os.fspath(file)} holds no statistics but a {type(found).__name__}")
        return found

    def __post_init__(self) -> None:
        p, q = self.row_mean.size, self.target_mean.size
        shapes = [a.shape for a in (self.row_mean, self.target_mean, self.scatter, self.cross, self.target_scatter)]
        if shapes != [(p,), (q,), (p, p), (p, q), (q,)]:
            raise ValueError(f"statistics of {p} columns and {q} targets cannot have arrays of shapes {shapes}")
        for name in ("row_mean", "target_mean", "scatter", "cross", "target_scatter"):
            require_array(getattr(self, name), name, getattr(self, name).shape)

    def with_constant_targets(self, values: ArrayLike) -> Statistics:
        """Return statistics with further targets behind these, which are the same for all rows.

        So an indicator of a class that no row has belonged to so far is added exactly.

        Parameters
        ----------
        values : array_like, (more,)
            What each further target is.
        """
        more = as_floats(values, "values")
        return replace(
            self,
            target_mean=np.append(self.target_mean, more),
            cross=np.hstack((self.cross, np.zeros((self.row_mean.size, more.size)))),
            target_scatter=np.append(self.target_scatter, np.zeros(more.size)),
        )

    def with_targets(self, order: ArrayLike) -> Statistics:
        """Return statistics of some of the targets, in this order of their indices."""
        index = np.asarray(order, np.intp)
        return replace(
            self,
            target_mean=self.target_mean[index],
            cross=self.cross[:, index],
            target_scatter=self.target_scatter[index],
        )

    def moments(self) -> tuple[Array, Array]:
        """Return the uncentred G = [H 1]' D [H 1], (p + 1, p + 1), and R = [H 1]' D Z, (p + 1, q)."""
        mean = np.append(self.row_mean, 1.0)
        gram = self.weight * np.outer(mean, mean)
        gram[:-1, :-1] += self.scatter
        right = self.weight * np.outer(mean, self.target_mean)
        right[:-1] += self.cross
        return gram, right

    def column_scale(self) -> Array:
        """Return each column's standard deviation, (p,); 0 where it is constant up to rounding."""
        deviation = np.sqrt(np.diagonal(self.scatter) / self.weight)
        # Constant columns have none at all; what is below a few units in the last place is rounding.
        floor = 64 * np.finfo(np.float64).eps * np.abs(self.row_mean)
        deviation[~(deviation > floor)] = 0.0
        return np.asarray(deviation)
