"""What every way to compute has in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, NamedTuple

from stridiag.cli.bench.problem import Problem

__all__ = ["Prepared", "Rival"]


class Prepared(NamedTuple):
    """What is timed, and what is done before each call outside the clock."""

    run: Callable[[], Any]
    before: Callable[[], Any] | None = None


class Rival:
    """A way to compute: for each operation that it offers a method of that name, with "_" for "-".

    The method gets the matrix into the form that its library likes best and returns what is then timed: a callable, or
    `Prepared`; None where it does not apply. Right-hand sides are taken in natural order, in whatever memory order
    the library likes, and solutions returned in natural order.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    # Distribution and module that it needs; empty where scipy or numpy is all.
    package: ClassVar[str] = ""
    module: ClassVar[str] = ""
    # False where pivots are taken as they come, or kept from other values.
    pivots: ClassVar[bool] = True
    # True where the first call compiles.
    compiles: ClassVar[bool] = False
    # Operations of which it does a part only, in its own favour, and which.
    partial: ClassVar[dict[str, str]] = {}

    def missing(self) -> str:
        """Return why it cannot run here; empty if it can."""
        return _failure(self.module, self.package) if self.module else ""

    def version(self) -> str:
        """Return the version of its package."""
        if not self.package:
            return ""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "unknown"

    def prepare(self, operation: str, problem: Problem) -> Prepared | None:
        """Return what is to be timed; None where the operation is not offered for this problem."""
        method = getattr(self, operation.replace("-", "_"), None)
        made = method(problem) if method else None
        return made if made is None or isinstance(made, Prepared) else Prepared(made)


# Kept, since some packages try to compile themselves at each import that fails.
@cache
def _failure(module: str, package: str) -> str:
    try:
        import_module(module)
    except ModuleNotFoundError:
        return f"{package} is not installed"
    except Exception as error:  # a package built for another machine raises all sorts of things
        return f"{package} cannot be imported: {error}".partition("\n")[0]
    return ""
