"""Bytes of a file or of standard input, behind all compression; and whose fault it is when they make no sense."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, cast

from stridiag.errors import FileFormatError

__all__ = ["STDIN", "Place", "opened", "readable", "shown"]

STDIN = "-"
Place = str | PathLike[str]

_BUFFER = 1 << 16
# Beginnings of what pyarrow undoes; brotli has none, so that there the name must tell.
_BY_PYARROW = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}


def shown(place: Place) -> str:
    """Return what messages call it."""
    return "standard input" if place == STDIN else str(place)


@contextmanager
def opened(place: Place) -> Iterator[io.BufferedReader]:
    """Give the bytes of a file, or of standard input for "-", behind gzip, bzip2, xz, zstd, lz4 and brotli.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    FileFormatError
        If standard input is a terminal.
    """
    if place == STDIN:
        if sys.stdin.isatty():
            raise FileFormatError("standard input is a terminal: pipe a table into the command, or name a file")
        # The bytes behind the buffer, which would wait until it is full.
        yield _decompressed(cast("BinaryIO", getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)), place)
        return
    with Path(place).open("rb") as stream:
        yield _decompressed(stream, place)


def _decompressed(stream: BinaryIO, place: Place) -> io.BufferedReader:
    source: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER)
    start = source.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=source), _BUFFER)
    if start.startswith(b"BZh"):
        return io.BufferedReader(bz2.BZ2File(source), _BUFFER)
    if start.startswith(b"\xfd7zXZ\x00"):
        return io.BufferedReader(lzma.LZMAFile(source), _BUFFER)
    kind = _BY_PYARROW.get(start[:4]) or ("brotli" if str(place).lower().endswith(".br") else None)
    if kind is None:
        return source
    import pyarrow as pa

    return io.BufferedReader(cast("Any", pa.CompressedInputStream(pa.PythonFile(source, "r"), kind)), _BUFFER)


@contextmanager
def readable(place: Place) -> Iterator[None]:
    """Turn what is raised about a damaged file into FileFormatError that names it."""
    import pyarrow as pa

    # While it parses, pyarrow puts handlers of its own in the place of Python's, and sometimes loses a SIGTERM.
    pa.enable_signal_handlers(False)
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, pa.ArrowIndexError) as error:
        raise FileFormatError(f"{shown(place)} is damaged, cut off, or not of this format: {error}") from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{shown(place)}: the compressed data is damaged or cut off ({error})") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        # What pyarrow says of broken compression carries no error number; what the system says does.
        raise FileFormatError(f"{shown(place)} is damaged or cut off: {error}") from error
