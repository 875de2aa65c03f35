"""Closed-form fitting of torch modules: the networks of `stridiag.nn`, written into modules."""

from __future__ import annotations

import numpy as np
import pytest

import torch
from stridiag.errors import NonFiniteError
from stridiag.nn import MODES, Architecture, Layer, Stack, Statistics, masked_least_squares, ridge_from_rows, train
from stridiag.structure import StridiagMatrix
from stridiag.torch import StridiagLinear
from stridiag.torch.fit import fit_closed_form
from torch import nn

PLAIN = ("random", "targets", "corrected-targets", "autoencoder", "projection")


def data(n=300, outputs=2):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 8)) * np.logspace(-2, 3, 8) + 5.0
    z = np.tanh((x - 5.0) / np.logspace(-2, 3, 8)) @ rng.standard_normal((8, outputs)) * 100.0 + 3.0
    return x, z


def network(outputs=2, activation=nn.Tanh, widths=(32, 32), readout=nn.Linear):
    torch.manual_seed(0)
    parts, size = [], 8
    for width in widths:
        parts += [StridiagLinear(size, width, links=([0], [3]), dtype=torch.float64), activation()]
        size = width
    return nn.Sequential(*parts, readout(size, outputs, dtype=torch.float64))


def outputs_of(net, x):
    with torch.no_grad():
        return net(torch.as_tensor(x)).numpy()


def start_of(net, rng):
    """The directions that a fit draws first, as the start of a network of `stridiag.nn`."""
    layers, size = [], 8
    for part in net:
        if isinstance(part, StridiagLinear) and part is not net[-1]:
            values = rng.standard_normal(part.structure.nnz)
            matrix = StridiagMatrix(part.structure, values * np.abs(values))
            layers.append(Layer(matrix, np.zeros(part.out_features), "tanh"))
    return Stack(size, tuple(layers))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mode", PLAIN)
def test_hidden_layers_are_those_of_the_networks(mode, weighted):
    x, z = data()
    weights = np.random.default_rng(1).integers(1, 4, 300).astype(float) if weighted else None
    net = fit_closed_form(network(), x, z, mode=mode, weights=weights, rng=7)
    rng = np.random.default_rng(7)
    # What is drawn in the place of the start's layers must take as many numbers.
    shape = Architecture(units=32, layers=2, shuffle=False, offsets=(0,))
    twin = train(MODES[mode], x, z, shape, weights=weights, rng=rng, start=start_of(net, rng)).model
    hidden = twin.hidden.last(twin.inputs.apply(x))
    np.testing.assert_allclose(outputs_of(net[:-1], x), hidden, rtol=1e-7, atol=1e-8)
    readout = ridge_from_rows(hidden, z, np.ones(300) if weights is None else weights, "loo")
    np.testing.assert_allclose(outputs_of(net, x), readout.apply(hidden), rtol=1e-5, atol=1e-4)
    error = np.mean((outputs_of(net, x) - z) ** 2) / z.var()
    assert error < 0.05


