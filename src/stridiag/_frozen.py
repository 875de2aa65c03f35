"""Arrays handed to kernels either always read-only or always writable: to the compiler these are two types."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["frozen", "writable"]

Array = NDArray[Any]


def frozen(array: Array) -> Array:
    """Return a read-only view, for a kernel that only reads."""
    view = array.view()
    # By place: by name it takes as long as the view.
    view.setflags(False)  # type: ignore[call-arg]
    return view


def writable(vector: Array) -> Array:
    """Return a vector that may be written to: itself, or a copy.

    For kernels that take microseconds, to which most callers give one: looking takes less time than a view.
    """
    return vector if vector.flags.writeable else np.array(vector)
