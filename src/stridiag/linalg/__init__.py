"""Room 4: mathematics over a factor, with the names, arguments and results of ``numpy.linalg``."""

from stridiag.linalg.determinant import det, slogdet
from stridiag.linalg.inverse import inv, solve
from stridiag.linalg.norms import cond, norm
from stridiag.linalg.pseudoinverse import (
    LstsqResult,
    PseudoInverse,
    RankInfo,
    lstsq,
    matrix_rank,
    null_space,
    pinv,
    rank_info,
)

__all__ = [
    "LstsqResult",
    "PseudoInverse",
    "RankInfo",
    "cond",
    "det",
    "inv",
    "lstsq",
    "matrix_rank",
    "norm",
    "null_space",
    "pinv",
    "rank_info",
    "slogdet",
    "solve",
]
