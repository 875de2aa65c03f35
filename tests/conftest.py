"""What all tests share: a cache of compiled kernels that cannot be stale, and hypothesis profiles."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from pathlib import Path

from hypothesis import settings

# The tests already run side by side, and BLAS's threads stall for milliseconds on a busy machine. This must stand
# before the first import of numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Compiling makes millions of objects, next to none of them garbage that waits for the collector: looking through all
# that is there again and again takes a seventh of the time.
gc.set_threshold(100_000, 20, 20)

ROOT = Path(__file__).resolve().parents[1]


def _name_of_cache() -> str:
    """Name the cache after all kernel sources: numba does not notice an edited helper in another file."""
    digest = hashlib.sha256()
    for source in sorted((ROOT / "src" / "stridiag" / "_kernels").rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    checked = "-boundscheck" if os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0") else ""
    return digest.hexdigest()[:16] + checked


def _use_own_cache() -> None:
    name = _name_of_cache()
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or ROOT / ".numba_cache")
    # The workers of pytest-xdist inherit what the controller has already set.
    if base.name != name:
        os.environ["NUMBA_CACHE_DIR"] = str(base / name)
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()


_use_own_cache()

settings.register_profile("default", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))
