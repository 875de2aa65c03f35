"""Dask: linear systems beyond one machine."""

from __future__ import annotations

from stridiag.dask.systems import slogdet, solve

__all__ = ["slogdet", "solve"]
