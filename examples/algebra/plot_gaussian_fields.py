r"""
Large log-determinants: the likelihood of a Gaussian field
==========================================================

A Gaussian Markov random field is a normal vector whose precision matrix is sparse: given its neighbors, a site does
not depend on any other. Its log-likelihood contains :math:`\log\det Q(\theta)`, which must be had for each
:math:`\theta` that is tried. Here the sites lie along a road of 100,000 segments that closes to a ring and has
shortcuts: a chain with links.

.. math:: Q(\rho) = \tau\, (D - \rho\, W), \qquad
          \log p(x) = \tfrac12 \log\det Q(\rho) - \tfrac12\, x^T Q(\rho)\, x - \tfrac n2 \log 2\pi,

with :math:`W` the neighbors and :math:`D` their number: a conditional autoregression (Besag, 1974).
"""

# %%
# The field
# ---------
import matplotlib.pyplot as plt
import numpy as np

import stridiag
from stridiag import StridiagMatrix

n, shortcuts, tau = 100_000, 40, 2.0
rng = np.random.default_rng(0)


def neighbors(shortcuts):
    """Return the adjacency matrix of the ring with shortcuts, all of one structure."""
    a, b = rng.choice(n, (2, shortcuts), replace=False)
    a, b = np.r_[0, a], np.r_[n - 1, b]
    ones = np.ones(a.size)
    return StridiagMatrix.from_diagonals(
        {0: 0.0, 1: 1.0, -1: 1.0}, links=(np.r_[a, b], np.r_[b, a], np.r_[ones, ones]), shape=n
    )


W = neighbors(shortcuts)
degree = StridiagMatrix.from_diagonals({0: W @ np.ones(n)})


def precision(rho, W=W, degree=degree):
    return tau * (degree - rho * W)


plan = stridiag.plan(precision(0.9).structure)
print(plan.method, f"- {plan.operations.factor + plan.operations.slogdet:,} operations for a log-determinant")

# %%
# First the determinant itself, on the ring alone: its eigenvalues are :math:`2 \tau (1 - \rho \cos(2 \pi k / n))`,
# and the sum of their logarithms is known.
ring = neighbors(0)
sign, found = precision(0.99, ring, StridiagMatrix.from_diagonals({0: 2.0}, shape=n)).factor().slogdet()
exact = np.log(2 * tau * (1 - 0.99 * np.cos(2 * np.pi * np.arange(n) / n))).sum()
print(f"log-determinant of the ring {found:.9f}, by its eigenvalues {exact:.9f}")
assert sign == 1.0
assert abs(found - exact) < 1e-10 * abs(exact)

# %%
# A draw from the field with :math:`\rho = 0.97`, by Cholesky's method.
truth = 0.97
x = precision(truth).factor(method="cholesky").sample(rng=2, precision=True)

# %%
# The likelihood and its gradient
# -------------------------------
#
# The derivative of the log-determinant needs the entries of the inverse where :math:`W` has entries, and no others:
#
# .. math:: \frac{d}{d\rho} \log\det Q = -\tau \operatorname{tr}(Q^{-1} W)
#           = -\tau \sum_{ij} (Q^{-1})_{ij} W_{ji}.
#
# ``factor.inverse_on_pattern()`` gives exactly these. One factor serves for both, and ``refactor`` keeps the plan
# from one value of :math:`\rho` to the next.
factor = precision(0.9).factor()
weights = W.values


def likelihood(rho):
    """Return the log-likelihood and its derivative."""
    Q = precision(rho)
    at = factor.refactor(Q.values)
    value = 0.5 * (at.slogdet().logabsdet - x @ (Q @ x) - n * np.log(2 * np.pi))
    trace = at.inverse_on_pattern().values @ weights  # W is symmetric, and stored in the same places
    return value, 0.5 * tau * (x @ (W @ x) - trace)


assert precision(0.9).structure == W.structure
step = 1e-5
value, slope = likelihood(0.95)
numeric = (likelihood(0.95 + step)[0] - likelihood(0.95 - step)[0]) / (2 * step)
print(f"derivative at 0.95: {slope:.4f}, by central differences {numeric:.4f}")
assert abs(slope / numeric - 1) < 1e-5

# %%
# Fisher's scoring needs few steps when the derivative is at hand; here the root of the derivative is looked for.
from scipy.optimize import brentq

best = brentq(lambda rho: likelihood(rho)[1], 0.5, 0.9999, xtol=1e-10)
curvature = (likelihood(best + 1e-4)[1] - likelihood(best - 1e-4)[1]) / 2e-4
error = 1 / np.sqrt(-curvature)
print(f"estimate {best:.5f} +- {error:.5f}, the field was drawn with {truth}")
assert abs(best - truth) < 4 * error
assert abs(likelihood(best)[1]) < 1e-2

grid = np.linspace(best - 6 * error, best + 6 * error, 25)
values = np.array([likelihood(rho)[0] for rho in grid])
assert values.max() <= likelihood(best)[0] + 1e-6

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.plot(x[:400], color="C0", lw=1)
left.set(xlabel="site", title="A draw, its first 400 sites")
right.plot(grid, values - values.max(), color="C0")
right.axvline(truth, color="C1", ls="--", label="truth")
right.axvline(best, color="C3", label="estimate")
right.set(xlabel=r"$\rho$", ylabel="log-likelihood, from its maximum", title=f"{n:,} sites, {shortcuts} shortcuts")
right.legend()
plt.show()
