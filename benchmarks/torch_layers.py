"""Layers and functions of `stridiag.torch` beside their rivals, in one process.

    python benchmarks/torch_layers.py                      # all tables, to benchmarks/results/torch/
    python benchmarks/torch_layers.py --device cuda        # the same on a GPU
    python benchmarks/torch_layers.py --sizes 64 --batches 2 --orders 64 --largest-solve 64 --repeat 1 --out DIR

Times are the smallest of several runs, of one thread's processor time on a CPU (robust against other load), of the
device's clock on a GPU. With several threads they are wall-clock times.
"""

from __future__ import annotations

import argparse
import csv
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from stridiag import Structure
from stridiag.torch import StridiagInvertible, StridiagLinear
from stridiag.torch.functional import slogdet, solve
from stridiag.torch.invertible import Form
from torch import Tensor, nn

_LONG = 5.0  # seconds

OFFSETS = {3: (0, 1, -1), 9: (0, 1, -1, 2, -2, 3, -3, 4, -4)}


def measure(run: Callable[[], object], device: str, repeat: int, threads: int) -> float:
    """Return the seconds of one call; what takes long is called twice in all."""
    clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter

    def once() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        begin = clock()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - begin

    once()
    seconds = once()
    if seconds > _LONG:
        return seconds
    # Short runs, many of them: between two of the system's switches to another process, some are undisturbed.
    calls = max(1, int(0.002 / seconds))
    best = seconds
    for _ in range(repeat * max(1, int(0.1 / (calls * seconds)))):
        begin = clock()
        for _ in range(calls):
            run()
            if device == "cuda":
                torch.cuda.synchronize()
        best = min(best, (clock() - begin) / calls)
    return best


def csr_of(layer: StridiagLinear) -> Tensor:
    """Return the weight as torch's sparse CSR."""
    rows, columns = (torch.from_numpy(part) for part in layer.structure.coordinates())
    weight = layer.weight.detach().cpu()
    shape = layer.structure.shape
    found: Tensor = torch.sparse_coo_tensor(torch.stack((rows, columns)), weight, shape).to_sparse_csr()
    return found.to(layer.weight.device)


def butterfly_of(n: int, device: str) -> nn.Module | None:
    """Return the butterfly layer of torch-structured, which needs triton and einops beside what it declares."""
    try:
        from torch_structured import Butterfly
    except ImportError as error:
        print(f"left out: torch-structured's butterfly: {error}")
        return None
    layer: nn.Module = Butterfly(n, n, bias=True).to(device)
    return layer


def half_of(dense: nn.Linear) -> nn.Linear | None:
    """Return a layer whose weight keeps two entries of each four, in torch's format for these (CUDA only)."""
    layer = nn.Linear(dense.in_features, dense.out_features, device=dense.weight.device, dtype=torch.float16)
    with torch.no_grad():
        weight = dense.weight.half() * torch.tensor([0, 0, 1, 1], device=dense.weight.device).tile(
            dense.out_features, dense.in_features // 4
        )
        try:
            packed = torch.sparse.to_sparse_semi_structured(weight)
        except (RuntimeError, NotImplementedError) as error:
            print(f"left out: 2:4: {error}")
            return None
    layer.weight = nn.Parameter(packed, requires_grad=False)
    return layer


