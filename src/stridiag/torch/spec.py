"""A structure as text and back, so that it can be an argument of torch's operators, and as a constant of its compiler.

Text names a structure wholly: a traced or exported graph needs nothing else.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree

from stridiag.structure import Structure

__all__ = ["structure_of", "text_of"]


@lru_cache(maxsize=256)
def _written(structure: Structure) -> str:
    links = np.stack((structure.link_rows, structure.link_columns)).astype("<i8").tobytes()
    rows, columns = structure.shape
    offsets = ",".join(map(str, structure.offsets))
    return f"{rows},{columns};{offsets};{base64.b64encode(links).decode('ascii')}"


@lru_cache(maxsize=256)
def structure_of(text: str) -> Structure:
    """Return the structure that `text_of` wrote."""
    shape, offsets, links = text.split(";")
    rows, columns = (int(size) for size in shape.split(","))
    places = np.frombuffer(base64.b64decode(links), "<i8").reshape(2, -1).astype(np.int64)
    return Structure((rows, columns), [int(o) for o in offsets.split(",") if o], (places[0], places[1]))


def text_of(structure: Structure) -> str:
    """Return the structure as text: shape, offsets, and the places of the links in base 64."""
    return _written(structure)


# To the compiler the text of a structure is a constant of the graph, guarded by the structure's equality.
_assume_constant: Any = torch._dynamo.assume_constant_result if hasattr(torch, "_dynamo") else lambda function: function
text_of = _assume_constant(text_of)

if hasattr(_pytree, "register_constant"):
    _pytree.register_constant(Structure)
