"""Arrays in memory that was used before: the operating system clears what it hands out anew.

That takes longer than most of what this library does with a number. So memory of some size that belonged to the plan
or the factor of a reduced system goes back to a store once nobody holds the array, or a view of it, any more, and the
next array takes it from there. Solutions are not made of it.

The store holds at most `KEPT` bytes, in blocks of up to `LARGEST`; more is given back to the system.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEPT", "LARGEST", "recycled"]

KEPT = 1 << 25
"""Bytes that are kept at most."""

LARGEST = 1 << 23
"""Bytes of the largest block that is kept."""

Memory = tuple[NDArray[np.uint8], int]
"""Bytes, and their address."""

_SMALLEST = 1 << 17
_LINE = 64
_PAGE = 4096


def recycled(shape: int | tuple[int, ...], kind: Any = np.float64) -> NDArray[Any]:
    """Return an array, not filled, whose address is a multiple of 64 unless it is small or very large."""
    dtype = np.dtype(kind)
    lengths = shape if isinstance(shape, tuple) else (int(shape),)
    count = dtype.itemsize * math.prod(lengths)
    if not _SMALLEST <= count <= LARGEST or dtype.hasobject:
        return np.empty(shape, dtype)
    # Four sizes between a power of two and the next.
    step = 1 << (count.bit_length() - 3)
    size = -(-count // step) * step
    # numpy makes the block, which is no array, the base of this array, and of all views of it.
    return np.asarray(_Block(_store.take(size), lengths, dtype))


class _Store:
    def __init__(self) -> None:
        self.free: dict[int, list[Memory]] = {}
        self.kept = self.made = 0
        # Blocks that live until the interpreter ends are given back when the module's names are gone.
        self.most = KEPT
        # One that the same thread may take again: the collector may give a block back in the middle of `take`.
        self.lock = threading.RLock()

    def take(self, size: int) -> Memory:
        with self.lock:
            blocks = self.free.get(size)
            if blocks:
                self.kept -= size
                return blocks.pop()
            self.made += 1
        # Arrays of one size that began at the same place of a page would be in each other's way in the caches.
        room = np.empty(size + _PAGE + _LINE, np.uint8)
        first = -room.ctypes.data % _LINE + _LINE * 23 * self.made % _PAGE
        return room[first : first + size], room.ctypes.data + first

    def give(self, memory: Memory) -> None:
        with self.lock:
            size = memory[0].size
            if self.kept + size > self.most:
                self.free.clear()
                self.kept = 0
            self.free.setdefault(size, []).append(memory)
            self.kept += size


_store = _Store()
if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held the lock.
    os.register_at_fork(after_in_child=_store.__init__)  # type: ignore[misc]


class _Block:
    """Memory that goes back to the store when the last array that lies in it is gone."""

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.memory = memory
        self.__array_interface__ = {"version": 3, "typestr": dtype.str, "shape": shape, "data": (memory[1], False)}

    def __del__(self, give: Any = _store.give) -> None:
        give(self.memory)
