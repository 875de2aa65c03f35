"""The functions and the layers on a GPU beside those on the CPU; only where there is one."""

from __future__ import annotations

import pytest

import torch
from stridiag import Structure
from stridiag.torch import StridiagInvertible, StridiagLinear
from stridiag.torch import functional as F
from stridiag.torch.flows import StridiagFlow

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

STRUCTURES = {
    "chain": Structure(3000, (-1, 0, 1)),
    "strided": Structure(2000, (-5, 0, 5)),
    "band": Structure(1000, (-3, 0, 2)),
    "links": Structure(1500, (-1, 0, 1), ([0, 700, 1499], [1499, 20, 800])),
    "dense": Structure(60, (-30, 0, 17)),
}


def limit(host: torch.Tensor, n: int) -> float:
    return 300 * n**0.5 * torch.finfo(host.dtype).eps * host.abs().max().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", STRUCTURES)
def test_functions_are_those_of_the_cpu(name, dtype):
    torch.manual_seed(0)
    structure = STRUCTURES[name]
    n = structure.shape[0]
    # Dominant rows: what is compared is two algorithms, not two answers of ill-conditioned problems.
    values = torch.rand(2, 1, structure.nnz, dtype=dtype) - 0.5
    values[..., structure.diagonal_slots(0)] += 3.0
    b = torch.randn(2, 3, n, dtype=dtype)
    direction = torch.randn_like(values)
    found = []
    for device in ("cpu", "cuda"):
        leaf = values.to(device).requires_grad_()
        right = b.to(device)
        x, info = F.solve_ex(structure, leaf, right)
        y = F.matvec(structure, leaf, right)
        t = F.solve(structure, leaf, right, transposed=True)
        sign, logarithm = F.slogdet(structure, leaf)
        diagonal = F.inverse_diagonal(structure, leaf)
        assert x.device.type == device
        assert (info == 0).all()
        total = x.sin().sum() + y.cos().sum() + logarithm.sum() + diagonal.sum()
        (first,) = torch.autograd.grad(total, leaf, create_graph=True)
        (second,) = torch.autograd.grad((first * direction.to(device)).sum(), leaf)
        found.append([part.detach().cpu() for part in (x, y, t, sign, logarithm, diagonal, first, second)])
    for host, other in zip(*found, strict=True):
        assert (host - other).abs().max().item() <= limit(host, n)


def test_singular_members():
    structure = STRUCTURES["chain"]
    values = torch.rand(3, structure.nnz, device="cuda", dtype=torch.float64) + 0.5
    values[1] = 0.0
    values[2, 5] = torch.nan
    x, info = F.solve_ex(structure, values, torch.ones(structure.shape[0], device="cuda", dtype=torch.float64))
    assert info.tolist() == [0, -1, -1]
    assert x.isfinite().all(-1).tolist() == [True, False, False]
    assert F.slogdet(structure, values).logabsdet.cpu()[1] == -torch.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_move_there_and_back(dtype):
    torch.manual_seed(0)
    layer = StridiagLinear(500, 300, (0, 1, -1), ([0], [400]), dtype=dtype)
    x = torch.randn(8, 500, dtype=dtype)
    expected = layer(x)
    expected.square().sum().backward()
    gradient = layer.weight.grad.clone()
    layer.zero_grad()
    layer.cuda()
    found = layer(x.cuda())
    found.square().sum().backward()
    assert layer.layout.is_cuda
    torch.testing.assert_close(found.cpu(), expected)
    torch.testing.assert_close(layer.weight.grad.cpu(), gradient)
    torch.testing.assert_close(layer.cpu()(x), expected)


@pytest.mark.parametrize("form", ["product", "dominant"])
def test_flows(form):
    torch.manual_seed(0)
    flow = StridiagFlow(200, 2, form=form, dtype=torch.float64)
    x = torch.randn(5, 200, dtype=torch.float64)
    expected = flow.log_prob(x)
    flow.cuda()
    torch.testing.assert_close(flow.log_prob(x.cuda()).cpu(), expected)
    torch.testing.assert_close(flow.inverse(flow(x.cuda())).cpu(), x)
    assert StridiagInvertible(3, device="cuda").log_abs_det().is_cuda


def test_compiles_without_graph_breaks():
    structure = STRUCTURES["band"]
    values = torch.randn(structure.nnz, device="cuda", dtype=torch.float64)
    values[structure.diagonal_slots(0)] += 4.0
    values.requires_grad_()
    b = torch.randn(4, 1000, device="cuda", dtype=torch.float64)

    def loss(values, b):
        return F.solve(structure, values, b).sin().sum() + F.slogdet(structure, values).logabsdet

    torch._dynamo.reset()
    (found,) = torch.autograd.grad(torch.compile(loss, backend="aot_eager", fullgraph=True)(values, b), values)
    (expected,) = torch.autograd.grad(loss(values, b), values)
    torch.testing.assert_close(found, expected)
