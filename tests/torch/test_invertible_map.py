"""The fused passes of `StridiagInvertible`: equal to the functions they stand for, with all their derivatives."""

from __future__ import annotations

import copy

import pytest
from torch.autograd import gradcheck, gradgradcheck

import torch
from stridiag.torch import StridiagInvertible

CASES = {
    "one unit": (1, (0,), None),
    "two units": (2, (-1, 0, 1), None),
    "chain": (37, (-1, 0, 1), None),
    "far diagonals and links": (40, (-7, -3, 0, 2, 11), ([0, 9, 39, 30], [16, 1, 4, 38])),
    "lower only": (20, (-2, 0), None),
}
FORMS = ("product", "dominant")
MAPS = {"forward": StridiagInvertible.forward, "inverse": StridiagInvertible.inverse}


def _layer(name, dtype=torch.float64, **options):
    torch.manual_seed(0)
    layer = StridiagInvertible(*CASES[name], dtype=dtype, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


def _composed(layer, x, direction):
    parameters = [part.raw for part in layer.parts] + [p for p in (layer.raw_scale, layer.bias) if p is not None]
    run = layer._composed_forward if direction == "forward" else layer._composed_inverse
    return run(x, *parameters)


def _gradients(y, targets, g):
    return torch.autograd.grad(y, targets, g, allow_unused=True)


@pytest.mark.parametrize("direction", MAPS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 17), (67,), (0,)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_composition(name, form, shape, direction):
    layer = _layer(name, form=form)
    x = torch.randn(*shape, layer.features, dtype=torch.float64, requires_grad=True)
    targets = [x, *layer.parameters()]
    y, expected = MAPS[direction](layer, x), _composed(layer, x, direction)
    assert "Step" in type(y.grad_fn).__name__
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-12)
    g = torch.randn_like(y)
    for found, wanted in zip(_gradients(y, targets, g), _gradients(expected, targets, g), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-11)
    with torch.no_grad():
        assert torch.equal(MAPS[direction](layer, x), y)


@pytest.mark.parametrize("direction", MAPS)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"log_scale": 0.0}, {"form": "dominant"}], ids=str)
def test_derivatives_of_both_orders(options, direction):
    torch.manual_seed(0)
    layer = StridiagInvertible(4, (-2, -1, 0, 1), ([3], [0]), dtype=torch.float64, **options)
    parameters = dict(layer.named_parameters())
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)

    def run(x, *given):
        other = copy.copy(layer)
        return torch.func.functional_call(other, dict(zip(parameters, given, strict=True)), (x,))

    layer.forward = MAPS[direction].__get__(layer)
    given = (x, *parameters.values())
    assert gradcheck(run, given)
    assert gradgradcheck(run, given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_the_determinant_and_its_gradients_are_those_of_the_composition(name, form):
    layer = _layer(name, form=form)
    tensors = [layer.raw_scale, layer.parts[-1].raw]
    found, expected = layer.log_abs_det(), layer._composed_log_abs_det(*tensors)
    assert "Step" in type(found.grad_fn).__name__
    assert found.shape == ()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    identity = torch.eye(layer.features, dtype=torch.float64)
    dense = torch.linalg.slogdet(layer(identity) - layer.bias).logabsdet
    torch.testing.assert_close(found, dense, rtol=1e-11, atol=1e-11)
    for of, wanted in zip(
        _gradients(found, tensors, None), torch.autograd.grad(dense, tensors, materialize_grads=True), strict=True
    ):
        # The determinant of a triangle with ones on its diagonal does not depend on its other entries.
        of = torch.zeros_like(wanted) if of is None else of
        torch.testing.assert_close(of, wanted, rtol=1e-9, atol=1e-10)
    with torch.no_grad():
        assert torch.equal(layer.log_abs_det(), found)


def test_derivatives_of_both_orders_of_the_determinant():
    layer = _layer("two units", form="dominant")
    given = (layer.raw_scale, layer.parts[0].raw)

    def run(*given):
        names = ("raw_scale", "parts.0.raw")
        module = _Determinant(layer)
        parameters = {f"layer.{name}": tensor for name, tensor in zip(names, given, strict=True)}
        return torch.func.functional_call(module, parameters, ())

    assert gradcheck(run, given)
    assert gradgradcheck(run, given)


class _Determinant(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self):
        return self.layer.log_abs_det()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("direction", MAPS)
def test_parameters_that_are_not_finite_spoil_everything_quietly(direction, form):
    layer = _layer("chain", form=form)
    with torch.no_grad():
        layer.parts[-1].raw[3] = torch.nan
    x = torch.ones(2, 37, dtype=torch.float64)
    found = MAPS[direction](layer, x)
    assert found.isnan().any()
    (found.sum() + layer.log_abs_det()).backward()
    assert layer.raw_scale.grad.isnan().any()
    assert torch.isnan(layer.log_abs_det()) == (form == "dominant")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("direction", MAPS)
def test_single_precision_and_frozen_parameters(direction, form):
    layer = _layer("far diagonals and links", torch.float32, form=form)
    layer.bias.requires_grad_(False)
    layer.parts[0].raw.requires_grad_(False)
    x = torch.randn(40, 5).t()  # not contiguous
    y = MAPS[direction](layer, x)
    y.sum().backward()
    assert y.dtype == torch.float32
    assert layer.bias.grad is None
    assert layer.parts[0].raw.grad is None
    double = copy.deepcopy(layer).double()
    double.zero_grad()
    expected = _composed(double, x.double(), direction)
    expected.sum().backward()
    torch.testing.assert_close(y.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(layer.raw_scale.grad.double(), double.raw_scale.grad, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("form", FORMS)
def test_one_sample_that_is_not_finite_spoils_no_other(form):
    layer = _layer("chain", form=form)
    x = torch.randn(20, 37, dtype=torch.float64)
    spoiled = x.clone()
    spoiled[3, 5] = torch.nan
    for run in MAPS.values():
        found, expected = run(layer, spoiled), run(layer, x)
        assert found[3].isnan().any()
        rest = [k for k in range(20) if k != 3]
        assert torch.equal(found[rest], expected[rest])


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_transforms_mixed_types_and_wrong_widths():
    layer = _layer("chain")
    x = torch.randn(4, 37, dtype=torch.float64)
    expected = layer(x)
    torch.testing.assert_close(torch.func.vmap(layer)(x), expected)
    _, change = torch.func.jvp(layer, (x,), (x,))
    torch.testing.assert_close(change, expected - layer.bias)
    assert layer(x.float()).dtype == torch.float64
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 37\)"):
        layer(x[:, :5])


@pytest.mark.parametrize("form", FORMS)
def test_compiled_and_with_signs_put_off(form):
    layer = _layer("chain", form=form)
    x = torch.complex(torch.randn(4, 37, dtype=torch.float64), torch.randn(4, 37, dtype=torch.float64)).conj().imag
    torch.testing.assert_close(layer(x), layer(x.clone()))

    def whole(x):
        return layer(x), layer.inverse(x), layer.log_abs_det()

    torch._dynamo.reset()
    found = torch.compile(whole, backend="eager", fullgraph=True)(x.clone())
    for one, other in zip(found, whole(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)
