"""A zoo of structured matrices: every kind of structure and of trouble that the algorithms must survive.

Deterministic: the same arguments give the same matrices on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike

from stridiag._validate import VALUE_TYPES, check_option
from stridiag.structure import StridiagMatrix
from stridiag.testing._families import FAMILIES, GROWTH_FAMILIES, Draw

__all__ = ["LONG_SIZES", "SIZES", "Case", "families", "zoo"]

SIZES = (0, 1, 2, 3, 5, 10, 50, 333)
"""The sizes that `zoo` goes through by default."""

LONG_SIZES = (256, 2000)
"""The further sizes of the growth families by default: elimination without care is lost there."""


@dataclass(frozen=True, slots=True)
class Case:
    """One matrix of the zoo.

    Attributes
    ----------
    name : str
        Family, variant, size and dtype: unique, fit for a test's id.
    matrix : StridiagMatrix
        The matrix.
    tags : frozenset of str
        What it is. ``"singular"`` is exact: a square case without this tag has an inverse in exact
        arithmetic, one with it has none. ``"ill-conditioned"``, ``"graded"``, ``"scaled"`` are so by
        construction. ``"chain"``: p = q, with or without main diagonal and links; ``"links"``: has links;
        ``"growth"``: elimination without care lets entries grow exponentially; ``"huge"``, ``"tiny"``: values
        near 1e300 and 1e-300 (1e36 and 1e-36 in single precision); ``"exact"``: small integers times powers
        of the imaginary unit; ``"singular-segment"``: a block on the diagonal is singular though the matrix
        is not; ``"wide"``: p + q >= n; ``"rectangular"``; ``"rank-deficient"`` (rectangular cases);
        ``"triangular"``; ``"empty"``: no rows or no columns.
    """

    name: str
    matrix: StridiagMatrix
    tags: frozenset[str]

    def __str__(self) -> str:
        return self.name


def families() -> tuple[str, ...]:
    """Return the names of the families, in the order in which `zoo` gives them."""
    return tuple(FAMILIES)


def zoo(
    *,
    sizes: Iterable[int] | None = None,
    dtypes: Iterable[DTypeLike] = VALUE_TYPES,
    families: Iterable[str] | None = None,
) -> Iterator[Case]:
    """Yield the cases of the zoo.

    Parameters
    ----------
    sizes : iterable of int, optional
        Numbers of rows (of the shorter or the longer side in rectangular cases). Default: `SIZES`, and for
        the growth families `LONG_SIZES` as well.
    dtypes : iterable of dtype, optional
        Default: all four value types.
    families : iterable of str, optional
        Default: all of `families()`.

    Yields
    ------
    Case

    Raises
    ------
    ValueError
        For an unknown family or dtype.

    Examples
    --------
    >>> from stridiag.testing import zoo
    >>> [case.name for case in zoo(sizes=[5], dtypes=["float64"], families=["clement", "diagonal"])]
    ['diagonal/full-5-float64', 'clement/zero-main-5-float64']
    >>> all("singular" in case.tags for case in zoo(families=["singular"], sizes=[10]))
    True
    """
    known = tuple(FAMILIES)
    wanted = set(known if families is None else (check_option(name, "families", known) for name in families))
    kinds = [check_option(np.dtype(kind), "dtypes", VALUE_TYPES) for kind in dtypes]
    given = None if sizes is None else tuple(sizes)
    return _walk([name for name in known if name in wanted], given, kinds)


def _walk(names: list[str], sizes: tuple[int, ...] | None, kinds: list[np.dtype[Any]]) -> Iterator[Case]:
    for name in names:
        growing = name in GROWTH_FAMILIES
        for n in sizes if sizes is not None else SIZES + (LONG_SIZES if growing else ()):
            for kind in kinds:
                # Seeded by the name, so that a new family leaves the others as they were.
                draw = Draw(kind, np.random.default_rng([crc32(name.encode()), n]))
                for variant, matrix, tags in FAMILIES[name](n, draw):
                    yield Case(f"{name}/{variant}-{n}-{kind}", matrix, frozenset(tags) | _observed(matrix))


def _observed(matrix: StridiagMatrix) -> set[str]:
    """Return the tags that the structure tells by itself."""
    structure = matrix.structure
    tags = set()
    if structure.link_count:
        tags.add("links")
    if not structure.is_square:
        tags.add("rectangular")
    if 0 in structure.shape:
        tags.add("empty")
    away = {abs(offset) for offset in structure.offsets if offset}
    if structure.is_square and len(away) <= 1:
        tags.add("chain")
    return tags
