"""`StridiagLinear` in the place of ``nn.Linear``: values, gradients, and all that modules are put through."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
from torch.autograd import gradcheck, gradgradcheck

import torch
from stridiag import Structure
from stridiag.torch import StridiagLinear
from stridiag.torch.paths import forced_path
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SHAPES = {"square": (40, 40), "tall": (7, 30), "wide": (784, 10), "narrow": (5, 1), "large": (2100, 2100)}


def twin_of(layer: StridiagLinear) -> nn.Linear:
    dense = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, dtype=layer.weight.dtype)
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(layer.to_matrix().toarray()))
        if layer.bias is not None:
            dense.bias.copy_(layer.bias)
    return dense


@pytest.mark.parametrize("path", ["auto", "torch"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_are_those_of_the_dense_layer(shape, dtype, bias, path):
    torch.manual_seed(0)
    inputs, outputs = SHAPES[shape]
    layer = StridiagLinear(inputs, outputs, (0, 1, -1), ([0], [inputs - 1]), bias=bias, dtype=dtype)
    dense = twin_of(layer)
    rows, columns = layer.structure.coordinates()
    for batch in ((), (1,), (5,), (2, 3)):
        x, y = (torch.randn(*batch, inputs, dtype=dtype, requires_grad=True) for _ in range(2))
        y.data.copy_(x.data)
        g = torch.randn(*batch, outputs, dtype=dtype)
        for module in (layer, dense):
            module.zero_grad()
        with forced_path(path):
            layer(x).backward(g)
            found = layer(x)
        dense(y).backward(g)
        limit = {"rtol": 0.0, "atol": 60 * torch.finfo(dtype).eps * len(batch or (1,)) * 20}
        torch.testing.assert_close(found, dense(y), **limit)
        torch.testing.assert_close(x.grad, y.grad, **limit)
        torch.testing.assert_close(layer.weight.grad, dense.weight.grad[rows, columns], **limit)
        if bias:
            torch.testing.assert_close(layer.bias.grad, dense.bias.grad, **limit)


def test_gradcheck():
    layer = StridiagLinear(6, 4, (0, 2), ([1], [0]), dtype=torch.float64)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    inputs = (x, layer.weight, layer.bias)
    assert gradcheck(run, inputs, check_forward_ad=True)
    assert gradgradcheck(run, inputs)


def test_inputs_that_are_not_contiguous():
    layer = StridiagLinear(12, 8)
    dense = twin_of(layer)
    x = torch.randn(12, 5).t()
    torch.testing.assert_close(layer(x), dense(x))
    wide = torch.randn(5, 24)[:, ::2]
    torch.testing.assert_close(layer(wide), dense(wide))
    torch.testing.assert_close(layer(torch.randn(1, 12).expand(4, 12)).shape, torch.Size([4, 8]))


def test_initial_entries_fit_their_rows():
    torch.manual_seed(0)
    layer = StridiagLinear(64, 4096, (0, 1, 2), (np.zeros(50, int), np.arange(5, 55)))
    rows, _ = layer.structure.coordinates()
    weight = layer.weight.detach().numpy()
    first = weight[rows == 0]
    assert abs(first).max() <= 1 / np.sqrt(first.size)
    rest = weight[rows > 0]
    assert 0.99 / np.sqrt(3) < abs(rest).max() <= 1 / np.sqrt(3) * (1 + 1e-6)
    # Standard normal inputs then have outputs of variance 1/3 in every row, as with nn.Linear.
    out = layer(torch.randn(4000, 64)) - layer.bias
    torch.testing.assert_close(out.var(), torch.tensor(1 / 3), rtol=0.1, atol=0)


def test_state_dict_copies_and_pickles(tmp_path):
    layer = nn.Sequential(StridiagLinear(30, 20), nn.ReLU(), StridiagLinear(20, 5, (0, 3), ([1], [9])))
    x = torch.randn(4, 30)
    fresh = nn.Sequential(StridiagLinear(30, 20), nn.ReLU(), StridiagLinear(20, 5, (0, 3), ([1], [9])))
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    others = (
        fresh,
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(stored, weights_only=False),
    )
    for other in others:
        assert torch.equal(other(x), layer(x))
        assert other[2].weight is not layer[2].weight


def test_a_state_of_another_structure_is_refused():
    layer = StridiagLinear(10, 10, (0, 1), ([0], [5]))
    other = StridiagLinear(10, 10, (0, 1), ([0], [6]))
    assert other.weight.shape == layer.weight.shape
    with pytest.raises(ValueError, match="another structure"):
        other.load_state_dict(layer.state_dict())


def test_types_and_devices():
    layer = StridiagLinear(10, 6, device="meta")
    assert layer.weight.device.type == "meta"
    layer = layer.to_empty(device="cpu").double()
    assert layer.weight.dtype == torch.float64
    assert layer(torch.zeros(2, 10, dtype=torch.float64)).dtype == torch.float64
    half = StridiagLinear(10, 6, dtype=torch.bfloat16)
    assert half(torch.zeros(2, 10, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert half.to_matrix().dtype == np.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert StridiagLinear(10, 6)(torch.zeros(2, 10, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
def test_compile_and_export():
    model = nn.Sequential(StridiagLinear(30, 20), nn.Tanh(), StridiagLinear(20, 20, (0, 5)))
    x = torch.randn(4, 30)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    compiled(x).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x).square().sum().backward()
    torch.testing.assert_close(found, [p.grad for p in model.parameters()])
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), model(x))


def test_matrices_go_in_and_come_out():
    structure = Structure((4, 6), (-1, 2), ([3], [0]))
    layer = StridiagLinear.from_structure(structure, dtype=torch.float64)
    again = StridiagLinear.from_matrix(layer.to_matrix(), layer.bias.detach().numpy())
    x = torch.randn(2, 6, dtype=torch.float64)
    assert torch.equal(again(x), layer(x))
    with pytest.raises(ValueError, match="one real matrix"):
        StridiagLinear.from_matrix(layer.to_matrix().astype(complex))
    with pytest.raises(ValueError, match="bias must have shape"):
        StridiagLinear.from_matrix(layer.to_matrix(), np.ones(3))


def test_repr_and_bad_input():
    layer = StridiagLinear(784, 256)
    assert "in_features=784, out_features=256" in repr(layer)
    assert "bias=True" in repr(layer)
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 784\), got \(3, 783\)"):
        layer(torch.zeros(3, 783))


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    model = nn.Sequential(StridiagLinear(32, 32), nn.Tanh(), StridiagLinear(32, 1))
    x = torch.randn(256, 32)
    y = (x[:, :1] * x[:, 1:2]).tanh()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_views_with_signs_put_off_and_foreign_default_devices():
    layer = StridiagLinear(6, 5, links=([1], [4]))
    x = torch.complex(torch.randn(3, 6), torch.randn(3, 6)).conj().imag
    assert x.is_neg()
    with torch.device("meta"):
        y = layer(x)
    assert torch.equal(y, layer(x.clone()))


def test_an_ensemble_and_gradients_sample_by_sample():
    layers = [StridiagLinear(6, 5, links=([1], [4]), dtype=torch.float64) for _ in range(3)]
    x = torch.randn(4, 6, dtype=torch.float64)
    states = torch.func.stack_module_state(layers)

    def run(parameters, buffers, rows):
        return torch.func.functional_call(layers[0], (parameters, buffers), (rows,))

    found = torch.func.vmap(run, (0, 0, None))(*states, x)
    torch.testing.assert_close(found, torch.stack([layer(x) for layer in layers]))
    given, buffers = dict(layers[0].named_parameters()), dict(layers[0].named_buffers())
    each = torch.func.vmap(torch.func.grad(lambda p, row: run(p, buffers, row).square().sum()), (None, 0))(given, x)
    layers[0](x).square().sum().backward()
    for name, parameter in layers[0].named_parameters():
        torch.testing.assert_close(each[name].sum(0), parameter.grad)


@pytest.mark.parametrize("foreach", [True, False])
def test_optimizers_parametrizations_and_checkpoints(foreach):
    class Twice(torch.nn.Module):
        def forward(self, weight):
            return 2.0 * weight

    torch.manual_seed(0)
    layer = StridiagLinear(6, 5)
    torch.nn.utils.parametrize.register_parametrization(layer, "weight", Twice())
    x, aim = torch.randn(8, 6), torch.randn(8, 5)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05, foreach=foreach)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        y = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
        losses.append((y - aim).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
