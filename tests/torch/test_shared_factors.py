"""One factorization for several functions of a matrix, and never one of values that have changed since."""

from __future__ import annotations

import pytest

import torch
from stridiag import Structure
from stridiag.torch import StridiagInvertible, host_kernels, kernels
from stridiag.torch import functional as F

S = Structure(30, (-1, 0, 1), ([0], [29]))


class _Counting:
    """The module, with its factorizations counted."""

    def __init__(self, made):
        self._made = made

    def __getattr__(self, name):
        return getattr(host_kernels, name)

    def factored(self, structure, values, **options):
        self._made.append(structure)
        return host_kernels.factored(structure, values, **options)


@pytest.fixture
def counted(monkeypatch):
    made = []
    monkeypatch.setattr(kernels, "host_kernels", _Counting(made))
    return made


def _values():
    values = torch.randn(S.nnz, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values[S.diagonal_slots(0)] += 4.0
    return values.requires_grad_()


def test_a_matrix_is_factored_once_for_its_solution_and_its_determinant(counted):
    values = _values()
    loss = F.solve(S, values, torch.ones(30, dtype=torch.float64)).sum() + F.slogdet(S, values).logabsdet
    loss.backward()
    assert len(counted) == 1


def test_nothing_is_kept_without_a_graph(counted):
    values = _values()
    with torch.no_grad():
        F.solve(S, values, torch.ones(30, dtype=torch.float64))
        F.slogdet(S, values)
    assert len(counted) == 2


def test_values_that_change_in_place_are_factored_anew(counted):
    values = _values()
    b = torch.ones(30, dtype=torch.float64)
    solution = F.solve(S, values, b)
    values.data[S.diagonal_slots(0)] += 1.0  # autograd does not see this
    assert solution.requires_grad  # its graph, and with it the factor, is alive
    changed = F.slogdet(S, values).logabsdet
    assert len(counted) == 2
    dense = torch.zeros(30, 30, dtype=torch.float64)
    rows, columns = (torch.from_numpy(part) for part in S.coordinates())
    dense[rows, columns] = values.detach()
    torch.testing.assert_close(changed.detach(), torch.linalg.slogdet(dense).logabsdet)


def test_inverse_and_determinant_of_a_layer_share_their_factors(counted):
    layer = StridiagInvertible(30, (-1, 0, 1), ([0], [29]), form="dominant", dtype=torch.float64)
    x = layer.inverse(torch.ones(4, 30, dtype=torch.float64))
    (x.sum() + layer.log_abs_det()).backward()
    assert len(counted) == 1
