"""Which way a computation goes: compiled kernels where tensors lie in the host's memory, torch operations elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from torch import Tensor

__all__ = ["Path", "forced_path", "on_host"]

Path = Literal["auto", "torch"]

_path: ContextVar[Path] = ContextVar("stridiag_torch_path", default="auto")


def on_host(tensor: Tensor) -> bool:
    """Whether the compiled kernels of the host serve this tensor."""
    return tensor.is_cpu and _path.get() == "auto"


@contextmanager
def forced_path(path: Path) -> Iterator[None]:
    """Send what happens inside along one way, to compare: ``"torch"`` takes torch operations on the CPU too."""
    token = _path.set(path)
    try:
        yield
    finally:
        _path.reset(token)
