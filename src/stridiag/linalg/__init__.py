"""Room 4: mathematics over a factor, with the names, arguments and results of ``numpy.linalg``."""

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
