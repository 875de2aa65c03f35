"""Layers and functions of `stridiag.torch` beside their rivals, in one process.

    python benchmarks/torch_layers.py                      # both tables, to benchmarks/results/torch/
    python benchmarks/torch_layers.py --device cuda        # the same on a GPU
    python benchmarks/torch_layers.py --sizes 64 --batches 2 --orders 64 --repeat 1 --out DIR      # a trial

Times are the smallest of several runs, of one thread's processor time on a CPU (robust against other load), of the
device's clock on a GPU. With several threads they are wall-clock times.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from stridiag import Structure
from stridiag.torch import StridiagLinear
from stridiag.torch.functional import slogdet, solve
from torch import Tensor, nn

OFFSETS = {3: (0, 1, -1), 9: (0, 1, -1, 2, -2, 3, -3, 4, -4)}


def measure(run: Callable[[], object], device: str, repeat: int, threads: int) -> float:
    """Return the seconds of one call."""
    run()
    run()
    best = []
    for _ in range(repeat):
        calls = 0
        if device == "cuda":
            torch.cuda.synchronize()
        clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
        begin = clock()
        while calls < 3 or (clock() - begin < 0.05 and calls < 200):
            run()
            calls += 1
            if device == "cuda":
                torch.cuda.synchronize()
        best.append((clock() - begin) / calls)
    return min(best)


def csr_of(layer: StridiagLinear) -> Tensor:
    """Return the weight as torch's sparse CSR."""
    rows, columns = (torch.from_numpy(part) for part in layer.structure.coordinates())
    weight = layer.weight.detach().cpu()
    shape = layer.structure.shape
    found: Tensor = torch.sparse_coo_tensor(torch.stack((rows, columns)), weight, shape).to_sparse_csr()
    return found.to(layer.weight.device)


def linear_table(args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = []
    for n in args.sizes:
        dense = nn.Linear(n, n, device=args.device)
        for diagonals, offsets in OFFSETS.items():
            ours = StridiagLinear(n, n, offsets, device=args.device)
            sparse = csr_of(ours)
            for batch in args.batches:
                x = torch.randn(batch, n, device=args.device, requires_grad=True)
                g = torch.randn(batch, n, device=args.device)

                def both(layer: nn.Module, x: Tensor = x, g: Tensor = g) -> None:
                    layer.zero_grad()
                    x.grad = None
                    layer(x).backward(g)

                row: dict[str, Any] = {"threads": threads, "n": n, "diagonals": diagonals, "batch": batch}
                with torch.no_grad():
                    for name, layer in (("dense", dense), ("stridiag", ours)):
                        row[f"{name} forward us"] = 1e6 * measure(
                            lambda layer=layer, x=x: layer(x), args.device, args.repeat, threads
                        )
                    flat = x.detach().t().contiguous()
                    row["csr forward us"] = 1e6 * measure(
                        lambda sparse=sparse, flat=flat: sparse @ flat, args.device, args.repeat, threads
                    )
                for name, layer in (("dense", dense), ("stridiag", ours)):
                    row[f"{name} both us"] = 1e6 * measure(
                        lambda layer=layer, both=both: both(layer), args.device, args.repeat, threads
                    )
                row["forward ratio"] = row["dense forward us"] / row["stridiag forward us"]
                row["csr ratio"] = row["csr forward us"] / row["stridiag forward us"]
                row["both ratio"] = row["dense both us"] / row["stridiag both us"]
                table.append(row)
                print({k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return table


def solve_table(args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Time one step on y = A^-1 b and log |det A|, with gradients of both: ours, dense, and the LU layers of flows."""
    table: list[dict[str, Any]] = []

    def record(name: str, n: int, run: Callable[[], object]) -> None:
        seconds = measure(run, args.device, max(1, args.repeat - 1), threads)
        table.append({"threads": threads, "what": name, "n": n, "ms": 1e3 * seconds})
        print(table[-1], flush=True)

    for n in args.orders:
        structure = Structure(n, (-1, 0, 1))
        values = torch.randn(structure.nnz, device=args.device)
        values[structure.diagonal_slots(0)] += 3.0
        values.requires_grad_()
        b = torch.randn(n, device=args.device)

        def ours(structure: Structure = structure, values: Tensor = values, b: Tensor = b) -> None:
            values.grad = None
            (solve(structure, values, b).sum() + slogdet(structure, values).logabsdet).backward()

        record("stridiag", n, ours)
        if n > args.largest_dense:
            continue
        matrix = torch.randn(n, n, device=args.device) + 3.0 * n**0.5 * torch.eye(n, device=args.device)
        matrix.requires_grad_()

        def dense(matrix: Tensor = matrix, b: Tensor = b) -> None:
            matrix.grad = None
            (torch.linalg.solve(matrix, b).sum() + torch.linalg.slogdet(matrix).logabsdet).backward()

        record("torch.linalg", n, dense)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                record("nflows LULinear", n, nflows_step(n, b))
                record("zuko LULinearTransform", n, zuko_step(n, b))
            except ImportError as error:
                print(f"left out: {error}")
    return table


def nflows_step(n: int, b: Tensor) -> Callable[[], object]:
    from nflows.transforms import LULinear

    layer = LULinear(n).to(b.device)

    def step() -> None:
        layer.zero_grad()
        x, logarithm = layer.inverse(b[None])
        (x.sum() + logarithm.sum()).backward()

    return step


def zuko_step(n: int, b: Tensor) -> Callable[[], object]:
    from zuko.transforms import LULinearTransform

    packed = (torch.eye(n) + 0.01 * torch.randn(n, n) / n**0.5).to(b.device).requires_grad_()

    def step() -> None:
        packed.grad = None
        transform = LULinearTransform(packed)
        x = transform.inv(b)
        (x.sum() + transform.log_abs_det_jacobian(x, b).sum()).backward()

    return step


def memory_table(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what a forward and backward pass of one sample leaves and takes, in bytes for each unit of the layer."""
    table = []
    for n in (10_000, 100_000, 1_000_000):
        if n > args.largest_layer:
            continue
        layer = StridiagLinear(n, n, device=args.device)
        x = torch.randn(1, n, device=args.device, requires_grad=True)
        layer(x).sum().backward()
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            layer(x).sum().backward()
            peak = torch.cuda.max_memory_allocated() - before
        else:
            # What torch allocates is in the profiler's books, what the kernels write to in those of NumPy.
            tracemalloc.start()
            with torch.profiler.profile(profile_memory=True) as profile:
                layer(x).sum().backward()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            peak += sum(max(0, event.self_cpu_memory_usage) for event in profile.events())
        stored = sum(p.numel() * p.element_size() for p in layer.parameters())
        table.append({"n": n, "stored per unit": stored / n, "peak per unit": peak / n})
        print(table[-1], flush=True)
    return table


def write(rows: list[dict[str, Any]], file: Path) -> None:
    if not rows:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--orders", type=int, nargs="+", default=[2048, 10_000])
    parser.add_argument("--largest-dense", type=int, default=2048)
    parser.add_argument("--largest-layer", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "torch")
    args = parser.parse_args()
    linear, solving = [], []
    for threads in args.threads:
        torch.set_num_threads(threads)
        linear += linear_table(args, threads)
        solving += solve_table(args, threads)
    write(linear, args.out / f"linear-{args.device}.csv")
    write(solving, args.out / f"solve-{args.device}.csv")
    write(memory_table(args), args.out / f"memory-{args.device}.csv")
    for key in ("forward ratio", "both ratio"):
        print(key, "median", round(statistics.median(row[key] for row in linear), 1))


if __name__ == "__main__":
    main()
