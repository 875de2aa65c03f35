"""How commands end: one line on standard error and an exit code, never a traceback.

0: all went well, also where the reader of a pipe has had enough. 1: input, a model or the machine did not allow it.
2: the command line itself is wrong. 130: interrupted from the keyboard.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import typer

from stridiag._validate import nearest

__all__ = ["CommandError", "UsageError", "nearest", "reported"]

P = ParamSpec("P")
R = TypeVar("R")

_INTERRUPTED = 130
# Errors that say what is wrong with input; all others are ours, and their traceback is wanted.
_EXPECTED = (ValueError, TypeError, ArithmeticError, OSError, ImportError, MemoryError)


class CommandError(Exception):
    """What stops a command; the message is one line and says what to do."""

    code = 1


class UsageError(CommandError):
    """Options that do not go together; the message names them."""

    code = 2


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that errors become a line on standard error and an exit code.

    Goes below ``@app.command()``.

    Examples
    --------
    >>> import typer
    >>> from stridiag.cli.errors import CommandError, reported
    >>> @reported
    ... def command() -> None:
    ...     raise CommandError("no such column; did you mean 'age'?")
    >>> try:
    ...     command()
    ... except typer.Exit as error:
    ...     error.exit_code
    1
    """

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            result = command(*arguments, **options)
            # Here, so that a reader who has gone is noticed here too, and not when Python ends.
            sys.stdout.flush()
        except CommandError as error:
            _leave(str(error), error.code)
        except KeyboardInterrupt:
            _leave("interrupted", _INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE or isinstance(error, BrokenPipeError):
                _hush()
                raise typer.Exit(0) from None
            _leave(_told(error), 1)
        except _EXPECTED as error:
            _leave(_told(error), 1)
        return result

    return run


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory" + (f": {error}" if str(error) else "")
    return str(error) or type(error).__name__


def _leave(message: str, code: int) -> NoReturn:
    # One line, whatever libraries put into their messages.
    line = " ".join(message.split())
    typer.echo(f"Error: {line}", err=True)
    raise typer.Exit(code) from None


def _hush() -> None:
    """Send what is still buffered for standard output nowhere: its reader has gone."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        # A standard output that is no file, as in tests.
        return