def linear_table(args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = []
    for n in args.sizes:
        dense = nn.Linear(n, n, device=args.device)
        butterfly, half = butterfly_of(n, args.device), half_of(dense)
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
                    for name, rival, given in (("butterfly", butterfly, x.detach()), ("2:4", half, x.detach().half())):
                        if rival is not None:
                            row[f"{name} forward us"] = 1e6 * measure(
                                lambda rival=rival, given=given: rival(given), args.device, args.repeat, threads
                            )
                for name, layer in (("dense", dense), ("stridiag", ours), ("butterfly", butterfly)):
                    if layer is not None:
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
    """Time one step on y = A^-1 b and log |det A|, with gradients of both: ours beside dense."""
    table: list[dict[str, Any]] = []

    def record(name: str, n: int, run: Callable[[], object]) -> None:
        seconds = measure(run, args.device, max(1, args.repeat - 1), threads)
        table.append({"threads": threads, "what": name, "n": n, "ms": 1e3 * seconds})
        print(table[-1], flush=True)

    for n in sorted({*args.orders, args.largest_solve}):
        structure = Structure(n, (-1, 0, 1))
        values = torch.randn(structure.nnz, device=args.device)
        values[structure.diagonal_slots(0)] += 3.0
        values.requires_grad_()
        b = torch.randn(n, device=args.device)

        def ours(structure: Structure = structure, values: Tensor = values, b: Tensor = b) -> None:
            values.grad = None
            (solve(structure, values, b).sum() + slogdet(structure, values).logabsdet).backward()

        record("stridiag", n, ours)
        if n > args.largest_solve:
            continue
        matrix = torch.randn(n, n, device=args.device) + 3.0 * n**0.5 * torch.eye(n, device=args.device)
        matrix.requires_grad_()

        def dense(matrix: Tensor = matrix, b: Tensor = b) -> None:
            matrix.grad = None
            (torch.linalg.solve(matrix, b).sum() + torch.linalg.slogdet(matrix).logabsdet).backward()

        record("torch.linalg", n, dense)
    return table


def flow_table(args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Time a training step of an invertible linear layer on 32 vectors, in either direction, with gradients."""
    table: list[dict[str, Any]] = []
    for n in args.orders:
        x = torch.randn(32, n, device=args.device)
        steps: dict[str, Callable[[str], object]] = {
            "stridiag": stridiag_step(n, x, "product"),
            "stridiag, dominant": stridiag_step(n, x, "dominant"),
        }
        if n <= args.largest_dense:
            for make in (nflows_step, zuko_step):
                try:
                    steps[make.__name__.removesuffix("_step")] = make(n, x)
                except ImportError as error:
                    print(f"left out: {error}")
        for direction in ("forward", "inverse"):
            for name, step in steps.items():
                run = partial(step, direction)
                seconds = measure(run, args.device, max(1, args.repeat - 1), threads)
                table.append({"threads": threads, "n": n, "direction": direction, "what": name, "ms": 1e3 * seconds})
                print(table[-1], flush=True)
    return table


def stridiag_step(n: int, x: Tensor, form: Form) -> Callable[[str], object]:
    layer = StridiagInvertible(n, form=form, device=x.device)

    def step(direction: str) -> None:
        layer.zero_grad()
        y = layer(x) if direction == "forward" else layer.inverse(x)
        (y.sum() + layer.log_abs_det()).backward()

    return step


def nflows_step(n: int, x: Tensor) -> Callable[[str], object]:
    from nflows.transforms import LULinear

    layer = LULinear(n).to(x.device)

    def step(direction: str) -> None:
        layer.zero_grad()
        y, logarithm = layer(x) if direction == "forward" else layer.inverse(x)
        (y.sum() + logarithm.sum()).backward()

    return step


def zuko_step(n: int, x: Tensor) -> Callable[[str], object]:
    from zuko.transforms import LULinearTransform

    packed = (torch.eye(n) + 0.01 * torch.randn(n, n) / n**0.5).to(x.device).requires_grad_()

    def step(direction: str) -> None:
        packed.grad = None
        transform = LULinearTransform(packed)
        y = transform(x) if direction == "forward" else transform.inv(x)
        (y.sum() + transform.log_abs_det_jacobian(x, x).sum()).backward()

    return step


TABLES = {"linear": linear_table, "solve": solve_table, "flow": flow_table}


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tables", nargs="+", choices=(*TABLES, "memory"), default=[*TABLES, "memory"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--orders", type=int, nargs="+", default=[2048, 10_000])
    parser.add_argument("--largest-dense", type=int, default=2048)
    parser.add_argument("--largest-solve", type=int, default=8192, help="order up to which torch.linalg solves")
    parser.add_argument("--largest-layer", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "torch")
    args = parser.parse_args(arguments)
    # The rivals' warnings (sparse CSR is in beta) are not about what is measured.
    warnings.simplefilter("ignore")
    before = torch.get_num_threads()
    for name, make in TABLES.items():
        rows: list[dict[str, Any]] = []
        for threads in args.threads if name in args.tables else ():
            torch.set_num_threads(threads)
            rows += make(args, threads)
        write(rows, args.out / f"{name}-{args.device}.csv")
    torch.set_num_threads(before)
    if "memory" in args.tables:
        write(memory_table(args), args.out / f"memory-{args.device}.csv")


if __name__ == "__main__":
    main()
