"""The plan: which method serves a structure, why, and what it will cost; all before any number is seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal, get_args

from stridiag._validate import check_option
from stridiag.errors import StructureError
from stridiag.planning import cost
from stridiag.planning.chain import ChainLayout, best_stride
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.cost import Cost, Operations
from stridiag.planning.matching import unmatched_column
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.structure import Structure
from stridiag.structure.structure import diagonal_length

__all__ = ["Method", "Operations", "Plan", "plan"]

Method = Literal["auto", "chain", "sparse-lu", "sparse-qr", "dense"]

# Up to this order LAPACK is done before SuperLU has ordered the columns.
DENSE_ORDER = 96
# A matrix with at least one stored entry in so many is full: there is nothing for a sparse method to gain.
DENSE_SHARE = 8
# Up to this order the reduced system of a condensation is factored as a dense one.
DENSE_REDUCED_ORDER = 128


@dataclass(frozen=True, eq=False)
class Plan:
    """How matrices of one structure will be factored, and at what cost. Made by `plan`.

    Attributes
    ----------
    structure : Structure
        The square structure.
    method : {"chain", "sparse-lu", "sparse-qr", "dense"}
        What was chosen.
    reason : str
        Why, in a sentence.
    chain : ChainLayout or None
        The chains, for ``method="chain"``.
    condensation : CondensationLayout or None
        Kept columns and segments, for chains with links.

    Examples
    --------
    >>> import stridiag
    >>> P = stridiag.plan(stridiag.Structure(1000, offsets=(-4, 0, 4)))
    >>> P.method, P.operations.factor, P.operations.solve, P.operations.exact
    ('chain', 4995, 6992, True)
    >>> print(P)
    Plan for Structure(1000 x 1000, offsets (-4, 0, 4), 0 links, 2992 slots)
      method      chain: 4 tridiagonal chains, LU with partial pivoting
      because     every entry lies on a chain
      operations  factor 4,995; solve 6,992 per right-hand side; slogdet at most 4,002
      memory      33,000 bytes for the factors (float64)
      instead     dense: factor at most 2.01e+09 operations
    """

    structure: Structure
    method: str
    reason: str
    chain: ChainLayout | None = field(default=None, repr=False)
    condensation: CondensationLayout | None = field(default=None, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return self.structure == other.structure and self.method == other.method

    def __hash__(self) -> int:
        return hash((self.structure, self.method))

    @cached_property
    def cost(self) -> Cost:
        """Operations and bytes; for the sparse methods an analysis of the pattern, made when first asked for."""
        n = self.structure.shape[0]
        if self.method == "chain" and self.condensation is None:
            return cost.tridiagonal(n)
        if self.condensation is not None:
            return cost.condensation(self.condensation, dense_reduced=self.dense_reduced)
        if self.method == "dense":
            return cost.dense(n)
        return cost.sparse(
            self.analysis,
            entries=self.structure.nnz,
            orthogonal=self.method == "sparse-qr",
        )

    @cached_property
    def unmatched(self) -> int | None:
        """A column that makes every matrix of this structure singular; None if there is no such column."""
        if 0 in self.structure.offsets:
            return None
        return unmatched_column(*self.structure.coordinates(), self.structure.shape[0])

    @cached_property
    def analysis(self) -> SparseAnalysis:
        """Column order and fill of the sparse methods."""
        return analyse(self.compressed.pattern())

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns, for the sparse methods."""
        return CompressedColumns.build(self.structure)

    @property
    def operations(self) -> Operations:
        """Additions, multiplications, divisions and square roots: ``.factor``, ``.solve``, ``.slogdet``, ``.exact``."""
        return self.cost.operations

    @property
    def bytes(self) -> int:
        """Bytes of the stored factors of one float64 matrix; a bound unless ``operations.exact``."""
        return self.cost.bytes

    @property
    def dense_reduced(self) -> bool:
        """Whether the reduced system of a condensation is small enough for LAPACK."""
        return self.condensation is not None and self.condensation.columns.size <= DENSE_REDUCED_ORDER

    def __str__(self) -> str:
        operations = self.operations
        at_most = "" if operations.exact else "at most "
        n = self.structure.shape[0]
        lines = [
            f"Plan for {self.structure}",
            f"  method      {self.method}: {self._describe()}",
            f"  because     {self.reason}",
            f"  operations  factor {at_most}{operations.factor:,}; solve {at_most}{operations.solve:,} "
            f"per right-hand side; slogdet at most {operations.slogdet:,}",
            f"  memory      {at_most}{self.bytes:,} bytes for the factors (float64)",
        ]
        if self.method != "dense":
            lines.append(f"  instead     dense: factor at most {cost.dense(n).operations.factor:.2e} operations")
        return "\n".join(lines)

    def _describe(self) -> str:
        if self.condensation is not None:
            kind = "dense" if self.dense_reduced else "sparse"
            return (
                f"orthogonal condensation of {_count(self.condensation.first.size, 'segment')} onto "
                f"{_count(self.condensation.columns.size, 'kept column')} ({kind} reduced system)"
            )
        if self.chain is not None:
            chains = _count(self.chain.starts.size - 1, "tridiagonal chain")
            return f"{chains}, LU with partial pivoting"
        return {
            "dense": "LAPACK's LU, checked, with QR behind it",
            "sparse-lu": "SuperLU, checked, with a sparse orthogonal factorization behind it",
            "sparse-qr": "Givens rotations row by row, columns in COLAMD order",
        }[self.method]


