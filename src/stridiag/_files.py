"""Files that are read without waiting, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["opened_file", "written_whole"]


@contextmanager
def opened_file(file: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file, or a link to one, for reading; refuse at once what may never end or never begin.

    Raises
    ------
    OSError
        If there is no such file, it may not be read, or it is a folder, a pipe, a device or a socket.
    """
    path = os.fspath(file)
    # Asked before it is opened, since opening a device may have effects, and again afterwards, since the name may have
    # come to mean another file; without waiting for someone to write to a pipe.
    _require_regular(os.stat(path), path)
    with open(path, "rb", opener=_without_waiting) as stream:
        _require_regular(os.fstat(stream.fileno()), path)
        yield stream


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file but a pipe, a device or a socket", path)


@contextmanager
def written_whole(file: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside the given place, which takes that place when all is written.

    An interrupted write leaves an old file as it was, and nothing else behind.
    """
    path = Path(file)
    # Not tempfile: its files are for the owner alone, and this one is to get the usual permissions.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # Told of by the name that was given.
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", os.fspath(path.parent))
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
