"""Arrays of other libraries: read where that costs a copy at most, refused where it would cost more, or lose something.

What lies in main memory is read through ``__array__`` (or the buffer protocol), by which most libraries share their
memory, and through ``__dlpack__`` where there is nothing else. Results are NumPy arrays. No library is imported here:
whoever holds an array of one has imported it. See docs/decisions/0023-array-namespaces.md.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_array", "is_array"]

# What needs no look: NumPy's own, and Python's numbers and sequences.
_PLAIN = (np.generic, list, tuple, int, float, complex, range, memoryview)

# DLPack's codes of devices whose memory the processor reads: its own, and memory pinned for CUDA or ROCm.
_HOST_DEVICES = (1, 3, 11)


def as_array(array: ArrayLike, name: str) -> NDArray[Any]:
    """Return `array` as a NumPy array, sharing memory where that is possible.

    Raises
    ------
    TypeError
        For arrays on another device, lazy, sparse or masked ones, tensors that require a gradient, and types that
        NumPy does not have.
    """
    if type(array) is np.ndarray:
        return array
    if isinstance(array, np.ndarray):
        _refuse_masks(array, name)
        return np.asarray(array)
    if isinstance(array, _PLAIN):
        return np.asarray(array)
    return _foreign(array, name)


def is_array(candidate: object) -> bool:
    """Return whether an object is an array, of any library, or a list or tuple that may be one.

    Numbers and linear operators are not.
    """
    if isinstance(candidate, np.ndarray | list | tuple):
        return True
    kind = type(candidate)
    return not isinstance(candidate, np.generic) and (hasattr(kind, "__array__") or hasattr(kind, "__dlpack__"))


def _refuse_masks(array: NDArray[Any], name: str) -> None:
    masked = sys.modules.get("numpy.ma")
    if masked is not None and masked.is_masked(array):
        raise TypeError(f"{name} is a masked array, and masked entries have no value here: fill them with .filled(x)")


def _foreign(array: Any, name: str) -> NDArray[Any]:
    told = f"{name} (a {type(array).__module__.partition('.')[0]}.{type(array).__name__})"
    dask = sys.modules.get("dask.base")
    if dask is not None and dask.is_dask_collection(array):
        raise TypeError(
            f"{told} is lazy: use stridiag.dask, which works partition by partition, or hand over what .compute() gives"
        )
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(array):
        raise TypeError(f"{told} is sparse: hand over what .toarray() gives")
    # By its name: what it is made of stands on this module.
    if type(array).__name__ == "StridiagMatrix":
        raise TypeError(f"{told} is a matrix, not an array: hand over its .values, by slot, or what .toarray() gives")
    if getattr(array, "requires_grad", False) is True:
        raise TypeError(
            f"{told} requires a gradient, which a NumPy result cannot carry: use stridiag.torch, or hand over "
            "what .detach() gives"
        )
    _require_host(array, told)
    # PyTorch's lazy conjugates and negatives: a copy.
    for resolve in ("resolve_conj", "resolve_neg"):
        if hasattr(array, resolve):
            array = getattr(array, resolve)()
    try:
        if not hasattr(array, "__array__") and hasattr(array, "__dlpack__"):
            return np.from_dlpack(array)
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(f"{told} cannot be read as a NumPy array: {error}") from error


def _require_host(array: Any, told: str) -> None:
    """Refuse arrays on another device: a transfer should be seen where it is paid for."""
    if not hasattr(array, "__dlpack_device__"):
        return
    try:
        code = int(array.__dlpack_device__()[0])
    except (TypeError, ValueError, RuntimeError, BufferError, NotImplementedError):
        # Such as PyTorch's meta tensors, which have no memory at all: reading them fails, with a reason.
        return
    if code not in _HOST_DEVICES:
        ways = {"torch": ".cpu()", "cupy": ".get()", "jax": "jax.device_get(...)", "jaxlib": "jax.device_get(...)"}
        way = ways.get(type(array).__module__.partition(".")[0], 'such as .to_device("cpu")')
        raise TypeError(
            f"{told} lies on the device {getattr(array, 'device', code)}: move it to main memory first, {way}; "
            "for tensors on a GPU there is stridiag.torch"
        )