def test_a_structured_readout_takes_masked_least_squares():
    x, z = data()
    net = fit_closed_form(network(outputs=4, readout=StridiagLinear), x, np.hstack((z, -z)), alpha=1e-2, rng=0)
    hidden = outputs_of(net[:-1], x)
    values, bias = masked_least_squares(Statistics.from_rows(hidden, np.hstack((z, -z))), net[-1].structure, 1e-2)
    np.testing.assert_allclose(net[-1].weight.detach().numpy(), values, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(net[-1].bias.detach().numpy(), bias, rtol=1e-6)
    with pytest.raises(ValueError, match="alpha must be a finite number"):
        fit_closed_form(net, x, np.hstack((z, -z)), alpha="loo")


def test_widths_may_differ_and_relu_and_dropout_may_stand_between():
    x, z = data()
    net = network(activation=nn.ReLU, widths=(48, 24, 64)).insert(2, nn.Dropout(0.5))
    fitted = fit_closed_form(net.eval(), x, z, rng=0)
    assert fitted is net
    assert np.mean((outputs_of(net, x) - z) ** 2) < 0.3 * z.var()
    tanh = fit_closed_form(network(widths=(48, 24)), x, z, mode="corrected-targets", rng=0)
    assert np.mean((outputs_of(tanh, x) - z) ** 2) < 0.1 * z.var()


def test_without_hidden_layers_it_is_ridge_regression():
    x, z = data()
    net = fit_closed_form(nn.Sequential(nn.Linear(8, 2, dtype=torch.float64)), x, z, alpha=0.0)
    np.testing.assert_allclose(outputs_of(net, x), ridge_from_rows(x, z, np.ones(300), 0.0).apply(x), rtol=1e-8)


def test_constant_columns_and_rows_without_weight_do_not_matter():
    x, z = data()
    x[:, 2] = 7.0
    weights = np.ones(300)
    weights[200:] = 0.0
    net = fit_closed_form(network(), x, z, weights=weights, rng=0)
    twin = fit_closed_form(network(), x[:200], z[:200], rng=0)
    np.testing.assert_allclose(outputs_of(net, x), outputs_of(twin, x), rtol=1e-9, atol=1e-9)
    other = x.copy()
    other[:, 2] = -1e3
    np.testing.assert_allclose(outputs_of(net, other), outputs_of(net, x), rtol=1e-9)


@pytest.mark.parametrize("readout", [nn.Linear, StridiagLinear])
def test_classes_give_logits(readout):
    x, _ = data()
    y = (x[:, 0] > 5.0).astype(int) + (x[:, 7] > 5.0)
    net = fit_closed_form(network(outputs=3, readout=readout), x, torch.as_tensor(y), rng=0)
    scores = torch.as_tensor(outputs_of(net, x))
    if readout is nn.Linear:
        assert (scores.argmax(1).numpy() == y).mean() > 0.75
    truth = torch.as_tensor(y, dtype=torch.int64)
    # The factor is right: other ones are not much better, and far ones worse.
    losses = [float(nn.functional.cross_entropy(scores * factor, truth)) for factor in (0.25, 1.0, 8.0)]
    assert losses[1] < losses[0]
    assert losses[1] < losses[2]
    with pytest.raises(ValueError, match="classes must be 0 to 2"):
        fit_closed_form(net, x, y + 1)


def test_no_gradient_and_the_same_parameters_in_place():
    x, z = data()
    net = network()
    before = list(net.parameters())
    net.train()
    fit_closed_form(net, torch.as_tensor(x).requires_grad_(), torch.as_tensor(z), rng=0)
    assert net.training
    assert all(a is b for a, b in zip(net.parameters(), before, strict=True))
    assert all(p.grad is None and p.requires_grad and p.grad_fn is None for p in net.parameters())
    single = fit_closed_form(network(outputs=1).float(), x, z[:, 0], rng=0)
    assert {p.dtype for p in single.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(), "its last part is None"),
        (nn.Sequential(StridiagLinear(8, 8), nn.Tanh()), "its last part is Tanh"),
        (nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)), "StridiagLinear, activation"),
        (nn.Sequential(StridiagLinear(8, 8), nn.GELU(), nn.Linear(8, 2)), "Tanh or ReLU"),
        (nn.Sequential(StridiagLinear(8, 8), nn.Linear(8, 2)), "StridiagLinear, activation|used once"),
        (nn.Sequential(StridiagLinear(8, 8, bias=False), nn.Tanh(), nn.Linear(8, 2)), "need a bias"),
        (nn.Sequential(StridiagLinear(8, 8), nn.Tanh(), nn.Linear(8, 2, bias=False)), "readout needs a bias"),
        (nn.Sequential(*[StridiagLinear(8, 8), nn.Tanh()] * 2, nn.Linear(8, 2)), "used once"),
        (
            nn.Sequential(StridiagLinear(8, 8), nn.Tanh(), StridiagLinear(8, 8), nn.ReLU(), nn.Linear(8, 2)),
            "must be the same",
        ),
        (nn.Sequential(StridiagLinear(9, 8), nn.Tanh(), nn.Linear(8, 2)), "for this module"),
        (nn.Sequential(StridiagLinear(8, 8), nn.Tanh(), nn.Linear(8, 3)), "for this module"),
    ],
)
def test_refusals_of_modules(module, message):
    with pytest.raises(ValueError, match=message):
        fit_closed_form(module, *data())


def test_refusals():
    x, z = data()
    with pytest.raises(TypeError, match=r"nn\.Sequential"):
        fit_closed_form(nn.Linear(8, 2), x, z)
    with pytest.raises(ValueError, match="mode must be one of"):
        fit_closed_form(network(), x, z, mode="residual")
    with pytest.raises(ValueError, match="invertible activation"):
        fit_closed_form(network(activation=nn.ReLU), x, z, mode="targets")
    with pytest.raises(NonFiniteError):
        fit_closed_form(network(), x * np.nan, z)
    with pytest.raises(ValueError, match="alpha must be"):
        fit_closed_form(network(), x, z, alpha="best")


def test_refusals_name_the_arguments():
    x, z = data()
    with pytest.raises(NonFiniteError, match=r"^Y must be finite"):
        fit_closed_form(network(), x, z * np.nan)
    with pytest.raises(ValueError, match="X and Y must be"):
        fit_closed_form(network(), x[:5], z)
    with pytest.raises(ValueError, match="X and Y must be"):
        fit_closed_form(network(), x[None], z)
    with pytest.raises(TypeError, match="must be real"):
        fit_closed_form(network(), torch.as_tensor(x).to(torch.complex64), z)
    with pytest.raises(ValueError, match="device meta"):
        fit_closed_form(network().to("meta"), x, z)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_tensors_of_half_precision_are_data_too(kind):
    x, z = (torch.as_tensor(part).to(kind) for part in data())
    net, other = network(), network()
    fit_closed_form(net, x, z, rng=0)
    fit_closed_form(other, x.double(), z.double(), rng=0)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))
