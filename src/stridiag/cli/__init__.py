"""The command line: `stridiag demo`, `stridiag warmup`.

`app` holds the arguments; the other files measure, draw and write for it.

Importing this module needs nothing but the standard library: `main` fetches typer and rich when it is called, and says
which extra to install where they are missing.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the target of the ``stridiag`` script.

    Raises
    ------
    SystemExit
        Always, as command lines do: 0 when all went well, 1 for an error, 2 for a wrong option.
    """
    try:
        import rich
        import typer
    except ImportError as error:
        message = f"the stridiag command needs {error.name}: pip install 'stridiag[demo]'"
        print(message, file=sys.stderr)
        raise SystemExit(1) from None
    del rich, typer
    from stridiag.cli.app import app

    app()
