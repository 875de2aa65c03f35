"""The matrix: a structure with values in its slots."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from stridiag._arrays import as_array, is_array
from stridiag._recycled import copied
from stridiag._validate import VALUE_TYPES, as_values
from stridiag.errors import StructureError
from stridiag.structure.structure import Structure, diagonal_length

if TYPE_CHECKING:
    from scipy.sparse import sparray

    from stridiag.factorization import Factor, Method

__all__ = ["StridiagMatrix"]

Array = NDArray[Any]

_SCALARS = (int, float, complex, np.number, np.bool, np.ndarray)


class StridiagMatrix:
    """A matrix of a few diagonals at any offsets and scattered links; immutable.

    Build one with `from_diagonals`, `from_dense`, `from_scipy` or `stridiag.random`; this constructor takes a
    ready structure.

    Parameters
    ----------
    structure : Structure
        Where the entries are.
    values : array_like, (..., nnz)
        Their values in the order of the structure's slots: diagonals by ascending offset, by row within a
        diagonal, then links by (row, column). Leading axes are a batch of matrices of one structure. float32,
        float64, complex64 or complex128; integers and booleans become float64.
    copy : bool, default True
        Whether to copy `values`. With False a read-only view is kept where no conversion is needed: the
        caller then must not write to the array.

    Notes
    -----
    All constructors copy what they are given unless `copy` says otherwise; `values` is read-only. A matrix
    works wherever scipy takes a linear operator (it has ``shape``, ``dtype``, ``matvec``, ``rmatvec``,
    ``matmat``, ``rmatmat``).

    ``==`` between matrices raises TypeError, since numpy's reading (element by element) and Python's (one
    bool) both have a claim: use `equals`, or compare ``toarray()``.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag import StridiagMatrix
    >>> A = StridiagMatrix.from_diagonals({0: [4, 4, 4, 4], 2: [1, 2], -1: [5, 6, 7]}, links=([0], [3], [9]))
    >>> A
    StridiagMatrix(4 x 4, float64, offsets (-1, 0, 2), 1 link)
    >>> A.toarray()
    array([[4., 0., 1., 9.],
           [5., 4., 0., 2.],
           [0., 6., 4., 0.],
           [0., 0., 7., 4.]])
    >>> A @ np.ones(4)
    array([14., 11., 10., 11.])
    """

    __slots__ = ("__weakref__", "_adjoint", "_structure", "_transpose", "_values")

    # ndarray @ StridiagMatrix comes to __rmatmul__ instead of being taken apart element by element.
    __array_ufunc__ = None
    # Or Python would iterate by A[0], take the IndexError for the end, and find nothing.
    __iter__: ClassVar[None] = None

    _structure: Structure
    _values: Array
    _adjoint: StridiagMatrix | None
    _transpose: StridiagMatrix | None

    def __init__(self, structure: Structure, values: ArrayLike, *, copy: bool = True) -> None:
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")
        given = as_array(values, "values")
        array = as_values(given, "values")
        if array.ndim == 0 or array.shape[-1] != structure.nnz:
            raise StructureError(f"values must have shape (..., {structure.nnz}) for {structure}, got {array.shape}")
        if copy and np.may_share_memory(array, given):
            array = copied(array)
        array = np.ascontiguousarray(array).view()
        array.setflags(write=False)
        self._structure = structure
        self._values = array
        self._adjoint = None
        self._transpose = None

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_diagonals(
        cls,
        diagonals: Mapping[int, ArrayLike],
        links: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
        *,
        shape: int | tuple[int, int] | None = None,
        dtype: DTypeLike | None = None,
    ) -> StridiagMatrix:
        """Build a matrix from its diagonals and links.

        Parameters
        ----------
        diagonals : mapping of int to array_like
            Offset (column minus row) to that diagonal's entries, top to bottom; a scalar stands for a
            constant diagonal where `shape` is given.
        links : tuple of array_like, optional
            ``(rows, columns, values)``. Duplicates add up, and links on one of the diagonals add to it.
        shape : int or tuple of int, optional
            Default: the square matrix that the diagonals imply.
        dtype : dtype, optional
            One of the four value types. Default: the common type of all values.

        Raises
        ------
        StructureError
            If lengths contradict one another or the shape, or a position lies outside.
        TypeError
            If `dtype` is another type, or real where values are complex.

        Examples
        --------
        >>> from stridiag import StridiagMatrix
        >>> A = StridiagMatrix.from_diagonals({0: 2.0, 1: -1.0, -1: -1.0}, ([0], [4], [-1.0]), shape=5)
        >>> A.values
        array([-1., -1., -1., -1.,  2.,  2.,  2.,  2.,  2., -1., -1., -1., -1., -1.])
        """
        from stridiag.structure.convert import assemble

        matrix = cls(*assemble(diagonals, links, shape), copy=False)
        return matrix if dtype is None else matrix.astype(dtype)

    @classmethod
    def from_dense(cls, array: ArrayLike, *, offsets: Iterable[int] | None = None) -> StridiagMatrix:
        """Build a matrix from a two-dimensional array, without loss.

        Parameters
        ----------
        array : array_like, (m, n)
            Every nonzero (NaN included) becomes an entry.
        offsets : iterable of int, optional
            Which diagonals to store as such; the rest becomes links. Default: those that `stridiag.detect`
            finds.

        Examples
        --------
        >>> from stridiag import StridiagMatrix
        >>> StridiagMatrix.from_dense([[2, 1, 0], [0, 2, 1], [7, 0, 2]])
        StridiagMatrix(3 x 3, float64, offsets (0, 1), 1 link)
        """
        from stridiag.structure.convert import detect

        return detect(array, offsets=offsets).matrix

    @classmethod
    def from_scipy(cls, matrix: Any, *, offsets: Iterable[int] | None = None) -> StridiagMatrix:
        """Build a matrix from a scipy sparse array or matrix of any format, without loss.

        Stored zeros stay stored; duplicates add up. See `from_dense` for `offsets`.

        Examples
        --------
        >>> import scipy.sparse
        >>> from stridiag import StridiagMatrix
        >>> S = scipy.sparse.diags_array([1.0, 2.0, 3.0], offsets=[-2, 0, 2], shape=(6, 6))
        >>> StridiagMatrix.from_scipy(S)
        StridiagMatrix(6 x 6, float64, offsets (-2, 0, 2), 0 links)
        """
        from stridiag.structure.convert import detect

        return detect(matrix, offsets=offsets).matrix

    def with_values(self, values: ArrayLike, *, copy: bool = True) -> StridiagMatrix:
        """Return a matrix of the same structure with other values, (..., nnz)."""
        return StridiagMatrix(self._structure, values, copy=copy)

    # ------------------------------------------------------------------ what it is

    @property
    def structure(self) -> Structure:
        """Where the entries are."""
        return self._structure

    @property
    def values(self) -> Array:
        """Entries by slot, (..., nnz), read-only: diagonals by ascending offset, by row, then links."""
        return self._values

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading axes of `values`: ``()`` for a single matrix."""
        return self._values.shape[:-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, columns)``, after the axes of the batch if there is one, as in ``numpy.linalg``."""
        return self._values.shape[:-1] + self._structure.shape

    @property
    def ndim(self) -> int:
        """Number of axes: 2 for a single matrix."""
        return self._values.ndim + 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: float32, float64, complex64 or complex128."""
        return self._values.dtype

    @property
    def members(self) -> tuple[StridiagMatrix, ...]:
        """The single matrices of the batch, the last axis running fastest; a single matrix: itself."""
        if not self.batch_shape:
            return (self,)
        # The count is spelled out, since -1 cannot be told from a matrix without entries.
        rows = self._values.reshape(math.prod(self.batch_shape), self.nnz)
        return tuple(self.with_values(row, copy=False) for row in rows)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Diagonal offsets, ascending."""
        return self._structure.offsets

    @property
    def nnz(self) -> int:
        """Number of stored entries of one matrix, explicit zeros included."""
        return self._structure.nnz

    def __repr__(self) -> str:
        rows, columns = self._structure.shape
        count = self._structure.link_count
        batch = f"batch {self.batch_shape}, " if self.batch_shape else ""
        links = f"{count} link{'' if count == 1 else 's'}"
        return f"StridiagMatrix({batch}{rows} x {columns}, {self.dtype}, offsets {self.offsets}, {links})"

    def equals(self, other: StridiagMatrix) -> bool:
        """Whether both have the same structure, batch and dtype, and equal values; NaN equals nothing.

        Two matrices that store the same numbers in different structures are not equal in this sense: compare
        ``toarray()`` for that.
        """
        if not isinstance(other, StridiagMatrix):
            raise TypeError(f"equals compares with a StridiagMatrix, got {type(other).__name__}")
        return (
            self._structure == other._structure
            and self.dtype == other.dtype
            and np.array_equal(self._values, other._values)
        )

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StridiagMatrix | np.ndarray):
            raise TypeError("== is ambiguous for matrices: use A.equals(B), or compare A.toarray()")
        return NotImplemented

    def __bool__(self) -> NoReturn:
        raise TypeError("a matrix has no truth value: use A.nnz, or A.equals(B)")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        # An opaque object, as scipy's sparse arrays give: only then does `S @ A` with a scipy S come to us.
        if dtype is not None and np.dtype(dtype) != np.dtype(object):
            raise TypeError("a StridiagMatrix is not turned into a dense array silently: call .toarray()")
        result = np.empty((), object)
        result[()] = self
        return result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        # np.dot and the like would work on that opaque object element by element, without a word.
        raise TypeError(
            f"numpy.{func.__name__} does not take a StridiagMatrix: use its operators and methods, "
            "stridiag.linalg, or call .toarray()"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return StridiagMatrix, (self._structure, self._values)

    # ------------------------------------------------------------------ entries

    def __getitem__(self, index: tuple[Any, Any]) -> Any:
        """Return entries, a row, a column or a block.

        ``A[i, j]`` for integers, or integer arrays that broadcast, gives entries: zero where nothing is stored. A slice
        and an integer give a part of a row or column as an array. Two slices, in steps of 1, give the block as a
        `StridiagMatrix`, whose diagonals are those of A, shifted. All are copies.

        Raises
        ------
        IndexError
            If an index is of another kind or out of range.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({0: 2.0, 1: -1.0}, ([5], [0], [7.0]), shape=6)
        >>> float(A[5, 0]), A[0, :3].tolist()
        (7.0, [2.0, -1.0, 0.0])
        >>> A[2:, 1:]
        StridiagMatrix(4 x 5, float64, offsets (1, 2), 0 links)
        """
        from stridiag.structure.indexing import pick

        return pick(self, index)

    def diagonal(self, offset: int = 0) -> Array:
        """Return the diagonal at `offset`, (..., length): zeros where nothing is stored. A copy.

        Raises
        ------
        StructureError
            If the offset lies outside the matrix.
        """
        rows, columns = self._structure.shape
        if offset != 0 and not -rows < offset < columns:
            raise StructureError(f"offset {offset} lies outside a {rows} x {columns} matrix")
        if offset in self.offsets:
            return self._values[..., self._structure.diagonal_slots(offset)].copy()
        result = np.zeros((*self.batch_shape, diagonal_length((rows, columns), offset)), self.dtype)
        row, column = self._structure.link_rows, self._structure.link_columns
        on = np.flatnonzero(column - row == offset)
        result[..., row[on] + min(offset, 0)] = self._values[..., self._structure.starts[-1] + on]
        return result

    def trace(self) -> Any:
        """Return the sum of the main diagonal; an array over the batch if there is one."""
        return self.diagonal(0).sum(axis=-1)

    def toarray(self) -> Array:
        """Return the dense array, (..., rows, columns)."""
        rows, columns = self._structure.coordinates()
        result = np.zeros(self.shape, self.dtype)
        result[..., rows, columns] = self._values
        return result

    def to_scipy(self, format: str = "csr") -> sparray:
        """Return a scipy sparse array of the given format; explicit zeros stay stored.

        Raises
        ------
        StructureError
            For a batch: convert its members one by one.
        """
        import scipy.sparse

        self._require_single("to_scipy")
        # 32-bit indices where they suffice, as scipy makes them: SuperLU and KLU take no others.
        largest = max(*self._structure.shape, self.nnz)
        rows, columns = self._structure.coordinates()
        if largest <= np.iinfo(np.int32).max:
            rows, columns = rows.astype(np.int32), columns.astype(np.int32)
        result = scipy.sparse.coo_array((self._values, (rows, columns)), shape=self._structure.shape)
        return cast("sparray", result.asformat(cast("Any", format)))

    # ------------------------------------------------------------------ algebra

    @property
    def T(self) -> StridiagMatrix:
        """The transpose: of each member, for a batch. Made when first asked for, and kept."""
        if self._transpose is None:
            structure, source = self._structure.transposed()
            self._transpose = StridiagMatrix(structure, self._values[..., source], copy=False)
        return self._transpose

    @property
    def H(self) -> StridiagMatrix:
        """The conjugate transpose."""
        if self._adjoint is None:
            self._adjoint = self.T.conj()
        return self._adjoint

    def conj(self) -> StridiagMatrix:
        """Return the complex conjugate; the matrix itself if it is real."""
        return self.with_values(self._values.conj(), copy=False) if self.dtype.kind == "c" else self

    def astype(self, dtype: DTypeLike) -> StridiagMatrix:
        """Return the matrix with values of another of the four types.

        Raises
        ------
        TypeError
            For any other type, and from complex to real (take ``A.with_values(A.values.real)``).
        """
        wanted = np.dtype(dtype)
        if wanted not in VALUE_TYPES:
            raise TypeError(f"dtype must be float32, float64, complex64 or complex128, got {wanted}")
        if self.dtype.kind == "c" and wanted.kind != "c":
            raise TypeError(f"cannot cast {self.dtype} to {wanted} without losing the imaginary part")
        return self if wanted == self.dtype else self.with_values(self._values.astype(wanted), copy=False)

    def __neg__(self) -> StridiagMatrix:
        return self.with_values(-self._values, copy=False)

    def __pos__(self) -> StridiagMatrix:
        return self

    def __add__(self, other: object) -> StridiagMatrix:
        return self._plus(other, 1) if isinstance(other, StridiagMatrix) else NotImplemented

    def __sub__(self, other: object) -> StridiagMatrix:
        return self._plus(other, -1) if isinstance(other, StridiagMatrix) else NotImplemented

    def _plus(self, other: StridiagMatrix, sign: int) -> StridiagMatrix:
        structure = self._structure.union(other._structure)
        batch = np.broadcast_shapes(self.batch_shape, other.batch_shape)
        values = np.zeros((*batch, structure.nnz), np.result_type(self.dtype, other.dtype))
        for term, factor in ((self, 1), (other, sign)):
            if term._structure == structure:
                values += term._values if factor == 1 else -term._values
            else:
                values[..., structure.slots(*term._structure.coordinates())] += factor * term._values
        return StridiagMatrix(structure, values, copy=False)

    def __mul__(self, scalar: object) -> StridiagMatrix:
        if isinstance(scalar, StridiagMatrix) or (isinstance(scalar, np.ndarray) and scalar.ndim):
            raise TypeError("* takes a scalar; for the matrix product use @")
        if not isinstance(scalar, _SCALARS):
            return NotImplemented
        return self.with_values(np.multiply(self._values, scalar), copy=False)

    __rmul__ = __mul__

    def __truediv__(self, scalar: object) -> StridiagMatrix:
        if isinstance(scalar, np.ndarray) and scalar.ndim:
            raise TypeError(f"/ takes a scalar, got an array of shape {scalar.shape}")
        if not isinstance(scalar, _SCALARS):
            return NotImplemented
        return self.with_values(self._values / scalar, copy=False)

    def __matmul__(self, other: Any) -> Any:
        """Return ``A @ x`` for a vector (n,), a block (..., n, m), a scipy sparse array or a StridiagMatrix.

        The product of two StridiagMatrix is one again; with a scipy sparse array it is a scipy sparse array.
        """
        if isinstance(other, StridiagMatrix):
            if other._structure.shape[0] != self._structure.shape[1]:
                raise StructureError(
                    f"A @ B needs a B with {self._structure.shape[1]} rows, got shape {other._structure.shape}"
                )
            return StridiagMatrix.from_scipy(self @ other.to_scipy())
        if is_scipy_sparse(other):
            return cast("Any", self.to_scipy()) @ other
        if not is_array(other):
            return NotImplemented
        x = as_values(other, "the right operand")
        columns = self._structure.shape[1]
        if x.ndim == 0 or x.shape[0 if x.ndim == 1 else -2] != columns:
            raise ValueError(f"A @ x needs x of shape ({columns},) or (..., {columns}, m), got {x.shape}")
        from stridiag.structure.product import product

        return product(self, x[:, None])[..., 0] if x.ndim == 1 else product(self, x)

    def __rmatmul__(self, other: Any) -> Any:
        """Return ``x @ A`` for a vector (m,) or a block (..., k, m)."""
        if is_scipy_sparse(other):
            return other @ self.to_scipy()
        x = as_values(other, "the left operand")
        rows = self._structure.shape[0]
        if x.ndim == 0 or x.shape[-1] != rows:
            raise ValueError(f"x @ A needs x of shape ({rows},) or (..., k, {rows}), got {x.shape}")
        if x.ndim == 1:
            return self.T @ x
        return np.swapaxes(self.T @ np.swapaxes(x, -1, -2), -1, -2)

    # scipy's LinearOperator by duck type: no subclass, so that importing this module stays light.

    def matvec(self, x: ArrayLike) -> Array:
        """Return ``A @ x`` for x of shape (n,) or (n, 1), in x's form."""
        return cast("Array", self @ as_values(x, "x"))

    def rmatvec(self, x: ArrayLike) -> Array:
        """Return ``A.H @ x`` for x of shape (m,) or (m, 1), in x's form."""
        return cast("Array", self.H @ as_values(x, "x"))

    def matmat(self, x: ArrayLike) -> Array:
        """Return ``A @ x`` for x of shape (n, k)."""
        return cast("Array", self @ as_values(x, "x"))

    def rmatmat(self, x: ArrayLike) -> Array:
        """Return ``A.H @ x`` for x of shape (m, k)."""
        return cast("Array", self.H @ as_values(x, "x"))

    # ------------------------------------------------------------------ the other rooms, and files

    def factor(self, *, method: Method = "auto") -> Factor:
        """Return a reusable factorization: ``solve``, ``slogdet`` ... Never raises for singular values.

        Parameters
        ----------
        method : str, default "auto"
            See `stridiag.plan`. ``"cholesky"`` promises a Hermitian positive definite matrix, which is checked.

        Raises
        ------
        StructureError
            If the matrix is not square, or its structure is not one that the method serves.
        NonFiniteError
            If a value is NaN or infinite.
        NotHermitianError, NotPositiveDefiniteError
            Only by ``method="cholesky"``: for values that are not as promised, as ``numpy.linalg.cholesky`` does. Of a
            batch, for the first such member.
        ValueError
            For an unknown method.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.random(500, offsets=(-3, 0, 3), links=5, rng=0, dominant=True)
        >>> F = A.factor()
        >>> x = F.solve(A @ ([1.0] * 500))
        >>> bool(abs(x - 1).max() < 1e-13)
        True
        """
        from stridiag.factorization import factorize

        return factorize(self, method=method)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write structure and values to an ``.npz`` file; see `stridiag.save`."""
        from stridiag.structure.storage import save

        save(file, self)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> StridiagMatrix:
        """Read a matrix that `save` wrote; see `stridiag.load`."""
        from stridiag.structure.storage import load

        return load(file)

    def plot_structure(self, ax: Any = None) -> Any:
        """Draw where the entries are: diagonals as lines, links as dots. Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from stridiag.structure.plot import plot_structure

        return plot_structure(self._structure, ax)

    def _require_single(self, what: str) -> None:
        if self.batch_shape:
            raise StructureError(f"{what} takes a single matrix, got a batch of shape {self.batch_shape}")


def is_scipy_sparse(candidate: object) -> bool:
    # Where scipy.sparse has not been imported nobody can hold one of its arrays, and we need not import it.
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(candidate))
