"""The plan: which method serves a structure, why, and what it will cost; all before any number is seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from stridiag._cached import cached_property
from stridiag._validate import check_option
from stridiag.errors import StructureError
from stridiag.planning.choice import BUILDERS, ONLY_ASKED_FOR, Method, cheapest
from stridiag.planning.cost import Cost, Operations
from stridiag.planning.layout import Layout, NotApplicable
from stridiag.structure import Structure

__all__ = ["Method", "Operations", "Plan", "plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """How matrices of one structure will be factored, and at what cost. Made by `plan`.

    Attributes
    ----------
    structure : Structure
        The square structure.
    layout : Layout
        What the chosen method made of it.
    reason : str
        Why this method, in a sentence.

    Examples
    --------
    >>> import stridiag
    >>> P = stridiag.plan(stridiag.Structure(1000, offsets=(-4, 0, 4)))
    >>> P.method, P.operations.factor, P.operations.solve, P.operations.exact
    ('chain', 4995, 7992, True)
    >>> print(P)
    Plan for Structure(1000 x 1000, offsets (-4, 0, 4), 0 links, 2992 slots)
      method      chain: 4 tridiagonal chains, LU with partial pivoting
      because     every entry lies on a chain
      operations  factor 4,995, solve 7,992 per right-hand side, slogdet 1,001, inverse 270,960
      memory      33,000 bytes for the factors (float64)
      instead     triangular: no, the offsets -4 and 4 close a cycle, since 4 + 4 < 1000 + 4
      instead     cyclic: no, the offsets -4 and 4 close cycles that meet, since 4 + 4 < 1000
      instead     condensation: no, the bands are tridiagonal, and method 'chain' condenses these
      instead     band: factor 4,995, solve 6,992; ... times the price
      instead     bordered: no, no row or column has more than 28 links
      instead     forest: factor 5,..., solve ...; ... times the price
      instead     sparse-lu: at most factor 97,..., solve 10,...; ... times the price
      instead     sparse-qr: at most factor 23,..., solve 10,...; ... times the price
      instead     dense: at most factor 2,009,508,500, solve 5,000,000; ... times the price
    """

    structure: Structure
    layout: Layout
    reason: str

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return self.structure == other.structure and self.method == other.method

    def __hash__(self) -> int:
        return hash((self.structure, self.method))

    @property
    def method(self) -> str:
        """The chosen method, by the name that `plan` takes."""
        return self.layout.method

    @property
    def cost(self) -> Cost:
        """Operations, bytes and price; for the sparse methods by an analysis of the pattern, made when first asked."""
        return self.layout.cost

    @property
    def operations(self) -> Operations:
        """``.factor``, ``.solve``, ``.slogdet``, ``.inverse``, and whether they are ``.exact``; see `Operations`."""
        return self.cost.operations

    @property
    def bytes(self) -> int:
        """Bytes of the stored factors of one float64 matrix; a bound unless ``operations.exact``."""
        return self.cost.bytes

    @cached_property
    def unmatched(self) -> int | None:
        """A column that makes every matrix of this structure singular; None if there is no such column."""
        if 0 in self.structure.offsets or self.method in ("triangular", "cyclic"):
            return None
        from stridiag.planning.matching import unmatched_column

        return unmatched_column(*self.structure.coordinates(), self.structure.shape[0])

    @cached_property
    def alternatives(self) -> dict[str, Cost | str]:
        """What every other method would cost, or why it does not serve; found when first asked for."""
        result: dict[str, Cost | str] = {}
        for method, build in BUILDERS.items():
            if method != self.method and method not in ONLY_ASKED_FOR:
                try:
                    result[method] = build(self.structure).cost
                except NotApplicable as why:
                    result[method] = str(why)
        return result

    def __str__(self) -> str:
        operations = self.operations
        lines = [
            f"Plan for {self.structure}",
            f"  method      {self.method}: {self.layout.describe()}",
            f"  because     {self.reason}",
            f"  operations  {_counts(operations)} per right-hand side, slogdet {_number(operations.slogdet)}, "
            f"inverse {_number(operations.inverse)}",
            f"  memory      {'' if operations.exact else 'at most '}{self.bytes:,} bytes for the factors (float64)",
        ]
        for method, cost in self.alternatives.items():
            if isinstance(cost, str):
                lines.append(f"  instead     {method}: no, {cost}")
            else:
                ratio = cost.price / self.cost.price
                lines.append(f"  instead     {method}: {_counts(cost.operations)}; {ratio:.2g} times the price")
        return "\n".join(lines)


def _counts(operations: Operations) -> str:
    at_most = "" if operations.exact else "at most "
    return f"{at_most}factor {_number(operations.factor)}, solve {_number(operations.solve)}"


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**10 else f"{count:.2e}"


def plan(structure: Structure, *, method: Method = "auto") -> Plan:
    """Decide how to factor matrices of a structure. The last 16 plans are kept.

    Parameters
    ----------
    structure : Structure
        Square.
    method : str, default "auto"
        * ``"triangular"``: triangular in some order of rows and columns. Nothing is factored.
        * ``"cyclic"``: triangular but for simple cycles, each with an LU decomposition of its own. Linear in n.
        * ``"chain"``: one offset g on both sides. Each residue class modulo g is a tridiagonal chain; links
          are condensed orthogonally onto the few columns they touch. Linear in n.
        * ``"condensation"``: the same for bands, where offsets on the two sides differ; after division by their
          greatest common divisor, the widths of the band add up to at most 8.
        * ``"band"``: LU with partial pivoting of a band, in the natural order, by residue classes, or in reverse
          Cuthill-McKee order. Links far off do not widen it: their columns are kept in a window that moves along the
          diagonal. Linear in n for a given width, and so many links over each place.
        * ``"bordered"``: a band but for a few rows or columns with many links, which are stretched into it.
        * ``"forest"``: the graph of the pattern has trees. They are eliminated from the leaves, with interchanges; if
          there are cycles, what lies on and between them is planned by ``"auto"``. Linear in n, but for that core.
        * ``"sparse-lu"``: SuperLU, its result checked; if it fails the check, rescaled rows, then QR.
        * ``"sparse-qr"``: the sparse orthogonal factorization itself.
        * ``"dense"``: LAPACK.
        * ``"cholesky"``: L D L^H, less work than the others and exactly counted. The caller promises that the
          values will be Hermitian positive definite, so it is never chosen by itself. Needs a symmetric pattern.

        ``"auto"`` takes the lowest predicted price: the operations, weighted with what one of them takes in each
        method. Methods that need a costly analysis are asked only if the others are dear.

    Returns
    -------
    Plan
        ``print`` explains it, beside all alternatives.

    Raises
    ------
    StructureError
        If the structure is not square: rectangular matrices have `linalg.lstsq` and `linalg.pinv`. Or if the method
        asked for does not serve the structure.
    SizeLimitError
        If a Cholesky factor would exceed a stated limit.
    ValueError
        For an unknown method.

    Examples
    --------
    >>> import stridiag
    >>> stridiag.plan(stridiag.Structure(20_000, offsets=(-6, 0, 4))).method
    'band'
    """
    if method == "auto" and type(structure) is Structure and structure.is_square:
        # A plan that is known is asked for by each solution of a small system.
        return _plan(structure, method)
    check_option(method, "method", _METHODS)
    if not isinstance(structure, Structure):
        raise TypeError(
            f"plan takes a Structure, got {type(structure).__name__}; of a StridiagMatrix A, pass A.structure"
        )
    if not structure.is_square:
        rows, columns = structure.shape
        raise StructureError(
            f"only square matrices are factored, got {rows} x {columns}; "
            "for rectangular ones see linalg.lstsq and linalg.pinv"
        )
    return _plan(structure, method)


_METHODS = get_args(Method)


# Few, since a plan for a sparse method holds its pattern: about 12 bytes an entry.
@lru_cache(maxsize=16)
def _plan(structure: Structure, method: Method) -> Plan:
    if method == "auto":
        return Plan(structure, *cheapest(structure))
    try:
        return Plan(structure, BUILDERS[method](structure), "the caller asked for it")
    except NotApplicable as why:
        raise StructureError(f"method {method!r} does not serve {structure}: {why}") from None
