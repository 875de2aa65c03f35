"""The command line: `stridiag demo`, `stridiag warmup`.

`app` holds the arguments; the other files measure, draw and write for it.

Importing this module needs nothing but the standard library: `main` fetches typer and rich when it is called, and says
which extra to install where they are missing.
"""

from __future__ import annotations

import sys

from stridiag._extras import require

__all__ = ["main"]


def main() -> None:
    """Run the command line; the target of the ``stridiag`` script.

    Raises
    ------
    SystemExit
        Always, as command lines do: 0 when all went well, 1 for an error, 2 for a wrong option.
    """
    try:
        require("the stridiag command", "demo", "rich", "typer")
    except ImportError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    from stridiag.cli.app import app

    app()
