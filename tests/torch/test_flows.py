"""Invertible layers and flows: inverses, Jacobians, bounds of the condition, densities that integrate to one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch.distributions import Independent, Normal, TransformedDistribution

import torch
from stridiag.torch import StridiagInvertible
from stridiag.torch.flows import SinhArcsinh, StridiagFlow, StridiagTransform

FORMS = ["product", "dominant"]


def shaken(module: torch.nn.Module, size: float = 1.0) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, size)
    return module


def dense_of(layer: StridiagInvertible) -> torch.Tensor:
    eye = torch.eye(layer.features, dtype=layer.raw_scale.dtype)
    return (layer(eye) - layer(torch.zeros_like(eye))).T.detach()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 2, 17])
def test_inverse_and_determinant(n, form):
    torch.manual_seed(0)
    offsets, links = ((-3, 0, 2), ([0, 9], [16, 1])) if n > 9 else ((0,), None)
    layer = shaken(StridiagInvertible(n, offsets, links, form=form, dtype=torch.float64))
    x = torch.randn(2, 5, n, dtype=torch.float64)
    torch.testing.assert_close(layer.inverse(layer(x)), x)
    dense = dense_of(layer)
    torch.testing.assert_close(layer.log_abs_det(), torch.linalg.slogdet(dense).logabsdet)
    assert torch.linalg.cond(dense) <= layer.condition_bound


@pytest.mark.parametrize("size", [0.3, 3.0, 1e3])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [10, 200])
def test_the_condition_stays_bounded_whatever_the_parameters(n, form, size):
    torch.manual_seed(0)
    layer = StridiagInvertible(n, (-2, -1, 0, 1), form=form, rho=0.9, log_scale=0.5, dtype=torch.float64)
    for base in (None, 1.0, -1.0):
        shaken(layer, size)
        if base is not None:
            # All signs alike, then alternating ones; random ones first.
            with torch.no_grad():
                for part in layer.parts:
                    part.raw.copy_(size * base ** torch.arange(part.raw.numel()))
        dense = dense_of(layer).numpy()
        for p in (1, 2, np.inf):
            assert np.linalg.cond(dense, p) <= layer.condition_bound * (1 + 1e-9)


def test_without_a_bound_the_condition_explodes():
    # What the bound is for: unit factors with off-diagonals of 1.5 at n = 200.
    n = 200
    lower, upper = np.eye(n) + 1.5 * np.eye(n, k=-1), np.eye(n) + 1.5 * np.eye(n, k=1)
    assert np.linalg.cond(lower @ upper) > 1e15


@pytest.mark.parametrize("form", FORMS)
def test_logarithm_of_the_jacobian_is_that_of_autograd(form):
    torch.manual_seed(0)
    offsets = [(-1, 0, 1), (-3, 0, 3), (0, 2)]
    flow = shaken(StridiagFlow(6, 3, offsets, ([0], [5]), form=form, dtype=torch.float64), 0.7)
    x = torch.randn(4, 6, dtype=torch.float64)
    z, logarithm = flow.transform(x)
    jacobians = torch.stack([torch.autograd.functional.jacobian(flow, row) for row in x])
    torch.testing.assert_close(logarithm, torch.linalg.slogdet(jacobians).logabsdet)
    torch.testing.assert_close(flow.inverse(z), x)


def test_activation():
    torch.manual_seed(0)
    f = shaken(SinhArcsinh(5, dtype=torch.float64))
    x = torch.linspace(-30, 30, 500, dtype=torch.float64)[:, None].expand(500, 5).clone().requires_grad_()
    y, slope = f.forward_with_log_slope(x)
    assert (y.diff(dim=0) > 0).all()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, gradient.log())
    torch.testing.assert_close(f.inverse(y), x)
    torch.testing.assert_close(f(x), y)
    with pytest.raises(ValueError, match="limit must be above 1"):
        SinhArcsinh(5, limit=1.0)


@pytest.mark.parametrize("form", FORMS)
def test_the_density_integrates_to_one(form):
    torch.manual_seed(0)
    flow = shaken(StridiagFlow(2, 3, form=form, dtype=torch.float64), 0.4)
    # Arsinh-spaced, so that heavy tails are within the grid.
    u = torch.linspace(-7.0, 7.0, 1201, dtype=torch.float64)
    t, weight = torch.sinh(u), torch.cosh(u) * (u[1] - u[0])
    points = torch.cartesian_prod(t, t)
    with torch.no_grad():
        density = flow.log_prob(points).exp().reshape(t.numel(), t.numel())
    assert abs((weight @ density @ weight).item() - 1.0) < 1e-6


def test_samples_follow_the_density():
    torch.manual_seed(0)
    flow = shaken(StridiagFlow(3, 2, dtype=torch.float64), 0.4)
    x = flow.sample((20000,), generator=torch.Generator().manual_seed(1))
    z = flow(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=0.03)
    torch.testing.assert_close(z.T.cov(), torch.eye(3, dtype=torch.float64), rtol=0, atol=0.04)
    assert not x.requires_grad
    assert flow.rsample((2,)).requires_grad


def test_inside_torch_distributions():
    torch.manual_seed(0)
    flow = shaken(StridiagFlow(4, 2, dtype=torch.float64), 0.4)
    base = Independent(Normal(torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)), 1)
    # The flow leads from data to the base: its inverse makes the data.
    p = TransformedDistribution(base, [StridiagTransform(flow).inv])
    x = p.rsample((7,))
    torch.testing.assert_close(p.log_prob(x), flow.log_prob(x))
    layer = shaken(StridiagInvertible(4, dtype=torch.float64))
    q = TransformedDistribution(base, [StridiagTransform(layer, cache_size=1)])
    y = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(y), base.log_prob(layer.inverse(y)) - layer.log_abs_det())
    assert StridiagTransform(layer) == StridiagTransform(layer)
    assert StridiagTransform(layer) != StridiagTransform(flow)


def test_inside_zuko():
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    layer = shaken(StridiagInvertible(4), 0.4)
    flow = zuko.lazy.Flow(
        [
            zuko.lazy.UnconditionalTransform(lambda: StridiagTransform(layer)),
            zuko.flows.MAF(4, transforms=1).transform,
            zuko.lazy.UnconditionalTransform(lambda: StridiagTransform(shaken(StridiagFlow(4, 2), 0.0))),
        ],
        zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, torch.zeros(4), torch.ones(4), buffer=True),
    )
    x = flow().sample((16,))
    loss = -flow().log_prob(x).mean()
    loss.backward()
    assert loss.isfinite()
    assert layer.raw_scale.grad.abs().max() > 0


def test_a_flow_learns_a_chain():
    torch.manual_seed(0)
    n = 20
    noise = torch.randn(600, n)
    data = noise.clone()
    for k in range(1, n):
        data[:, k] = 0.9 * data[:, k - 1] + math.sqrt(1 - 0.81) * noise[:, k]
    flow = StridiagFlow(n, 1)
    optimizer = torch.optim.Adam(flow.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -flow.log_prob(data[:400]).mean()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        held = -flow.log_prob(data[400:]).mean().item()
    exact = n / 2 * math.log(2 * math.pi * math.e) + (n - 1) / 2 * math.log(1 - 0.81)
    independent = n / 2 * math.log(2 * math.pi * math.e)
    # A stack of one layer with two factors holds most of the way from independence to the truth.
    assert held < independent - 0.5 * (independent - exact)


def test_bad_input():
    for bad in ({"rho": 1.0}, {"rho": 0.0}, {"log_scale": -1.0}, {"form": "other"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            StridiagInvertible(4, **bad)
    with pytest.raises(ValueError, match="one sequence for each of 3 layers"):
        StridiagFlow(4, 3, [(0, 1), (0, 2)])
    with pytest.raises(ValueError, match="layers must be at least 1"):
        StridiagFlow(4, 0)
