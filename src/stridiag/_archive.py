"""Arrays from ``.npz`` and ``.npy`` files that nobody vouches for.

A file is believed only where its own bytes bear it out. The directory of a zip is measured before it is read; its
members must be plain names, each once, one behind the other and not one inside the other; an array's header must
describe exactly the bytes that follow it. All this comes before memory is taken, so that what a file can ask for is
bounded by its own size (uncompressed files), or by a stated limit (compressed ones). Nothing is extracted to a disk,
and nothing is unpickled.

The format of zip files: PKWARE, APPNOTE.TXT 6.3.9, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16
(its end). That of arrays: ``numpy.lib.format``.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stridiag._files import opened_file
from stridiag.errors import FileFormatError

__all__ = ["MAX_MEMBERS", "Archive", "check_version", "opened_archive", "read_npy"]

Array = NDArray[Any]

MAX_MEMBERS = 40_000
"""How many arrays a file may hold."""

# A directory of that many members; Python's objects for them take some ten times as many bytes.
_DIRECTORY = 1 << 22
# What is unpacked from a compressed file: that many bytes, or that many times the file's size if this is more.
_UNPACKED, _RATIO = 1 << 28, 100
# Deflate cannot do better.
_DEFLATE = 1032
# Headers of arrays are shorter; numpy refuses those of more than 10,000 characters.
_HEADER = 1 << 14
_PIECE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\.npy", re.ASCII)


@contextmanager
def opened_archive(
    file: str | os.PathLike[str], kind: str, *, compressed: bool = False, kinds: str = "biufcUS"
) -> Iterator[Archive]:
    """Open an ``.npz`` file and check its directory; what goes wrong inside the block is a `FileFormatError`.

    Parameters
    ----------
    file : path
        A regular file.
    kind : str
        What it is to be, for messages.
    compressed : bool, default False
        Whether it may be a file that others wrote: compressed, with gaps, arrays columns first or of foreign bytes.
    kinds : str
        Kinds of dtype that arrays may have, as in `numpy.dtype.kind`.
    """
    path = os.fspath(file)
    with opened_file(path) as stream:
        try:
            with zipfile.ZipFile(_measured(stream)) as opened:
                yield Archive(opened, stream, foreign=compressed, kinds=kinds)
        except FileFormatError as error:
            raise FileFormatError(f"{path} is not a readable {kind}: {error}") from error.__cause__
        except Exception as error:
            # Damage makes the parsers of zip, JSON and array headers, and the checks of what is built from them, raise
            # almost anything: NotImplementedError, RecursionError and tokenize.TokenError among others.
            raise FileFormatError(f"{path} is not a readable {kind}: {error or type(error).__name__}") from error


def check_version(version: object, newest: int) -> None:
    """Raise `FileFormatError` unless this release reads files of that version, 1 to `newest`."""
    if type(version) is not int or version < 1:
        raise FileFormatError(f"it has version {str(version)[:80]}; this release reads versions 1 to {newest}")
    if version > newest:
        raise FileFormatError(
            f"it has version {str(version)[:80]}, and this release reads versions 1 to {newest}: "
            "it was written by a newer stridiag, upgrade to read it"
        )


class Archive(Mapping[str, Array]):
    """The arrays of an ``.npz`` file by name, without ``.npy``; each is read when it is asked for.

    Parameters
    ----------
    opened : zipfile.ZipFile
        Its directory, read.
    stream : BinaryIO
        The file.
    foreign : bool
        Whether others may have written it; see `opened_archive`.
    kinds : str
        Kinds of dtype that arrays may have.
    """

    def __init__(self, opened: zipfile.ZipFile, stream: BinaryIO, *, foreign: bool, kinds: str) -> None:
        self._opened, self._foreign, self._kinds = opened, foreign, kinds
        members = opened.infolist()
        size = os.fstat(stream.fileno()).st_size
        for member in members:
            _check_member(member, size, foreign=foreign)
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        if len(self._members) != len(members):
            raise FileFormatError("it has a member twice")
        if sum(member.file_size for member in members) > (max(_UNPACKED, _RATIO * size) if foreign else size):
            raise FileFormatError(
                f"its members would take {sum(member.file_size for member in members):,} bytes, too many for a file of "
                f"{size:,}" + ("; write it uncompressed" if foreign else "")
            )
        _check_places(stream, members, opened.start_dir, foreign=foreign)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> Array:
        member = self._members[name]
        try:
            with self._opened.open(member) as stream:
                return read_npy(stream, member.file_size, self._kinds, foreign=self._foreign)
        except FileFormatError as error:
            raise FileFormatError(f"member {member.filename}: {error}") from None


def read_npy(stream: Any, size: int, kinds: str, *, foreign: bool) -> Array:
    """Return the array of an ``.npy`` stream of `size` bytes, read to its end.

    Parameters
    ----------
    stream : readable
        At its beginning.
    size : int
        What it is said to hold; no more is read, and less is an error.
    kinds : str
        Kinds of dtype that the array may have.
    foreign : bool
        Whether format 2.0, Fortran's order and the other order of bytes are taken, too.

    Raises
    ------
    FileFormatError
        If it is anything else than an array of that size and such a dtype.
    """
    start = io.BytesIO(stream.read(min(size, _HEADER)))
    version = np.lib.format.read_magic(start)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(start)
    elif version == (2, 0) and foreign:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(start)
    else:
        raise FileFormatError(f"array format {version} is none that is read here")
    if dtype.kind not in kinds or dtype.hasobject or not (dtype.itemsize or foreign):
        raise FileFormatError(f"arrays of {str(dtype)[:80]} are not read")
    if not foreign and (fortran or not dtype.isnative):
        raise FileFormatError(f"arrays must be native and rows first, got {dtype}")
    left = size - start.tell()
    # True would be taken for 1; and math.prod, since a product in int64 could wrap round to the true size.
    if not all(type(k) is int and 0 <= k <= np.iinfo(np.int64).max for k in shape):
        raise FileFormatError(f"it claims shape {str(shape)[:80]}, which is none")
    if math.prod(shape) * dtype.itemsize != left:
        raise FileFormatError(f"it claims shape {str(shape)[:80]} of {str(dtype)[:80]} for {left} bytes")
    data = np.empty(left, np.uint8)
    head = start.read()
    data[: len(head)] = np.frombuffer(head, np.uint8)
    filled = len(head)
    # To the very end and beyond, where the checksum of a member is compared.
    while part := stream.read(_PIECE):
        if filled + len(part) > left:
            raise FileFormatError(f"it goes on behind its {size} bytes")
        data[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    if filled != left:
        raise FileFormatError(f"it ends after {filled} of {left} bytes")
    flat = data.view(dtype) if left else np.empty(0, dtype)
    _check_content(flat, data)
    return flat.reshape(shape, order="F" if fortran else "C")


def _check_content(array: Array, data: Array) -> None:
    """Refuse bytes that stand for no value of the dtype: numpy would carry them on."""
    if array.dtype.kind == "b" and data.max(initial=0) > 1:
        raise FileFormatError("truth values must be 0 or 1")
    if array.dtype.kind == "U" and array.size:
        code = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if code.max(initial=0) > 0x10FFFF:
            raise FileFormatError("a string holds what is no character")


def _measured(stream: BinaryIO) -> BinaryIO:
    """Return the stream, if its directory is not too long to be read; `zipfile` reads it whole."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 98))
    end = stream.read(98)
    stream.seek(0)
    if end[-22:-18] != b"PK\5\6" or end[-2:] != b"\0\0":
        # With a comment behind it, or something else: as numpy never writes it.
        raise FileFormatError("it does not end as an npz file does: it is cut off, or another kind of file")
    length = struct.unpack("<L", end[-10:-6])[0]
    if len(end) == 98 and end[-42:-38] == b"PK\6\7":
        length = struct.unpack("<Q", end[40:48])[0]
    if length > _DIRECTORY:
        raise FileFormatError(f"it has a directory of {length:,} bytes, more than {MAX_MEMBERS:,} members need")
    return stream


