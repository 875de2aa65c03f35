"""Arrays in memory that was used before: the operating system clears what it hands out anew.

That takes longer than most of what this library does with a number. So memory of some size goes back to a store once
nobody holds the array, or a view of it, any more, and the next array takes it from there. There are two stores: one for
arrays of 128 KiB to 16 MiB, and one for larger results. The latter asks the system for whole pages, and leaves them to
it while nobody uses them: it may take them back when memory is short, without a word.

Each holds a number of bytes at most; more is given back to the system.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KEPT",
    "KEPT_RESULTS",
    "LARGEST",
    "LARGE_PAGE",
    "SMALLEST",
    "copied",
    "recycled",
    "release_memory",
    "result",
]

KEPT = 1 << 26
"""Bytes that are kept at most."""

SMALLEST, LARGEST = 1 << 17, 1 << 24
"""Bytes of the smallest and of the largest block that is kept."""

KEPT_RESULTS = 1 << 27
"""Bytes of large results that are kept at most, in one block or in several."""

LARGE_PAGE = 1 << 21
"""Bytes that the operating system hands out at once, if asked to."""

_SMALLEST_RESULT = 1 << 24
_LINE = 64
_PAGE = 4096


class _Memory(NamedTuple):
    room: NDArray[np.uint8]
    address: int


def recycled(shape: int | tuple[int, ...], kind: Any = np.float64) -> NDArray[Any]:
    """Return an array, not filled, whose address is a multiple of 64 unless it is small or very large."""
    dtype = np.dtype(kind)
    lengths = shape if isinstance(shape, tuple) else (int(shape),)
    count = dtype.itemsize * math.prod(lengths)
    if not SMALLEST <= count <= LARGEST or dtype.hasobject:
        return np.empty(shape, dtype)
    return np.asarray(_Block(_small, _small.take(_rounded(count))[0], lengths, dtype))


def copied(x: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, in C order, in memory that `recycled` gives."""
    array = recycled(x.shape, x.dtype)
    array[...] = x
    return array


def result(
    shape: tuple[int, ...], kind: np.dtype[Any], prepare: Callable[[NDArray[np.uint8]], object]
) -> NDArray[Any] | None:
    """Return an array, not filled, for numbers that users will hold, at a multiple of `LARGE_PAGE`; None if not large.

    `prepare` is given its bytes if they come from the system.
    """
    count = kind.itemsize * math.prod(shape)
    if not _SMALLEST_RESULT <= count <= KEPT_RESULTS:
        return None
    memory, new = _large.take(_rounded(count))
    # numpy makes the block, which is no array, the base of this array, and of all views of it.
    array = np.asarray(_Block(_large, memory, shape, kind))
    if new:
        prepare(array.reshape(-1).view(np.uint8))
    return array


def release_memory(*, most: int | None = None) -> None:
    """Give memory that is kept for later results back to the operating system.

    Results and what is needed on the way are made in the memory of earlier ones that nobody holds any more: fresh
    memory has to be cleared by the system, which can take longer than to solve. At most 128 MiB of large results are
    kept, each of 16 MiB or more, and 64 MiB of smaller arrays, each of 128 KiB or more. On Linux and macOS the system
    may take kept large results back when memory is short, but counts them as used by the process until then.

    Parameters
    ----------
    most : int, optional
        From now on, keep so many bytes of large results at most, in this process and in those forked from it; 0 for
        none.

    Raises
    ------
    ValueError
        If `most` is negative.

    Examples
    --------
    >>> import stridiag
    >>> stridiag.release_memory()
    """
    if most is not None:
        if most < 0:
            raise ValueError(f"most must be at least 0, got {most}")
        _large.most = most
    for store in (_small, _large):
        store.clear()


def _rounded(count: int) -> int:
    """Return one of four sizes between a power of two and the next."""
    step = 1 << (count.bit_length() - 3)
    return -(-count // step) * step


class _Store:
    """Blocks of memory that nobody uses, by size."""

    def __init__(self, most: int) -> None:
        # Blocks that live until the interpreter ends are given back when the module's names are gone.
        self.most = most
        self.begin()

    def begin(self) -> None:
        self.free: dict[int, list[_Memory]] = {}
        self.kept = self.made = 0
        # One that the same thread may take again: the collector may give a block back in the middle of `take`.
        self.lock = threading.RLock()

    def take(self, size: int) -> tuple[_Memory, bool]:
        """Return a block, and whether it is new."""
        with self.lock:
            blocks = self.free.get(size)
            if blocks:
                self.kept -= size
                return blocks.pop(), False
            self.made += 1
        return self.make(size), True

    def make(self, size: int) -> _Memory:
        # Arrays of one size that began at the same place of a page would be in each other's way in the caches.
        room = np.empty(size + _PAGE + _LINE, np.uint8)
        first = -room.ctypes.data % _LINE + _LINE * 23 * self.made % _PAGE
        return _Memory(room[first : first + size], room.ctypes.data + first)

    def give(self, memory: _Memory) -> None:
        with self.lock:
            size = memory.room.size
            if self.kept + size > self.most:
                self.clear()
            if size <= self.most:
                self.free.setdefault(size, []).append(memory)
                self.kept += size

    def clear(self) -> None:
        with self.lock:
            self.free.clear()
            self.kept = 0


class _PageStore(_Store):
    """Whole pages, which the system may take back as long as nobody uses them."""

    def make(self, size: int) -> _Memory:
        room = np.empty(size + LARGE_PAGE, np.uint8)
        first = -room.ctypes.data % LARGE_PAGE
        return _Memory(room[first : first + size], room.ctypes.data + first)

    def give(self, memory: _Memory) -> None:
        if self.most:
            # What is written to again is ours again. Where that is not known it says so, and the memory just stays.
            _advise(memory.address, memory.room.size, _FREE)
        super().give(memory)


_FREE = getattr(mmap, "MADV_FREE", 0)


def _advice() -> Callable[[int, int, int], int]:
    """Return the C library's function that tells the system what is to become of pages."""
    if not _FREE:
        return lambda address, size, advice: 0
    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


_advise = _advice()
_small, _large = _Store(KEPT), _PageStore(KEPT_RESULTS)
if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held a lock.
    os.register_at_fork(after_in_child=_small.begin)
    os.register_at_fork(after_in_child=_large.begin)


class _Block:
    """Memory that goes back to its store when the last array that lies in it is gone."""

    __slots__ = ("__array_interface__", "give", "memory")

    def __init__(self, store: _Store, memory: _Memory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.memory, self.give = memory, store.give
        self.__array_interface__ = {"version": 3, "typestr": dtype.str, "shape": shape, "data": (memory.address, False)}

    def __del__(self) -> None:
        self.give(self.memory)