def plan(structure: Structure, *, method: Method = "auto") -> Plan:
    """Decide how to factor matrices of a structure. The last 16 plans are kept.

    Parameters
    ----------
    structure : Structure
        Square.
    method : {"auto", "chain", "sparse-lu", "sparse-qr", "dense"}
        * ``"chain"``: one offset g on both sides. Each residue class modulo g is a tridiagonal chain; links
          are condensed orthogonally onto the few columns they touch. Linear in n.
        * ``"sparse-lu"``: SuperLU, its result checked; if it fails the check, rescaled rows, then QR.
        * ``"sparse-qr"``: the sparse orthogonal factorization itself.
        * ``"dense"``: LAPACK.

        ``"auto"`` takes the chain where at most half of the columns must be kept and the count is below that of
        a dense factorization; dense up to order 96, or if at least one entry in 8 is stored; else sparse LU.

    Returns
    -------
    Plan
        ``print`` explains it.

    Raises
    ------
    StructureError
        If the structure is not square: rectangular matrices have `linalg.lstsq` and `linalg.pinv`.
    ValueError
        For an unknown method.

    Examples
    --------
    >>> import stridiag
    >>> stridiag.plan(stridiag.Structure(20_000, offsets=(-3, 0, 2))).method
    'sparse-lu'
    """
    check_option(method, "method", get_args(Method))
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


# Few, since a plan for a sparse method holds its pattern: about 12 bytes an entry.
@lru_cache(maxsize=16)
def _plan(structure: Structure, method: Method) -> Plan:
    n = structure.shape[0]
    stride, links = best_stride(structure)
    if method in ("dense", "sparse-lu", "sparse-qr"):
        return Plan(structure, method, "the caller asked for it")
    if links == 0:
        reason = "the caller asked for it" if method == "chain" else "every entry lies on a chain"
        return Plan(structure, "chain", reason, ChainLayout(structure, stride))
    # The rows of links are kept: a long diagonal off the chains settles the question without a layout.
    longest = max(
        (diagonal_length(structure.shape, k) for k in structure.offsets if abs(k) not in (0, stride)),
        default=0,
    )
    if method == "chain" or 2 * longest <= n:
        chain = ChainLayout(structure, stride)
        layout = CondensationLayout.build(chain)
        planned = Plan(structure, "chain", "the caller asked for it", chain, layout)
        if method == "chain":
            return planned
        kept = layout.columns.size
        # A sparse reduced system is never dearer than the dense matrix around it: no need to analyse it here.
        worth = not planned.dense_reduced or planned.operations.factor < cost.dense(n).operations.factor
        if 2 * kept <= n and worth:
            return replace(
                planned, reason=f"only {kept} of {n} columns are kept ({_count(links, 'link')}, long segments cut)"
            )
    if n <= DENSE_ORDER or structure.nnz * DENSE_SHARE >= n * n:
        return Plan(structure, "dense", f"small or full: {structure.nnz} of {n * n} entries are stored")
    return Plan(structure, "sparse-lu", f"{links} entries lie off the best chains (offset {stride})")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
