"""A structure as text and back: what torch's operators take as an argument, and its compiler as a constant.

Text names a structure wholly: a traced or exported graph needs nothing else. While torch compiles, structures go by
their text; otherwise they go as they are.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
import torch._dynamo
from torch.utils import _pytree

import torch
from stridiag.structure import Structure

__all__ = ["Named", "constant", "like", "named", "structure_of", "text_of"]

F = TypeVar("F", bound=Callable[..., Any])

Named = Structure | str
"""A structure, or the text of one."""


def constant(function: F) -> F:
    """Have torch's compiler take what a function of structures returns as a constant of the graph.

    The graph is guarded by the structures' equality.
    """
    assume: Any = torch._dynamo.assume_constant_result
    return cast("F", assume(function))


@lru_cache(maxsize=256)
def _written(structure: Structure) -> str:
    rows, columns = structure.shape
    # Links are sorted by row and column: from one to the next is a short way, mostly of one byte.
    steps = np.diff(structure.link_rows * columns + structure.link_columns, prepend=0)
    size = np.min_scalar_type(steps.max(initial=0)).itemsize
    links = base64.b64encode(steps.astype(f"<u{size}").tobytes()).decode("ascii")
    offsets = ",".join(map(str, structure.offsets))
    return f"{rows},{columns};{offsets};{size};{links}"


@lru_cache(maxsize=256)
def _read(text: str) -> Structure:
    shape, offsets, size, links = text.split(";")
    rows, columns = (int(extent) for extent in shape.split(","))
    steps = np.frombuffer(base64.b64decode(links), f"<u{size}").astype(np.int64)
    places = np.divmod(np.cumsum(steps), columns) if steps.size else (steps, steps)
    return Structure((rows, columns), [int(o) for o in offsets.split(",") if o], places)


def structure_of(structure: Named) -> Structure:
    """Return the structure, if need be read from its text."""
    return _read(structure) if isinstance(structure, str) else structure


@constant
def text_of(structure: Structure) -> str:
    """Return the structure as text: shape, offsets, and the ways from link to link in base 64."""
    return _written(structure)


def named(structure: Structure) -> Named:
    """Return the structure in the form that goes on from here: as text while torch compiles."""
    return text_of(structure) if torch.compiler.is_compiling() else structure


def like(derived: Structure, given: Named) -> Named:
    """Return a structure that was derived from another one, in the form of that."""
    return _written(derived) if isinstance(given, str) else derived


if hasattr(_pytree, "register_constant"):
    _pytree.register_constant(Structure)
