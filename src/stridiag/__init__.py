"""stridiag: exact direct algebra for sparse-plus-tridiagonal matrices, and structured networks on top of it.

Importing this package loads numpy and nothing heavier; scipy, numba and the kernels come when first needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stridiag import errors
from stridiag._version import __version__
from stridiag.errors import (
    AmbiguousRankWarning,
    ConvergenceError,
    FileFormatError,
    IllConditionedWarning,
    NonFiniteError,
    NotHermitianError,
    NotPositiveDefiniteError,
    SingularMatrixError,
    SizeLimitError,
    StridiagError,
    StructureError,
)
from stridiag.structure import Detection, StridiagMatrix, Structure, detect, load, random, save

if TYPE_CHECKING:
    from stridiag import linalg
    from stridiag._kernels.thread_count import get_num_threads, num_threads, set_num_threads
    from stridiag._recycled import release_memory
    from stridiag._warmup import warmup
    from stridiag.factorization import Factor
    from stridiag.planning import Plan, plan

__all__ = [
    "AmbiguousRankWarning",
    "ConvergenceError",
    "Detection",
    "Factor",
    "FileFormatError",
    "IllConditionedWarning",
    "NonFiniteError",
    "NotHermitianError",
    "NotPositiveDefiniteError",
    "Plan",
    "SingularMatrixError",
    "SizeLimitError",
    "StridiagError",
    "StridiagMatrix",
    "Structure",
    "StructureError",
    "__version__",
    "detect",
    "errors",
    "get_num_threads",
    "linalg",
    "load",
    "num_threads",
    "plan",
    "random",
    "release_memory",
    "save",
    "set_num_threads",
    "warmup",
]

# Public names that `import stridiag` can do without, most of them in rooms which import scipy or numba: loaded when
# first asked for.
_LATER = {
    "Factor": "factorization",
    "Plan": "planning",
    "get_num_threads": "_kernels.thread_count",
    "num_threads": "_kernels.thread_count",
    "plan": "planning",
    "release_memory": "_recycled",
    "set_num_threads": "_kernels.thread_count",
    "warmup": "_warmup",
}


def __getattr__(name: str) -> Any:
    if name == "linalg":
        return import_module("stridiag.linalg")
    if name in _LATER:
        return getattr(import_module(f"stridiag.{_LATER[name]}"), name)
    raise AttributeError(f"module 'stridiag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
