"""Singularity of a sparse matrix of integers: elimination modulo a prime, which knows no rounding."""

from __future__ import annotations

from stridiag.structure import StridiagMatrix

__all__ = ["is_singular"]

_PRIME = (1 << 61) - 1


def is_singular(matrix: StridiagMatrix) -> bool:
    """Whether the determinant of a square matrix of integers vanishes modulo 2**61 - 1.

    A singular matrix is always found to be so; one that is not could be mistaken for it only if its
    determinant were a multiple of that prime.
    """
    n = matrix.structure.shape[0]
    rows: list[dict[int, int]] = [{} for _ in range(n)]
    holders: list[set[int]] = [set() for _ in range(n)]
    places = zip(*(part.tolist() for part in matrix.structure.coordinates()), strict=True)
    for (row, column), value in zip(places, matrix.values.tolist(), strict=True):
        if value:
            rows[row][column] = int(value) % _PRIME
            holders[column].add(row)
    for column in range(n):
        if not holders[column]:
            return True
        # The shortest row as pivot keeps the fill low.
        chosen = min(holders[column], key=lambda row: (len(rows[row]), row))
        pivot = rows[chosen]
        for other in pivot:
            holders[other].discard(chosen)
        inverse = pow(pivot[column], -1, _PRIME)
        for row in tuple(holders[column]):
            target = rows[row]
            factor = target[column] * inverse % _PRIME
            for other, value in pivot.items():
                fresh = (target.get(other, 0) - factor * value) % _PRIME
                if fresh:
                    target[other] = fresh
                    holders[other].add(row)
                elif other in target:
                    del target[other]
                    holders[other].discard(row)
    return False
