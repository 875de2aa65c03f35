"""Room 4: mathematics over a factor, with the names, arguments and results of ``numpy.linalg``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stridiag.linalg.determinant import det, slogdet
    from stridiag.linalg.inverse import InverseOperator, inv, inv_operator, solve
    from stridiag.linalg.least_squares import LstsqResult, lstsq
    from stridiag.linalg.norms import cond, norm
    from stridiag.linalg.pseudoinverse import PseudoInverse, null_space, pinv
    from stridiag.linalg.rank import RankInfo, matrix_rank, rank_info

__all__ = [
    "InverseOperator",
    "LstsqResult",
    "PseudoInverse",
    "RankInfo",
    "cond",
    "det",
    "inv",
    "inv_operator",
    "lstsq",
    "matrix_rank",
    "norm",
    "null_space",
    "pinv",
    "rank_info",
    "slogdet",
    "solve",
]

# Where the names live: a module and its kernels are loaded when a name of it is first asked for.
_LATER = {
    "InverseOperator": "linalg.inverse",
    "LstsqResult": "linalg.least_squares",
    "PseudoInverse": "linalg.pseudoinverse",
    "RankInfo": "linalg.rank",
    "cond": "linalg.norms",
    "det": "linalg.determinant",
    "inv": "linalg.inverse",
    "inv_operator": "linalg.inverse",
    "lstsq": "linalg.least_squares",
    "matrix_rank": "linalg.rank",
    "norm": "linalg.norms",
    "null_space": "linalg.pseudoinverse",
    "pinv": "linalg.pseudoinverse",
    "rank_info": "linalg.rank",
    "slogdet": "linalg.determinant",
    "solve": "linalg.inverse",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"stridiag.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
