"""Chunks computed a second time, inside the task that takes them, so that nothing holds them in the meantime.

A task that merely depended on a chunk once more would keep the first computation's result in memory until then. So the
task brings along the few tasks that make its chunks, and runs them itself.
"""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
from dask.base import optimize
from dask.local import get_sync
from dask.optimization import cull
from numpy.typing import NDArray

__all__ = ["Reading", "SecondReading", "readings"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The tasks that make some chunks.

    Attributes
    ----------
    graph : dict
    keys : list
        Of the chunks; None for a number.
    numbers : tuple
        None for a chunk.
    """

    graph: dict[Any, Any]
    keys: list[Any]
    numbers: tuple[Any, ...]

    def compute(self) -> tuple[Any, ...]:
        """Return the chunks, made in this thread."""
        found = iter(get_sync(self.graph, [key for key in self.keys if key is not None]))
        return tuple(
            number if key is None else next(found) for key, number in zip(self.keys, self.numbers, strict=True)
        )


class SecondReading:
    """A function, called with what it is given and then with chunks that are computed when it is called."""

    def __init__(self, function: Callable[..., Any], reading: Reading) -> None:
        self.function = function
        self.reading = reading
        # What a task is named after.
        self.__name__ = "recover_again"

    def __call__(self, *given: Any) -> Any:
        """Return what the function makes of what is given, and of the chunks."""
        return self.function(*given, *self.reading.compute())


def readings(arrays: Sequence[da.Array | NDArray[Any]], count: int) -> list[Reading]:
    """Return, for each k, what makes chunk k, along the first axis, of all arrays; numbers are what they are.

    Raises
    ------
    ValueError
        If chunks lie on a cluster already, where they take memory whatever is done.
    """
    for array in arrays:
        if isinstance(array, da.Array) and any(map(_is_elsewhere, dict(array.__dask_graph__()).values())):
            raise ValueError("read_again is for chunks that are computed when needed; these are persisted on a cluster")
    optimized = optimize(*arrays)
    graph: dict[Any, Any] = {}
    for array in optimized:
        if isinstance(array, da.Array):
            graph.update(array.__dask_graph__())
    result = []
    for k in range(count):
        keys = [
            (array.name, k, *([0] * (array.ndim - 1))) if isinstance(array, da.Array) else None for array in optimized
        ]
        needed = dict(cull(graph, [key for key in keys if key is not None])[0])
        result.append(Reading(needed, keys, tuple(None if isinstance(array, da.Array) else array for array in arrays)))
    return result


def _is_elsewhere(part: Any) -> bool:
    """Whether a node of a graph is a promise of a cluster."""
    return type(getattr(part, "value", part)).__module__.partition(".")[0] == "distributed"
