"""Checks of options that the rooms of networks share. Each accepts what is good."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stridiag._validate import check_option

__all__ = ["check_name", "check_penalty", "is_integer", "is_number"]


def check_name(value: object, name: str, allowed: Iterable[str]) -> str:
    """Return an option that must be one of some strings; anything else, arrays too, is a ValueError."""
    if isinstance(value, str):
        return check_option(value, name, allowed)
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_penalty(alpha: object, criteria: tuple[str, ...]) -> None:
    """Raise ValueError unless `alpha` is one of the criteria or a finite number of at least 0."""
    good = alpha in criteria if isinstance(alpha, str) else is_number(alpha) and 0.0 <= alpha < np.inf  # type: ignore[operator]
    if not good:
        names = "".join(f"{c!r}, " for c in criteria)[:-2]
        names = f"{names} or " if names else ""
        raise ValueError(f"alpha must be {names}a finite number of at least 0, got {alpha!r}")


def is_number(value: object) -> bool:
    """Whether a value is a real number and not a truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    """Whether a value is an integer and not a truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
