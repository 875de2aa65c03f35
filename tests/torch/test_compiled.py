"""What torch's compiler makes of functions and layers: equal to eager, mapped too, with and without a C++ compiler."""

import numpy as np
import pytest
import torch._inductor.config
from torch.utils import cpp_extension

import torch
from stridiag import Structure
from stridiag.torch import StridiagLinear
from stridiag.torch import functional as F
from stridiag.torch.paths import forced_path

S = Structure(9, (-1, 0, 1), ([0, 7], [8, 2]))


@pytest.fixture
def operands():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(S.nnz, generator=generator, dtype=torch.float64)
    values[S.diagonal_slots(0)] += 4.0
    return values.requires_grad_(), torch.randn(5, 9, generator=generator, dtype=torch.float64)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def _scaled(function):
    """Return a function of values and vectors that is mapped over both."""
    return lambda values, rows: torch.func.vmap(lambda row: function(values * (1 + 0.1 * row[0]), row))(rows)


MAPPED = {
    "matvec": _scaled(lambda v, b: F.matvec(S, v, b)),
    "matvec, vectors": lambda v, rows: torch.func.vmap(lambda b: F.matvec(S, v, b))(rows),
    "solve": _scaled(lambda v, b: F.solve(S, v, b)),
    "solve, vectors": lambda v, rows: torch.func.vmap(lambda b: F.solve(S, v, b, transposed=True))(rows),
    "slogdet": _scaled(lambda v, b: F.slogdet(S, v).logabsdet),
    "inverse_diagonal": _scaled(lambda v, b: F.inverse_diagonal(S, v)),
    "pinv_apply": _scaled(lambda v, b: F.pinv_apply(S, v, b)),
}


@pytest.mark.parametrize("path", ["auto", "torch"])
def test_vmap_within_a_compiled_function(path, operands):
    def whole(values, rows):  # one graph for all: each compilation takes seconds
        return tuple(function(values, rows) for function in MAPPED.values())

    def gradients(found):
        return [torch.autograd.grad(y.square().sum(), operands[0], retain_graph=True)[0] for y in found]

    expected = whole(*operands)
    wanted = gradients(expected)
    with forced_path(path):
        found = torch.compile(whole, backend="aot_eager", fullgraph=True)(*operands)
        compiled = gradients(found)
    for k, name in enumerate(MAPPED):
        torch.testing.assert_close(
            found[k], expected[k], rtol=1e-10, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}"
        )
        torch.testing.assert_close(
            compiled[k], wanted[k], rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f"{name}, gradient: {m}"
        )


def _loss(values, rows):
    return F.matvec(S, values, rows).square().sum() + F.solve(S, values, rows).pow(3).sum() + F.slogdet(S, values)[1]


_gradient = torch.func.grad(_loss)

TRANSFORMED = {
    "grad": _gradient,
    "grad of grad": lambda values, rows: torch.func.grad(lambda v: _gradient(v, rows).square().sum())(values),
    "vmap of grad": lambda values, rows: torch.func.vmap(_gradient, (None, 0))(values, rows),
    "jacrev": lambda values, rows: torch.func.jacrev(lambda v: F.solve(S, v, rows))(values),
}


@pytest.mark.parametrize("path", ["auto", "torch"])
def test_derivatives_of_torch_func_within_a_compiled_function(path, operands):
    values, rows = operands
    values = values.detach()

    def whole(values, rows):
        return tuple(function(values, rows) for function in TRANSFORMED.values())

    expected = whole(values, rows)
    with forced_path(path):
        found = torch.compile(whole, backend="aot_eager", fullgraph=True)(values, rows)
    for name, one, other in zip(TRANSFORMED, found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}")


def test_a_derivative_of_torch_func_is_differentiated_by_autograd_once_more(operands):
    values, rows = operands
    compiled = torch.compile(_gradient, backend="eager", fullgraph=True)
    expected, found = (
        torch.autograd.grad(function(values, rows).square().sum(), values)[0] for function in (_gradient, compiled)
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def _compiler():
    """Whether the default backend can make a library of its own here."""
    try:
        return bool(cpp_extension.check_compiler_ok_for_platform(cpp_extension.get_cxx_compiler()))
    except (OSError, RuntimeError):
        return False


@pytest.mark.skipif(not _compiler(), reason="Inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inductor_equals_eager(operands):
    values, rows = operands
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        StridiagLinear(9, 12, (0, 1, -1), links=([1, 2], [3, 7])), torch.nn.Tanh(), StridiagLinear(12, 9, (0, 1))
    ).double()

    def whole(values, rows):
        y = model(rows)
        return F.solve(S, values, y).square().sum() + F.slogdet(S, values).logabsdet

    targets = [values, *model.parameters()]
    expected = whole(values, rows)
    gradients = torch.autograd.grad(expected, targets)
    # Worker processes and headers compiled beforehand pay for models of many kernels; here they are most of the time.
    with torch._inductor.config.patch(compile_threads=1, cpp_cache_precompile_headers=False):
        found = torch.compile(whole, fullgraph=True)(values, rows)
        compiled = torch.autograd.grad(found, targets)
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-10)
    for one, other in zip(compiled, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
