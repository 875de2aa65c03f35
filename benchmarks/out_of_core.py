"""A fit on more rows than memory holds: peak memory and speed, from a generator or from files made for it.

    OPENBLAS_NUM_THREADS=1 python benchmarks/out_of_core.py [--gigabytes 20] [--format generated] [--folder DIR]

Rows are uniform random numbers, the target is Friedman's function of the first five. `generated` makes them chunk by
chunk, as a 20 GB file would give them; `npy`, `parquet` and `csv` first write files of that size (in float64; other
formats pack them) to a folder, and delete them afterwards. `--sorted` shows what the sample decides: rows come in the
order of their target, and the score is told for a random sample and for one of the first rows.

Memory is the peak resident set of this process, as the system counts it (VmHWM), with Python and all libraries.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stridiag.sklearn import StridiagRegressor, fit_stream
from stridiag.tables import RowSource, open_arrays, open_chunks, open_tables

CHUNK = 65_536
Pair = tuple[np.ndarray, np.ndarray]


def friedman(rows: np.ndarray) -> np.ndarray:
    a, b, c, d, e = rows[:, :5].T
    return 10.0 * np.sin(np.pi * a * b) + 20.0 * (c - 0.5) ** 2 + 10.0 * d + 5.0 * e


def chunk(number: int, columns: int) -> Pair:
    rows = np.random.default_rng(number).random((CHUNK, columns))
    return rows, friedman(rows)


def generated(chunks: int, columns: int) -> RowSource:
    def make(first: int) -> Iterator[Pair]:
        return (chunk(i, columns) for i in range(first, chunks))

    return open_chunks(make, key=f"friedman {chunks} {columns}", rows=chunks * CHUNK)


def on_disk(form: str, folder: Path, chunks: int, columns: int) -> RowSource:
    """Write the same rows to files of about a gigabyte, a chunk at a time."""
    per_file = max(1, (1 << 30) // (8 * CHUNK * (columns + 1)))
    for part, start in enumerate(range(0, chunks, per_file)):
        numbers = range(start, min(start + per_file, chunks))
        write = {"npy": write_npy, "parquet": write_parquet, "csv": write_csv}[form]
        write(folder / f"part-{part:03d}.{form}", numbers, columns)
    return open_arrays(folder, -1) if form == "npy" else open_tables(folder, "y")


def write_npy(path: Path, numbers: range, columns: int) -> None:
    shape = (len(numbers) * CHUNK, columns + 1)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        for number in numbers:
            file.write(np.column_stack(chunk(number, columns)).data)


def batches(numbers: range, columns: int) -> Iterator:
    import pyarrow as pa

    names = [f"x{i}" for i in range(columns)]
    for number in numbers:
        rows, target = chunk(number, columns)
        yield pa.RecordBatch.from_arrays(
            [*map(pa.array, np.ascontiguousarray(rows.T)), pa.array(target)], [*names, "y"]
        )


def write_parquet(path: Path, numbers: range, columns: int) -> None:
    import pyarrow.parquet as pq

    writer = None
    for batch in batches(numbers, columns):
        writer = writer or pq.ParquetWriter(path, batch.schema, use_dictionary=False)
        writer.write_batch(batch)
    writer.close()


def write_csv(path: Path, numbers: range, columns: int) -> None:
    from pyarrow import csv

    writer = None
    for batch in batches(numbers, columns):
        writer = writer or csv.CSVWriter(path, batch.schema)
        writer.write_batch(batch)
    writer.close()


def peak() -> float:
    """Return the largest resident set so far, in MB."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
        return int(told.split("VmHWM:")[1].split()[0]) / 1e3
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def score(model: StridiagRegressor, columns: int) -> float:
    """Return R2 on 20,000 rows that no source has."""
    held = np.random.default_rng(2**32).random((20_000, columns))
    truth = friedman(held)
    # The model itself, which asks for no names of columns.
    errors = truth - model.model_.decision(held)[:, 0]
    return 1.0 - errors.var() / truth.var()


def measure(source: RowSource, arguments: argparse.Namespace) -> None:
    columns = arguments.columns
    model = StridiagRegressor(units=arguments.units, layers=1, random_state=0)
    before, cpu, wall = peak(), time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fit_stream(
            model, source, sample=arguments.sample, checkpoint=Path(folder) / "state.npz", progress=arguments.progress
        )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rows = source.rows if source.rows is not None else sum(part.rows.shape[0] for part in source.read())
    megabytes = rows * (columns + 1) * 8 / 1e6
    print(f"{arguments.format}: {rows:,} rows of {columns} columns, {megabytes / 1e3:.2f} GB in float64")
    print(f"model: {model.network_.hidden.columns} features, R2 on new rows {score(model, columns):.5f}")
    print(f"peak memory: {peak():.0f} MB, of which {before:.0f} MB before the fit")
    print(f"time: {wall:.1f} s, {cpu:.1f} s of processor; {rows / wall:,.0f} rows/s, {megabytes / wall:.0f} MB/s")


def sorted_rows(arguments: argparse.Namespace) -> None:
    rows = max(CHUNK, int(arguments.gigabytes * 1e9 / 8 / (arguments.columns + 1)))
    x = np.random.default_rng(0).random((rows, arguments.columns))
    y = friedman(x)
    order = np.argsort(y)
    x, y = x[order], y[order]

    def make(first: int) -> Iterator[Pair]:
        return ((x[i : i + CHUNK], y[i : i + CHUNK]) for i in range(first * CHUNK, rows, CHUNK))

    source = open_chunks(make, key="sorted", rows=rows)
    for preset in ("one network", "recipe"):
        options = {"units": arguments.units, "layers": 1} if preset == "one network" else {}
        for sample in ("random", "first"):
            model = fit_stream(StridiagRegressor(random_state=0, **options), source, sample=sample)
            print(f"sorted by target, {preset}, {sample} sample: R2 {score(model, arguments.columns):.5f}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--format", choices=("generated", "npy", "parquet", "csv"), default="generated")
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--sample", choices=("random", "first"), default="random")
    parser.add_argument("--sorted", action="store_true")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--folder", help="where files are made, in a folder of their own; by default the system's")
    parsed = parser.parse_args(arguments)
    if parsed.sorted:
        sorted_rows(parsed)
        return
    chunks = max(1, round(parsed.gigabytes * 1e9 / (8 * CHUNK * (parsed.columns + 1))))
    if parsed.format == "generated":
        measure(generated(chunks, parsed.columns), parsed)
        return
    with tempfile.TemporaryDirectory(dir=parsed.folder) as folder:
        measure(on_disk(parsed.format, Path(folder), chunks, parsed.columns), parsed)


if __name__ == "__main__":
    main()
