"""Rows of tables in files, a chunk at a time: Parquet, Arrow, CSV by pyarrow, ``.npy`` by NumPy, and generators."""

from __future__ import annotations

from stridiag.tables.arrays import open_arrays
from stridiag.tables.generated import open_chunks
from stridiag.tables.source import START, Chunk, Position, RowSource
from stridiag.tables.tables import open_tables

__all__ = ["START", "Chunk", "Position", "RowSource", "open_arrays", "open_chunks", "open_tables"]
