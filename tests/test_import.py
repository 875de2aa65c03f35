"""Importing stridiag is light, has no effects, and offers the names it promises."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import stridiag
import stridiag.testing


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    return set(json.loads(fresh(code)))


HEAVY = {"scipy", "numba", "llvmlite", "torch", "sklearn", "dask", "matplotlib", "hypothesis", "pandas"}


@pytest.mark.parametrize(
    "statement",
    [
        "import stridiag",
        "import stridiag.testing",
        # Everything short of a product is done without scipy and kernels.
        "import stridiag; A = stridiag.random(9, links=2, rng=0); (A + A.T).toarray(); A.H; A * 2",
    ],
)
def test_loads_numpy_and_nothing_heavier(statement):
    loaded = loaded_after(statement)
    assert "numpy" in loaded
    assert not loaded & HEAVY


def test_importing_leaves_numpy_as_it_was():
    code = """
import numpy as np, warnings
before = np.geterr(), np.get_printoptions(), list(warnings.filters)
import stridiag, stridiag.testing
assert before == (np.geterr(), np.get_printoptions(), list(warnings.filters))
"""
    fresh(code)


ROOMS = {"linalg": "linalg", "Factor": "factorization", "Plan": "planning", "plan": "planning"}


@pytest.mark.parametrize("name", stridiag.__all__)
def test_public_names_resolve(name):
    room = ROOMS.get(name)
    if room and not (Path(stridiag.__file__).parent / room / "__init__.py").exists():
        pytest.skip(f"room {room} has no content yet")
    assert getattr(stridiag, name) is not None
    assert name in dir(stridiag)


@pytest.mark.parametrize("room", ["linalg", "factorization"])
def test_names_of_rooms_resolve(room):
    module = import_module(f"stridiag.{room}")
    assert sorted(module._LATER) == sorted(module.__all__) == dir(module)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


def test_a_chain_is_solved_without_what_other_methods_need():
    code = "A = stridiag.random(50, rng=0, dominant=True); stridiag.linalg.solve(A, [1.0] * 50)"
    done = fresh(f"import sys, stridiag\n{code}\nprint(*sys.modules)").split()
    assert "stridiag._kernels.tridiagonal_lu" in done
    others = ("band_lu", "cholesky", "elimination", "forest", "front_qr", "sparse_qr")
    assert not {f"stridiag._kernels.{name}" for name in others} & set(done)
    # Some versions of SciPy bring it along themselves.
    scipys = fresh("import sys, scipy.linalg, scipy.sparse; print(*sys.modules)").split()
    assert "scipy.sparse.linalg" not in set(done) - set(scipys)


def test_the_garbage_collector_is_left_as_it_was():
    code = """
import gc, sys
gc.set_threshold(700, 11, 12)
{}
import stridiag._kernels.compile
print(gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
"""
    assert fresh(code.format("")).split() == ["True", "(700,", "11,", "12)", "0"]
    assert fresh(code.format("gc.disable()")).startswith("False")
    assert int(fresh(code.format("gc.freeze()")).split()[-1]) > 0


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        stridiag.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        stridiag.testing.nonsense  # noqa: B018


def test_strategies_come_when_asked_for():
    code = """
import sys, stridiag.testing
assert "hypothesis" not in sys.modules
assert "strategies" in dir(stridiag.testing)
stridiag.testing.strategies.matrices
assert "hypothesis" in sys.modules
"""
    fresh(code)


def test_errors_are_the_standard_errors_too():
    error = stridiag.SingularMatrixError("no pivot", row=3)
    assert isinstance(error, np.linalg.LinAlgError)
    assert isinstance(error, stridiag.StridiagError)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.row, copy.column) == ("no pivot", 3, None)
    kinds = [getattr(stridiag.errors, name) for name in stridiag.errors.__all__]
    assert len(kinds) >= 7
    for kind in kinds:
        if issubclass(kind, Warning):
            assert issubclass(kind, RuntimeWarning)
        elif kind not in (stridiag.StridiagError, stridiag.SingularMatrixError):
            assert issubclass(kind, stridiag.StridiagError)
            assert issubclass(kind, ValueError)
