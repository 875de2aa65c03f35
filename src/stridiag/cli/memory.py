"""How large a table is beside the memory that there is."""

from __future__ import annotations

import os
from pathlib import Path

from stridiag.tables.csv_text import CsvForm
from stridiag.tables.formats import open_table

__all__ = ["memory_bytes", "share_of_memory"]

# What containers may be allowed, by the two versions of Linux's control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
# Of compressed text; a guess.
_PACKED = 4


def memory_bytes() -> int | None:
    """Return how much memory this process may have, None where nobody says."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return None
    for place in _LIMITS:
        try:
            found.append(int(Path(place).read_text()))
        except (OSError, ValueError):
            # No such file, or "max".
            continue
    return min(found)


def share_of_memory(place: str, form: CsvForm) -> float:
    """Return the bytes of a table, as numbers or as text, over those of the memory; 0 for a pipe.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read.
    """
    memory, path = memory_bytes(), Path(place)
    if memory is None or not path.is_file():
        return 0.0
    size = path.stat().st_size
    if size < memory // 100:
        # Not opened twice for nothing: hardly a file grows so much.
        return 0.0
    with open_table(place, form) as table:
        if table.rows is not None:
            return 8.0 * table.rows * len(table.names) / memory
    with path.open("rb") as stream:
        packed = stream.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5", b"\x04\x22")
    return size * (_PACKED if packed else 1) / memory
