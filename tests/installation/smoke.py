"""What an installed wheel must do: ``python smoke.py core`` or ``python smoke.py all``.

It needs nothing but the wheel. `core` is for an environment of numpy, scipy and numba alone; there the wings must say
what to install. `all` is for one with every extra. `.ci/wheels` makes both for each Python.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# Each wing, and a package whose absence it must explain.
_WINGS = {"sklearn": "sklearn", "torch": "torch", "dask": "dask"}


def check_core() -> None:
    """Algebra and networks, from the installed package."""
    import numpy as np

    import stridiag
    from stridiag import linalg, nn

    assert Path(stridiag.__file__).parent.parent.name == "site-packages", f"not the wheel: {stridiag.__file__}"
    assert stridiag.__version__ == version("stridiag")
    assert (Path(stridiag.__file__).parent / "py.typed").exists()
    A = stridiag.random(1000, offsets=(-1, 0, 1), links=20, rng=0)
    b = np.ones(1000)
    x = linalg.solve(A, b)
    reference = np.linalg.solve(A.toarray(), b)
    assert np.allclose(x, reference, rtol=1e-8, atol=1e-8 * abs(reference).max())
    assert np.allclose(linalg.slogdet(A), np.linalg.slogdet(A.toarray()))
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 4))
    targets = np.tanh(rows[:, :1] * rows[:, 1:2])
    network = nn.fit_random(rows, targets, nn.Architecture(units=64, layers=1), rng=0)
    assert np.mean((network.decision(rows) - targets) ** 2) < 0.5 * targets.var()


def check_missing_extras() -> None:
    """A wing whose packages are missing names its extra; the command too."""
    from importlib import import_module

    for wing, package in _WINGS.items():
        assert find_spec(package) is None, f"{package} is installed: this is no environment of the core alone"
        message = f"stridiag.{wing} came without {package}"
        try:
            import_module(f"stridiag.{wing}")
        except ImportError as error:
            message = str(error)
        assert f"stridiag[{wing}]" in message, message
    done = subprocess.run([_command(), "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert "stridiag[" in done.stderr, done.stderr


def check_all() -> None:
    """Every wing, and the command line on a file of one's own."""
    import numpy as np
    from sklearn.datasets import load_diabetes

    import stridiag.torch
    from stridiag.sklearn import StridiagRegressor, load

    x, y = load_diabetes(return_X_y=True)
    model = StridiagRegressor(random_state=0).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.npz"
        model.save(file)
        assert np.array_equal(load(file).predict(x), model.predict(x))
    assert model.score(x, y) > 0.4
    import torch

    layer = stridiag.torch.StridiagInvertible(16)
    rows = torch.randn(5, 16)
    assert torch.allclose(layer.inverse(layer(rows)), rows, atol=1e-4)
    import stridiag.dask

    done = subprocess.run([_command(), "--version"], capture_output=True, text=True, check=True)
    assert version("stridiag") in done.stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([_command(), "demo", "--quick", "-o", folder], capture_output=True, check=True)
        assert (Path(folder) / "index.html").stat().st_size > 10_000


def _command() -> str:
    """Return the script that was installed beside this Python."""
    return str(Path(sys.executable).parent / "stridiag")


if __name__ == "__main__":
    if sys.argv[1:] not in (["core"], ["all"]):
        sys.exit("usage: python smoke.py core|all")
    check_core()
    check_missing_extras() if sys.argv[1] == "core" else check_all()
    print(f"{sys.argv[1]}: stridiag {version('stridiag')} on Python {sys.version.split()[0]}, {sys.platform}: good")
