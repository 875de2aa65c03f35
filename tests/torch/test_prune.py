"""Pruning of torch models: the mathematics of `stridiag.nn.pruning`, put back into modules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from torch.nn.utils import prune as magnitude

import torch
from stridiag.errors import NonFiniteError
from stridiag.nn import Statistics
from stridiag.nn.network_pruning import prune_mlp
from stridiag.nn.pruning import prune_layer
from stridiag.torch import StridiagLinear
from stridiag.torch.passes import Sample
from stridiag.torch.permuted import PermutedLinear, fold_permutations, structured
from stridiag.torch.prune import prune
from torch import nn


def mlp(dtype=torch.float64, widths=(20, 48, 32, 3), activation=nn.Tanh, bias=True):
    torch.manual_seed(0)
    parts = []
    for inputs, outputs in itertools.pairwise(widths):
        parts += [nn.Linear(inputs, outputs, bias=bias, dtype=dtype), activation()]
    return nn.Sequential(*parts[:-1])


def rows(n=400, width=20, dtype=torch.float64):
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (torch.randn(n, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64) @ mix / 3).to(dtype)


def arrays(model):
    linears = [part for part in model if isinstance(part, nn.Linear)]
    return [p.weight.detach().numpy() for p in linears], [p.bias.detach().numpy() for p in linears]


def outputs(model, x):
    with torch.no_grad():
        return model(x)


@pytest.mark.parametrize("options", [{}, {"diagonals": 0}, {"permute": False}, {"diagonals": 2}])
def test_a_perceptron_is_pruned_as_plain_arrays_are(options):
    model, x = mlp(), rows()
    weights, biases = arrays(model)
    small, report = prune(model, x, density=0.3, batch_size=97, **options)
    twin = prune_mlp(weights, biases, "tanh", x.numpy(), density=0.3, **options)
    np.testing.assert_allclose(outputs(small, x).numpy(), twin.decision(x.numpy()), rtol=1e-7, atol=1e-8)
    assert [layer.name for layer in report.layers] == ["0", "2"]
    assert report.readout == "4"
    np.testing.assert_allclose([layer.error for layer in report.layers], [r.error for r in twin.reports], rtol=1e-6)
    assert report.density == pytest.approx(twin.density)


@pytest.mark.parametrize("stage", ["mask", "refit", "permutation", "links"])
@pytest.mark.parametrize("shape", [(12, 18), (18, 12), (9, 9)])
def test_a_module_is_its_pruned_layer(stage, shape):
    rng = np.random.default_rng(0)
    weight, bias, x = (
        rng.standard_normal(shape) ** 3,
        rng.standard_normal(shape[0]),
        rng.standard_normal((60, shape[1])),
    )
    made = prune_layer(weight, bias, Statistics.from_rows(x, np.empty((60, 0))), density=0.4, stage=stage)
    layer = structured(made.weight, made.bias, made.inputs, made.outputs, torch.zeros(1, dtype=torch.float64))
    np.testing.assert_allclose(
        outputs(layer, torch.from_numpy(x)).numpy(), made.preactivation(x), rtol=1e-12, atol=1e-12
    )


def test_full_density_reproduces_the_model():
    model, x = mlp(), rows()
    small, report = prune(model, x, density=1.0, alpha=1e-14)
    torch.testing.assert_close(outputs(small, x), outputs(model, x), rtol=1e-4, atol=1e-4)
    assert max(layer.error for layer in report.layers) < 1e-9


def test_entries_follow_density_and_budget():
    model, x = mlp(), rows()
    _, report = prune(model, x, density={"0": 0.5, "2": 0.1})
    assert [layer.entries for layer in report.layers] == [480, round(0.1 * 48 * 32)]
    small, report = prune(model, x, budget=301)
    assert sum(layer.entries for layer in report.layers) == 301
    assert sum(part.weight.numel() for part in small if isinstance(part, StridiagLinear)) == 301
    assert report.parameters[1] == sum(p.numel() for p in small.parameters())


def test_the_given_model_is_left_alone_and_nothing_random_is_used_up():
    model, x = mlp(), rows()
    model.insert(2, nn.Dropout(0.5))
    model.train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    small, report = prune(model, x, density=0.3)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model[3].training
    assert not model[0].training
    assert not small[0].training
    assert small[3].training
    assert report.folded >= 1
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(part._forward_hooks for part in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert all(p.grad is None and p.grad_fn is None and p.requires_grad for p in small.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_and_flags_are_kept(dtype):
    model, x = mlp(dtype), rows(dtype=dtype)
    model[2].requires_grad_(False)
    small, _ = prune(model, x, density=0.4)
    assert {p.dtype for p in small.parameters()} == {dtype}
    assert small[0].weight.requires_grad
    assert not small[2].weight.requires_grad
    found, wanted = outputs(small, x).double(), outputs(model, x).double()
    assert float(((found - wanted) ** 2).mean() / wanted.var()) < 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_is_kept():
    model, x = mlp(), rows()
    small, _ = prune(model, x, density=0.3)
    on_device, _ = prune(model.cuda(), x, density=0.3)
    assert {p.device.type for p in on_device.parameters()} == {"cuda"}
    torch.testing.assert_close(outputs(on_device, x.cuda()).cpu(), outputs(small, x), rtol=1e-6, atol=1e-6)


def test_folding_changes_no_output_and_removes_orders():
    model, x = mlp(), rows()
    small, report = prune(model, x, density=0.4, diagonals=3)
    assert report.folded == 2  # outputs of both pruned layers; each keeps an order of inputs
    assert [part.place for part in small if isinstance(part, PermutedLinear)] == [None, None]
    parts = []
    for seed, (name, inner) in enumerate((("0", x), ("2", outputs(model[:2], x)))):
        weights, biases = model.get_submodule(name).weight, model.get_submodule(name).bias
        moments = Statistics.from_rows(inner.numpy(), np.empty((400, 0)))
        made = prune_layer(weights.detach().numpy(), biases.detach().numpy(), moments, density=0.4, diagonals=2 + seed)
        parts.append(structured(made.weight, made.bias, made.inputs, made.outputs, weights))
    unfolded = nn.Sequential(parts[0], nn.ReLU(), nn.Dropout(0.1), parts[1], nn.Tanh(), model[4]).eval()
    wanted = outputs(unfolded, x)
    assert fold_permutations(unfolded, {parts[0], parts[1], model[4]}) == 2
    torch.testing.assert_close(outputs(unfolded, x), wanted)
    assert parts[0].place is None
    assert parts[1].place is None


def test_a_dense_layer_takes_over_the_order_in_which_the_next_one_reads():
    model, x = mlp(), rows()
    small, report = prune(model, x, density=0.4, layers=["2"], diagonals=3)
    kept, _ = prune(
        nn.Sequential(nn.Sequential(*model[:2]), nn.Sequential(*model[2:])), x, density=0.4, layers=["1.0"], diagonals=3
    )
    assert report.folded == 2
    assert type(small[2]) is StridiagLinear
    assert isinstance(kept[1][0], PermutedLinear)
    torch.testing.assert_close(outputs(small, x), outputs(kept, x))


class _Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(20, 32, dtype=torch.float64)
        self.again = nn.Linear(32, 32, dtype=torch.float64)
        self.last = nn.Linear(32, 2, dtype=torch.float64)
        self.alias = self.again

    def forward(self, x, scale=1.0):
        h = torch.tanh(self.lift(x)) * scale
        h = torch.tanh(self.again(h))
        return {"out": self.last(torch.tanh(self.alias(h))), "inner": h}


def test_a_module_that_is_called_twice_is_fitted_to_both_calls():
    torch.manual_seed(0)
    model, x = _Shared(), rows()
    small, report = prune(model, x, density=0.5, layers=["again"])
    assert small.alias is small.again
    assert [(layer.name, layer.uses) for layer in report.layers] == [("again", 2)]
    assert "used 2 times" in str(report)
    with torch.no_grad():
        first = torch.tanh(model.lift(x))
        second = torch.tanh(model.again(first))
    read = torch.tanh(small.lift(x)).detach()
    inputs = torch.cat((read, second))
    aims = torch.cat((model.again(first), model.again(second))).detach()
    moments = Statistics.from_rows(inputs.numpy(), aims.numpy())
    twin = prune_layer(
        model.again.weight.detach().numpy(), model.again.bias.detach().numpy(), moments, density=0.5, targets="given"
    )
    found = outputs(small.again, x @ torch.ones(20, 32, dtype=torch.float64))
    np.testing.assert_allclose(
        found.numpy(), twin.preactivation((x @ torch.ones(20, 32, dtype=x.dtype)).numpy()), rtol=1e-6
    )
    assert report.readout == "last"


def test_batches_of_several_kinds_are_the_same_sample():
    torch.manual_seed(0)
    model, x = _Shared(), rows()
    scale = torch.linspace(0.5, 1.5, 400, dtype=torch.float64)[:, None]
    ways = [
        (x, scale),
        [(a, b) for a, b in zip(x.split(50), scale.split(50), strict=True)],
        [{"x": a, "scale": b} for a, b in zip(x.split(70), scale.split(70), strict=True)],
    ]
    found = [outputs(prune(model, way, density=0.3)[0], x)["out"] for way in ways]
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])
    with pytest.raises(TypeError, match="more than once"):
        prune(model, iter([x]), density=0.3)
    with pytest.raises(TypeError, match="must be a tensor"):
        prune(model, 3.0, density=0.3)
    with pytest.raises(ValueError, match="one first axis"):
        Sample((x, scale[:7]), 10, torch.device("cpu"))


def test_tied_parameters_stay_dense_or_are_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 2))
    model[2].weight = model[0].weight
    model.insert(4, nn.Linear(20, 20))
    x = rows(dtype=torch.float32)
    _, report = prune(model, x, density=0.4)
    assert [layer.name for layer in report.layers] == ["4"]
    assert "those of '2' too" in report.dense["0"]
    with pytest.raises(ValueError, match="cannot be pruned: its parameters are those of"):
        prune(model, x, density=0.4, layers=["0"])


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_layers(norm_first):
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 4, 48, batch_first=True, norm_first=norm_first)
    model = nn.TransformerEncoder(block, 2, enable_nested_tensor=not norm_first).eval()
    x = torch.randn(60, 9, 16)
    small, report = prune(model, x, density=0.5, batch_size=25)
    assert [layer.name for layer in report.layers] == [f"layers.{i}.linear{k}" for i in (0, 1) for k in (1, 2)]
    assert report.readout is None
    assert "attention" in report.dense["layers.0.self_attn.out_proj"]
    padding = torch.zeros(60, 9, dtype=torch.bool)
    padding[:, 7:] = True
    with torch.inference_mode():
        found, wanted = small(x), model(x)
        masked = small(x, src_key_padding_mask=padding)
    assert float(((found - wanted) ** 2).mean() / wanted.var()) < 0.05
    torch.testing.assert_close(masked[:, :7], small(x[:, :7]).detach(), rtol=1e-4, atol=1e-4)
    _, random = prune(block.eval(), x, density=0.5, evaluate=lambda m: float(-((m(x) - block(x)) ** 2).mean()))
    assert random.ladder["links"] > random.ladder["random"]
    assert random.ladder["links"] > random.ladder["mask"]


def test_targets_solve_the_readout():
    model, x = mlp(), rows()
    y = (x[:, :3] > 0).double()
    small, _ = prune(model, x, density=0.5, targets=y)
    own, _ = prune(model, x, density=0.5)
    assert ((outputs(small, x) - y) ** 2).mean() < 0.25 * ((outputs(own, x) - y) ** 2).mean()
    classes = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    for given in (classes, classes.numpy()):
        by_class, _ = prune(model, x, density=0.5, targets=given)
        assert (outputs(by_class, x).argmax(1) == classes).double().mean() > 0.7
    with pytest.raises(ValueError, match="one row for each"):
        prune(model, x, density=0.5, targets=y[:-1])
    with pytest.raises(ValueError, match=r"one row for each|must have a row"):
        prune(model, x, density=0.5, targets=torch.cat((y, y)))
    with pytest.raises(ValueError, match=r"targets must be \(rows, 3\)"):
        prune(model, x, density=0.5, targets=y[:, :2])
    with pytest.raises(NonFiniteError):
        prune(model, x, density=0.5, targets=y / 0.0)
    with pytest.raises(ValueError, match="there is none"):
        prune(model, x, density=0.5, targets=y, readout=None)


def test_a_model_without_biases_gets_them():
    model, x = mlp(bias=False), rows() + 1.0
    small, _ = prune(model, x, density=0.5)
    assert small[4].bias is not None
    found, wanted = outputs(small, x), outputs(model, x)
    assert float(((found - wanted) ** 2).mean() / wanted.var()) < 0.05


def test_the_ladder_and_the_table():
    model, x = mlp(), rows()
    wanted = outputs(model, x)
    small, report = prune(
        model, x, density=0.2, evaluate=lambda m: 1.0 - float(((m(x) - wanted) ** 2).mean() / wanted.var()), rng=0
    )
    assert list(report.ladder) == [
        "dense", "mask", "refit", "permutation", "links", "readout", "random", "random + readout",
    ]  # fmt: skip
    ladder = report.ladder
    assert ladder["dense"] == 1.0
    assert ladder["mask"] < ladder["refit"] < ladder["links"] <= ladder["readout"]
    assert ladder["random + readout"] < ladder["readout"]
    final = 1.0 - float(((outputs(small, x) - wanted) ** 2).mean() / wanted.var())
    assert ladder["readout"] == pytest.approx(final, abs=1e-12)
    text = str(report)
    for part in ("2 layers at density", "condition", "the readout, solved again", "random + readout"):
        assert part in text
    assert np.isnan(prune(model, x, density=0.2, conditions=False)[1].layers[0].condition)
    with torch.no_grad():
        dense = small[2].to_matrix().toarray()
    assert report.layers[1].condition == pytest.approx(np.linalg.cond(dense), rel=1e-6) or np.isinf(
        report.layers[1].condition
    )


def test_predicates_and_names_choose_layers():
    model, x = mlp(), rows()
    _, report = prune(model, x, density=0.5, layers=lambda name, part: part.in_features > 20)
    assert [layer.name for layer in report.layers] == ["2"]
    assert report.dense["0"] == "not chosen"
    # Named, the last layer is pruned like the others.
    small, report = prune(model, x, density=0.5, layers=["0", "2", "4"])
    assert report.readout is None
    assert isinstance(small[4], StridiagLinear)
    alone, _ = prune(model[0], x, density=0.5, layers=[""])
    assert isinstance(alone, StridiagLinear)


def test_a_state_dict_goes_into_a_copy_of_the_pruned_model():
    import copy

    model, x = mlp(), rows()
    small, _ = prune(model, x, density=0.3)
    other = copy.deepcopy(small)
    for p in other.parameters():
        torch.nn.init.zeros_(p)
    other.load_state_dict(small.state_dict())
    torch.testing.assert_close(outputs(other, x), outputs(small, x))
    # Gradients reach everything: it can be trained on.
    small(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in small.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either density or budget"),
        ({"density": 0.1, "budget": 10}, "either density or budget"),
        ({"density": 0.0}, "density must be above 0"),
        ({"density": {"0": 0.1}}, "density must name"),
        ({"budget": 1}, "budget must be an integer from 2"),
        ({"budget": 2.5}, "budget must be an integer"),
        ({"density": 0.1, "layers": ["nowhere"]}, "no nn.Linear is called 'nowhere'"),
        ({"density": 0.1, "layers": "0"}, "several names"),
        ({"density": 0.1, "layers": []}, "there is no layer to prune"),
        ({"density": 0.1, "readout": "1"}, "readout: no nn.Linear"),
        ({"density": 0.1, "layers": ["4"], "readout": "4"}, "both pruned and the readout"),
        ({"density": 0.1, "batch_size": 0}, "batch_size"),
        ({"density": 0.1, "diagonals": 99}, "diagonals must be"),
        ({"density": 0.1, "alpha": -1.0}, "alpha must be"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        prune(mlp(), rows(), **options)


def test_refusals_of_models_and_samples():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        prune(lambda x: x, rows(), density=0.1)
    with pytest.raises(ValueError, match="no parameters"):
        prune(nn.Tanh(), rows(), density=0.1)
    with pytest.raises(NonFiniteError):
        prune(mlp(), rows() * torch.tensor(float("nan")), density=0.1)


def test_weights_that_hooks_compute_or_that_are_not_finite_are_refused():
    model = mlp()
    magnitude.l1_unstructured(model[0], "weight", 0.5)
    model(rows())
    with pytest.raises(ValueError, match=r"weight of 0 is computed by a hook.*prune\.remove"):
        prune(model, rows(), density=0.2)
    magnitude.remove(model[0], "weight")
    prune(model, rows(), density=0.2)
    with torch.no_grad():
        model[2].weight[0, 0] = torch.inf
    with pytest.raises(NonFiniteError, match="layer '2'"):
        prune(model, rows(), density=0.2)


def test_layers_with_hooks_wrappers_and_parametrizations_keep_them():
    model = mlp()
    seen = []
    model[2].register_forward_hook(lambda *_: seen.append(1))
    pruned, report = prune(model, rows(), density=0.2)
    assert "hook" in report.dense["2"]
    seen.clear()
    pruned(rows())
    assert seen == [1]
    # A low-rank adapter beside a layer: the layer is pruned, the adapter stays as it is.
    adapted = nn.Sequential(Adapted(mlp()[0]), nn.Tanh(), nn.Linear(48, 3, dtype=torch.float64))
    pruned, report = prune(adapted, rows(), density=0.2, layers=["0.base"])
    assert [layer.name for layer in report.layers] == ["0.base"]
    assert torch.equal(pruned[0].up.weight, adapted[0].up.weight)
    other = mlp()
    torch.nn.utils.parametrizations.weight_norm(other[0])
    _, report = prune(other, rows(), density=0.2)
    assert report.dense["0"] == "a ParametrizedLinear may do more than a linear layer"


class Adapted(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, 2, bias=False, dtype=torch.float64)
        self.up = nn.Linear(2, base.out_features, bias=False, dtype=torch.float64)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))
