r"""
Splines: natural, periodic, smoothing
=====================================

A cubic spline is known by its second derivatives at the knots, and these solve a system with three diagonals. If it
is periodic there are two corners more. A *smoothing* spline solves one with five diagonals, and the diagonal of its
hat matrix, on which cross-validation rests, needs a few entries of an inverse: no more than the matrix itself has.
"""

# %%
# Natural and periodic interpolation
# ----------------------------------
#
# With knots :math:`x_i`, steps :math:`h_i` and second derivatives :math:`\gamma_i`, the slopes match where
#
# .. math:: \frac{h_{i-1}}{6} \gamma_{i-1} + \frac{h_{i-1} + h_i}{3} \gamma_i + \frac{h_i}{6} \gamma_{i+1}
#           = \frac{y_{i+1} - y_i}{h_i} - \frac{y_i - y_{i-1}}{h_{i-1}} .
#
# Natural: no curvature at the ends. Periodic: the neighbor of the last knot is the first.
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import CubicSpline, make_smoothing_spline

from stridiag import StridiagMatrix, linalg


def natural(x, y):
    """Return the second derivatives at the knots."""
    h = np.diff(x)
    R = StridiagMatrix.from_diagonals({0: (h[:-1] + h[1:]) / 3, 1: h[1:-1] / 6, -1: h[1:-1] / 6})
    return np.r_[0.0, linalg.solve(R, np.diff(np.diff(y) / h), assume_a="pos"), 0.0]


def periodic(x, y):
    """Return the second derivatives at the knots; the last knot is the first, one period later."""
    h = np.diff(x)
    before = np.roll(h, 1)
    slopes = np.diff(y) / h
    m = h.size
    R = StridiagMatrix.from_diagonals(
        {0: (before + h) / 3, 1: h[:-1] / 6, -1: h[:-1] / 6},
        links=([0, m - 1], [m - 1, 0], [h[-1] / 6, h[-1] / 6]),
    )
    gamma = linalg.solve(R, slopes - np.roll(slopes, 1), assume_a="pos")
    return np.r_[gamma, gamma[0]]


rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0.0, 1.0, 5000))
y = np.sin(9.0 * x) + 0.3 * np.cos(40.0 * x)
around = np.r_[y[:-1], y[0]]
for name, gamma, reference in (
    ("natural", natural(x, y), CubicSpline(x, y, bc_type="natural")),
    ("periodic", periodic(x, around), CubicSpline(x, around, bc_type="periodic")),
):
    trusted = reference(x, 2)
    difference = abs(gamma - trusted).max() / abs(trusted).max()
    print(f"{name}: second derivatives differ from SciPy's by {difference:.1e}, relatively")
    assert difference < 1e-7

# %%
# A smoothing spline
# ------------------
#
# It minimizes :math:`\sum_i (y_i - f(x_i))^2 + \alpha \int f''^2`. In the form of Reinsch (1967), with :math:`Q`
# the second divided differences and :math:`R` the matrix above,
#
# .. math:: (R + \alpha Q^T Q)\, \gamma = Q^T y, \qquad f(x) = y - \alpha\, Q \gamma .
#
# All of it can be written down with matrices of this library; the product :math:`Q^T Q` has five diagonals.


def pieces(x):
    """Return R and the n x (n - 2) matrix Q."""
    h = np.diff(x)
    R = StridiagMatrix.from_diagonals({0: (h[:-1] + h[1:]) / 3, 1: h[1:-1] / 6, -1: h[1:-1] / 6})
    Q = StridiagMatrix.from_diagonals(
        {0: 1 / h[:-1], -1: -1 / h[:-1] - 1 / h[1:], -2: 1 / h[1:]}, shape=(x.size, x.size - 2)
    )
    return R, Q


# %%
# Leaving one out needs no refitting: :math:`y_i - f^{(-i)}(x_i) = (y_i - f(x_i)) / (1 - S_{ii})`, where :math:`1 -
# S_{ii} = \alpha\, (Q B^{-1} Q^T)_{ii}` with :math:`B = R + \alpha Q^T Q`. Row :math:`i` of :math:`Q` has three
# neighboring entries, so only the five middle diagonals of :math:`B^{-1}` enter: ``factor.inverse_on_pattern()``,
# in a number of operations linear in :math:`n` (Hutchinson and de Hoog, 1985).


def smooth(x, y, alpha):
    """Return the fitted values and the residuals of leaving each point out."""
    R, Q = pieces(x)
    factor = (R + alpha * (Q.T @ Q)).factor(method="cholesky")
    residuals = alpha * (Q @ factor.solve(Q.T @ y))
    selected = factor.inverse_on_pattern()
    # Entry by entry, so that of the whole product no more than its diagonal is summed up.
    rest = (Q @ selected).to_scipy().multiply(Q.to_scipy()).sum(axis=1)
    return y - residuals, residuals / (alpha * rest)


n = 400
x = np.sort(rng.uniform(0.0, 1.0, n))
truth = np.sin(12.0 * x) * np.exp(-2.0 * x)
y = truth + rng.normal(scale=0.15, size=n)

alphas = np.logspace(-8, -1, 40)
scores = [np.mean(smooth(x, y, alpha)[1] ** 2) for alpha in alphas]
best = alphas[np.argmin(scores)]
fit, left_out = smooth(x, y, best)

reference = make_smoothing_spline(x, y, lam=best)
print(f"smoothing: values differ from SciPy's by {abs(fit - reference(x)).max():.1e}")
assert abs(fit - reference(x)).max() < 1e-6

# %%
# SciPy fitted anew without a point, for six of the points, as the check of what was left out.
for i in (1, 2, 50, 200, 300, n - 2):
    keep = np.arange(n) != i
    alone = y[i] - make_smoothing_spline(x[keep], y[keep], lam=best)(x[i])
    print(f"point {i:3}: residual when left out {left_out[i]:+.6f}, by fitting anew {alone:+.6f}")
    assert abs(alone - left_out[i]) < 1e-6

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.plot(x, y, ".", color="C7", ms=3, label="data")
left.plot(x, truth, "--", color="C1", label="truth")
left.plot(x, fit, color="C0", label="smoothing spline")
left.set(xlabel="x", ylabel="y")
left.legend()
right.loglog(alphas, scores, color="C0")
right.plot(best, min(scores), "o", color="C3")
right.set(xlabel="penalty", ylabel="mean square of what was left out", title="Leave-one-out, exactly")
plt.show()
