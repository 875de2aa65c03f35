"""What a wing says where the packages that it wraps are not installed."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["require"]


def require(purpose: str, extra: str, *packages: str) -> None:
    """Raise an error that says which extra to install, unless all packages are there; loads none of them.

    Parameters
    ----------
    purpose : str
        What needs them, as the start of a sentence.
    extra : str
        The extra of stridiag that brings them.
    *packages : str
        Names to import.

    Raises
    ------
    ImportError
        If a package is not there.

    Examples
    --------
    >>> from stridiag._extras import require
    >>> require("the table", "plot", "numpy", "no_such_package")
    Traceback (most recent call last):
        ...
    ImportError: the table needs no_such_package, which is not installed: pip install 'stridiag[plot]'
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}, which {are} not installed: pip install 'stridiag[{extra}]'",
            name=missing[0],
        )
