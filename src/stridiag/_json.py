"""Strict JSON, from files that nobody vouches for."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import FileFormatError

__all__ = ["MAX_BYTES", "MAX_DIGITS", "parse_json"]

MAX_BYTES = 1 << 24
"""How long a text may be: Python's objects for it may take some 30 times as many bytes."""

MAX_DIGITS = 200
"""How many digits an integer may have, its sign included."""


def parse_json(text: NDArray[np.uint8]) -> Any:
    """Return what a text in UTF-8 says: integers of up to 200 digits, finite floats, no key twice.

    Raises
    ------
    FileFormatError
        If it is no such text, or one of more than 16 MB.
    """
    if text.size > MAX_BYTES:
        raise FileFormatError(f"a header of {text.size:,} bytes is too long: up to {MAX_BYTES:,} are read")
    try:
        return json.loads(
            text.tobytes().decode(),
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"the header is no valid JSON: {str(error)[:200]}") from error


def _integer(text: str) -> int:
    # The length first: a million digits take long to convert.
    if len(text) > MAX_DIGITS:
        raise FileFormatError(f"an integer of {len(text)} digits, more than {MAX_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    if len(text) > 40 or not math.isfinite(number := float(text)):
        raise FileFormatError(f"a number that is none: {text[:24]}")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FileFormatError("an object has a key twice")
    return found
