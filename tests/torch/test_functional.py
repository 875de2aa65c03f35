"""Values, gradients of first and second order, forward mode, vmap, types and singular members of the functions."""

from __future__ import annotations

import numpy as np
import pytest
from torch.autograd import gradcheck, gradgradcheck

import torch
from stridiag import StridiagMatrix, Structure
from stridiag.torch import functional as F
from stridiag.torch.paths import forced_path

# Torch's own forward mode still scripts a few decompositions.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SQUARE = {
    "chain": Structure(6, (-1, 0, 1)),
    "strided": Structure(7, (-2, 0, 1)),
    "links": Structure(6, (-1, 0, 1), ([0, 5], [4, 1])),
    "no diagonal": Structure(5, (-1, 1), ([0, 1, 2], [0, 3, 2])),
    "diagonal": Structure(3),
    "wide offsets": Structure(5, (-3, 0, 4)),
    "one": Structure(1),
}
WIDE_AND_TALL = {"tall": Structure((6, 4), (-1, 0), ([5], [0])), "wide": Structure((3, 5), (0, 2))}
BATCHES = {"single": ((), ()), "vectors": ((), (2,)), "members": ((2,), (2,)), "both": ((2, 1), (1, 2))}
PATHS = ["auto", "torch"]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def values_of(structure: Structure, batch: tuple[int, ...] = (), dtype: torch.dtype = torch.float64) -> torch.Tensor:
    values = torch.randn(*batch, structure.nnz, dtype=dtype)
    if 0 in structure.offsets:
        slots = structure.diagonal_slots(0)
        values[..., slots] += 3.0 * values[..., slots].sign()
    return values


def dense_of(structure: Structure, values: torch.Tensor) -> torch.Tensor:
    rows, columns = (torch.from_numpy(part) for part in structure.coordinates())
    result = values.new_zeros((*values.shape[:-1], *structure.shape))
    result[..., rows, columns] = values
    return result


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", [*SQUARE, *WIDE_AND_TALL])
def test_products_and_solutions_are_those_of_the_dense_matrix(name, batch, transposed, path):
    structure = (SQUARE | WIDE_AND_TALL)[name]
    of, at = BATCHES[batch]
    rows, columns = structure.shape[::-1] if transposed else structure.shape
    values = values_of(structure, of)
    dense = dense_of(structure, values)
    dense = dense.mT if transposed else dense
    x = torch.randn(*at, columns, dtype=torch.float64)
    b = torch.randn(*at, rows, dtype=torch.float64)
    with forced_path(path):
        torch.testing.assert_close(
            F.matvec(structure, values, x, transposed=transposed), (dense @ x[..., None])[..., 0]
        )
        bias = torch.randn(rows, dtype=torch.float64)
        torch.testing.assert_close(
            F.linear(structure, values, x, bias, transposed=transposed), (dense @ x[..., None])[..., 0] + bias
        )
        expected = (torch.linalg.pinv(dense) @ b[..., None])[..., 0]
        torch.testing.assert_close(F.pinv_apply(structure, values, b, transposed=transposed), expected)
        if structure.is_square:
            torch.testing.assert_close(F.solve(structure, values, b, transposed=transposed), expected)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", SQUARE)
def test_determinants_and_selected_inverses_are_those_of_the_dense_matrix(name, path):
    structure = SQUARE[name]
    values = values_of(structure, (3,))
    dense = dense_of(structure, values)
    rows, columns = structure.coordinates()
    with forced_path(path):
        sign, logarithm = F.slogdet(structure, values)
        assert torch.equal(sign, torch.linalg.slogdet(dense).sign)
        torch.testing.assert_close(logarithm, torch.linalg.slogdet(dense).logabsdet)
        inverse = torch.linalg.inv(dense)
        torch.testing.assert_close(F.inverse_on_pattern(structure, values), inverse[:, columns, rows])
        torch.testing.assert_close(F.inverse_diagonal(structure, values), inverse.diagonal(dim1=-2, dim2=-1))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["strided", "links", "tall", "wide"])
