"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["written_whole"]


@contextmanager
def written_whole(file: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside the given place, which takes that place when all is written.

    An interrupted write leaves an old file as it was, and nothing else behind.
    """
    path = Path(file)
    # Not tempfile: its files are for the owner alone, and this one is to get the usual permissions.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
