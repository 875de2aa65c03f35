"""Time from nothing: importing the package, and the very first solve of a fresh process.

Each figure is a process of its own; "cold" starts with an empty directory of compiled kernels.

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
SOLVE = """
import time
t = time.perf_counter()
import numpy as np, stridiag
A = stridiag.random(1000, (-1, 0, 1), {links}, rng=0, dominant=True)
A.factor().solve(np.ones(1000))
print(time.perf_counter() - t)
"""


def seconds_of(code: str, cache: str, repeats: int) -> float:
    """Return the median of what fresh interpreters print."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    results = [
        float(subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout)
        for _ in range(repeats)
    ]
    return statistics.median(results)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--links", type=int, nargs="+", default=[0, 10], help="of the matrices solved with")
    options = parser.parse_args(arguments)
    repeats = options.repeats
    with tempfile.TemporaryDirectory() as warm:
        for module in ("numpy", "stridiag"):
            print(f"import {module:36} {seconds_of(IMPORT.format(module=module), warm, repeats):.2f} s")
    for links in options.links:
        code = SOLVE.format(links=links)
        with tempfile.TemporaryDirectory() as cache:
            print(f"first solve, {links:2} links, cold cache {seconds_of(code, cache, 1):15.2f} s")
            print(f"first solve, {links:2} links, warm cache {seconds_of(code, cache, repeats):15.2f} s")


if __name__ == "__main__":
    main()
