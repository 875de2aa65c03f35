"""Linear systems on Dask arrays, in one process: results, chunks, types, errors, warnings, what is computed when."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray

import dask
import stridiag
from stridiag import dask as sd
from stridiag import linalg
from stridiag.errors import IllConditionedWarning, NonFiniteError, SingularMatrixError, StructureError

Array = NDArray[Any]
Diagonals = tuple[Array, Array, Array]
EPS = float(np.finfo(np.float64).eps)
N = 9000


@pytest.fixture(autouse=True)
def _threads() -> Any:
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


def zoo(name: str, n: int) -> Diagonals:
    rng = np.random.default_rng(5)
    ones = np.ones
    if name == "dominant":
        return rng.standard_normal(n - 1), 4 + rng.random(n), rng.standard_normal(n - 1)
    if name == "random":
        return rng.standard_normal(n - 1), rng.standard_normal(n), rng.standard_normal(n - 1)
    if name == "growth of LU":
        return -0.9 * ones(n - 1), 0.99 * ones(n), ones(n - 1)
    if name == "steady":
        return ones(n - 1), -ones(n), -ones(n - 1)
    if name == "signs":
        return rng.choice([-1.0, 1.0], n - 1), rng.choice([-1.0, 1.0], n), rng.choice([-1.0, 1.0], n - 1)
    if name == "zero diagonal":
        return ones(n - 1), np.zeros(n), ones(n - 1)
    if name == "graded":
        scale = np.logspace(0, -12, n)
        return scale[1:], 2 * scale, scale[:-1]
    raise ValueError(name)


NAMES = ["dominant", "random", "growth of LU", "steady", "signs", "zero diagonal", "graded"]
LINKS = ([0, N - 1, N // 3, N // 2], [N - 1, 0, 2 * N // 3, 5], [1.0, 1.0, 0.7, -2.0])


def system(parts: Diagonals, links: Any = None, offset: int = 1) -> stridiag.StridiagMatrix:
    return stridiag.StridiagMatrix.from_diagonals({-offset: parts[0], 0: parts[1], offset: parts[2]}, links)


def in_chunks(parts: Diagonals, chunks: int) -> tuple[Any, Any, Any]:
    lower, diagonal, upper = (da.from_array(part, chunks=chunks) for part in parts)
    return lower, diagonal, upper


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("links", [None, LINKS])
def test_backward_errors_are_those_of_one_piece(name: str, links: Any) -> None:
    parts = zoo(name, N)
    b = np.random.default_rng(0).standard_normal(N)
    matrix = system(parts, links)
    for chunks in (N, 1800, 301):
        x = sd.solve(*in_chunks(parts, chunks), b, links=links).compute()
        scale = linalg.norm(matrix, np.inf) * np.abs(x).max() + np.abs(b).max()
        assert np.abs(matrix @ x - b).max() <= 10 * EPS * scale


@pytest.mark.parametrize("links", [None, LINKS])
def test_results_of_all_cuts_agree_to_within_the_condition_number(links: Any) -> None:
    parts = zoo("random", N)
    b = np.random.default_rng(1).standard_normal(N)
    expected = linalg.solve(system(parts, links), b)
    # Two solutions with backward errors of 10 eps each.
    bound = 2 * 20 * EPS * linalg.cond(system(parts, links), np.inf) * np.abs(expected).max()
    for chunks in (N, 4500, 1000, 333):
        x = sd.solve(*in_chunks(parts, chunks), b, links=links).compute()
        assert np.abs(x - expected).max() <= bound


@pytest.mark.parametrize("links", [None, LINKS])
@pytest.mark.parametrize("offset", [1, 3])
def test_slogdet_agrees_with_one_piece(links: Any, offset: int) -> None:
    rng = np.random.default_rng(2)
    parts = rng.standard_normal(N - offset), rng.standard_normal(N), rng.standard_normal(N - offset)
    expected = linalg.slogdet(system(parts, links, offset))
    result = sd.slogdet(*in_chunks(parts, 2000), links=links, offset=offset)
    assert isinstance(result.sign, da.Array)
    assert (result.sign.shape, result.logabsdet.shape) == ((), ())
    sign, log = dask.compute(*result)
    assert sign == expected.sign
    assert log == pytest.approx(expected.logabsdet, rel=1e-12)


def test_singular_matrices_have_determinant_zero() -> None:
    sign, log = dask.compute(*sd.slogdet(1.0, da.zeros(5, chunks=2), 1.0))
    assert (sign, log) == (0.0, -np.inf)


def test_the_solution_has_shape_and_chunks_of_the_right_hand_side() -> None:
    lower, diagonal, upper = in_chunks(zoo("dominant", N), 2000)
    b = da.from_array(np.random.default_rng(3).standard_normal((N, 5)), chunks=(700, 2))
    x = sd.solve(lower.rechunk(800), diagonal, upper, b)
    assert x.chunks == b.chunks
    matrix = system(zoo("dominant", N))
    assert np.abs(x.compute() - linalg.solve(matrix, b.compute())).max() < 1e-13
    vector = sd.solve(lower, diagonal, upper, b[:, 0])
    assert vector.chunks == b[:, 0].chunks
    # Not a Dask array: chunks are the partitions.
    assert sd.solve(lower, diagonal, upper, np.ones(N)).chunks == diagonal.chunks
    assert sd.solve(lower, diagonal, upper, np.ones((N, 2))).compute().shape == (N, 2)


def test_empty_chunks_and_chunks_of_one_row() -> None:
    parts = zoo("dominant", 12)
    diagonal = da.concatenate([da.zeros(0), da.from_array(parts[1], chunks=(1, 1, 5, 1, 4)), da.zeros(0)])
    x = sd.solve(parts[0], diagonal, parts[2], np.arange(12.0)).compute()
    assert np.abs(x - np.linalg.solve(system(parts).toarray(), np.arange(12.0))).max() < 1e-14


@pytest.mark.parametrize(
    ("matrix", "right", "expected"),
    [
        ("f4", "f4", "f4"),
        ("f4", "f8", "f8"),
        ("f8", "c8", "c16"),
        ("c8", "f4", "c8"),
        ("i8", "i8", "f8"),
        ("f4", "c8", "c8"),
    ],
)
def test_types_are_promoted_as_numpy_does(matrix: str, right: str, expected: str) -> None:
    rng = np.random.default_rng(4)
    n = 300
    lower, diagonal, upper, b = (10 * rng.standard_normal(size) for size in (n - 1, n, n - 1, n))
    arrays = [part.astype(matrix) for part in (lower, diagonal, upper)]
    if matrix.startswith("c"):
        arrays[0] = (arrays[0] * 1j).astype(matrix)
    given = b.astype(right) * (1j if right.startswith("c") else 1)
    given = given.astype(right)
    arrays[1] = arrays[1] + np.array(50, matrix)
    x = sd.solve(*in_chunks((arrays[0], arrays[1], arrays[2]), 100), da.from_array(given, chunks=90))
    assert x.dtype == expected
    found = x.compute()
    assert found.dtype == expected
    dense = system((arrays[0], arrays[1], arrays[2])).toarray()
    exact = np.linalg.solve(dense.astype("c16"), given)
    assert np.abs(found - exact).max() <= 100 * np.finfo(expected).eps * np.abs(exact).max()


def test_numbers_stand_for_constant_diagonals_and_do_not_widen_the_type() -> None:
    x = sd.solve(1.0, da.full(5000, 4.0, dtype="f4", chunks=999), 1, da.ones(5000, dtype="f4", chunks=5000))
    assert x.dtype == np.float32
    exact = linalg.solve(stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: 4.0, 1: 1.0}, shape=5000), np.ones(5000))
    assert np.abs(x.compute() - exact).max() < 1e-6


def test_links_at_one_place_and_on_diagonals_add_up() -> None:
    n = 40
    parts = zoo("dominant", n)
    links = ([3, 3, 7, 7, 20], [30, 30, 7, 8, 19], [1.0, 2.0, 0.5, 0.25, 0.125])
    dense = system(parts).toarray()
    np.add.at(dense, (links[0], links[1]), links[2])
    x = sd.solve(*in_chunks(parts, 11), np.ones(n), links=links).compute()
    assert np.abs(x - np.linalg.solve(dense, np.ones(n))).max() < 1e-14


def test_read_again_gives_the_same_bits_and_computes_chunks_twice(tmp_path: Path) -> None:
    parts = zoo("random", N)
    for name, part in zip("ldu", parts, strict=True):
        da.to_npy_stack(tmp_path / name, da.from_array(part, chunks=2000))
    loads: list[int] = []
    lock = threading.Lock()

    def counted(block: Array, block_id: tuple[int, ...]) -> Array:
        with lock:
            loads.append(block_id[0])
        return block

    results = []
    for again in (False, True):
        loads.clear()
        stored = [da.from_npy_stack(tmp_path / name) for name in "ldu"]
        stored[1] = da.map_blocks(counted, stored[1], dtype=float)
        b = da.random.default_rng(0).standard_normal(N, chunks=2000)
        results.append(sd.solve(*stored, b, links=LINKS, read_again=again).compute())
        assert sorted(loads) == sorted([0, 1, 2, 3, 4] * (2 if again else 1))
    assert (results[0] == results[1]).all()


@pytest.mark.parametrize("read_again", [False, True])
def test_nothing_is_computed_before_it_is_asked_for(read_again: bool) -> None:
    def fail(block: Array) -> Array:
        raise AssertionError("computed")

    d = da.map_blocks(fail, da.ones(100, chunks=10), dtype=float, meta=np.empty(0))
    assert sd.solve(1.0, d, 1.0, d, read_again=read_again).shape == (100,)
    assert sd.slogdet(1.0, d, 1.0).sign.dtype == np.float64


@pytest.mark.parametrize(("name", "index"), [("lower", 77), ("diagonal", 0), ("upper", 98), ("b", 50)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named_with_its_index_in_the_whole(name: str, index: int, value: float) -> None:
    lower, diagonal, upper = zoo("dominant", 100)
    given = {"lower": lower, "diagonal": diagonal, "upper": upper, "b": np.ones(100)}
    given[name][index] = value
    chunked = {key: da.from_array(part, chunks=20) for key, part in given.items()}
    with pytest.raises(NonFiniteError, match=rf"{name} must be finite.*\[{index}\]"):
        sd.solve(**chunked).compute()


@pytest.mark.parametrize("n", [10, 4000])
def test_a_zero_pivot_is_an_error_when_computed_that_names_a_column(n: int) -> None:
    diagonal = np.ones(n)
    diagonal[n // 2] = 0
    x = sd.solve(0.0, da.from_array(diagonal, chunks=n // 2 + 1), 0.0, np.ones(n))
    with pytest.raises(SingularMatrixError) as caught:
        x.compute()
    assert caught.value.column == n // 2


def test_ill_conditioned_matrices_warn_when_computed() -> None:
    # The second difference with periodic ends.
    d = da.full(3000, 2.0, chunks=1000)
    x = sd.solve(-1.0, d, -1.0, np.arange(3000.0), links=([0, 2999], [2999, 0], [-1.0, -1.0]))
    with pytest.warns(IllConditionedWarning, match="condition number is about"):
        x.compute()


def test_input_that_does_not_fit_is_refused_before_anything_is_computed() -> None:
    d = da.ones(100, chunks=30)
    with pytest.raises(TypeError, match="Dask array"):
        sd.solve(1.0, np.ones(5), 1.0, np.ones(5))
    with pytest.raises(StructureError, match="lower must have shape"):
        sd.solve(da.ones(100, chunks=30), d, 1.0, d)
    with pytest.raises(ValueError, match="b must have shape"):
        sd.solve(1.0, d, 1.0, np.ones(99))
    with pytest.raises(StructureError, match="offset must be"):
        sd.solve(1.0, d, 1.0, d, offset=100)
    with pytest.raises(StructureError, match="offset must be"):
        sd.slogdet(1.0, d, 1.0, offset=0)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        sd.solve(1.0, d[d > 0], 1.0, d)
    with pytest.raises(StructureError, match="rows, columns, values"):
        sd.solve(1.0, d, 1.0, d, links=([1], [2]))  # type: ignore[arg-type]
    with pytest.raises(StructureError):
        sd.solve(1.0, d, 1.0, d, links=([1], [100], [1.0]))
    with pytest.raises(NonFiniteError, match="link values"):
        sd.solve(1.0, d, 1.0, d, links=([1], [50], [np.nan]))
    with pytest.raises(TypeError, match="dtype"):
        sd.solve(1.0, d.astype(object), 1.0, d)
    with pytest.raises(StructureError, match="one-dimensional"):
        sd.solve(1.0, d[:, None], 1.0, d)
