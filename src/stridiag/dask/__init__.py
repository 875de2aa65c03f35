"""The Dask wing: fits and predictions, and linear systems, on data that lie on many machines.

Needs Dask; ``pip install "stridiag[dask]"``. Fits and predictions need scikit-learn too, which is in the extra sklearn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stridiag import _extras

_extras.require("stridiag.dask", "dask", "dask")

if TYPE_CHECKING:
    from stridiag.dask.fitting import fit, partial_fit
    from stridiag.dask.prediction import decision_function, predict, predict_proba, transform
    from stridiag.dask.systems import slogdet, solve

__all__ = [
    "decision_function",
    "fit",
    "partial_fit",
    "predict",
    "predict_proba",
    "slogdet",
    "solve",
    "transform",
]

# Where the names live: each half is loaded, with what it needs, when one of its names is first asked for.
_LEARNING = {
    "decision_function": "stridiag.dask.prediction",
    "fit": "stridiag.dask.fitting",
    "partial_fit": "stridiag.dask.fitting",
    "predict": "stridiag.dask.prediction",
    "predict_proba": "stridiag.dask.prediction",
    "transform": "stridiag.dask.prediction",
}
_SYSTEMS = {"slogdet": "stridiag.dask.systems", "solve": "stridiag.dask.systems"}


def __getattr__(name: str) -> Any:
    if name in _LEARNING:
        _extras.require(f"stridiag.dask.{name}", "dask,sklearn", "dask", "sklearn")
    elif name not in _SYSTEMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module({**_LEARNING, **_SYSTEMS}[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
