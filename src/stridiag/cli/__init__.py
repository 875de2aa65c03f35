"""The command line: `stridiag fit`, `stridiag demo` and others.

`app` holds the arguments; the other files measure, draw and write for it.

Importing this module needs nothing but the standard library: `main` fetches typer and rich when it is called, and says
which extra to install where they are missing.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from stridiag._extras import require

__all__ = ["main"]


def main() -> None:
    """Run the command line; the target of the ``stridiag`` script.

    Raises
    ------
    SystemExit
        Always: 0 when all went well, 1 for an error, 2 for a wrong option, 130 or 143 when stopped.
    """
    try:
        require("the stridiag command", "demo", "rich", "typer")
    except ImportError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    from stridiag.cli.app import app

    # As an exception, so that files that are half written are taken away.
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