def _check_member(member: zipfile.ZipInfo, size: int, *, foreign: bool) -> None:
    name = member.filename
    if not _NAME.fullmatch(name):
        raise FileFormatError(f"member {name[:100]!r} is no array")
    if member.flag_bits & 1:
        raise FileFormatError(f"member {name} is encrypted")
    if foreign:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(f"member {name} is compressed by method {member.compress_type}, which is not read")
        most = _DEFLATE * (member.compress_size + 1)
    else:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise FileFormatError(f"member {name} is compressed; ours never are")
        most = member.compress_size
    if member.file_size > most or member.compress_size > size:
        raise FileFormatError(f"member {name} claims more bytes than the file has")


def _check_places(stream: BinaryIO, members: list[zipfile.ZipInfo], end: int, *, foreign: bool) -> None:
    """Refuse members that share bytes, and, in files of our own, bytes that belong to none."""
    at = 0
    for member in sorted(members, key=lambda one: one.header_offset):
        stream.seek(member.header_offset)
        local = stream.read(30)
        if len(local) != 30 or local[:4] != b"PK\3\4":
            raise FileFormatError(f"member {member.filename} is not where the directory says")
        name, extra = struct.unpack("<HH", local[26:])
        if member.header_offset < at or (member.header_offset > at and not foreign):
            raise FileFormatError(f"member {member.filename} does not begin where the one before it ends")
        at = member.header_offset + 30 + name + extra + member.compress_size
    if at > end or (at < end and not foreign):
        raise FileFormatError("its members do not end where its directory begins")
