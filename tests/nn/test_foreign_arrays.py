"""Where rows come in, arrays of other libraries are read where that costs nothing that is not seen, else refused."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import (
    Architecture,
    RecursiveLeastSquares,
    Statistics,
    Stream,
    capacity_surface,
    fit_images,
    fit_random,
    fit_tabular,
)
from stridiag.nn.chunks import indicators

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((60, 3)), RNG.standard_normal((60, 1))
NETWORK = fit_random(X, Z, Architecture(units=4, layers=1), alpha=1e-2, rng=0)

ENTRIES = {
    "fit, rows": lambda make: fit_random(make(X), Z, Architecture(units=4, layers=1), alpha=1e-2, rng=0),
    "fit, targets": lambda make: fit_random(X, make(Z), Architecture(units=4, layers=1), alpha=1e-2, rng=0),
    "fit, weights": lambda make: fit_random(
        X, Z, Architecture(units=4, layers=1), weights=make(np.ones(60)), alpha=1e-2, rng=0
    ),
    "tables": lambda make: fit_tabular(make(X), Z, units=4, networks=1, rng=0),
    "images": lambda make: fit_images(make(np.tile(X, (1, 3))), Z, (3, 3), alpha=1e-2, rng=0),
    "decision": lambda make: NETWORK.decision(make(X)),
    "features": lambda make: NETWORK.features(make(X)),
    "chunks": lambda make: Statistics.from_data(make(X), Z),
    "chunks, targets": lambda make: Statistics.from_data(X, make(Z)),
    "stream": lambda make: Stream.begin(NETWORK.inputs, NETWORK.hidden, make(X), Z),
    "recursive": lambda make: RecursiveLeastSquares(3, 1).update(make(X), Z),
    "labels": lambda make: indicators(make(np.arange(6) % 2), [0, 1]),
    "surface": lambda make: capacity_surface(
        lambda X, y, rng, units, layers: fit_random(X, y, Architecture(units=units, layers=layers), alpha=1.0, rng=rng),
        make(X),
        Z,
        {"units": [2], "layers": [1]},
        seeds=1,
    ),
}


def outcome(entry, make):
    got = ENTRIES[entry](make)
    if hasattr(got, "decision"):
        got = got.decision(np.tile(X, (1, 3)) if entry == "images" else X)
    return got


@pytest.mark.parametrize("entry", ENTRIES)
def test_lazy_arrays_are_not_computed_unseen(entry):
    da = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="is lazy"):
        ENTRIES[entry](da.from_array)


@pytest.mark.parametrize("entry", ENTRIES)
def test_tensors_with_a_gradient_are_refused_by_name(entry):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="requires a gradient"):
        ENTRIES[entry](lambda array: torch.tensor(array, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("entry", ENTRIES)
def test_plain_tensors_are_read(entry):
    torch = pytest.importorskip("torch")
    got, expected = outcome(entry, torch.tensor), outcome(entry, np.array)
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("entry", sorted(set(ENTRIES) - {"labels", "fit, weights", "images"}))
def test_masked_and_complex_arrays_are_refused(entry):
    with pytest.raises(TypeError, match="masked"):
        ENTRIES[entry](lambda array: np.ma.masked_array(array, array > 1.0))
    if not entry.startswith(("chunks", "stream", "surface")):
        with pytest.raises(TypeError, match="must hold real numbers"):
            ENTRIES[entry](lambda array: array + 1j)


def test_data_frames_and_what_is_no_number():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X).astype("Float64")
    np.testing.assert_array_equal(NETWORK.decision(frame), NETWORK.decision(X))
    frame.iloc[2, 1] = pandas.NA
    with pytest.raises(TypeError, match="rows must hold numbers, got object"):
        NETWORK.decision(frame)
    with pytest.raises(TypeError, match="X must hold numbers, got <U1"):
        fit_tabular([["a", "b"], ["c", "d"]], [[1.0], [2.0]])