def test_gradients_of_products_and_pseudoinverses(name, batch, transposed):
    structure = (SQUARE | WIDE_AND_TALL)[name]
    of, at = BATCHES[batch]
    rows, columns = structure.shape[::-1] if transposed else structure.shape
    values = values_of(structure, of).requires_grad_()
    x = torch.randn(*at, columns, dtype=torch.float64, requires_grad=True)
    b = torch.randn(*at, rows, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(rows, dtype=torch.float64, requires_grad=True)

    def product(values, x, bias):
        return F.linear(structure, values, x, bias, transposed=transposed)

    def least(values, b):
        return F.pinv_apply(structure, values, b, transposed=transposed)

    for function, inputs in ((product, (values, x, bias)), (least, (values, b))):
        assert gradcheck(function, inputs, check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["chain", "links", "no diagonal"])
def test_gradients_of_solutions(name, batch, transposed):
    structure = SQUARE[name]
    of, at = BATCHES[batch]
    values = values_of(structure, of).requires_grad_()
    b = torch.randn(*at, structure.shape[0], dtype=torch.float64, requires_grad=True)

    def solution(values, b):
        return F.solve(structure, values, b, transposed=transposed)

    assert gradcheck(solution, (values, b), check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(solution, (values, b), fast_mode=True)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("name", ["chain", "strided", "links", "no diagonal", "one"])
def test_gradients_of_determinants_and_inverses(name, batch):
    structure = SQUARE[name]
    values = values_of(structure, batch).requires_grad_()
    for function in (
        lambda values: F.slogdet(structure, values).logabsdet,
        lambda values: F.inverse_on_pattern(structure, values),
        lambda values: F.inverse_diagonal(structure, values),
    ):
        assert gradcheck(function, (values,), check_forward_ad=True)
        assert gradgradcheck(function, (values,), fast_mode=True)


def test_gradient_of_a_small_cotangent_keeps_its_digits():
    structure = Structure(40, (-1, 0, 1))
    values = values_of(structure)
    scales = (1.0, 1e-30)
    found = []
    for scale in scales:
        leaf = values.clone().requires_grad_()
        (scale * F.inverse_diagonal(structure, leaf)[3]).backward()
        found.append(leaf.grad / scale)
    torch.testing.assert_close(*found, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("n", [3, 50, 400])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_paths_agree_with_gradients_of_both_orders(n, dtype):
    structure = Structure(n, (-2, 0, 1), ([0, n - 1], [n - 1, 0]) if n > 3 else None)
    values, b = values_of(structure, (2, 1), dtype), torch.randn(2, 3, n, dtype=dtype)
    direction = torch.randn_like(values)
    found = []
    for path in PATHS:
        leaf = values.clone().requires_grad_()
        with forced_path(path):
            out = F.solve(structure, leaf, b).sin().sum() + F.slogdet(structure, leaf).logabsdet.sum()
            (first,) = torch.autograd.grad(out, leaf, create_graph=True)
            (second,) = torch.autograd.grad((first * direction).sum(), leaf)
        found.append((out.detach(), first.detach(), second))
    for host, other in zip(*found, strict=True):
        scale = host.abs().max().item()
        assert (host - other).abs().max().item() <= 300 * n**0.5 * torch.finfo(dtype).eps * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_torch_path_is_stable_where_elimination_grows(dtype):
    n = 600
    structure = Structure(n, (-1, 0, 1))
    matrix = StridiagMatrix.from_diagonals({-1: -0.9, 0: 0.99, 1: 1.0}, shape=n)
    values = torch.from_numpy(matrix.values.copy()).to(dtype)
    b = torch.randn(n, dtype=dtype)
    with forced_path("torch"):
        x = F.solve(structure, values, b)
    rest = F.matvec(structure, values, x) - b
    assert rest.norm() <= 30 * torch.finfo(dtype).eps * (3.0 * x.norm() + b.norm())


@pytest.mark.parametrize("path", PATHS)
def test_only_singular_members_fail(path):
    structure = Structure(4, (-1, 0, 1))
    values = values_of(structure, (4,))
    values[1] = 0.0
    values[2, 3] = torch.nan
    values.requires_grad_()
    regular = torch.tensor([True, False, False, True])
    with forced_path(path):
        x, info = F.solve_ex(structure, values, torch.ones(4, dtype=torch.float64))
        sign, logarithm = F.slogdet(structure, values)
        assert torch.equal(info == 0, regular)
        assert torch.equal(x.isfinite().all(-1), regular)
        assert x[~regular].isnan().all()
        assert sign[1] == 0
        assert logarithm[1] == -torch.inf
        assert logarithm[2].isnan()
        torch.testing.assert_close(logarithm[regular], torch.linalg.slogdet(dense_of(structure, values[regular]))[1])
        (logarithm[regular].sum() + x[regular].sum()).backward()
        assert torch.equal(values.grad.isfinite().all(-1), regular)
        everything = F.solve(structure, torch.zeros(structure.nnz), torch.ones(4))
        assert everything.isnan().all()


def test_a_right_side_that_is_not_finite_spoils_itself_only():
    structure = SQUARE["chain"]
    b = torch.ones(3, 6, dtype=torch.float64)
    b[1, 2] = torch.inf
    x = F.solve(structure, values_of(structure), b)
    assert x.isfinite().all(-1).tolist() == [True, False, True]


def test_func_transforms():
    structure = SQUARE["links"]
    values, x = values_of(structure, (3,)), torch.randn(3, 2, 6, dtype=torch.float64)
    dense = dense_of(structure, values)
    solved = torch.func.vmap(lambda v, b: F.solve(structure, v, b))(values, x)
    torch.testing.assert_close(solved, torch.linalg.solve(dense, x.mT).mT)

    def loss(v, b):
        return (
            F.solve(structure, v, b).sin().sum() + F.slogdet(structure, v).logabsdet + F.matvec(structure, v, b).sum()
        )

    def dense_loss(v, b):
        rows, columns = (torch.from_numpy(part) for part in structure.coordinates())
        a = torch.zeros(6, 6, dtype=v.dtype).index_put((rows, columns), v)
        return torch.linalg.solve(a, b.mT).sin().sum() + torch.linalg.slogdet(a).logabsdet + (b @ a.mT).sum()

    for dims in ((0, 0), (0, None), (None, 0)):
        arguments = (values if dims[0] == 0 else values[0], x if dims[1] == 0 else x[0])
        ours, theirs = (
            torch.func.vmap(torch.func.grad(f, argnums=(0, 1)), in_dims=dims)(*arguments) for f in (loss, dense_loss)
        )
        torch.testing.assert_close(ours, theirs)
    ours, theirs = (torch.func.hessian(f)(values[0], x[0]) for f in (loss, dense_loss))
    torch.testing.assert_close(ours, theirs)
    ours, theirs = (torch.func.jvp(lambda v, f=f: f(v, x[0]), (values[0],), (values[1],)) for f in (loss, dense_loss))
    torch.testing.assert_close(ours, theirs)
    diagonal = torch.func.vmap(lambda v: F.inverse_diagonal(structure, v))(values)
    torch.testing.assert_close(diagonal, torch.linalg.inv(dense).diagonal(dim1=-2, dim2=-1))
    least = torch.func.vmap(lambda v, b: F.pinv_apply(structure, v, b))(values, x)
    torch.testing.assert_close(least, solved)


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_without_graph_breaks(backend, path):
    structure = SQUARE["links"]

    def everything(v, x):
        y = F.solve(structure, v, F.matvec(structure, v, x, transposed=True))
        least = F.lstsq(structure, v, x, damp=0.1).solution.sum()
        return y.sin().sum() + F.slogdet(structure, v).logabsdet + F.inverse_diagonal(structure, v).sum() + least

    values, x = values_of(structure).requires_grad_(), torch.randn(2, 6, dtype=torch.float64)
    torch._dynamo.reset()
    with forced_path(path):
        compiled = torch.compile(everything, backend=backend, fullgraph=True)(values, x)
        (gradient,) = torch.autograd.grad(compiled, values)
        (expected,) = torch.autograd.grad(everything(values, x), values)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_types(half):
    structure = SQUARE["chain"]
    values, x = values_of(structure), torch.randn(6, dtype=torch.float64)
    low, small = values.to(half), x.to(half)
    exact = F.matvec(structure, low.float(), small.float())
    assert torch.equal(F.matvec(structure, low, small), exact.to(half))
    assert F.matvec(structure, values.float(), small).dtype == torch.float32
    assert F.matvec(structure, values, x.float()).dtype == torch.float64
    for found in (
        F.solve(structure, low, small),
        F.slogdet(structure, low).logabsdet,
        F.inverse_diagonal(structure, low),
        F.pinv_apply(structure, low, small),
    ):
        assert found.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert F.solve(structure, values.float(), x.float()).dtype == torch.float32
        assert F.matvec(structure, values.float(), small).dtype == torch.float32
    low.requires_grad_()
    F.solve(structure, low, small).sum().backward()
    assert low.grad.dtype == half


@pytest.mark.parametrize("damp", [0.0, 0.3])
@pytest.mark.parametrize("name", [*WIDE_AND_TALL, "links"])
def test_least_squares(name, damp):
    structure = (SQUARE | WIDE_AND_TALL)[name]
    values, b = values_of(structure, (2,)), torch.randn(2, structure.shape[0], dtype=torch.float64)
    x, residuals = F.lstsq(structure, values, b, damp=damp)
    dense = dense_of(structure, values)
    n = structure.shape[1]
    tall = torch.cat((dense, damp * torch.eye(n, dtype=torch.float64).expand(2, n, n)), -2)
    expected = (torch.linalg.pinv(tall) @ torch.nn.functional.pad(b, (0, n))[..., None])[..., 0]
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(residuals, ((dense @ x[..., None])[..., 0] - b).square().sum(-1))


def test_gradient_of_the_penalty():
    structure = WIDE_AND_TALL["tall"]
    values, b = values_of(structure).requires_grad_(), torch.randn(6, dtype=torch.float64, requires_grad=True)
    damp = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v, b, d: F.lstsq(structure, v, b, damp=d).solution, (values, b, damp))
    assert gradgradcheck(lambda v, b, d: F.lstsq(structure, v, b, damp=d).solution, (values, b, damp), fast_mode=True)


def test_the_backward_pass_reuses_the_factors(monkeypatch):
    from stridiag.torch import host_kernels

    count = 0
    factored = host_kernels.factored

    def counting(structure, values, **options):
        nonlocal count
        count += 1
        return factored(structure, values, **options)

    monkeypatch.setattr(host_kernels, "factored", counting)
    structure = SQUARE["chain"]
    values = values_of(structure).requires_grad_()
    F.solve(structure, values, torch.ones(6, dtype=torch.float64)).sum().backward()
    assert count == 1
    F.slogdet(structure, values).logabsdet.backward()
    assert count == 2


def test_bad_input():
    structure = SQUARE["chain"]
    good, x = values_of(structure), torch.ones(6, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"values must have shape \(\.\.\., 16\)"):
        F.solve(structure, good[:-1], x)
    with pytest.raises(ValueError, match=r"b must have shape"):
        F.solve(structure, good, x[:-1])
    with pytest.raises(TypeError, match="real floating-point"):
        F.matvec(structure, good.long(), x)
    with pytest.raises(TypeError, match=r"must be a stridiag\.Structure"):
        F.matvec((6, 6), good, x)
    with pytest.raises(TypeError, match=r"x must be a torch\.Tensor"):
        F.matvec(structure, good, np.ones(6))
    with pytest.raises(ValueError, match="square"):
        F.slogdet(WIDE_AND_TALL["tall"], values_of(WIDE_AND_TALL["tall"]))
    with pytest.raises(ValueError, match="damp or rtol"):
        F.lstsq(structure, good, x, damp=1.0, rtol=1e-3)
    with pytest.raises(ValueError, match="damp must be 0 or more"):
        F.lstsq(structure, good, x, damp=-1.0)
    with pytest.raises(ValueError, match="bias must have shape"):
        F.linear(structure, good, x, x[None])


def test_empty():
    structure = Structure(0)
    nothing = torch.zeros(0)
    for path in PATHS:
        with forced_path(path):
            assert F.solve(structure, nothing, torch.zeros(2, 0)).shape == (2, 0)
            assert F.slogdet(structure, nothing).logabsdet == 0
            assert F.matvec(structure, nothing, torch.zeros(2, 0)).shape == (2, 0)
            assert F.inverse_diagonal(structure, nothing).shape == (0,)
            assert F.matvec(SQUARE["chain"], torch.zeros(16), torch.zeros(0, 6)).shape == (0, 6)
            assert F.solve(SQUARE["chain"], torch.ones(0, 16), torch.zeros(6)).shape == (0, 6)
