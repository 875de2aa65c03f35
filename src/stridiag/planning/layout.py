"""What every method makes of a structure: where things go, and what they cost."""

from __future__ import annotations

from typing import Protocol

from stridiag.planning.cost import Cost
from stridiag.structure import Structure

__all__ = ["Layout", "NotApplicable", "plural"]


class NotApplicable(Exception):
    """A method does not serve a structure; the message says why, in a clause without a full stop."""


class Layout(Protocol):
    """A square structure, prepared for one method. Frozen; decided without any number."""

    @property
    def method(self) -> str:
        """The name that ``plan(structure, method=...)`` takes."""
        ...

    @property
    def structure(self) -> Structure:
        """What was laid out."""
        ...

    @property
    def cost(self) -> Cost:
        """Operations, bytes and price."""
        ...

    def describe(self) -> str:
        """Say in a line what will be done: "4 tridiagonal chains, LU with partial pivoting"."""
        ...


def plural(number: int, noun: str) -> str:
    """Return "1 segment", "4 segments"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
