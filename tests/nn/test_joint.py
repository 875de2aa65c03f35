from __future__ import annotations

import numpy as np
import pytest

from stridiag import StridiagMatrix
from stridiag.errors import StructureError
from stridiag.nn import joint_masked_least_squares, wrapped_structure


def problem(shape, offsets, outputs, seed=0, rows=60):
    """Return features, readout, residuals, weights and the structure of B."""
    rng = np.random.default_rng(seed)
    structure = wrapped_structure(shape, offsets, ([0], [shape[1] - 1]) if shape[1] > 4 else None)
    return (
        rng.standard_normal((rows, shape[1])),
        rng.standard_normal((shape[0], outputs)),
        rng.standard_normal((rows, outputs)),
        rng.random(rows) + 0.1,
        structure,
    )


def moments(f, r, d):
    return (f.T * d) @ f / d.sum(), (f.T * d) @ r / d.sum()


def objective(values, f, w, r, d, structure, penalty):
    b = StridiagMatrix(structure, values).toarray()
    return (d @ ((r - f @ b.T @ w) ** 2)).sum() / d.sum() + penalty * (values**2).sum()


@pytest.mark.parametrize("method", ["direct", "cg"])
@pytest.mark.parametrize("penalty", [1e-3, 1.0])
@pytest.mark.parametrize(("shape", "outputs"), [((7, 7), 3), ((5, 8), 1), ((8, 3), 2), ((1, 1), 1), ((9, 4), 1)])
def test_it_is_least_squares_on_kronecker_products(shape, outputs, penalty, method):
    """Column (j, i) of the dense problem is vec(F[:, i] W[j, :]); weights enter by their roots."""
    f, w, r, d, structure = problem(shape, (0, 1), outputs)
    j, i = structure.coordinates()
    root = np.sqrt(d / d.sum())[:, None]
    dense = np.stack([(root * np.outer(f[:, b], w[a])).ravel() for a, b in zip(j, i, strict=True)], axis=1)
    top = np.vstack((dense, np.sqrt(penalty) * np.eye(structure.nnz)))
    expected = np.linalg.lstsq(top, np.append((root * r).ravel(), np.zeros(structure.nnz)), rcond=None)[0]
    found = joint_masked_least_squares(*moments(f, r, d), w, structure, penalty, method=method, tolerance=1e-14)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-10)
    assert found.residual < 1e-12


def test_the_matrix_is_a_hadamard_product():
    f, w, r, d, structure = problem((6, 6), (0, 2), 2)
    gram, right = moments(f, r, d)
    j, i = structure.coordinates()
    matrix = gram[np.ix_(i, i)] * (w @ w.T)[np.ix_(j, j)]
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    expected = np.linalg.solve(matrix + 0.1 * np.eye(structure.nnz), np.einsum("zq,zq->z", right[i], w[j]))
    np.testing.assert_allclose(joint_masked_least_squares(gram, right, w, structure, 0.1).values, expected, atol=1e-12)


def test_without_penalty_both_methods_find_the_least_norm():
    """One output: only the combinations of B's columns that the readout makes matter, so the system is singular."""
    f, w, r, d, structure = problem((6, 6), (0, 1, 2), 1)
    direct = joint_masked_least_squares(*moments(f, r, d), w, structure, 0.0, method="direct")
    cg = joint_masked_least_squares(*moments(f, r, d), w, structure, 0.0, method="cg", tolerance=1e-13)
    np.testing.assert_allclose(direct.values, cg.values, rtol=0, atol=1e-8)


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("warm", [False, True])
def test_every_step_lowers_the_objective(penalty, warm):
    f, w, r, d, structure = problem((30, 30), (0, 1, -3), 4, rows=200)
    gram, right = moments(f, r, d)
    start = np.random.default_rng(1).standard_normal(structure.nnz) if warm else None
    seen = []
    for steps in range(12):
        found = joint_masked_least_squares(
            gram, right, w, structure, penalty, method="cg", start=start, steps=steps, tolerance=0.0
        )
        assert found.steps == steps
        seen.append(objective(found.values, f, w, r, d, structure, penalty))
        # Without a start, the unpenalised loss is below that of B = 0 at each step too.
        if not warm:
            assert objective(found.values, f, w, r, d, structure, 0.0) <= (d @ r**2).sum() / d.sum() * (1 + 1e-14)
    assert (np.diff(seen) < 0).all()


def test_auto_takes_conjugate_gradients_for_large_supports():
    f, w, r, d, structure = problem((400, 400), (0, 1, 2), 3, rows=500)
    found = joint_masked_least_squares(*moments(f, r, d), w, structure, 1.0, tolerance=1e-10)
    assert found.steps > 0
    direct = joint_masked_least_squares(*moments(f, r, d), w, structure, 1.0, method="direct")
    assert direct.steps == 0
    np.testing.assert_allclose(found.values, direct.values, rtol=0, atol=1e-8)


def test_nothing_to_explain_is_zero():
    f, w, r, d, structure = problem((5, 5), (0, 1), 2)
    gram, right = moments(f, 0 * r, d)
    for method in ("direct", "cg"):
        found = joint_masked_least_squares(gram, right, w, structure, 0.0, method=method)
        np.testing.assert_array_equal(found.values, 0.0)
        assert found.residual == 0.0
    blind = joint_masked_least_squares(*moments(f, r, d), 0 * w, structure, 0.0, method="cg")
    np.testing.assert_array_equal(blind.values, 0.0)


def test_refusals():
    f, w, r, d, structure = problem((5, 5), (0, 1), 2)
    gram, right = moments(f, r, d)
    with pytest.raises(ValueError, match="method must be one of"):
        joint_masked_least_squares(gram, right, w, structure, 0.1, method="lu")
    with pytest.raises(ValueError, match="penalty must be a finite number"):
        joint_masked_least_squares(gram, right, w, structure, -0.1)
    with pytest.raises(ValueError, match="tolerance must be in"):
        joint_masked_least_squares(gram, right, w, structure, 0.1, tolerance=np.nan)
    with pytest.raises(ValueError, match="start is for conjugate gradients"):
        joint_masked_least_squares(gram, right, w, structure, 0.1, method="direct", start=np.zeros(structure.nnz))
    with pytest.raises(StructureError, match="gram must be"):
        joint_masked_least_squares(gram[:4], right, w, structure, 0.1)
    with pytest.raises(StructureError, match="gram must be"):
        joint_masked_least_squares(gram, right, w[:4], structure, 0.1)
    with pytest.raises(StructureError, match="right must be"):
        joint_masked_least_squares(gram, right[:, :1], w, structure, 0.1)
    with pytest.raises(StructureError, match="start must hold"):
        joint_masked_least_squares(gram, right, w, structure, 0.1, start=np.zeros(3))
