"""`functools.cached_property` as it is from Python 3.12 on.

Before, all instances of a class share a lock that is held while any of them computes its property. Many of ours take
long, and release the interpreter's lock while they do: threads that work on different matrices would wait for each
other, and a process forked meanwhile would wait for ever.

Two threads that ask the same object at the same time may both compute what is the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:
        """A property that is computed once and then stands among the instance's attributes."""

        def __init__(self, function: Any) -> None:
            self.function = function
            self.__doc__ = function.__doc__
            self.__module__ = function.__module__

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            """Compute the property; found among the attributes, it is not asked for again."""
            if instance is None:
                return self
            result = instance.__dict__[self.name] = self.function(instance)
            return result
