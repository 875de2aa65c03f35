r"""
Optimization and nonlinear systems with ``scipy.optimize``
==========================================================

Where unknowns interact with their neighbors, Hessians and Jacobians have few diagonals, and long-range terms are
links. :mod:`scipy.optimize` takes them in different clothes: as a sparse array, as a linear operator, or as a
preconditioner. A matrix of this library is a linear operator as it stands, and a factor becomes one by
``linalg.inv_operator``.
"""

# %%
# A chain of atoms on a corrugated surface
# ----------------------------------------
#
# The energy of Frenkel and Kontorova (1938): springs between neighbors, a surface of period :math:`2 \pi`, and a
# few springs between distant atoms,
#
# .. math:: E(x) = \sum_i \tfrac12 (x_{i+1} - x_i - a)^2 + K \sum_i (1 - \cos x_i)
#           + \sum_{(i,j)} \tfrac s2 (x_j - x_i - l_{ij})^2 .
#
# The springs give a constant matrix; only the diagonal of the Hessian depends on the state.
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares, minimize, root
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from stridiag import StridiagMatrix, linalg

n, spacing, corrugation, stiffness = 2000, 2.2, 1.5, 0.5
i, j = np.array([100, 400, 900, 1500]), np.array([700, 1000, 1400, 1900])
rest = spacing * (j - i) * 0.99

ends = np.ones(n)
ends[1:-1] = 2.0
ends[0] += 1.0  # the first atom is held
springs = StridiagMatrix.from_diagonals(
    {0: ends, 1: -1.0, -1: -1.0},
    links=(np.r_[i, j, i, j], np.r_[i, j, j, i], stiffness * np.repeat([1.0, 1.0, -1.0, -1.0], 4)),
    shape=n,
)
pull = np.zeros(n)
pull[[0, -1]] = -spacing, spacing
np.add.at(pull, j, stiffness * rest)
np.add.at(pull, i, -stiffness * rest)
main = springs.structure.diagonal_slots(0)


def energy(x):
    near, far = np.diff(x) - spacing, x[j] - x[i] - rest
    return 0.5 * (x[0] ** 2 + near @ near + stiffness * far @ far) + corrugation * np.sum(1 - np.cos(x))


def gradient(x):
    return springs @ x - pull + corrugation * np.sin(x)


def hessian(x):
    values = springs.values.copy()
    values[main] += corrugation * np.cos(x)
    return springs.with_values(values, copy=False)


start = spacing * np.arange(n)

# %%
# ``minimize`` takes Hessians as products (``hessp``) or as linear operators; its trust regions then iterate with
# conjugate gradients. ``trust-constr`` takes a sparse array or a linear operator from ``hess``.
found = minimize(
    energy,
    start,
    jac=gradient,
    hessp=lambda x, p: hessian(x) @ p,
    method="trust-ncg",
    options={"gtol": 1e-9, "maxiter": 500},
)
print(f"trust-ncg: energy {found.fun:.8f}, {found.nit} steps, gradient {abs(found.jac).max():.1e}")
interior = minimize(
    energy,
    start,
    jac=gradient,
    hess=lambda x: aslinearoperator(hessian(x)),
    method="trust-constr",
    options={"gtol": 1e-8, "maxiter": 500},
)
print(f"trust-constr: energy {interior.fun:.8f}, {interior.nit} steps")

# %%
# With a direct solver Newton's method needs no inner iteration. Far from a minimum the Hessian may be indefinite:
# Cholesky's method notices, ``NotPositiveDefiniteError`` says so, and a multiple of the identity is added until it
# is not.
from stridiag import NotPositiveDefiniteError

identity = StridiagMatrix.from_diagonals({0: 1.0}, shape=n)


def newton(x):
    """Return a minimum and the number of steps."""
    for step in range(200):
        g = gradient(x)
        if abs(g).max() < 1e-9:
            return x, step
        shift = 0.0
        while True:
            try:
                factor = (hessian(x) + shift * identity).factor(method="cholesky")
                break
            except NotPositiveDefiniteError:
                shift = max(2 * shift, 0.01)
        direction = -factor.solve(g)
        length, now, slope = 1.0, energy(x), g @ direction
        # Near the minimum the energy no longer resolves the progress; the slope does.
        while energy(x + length * direction) > now + 1e-4 * length * slope + 1e-12 * abs(now):
            length *= 0.5
        x = x + length * direction
    raise AssertionError("Newton's method did not settle")


x, steps = newton(start)
print(f"Newton: energy {energy(x):.8f}, {steps} steps, gradient {abs(gradient(x)).max():.1e}")

# The surface has many minima, so the methods need not end in the same one: each must be a minimum.
for point in (found.x, interior.x, x):
    assert abs(gradient(point)).max() < 1e-6
    hessian(point).factor(method="cholesky")  # raises unless it is positive definite

# %%
# A nonlinear system, preconditioned
# ----------------------------------
#
# ``root(method="krylov")`` finds the Jacobian's action by differences, and takes the inverse of a nearby matrix as a
# preconditioner, ``inner_M``: here the linear part, factored once, for the equation of Bratu,
# :math:`-u'' = \lambda e^u`, :math:`u(0) = u(1) = 0`. The closed form is
# :math:`u(s) = -2 \ln \left( \cosh((s - \frac12) \theta / 2) / \cosh(\theta / 4) \right)` with
# :math:`\theta = \sqrt{2 \lambda} \cosh(\theta / 4)`.
from scipy.optimize import brentq

m, strength = 1000, 2.0
s = np.arange(1, m + 1) / (m + 1)
laplacian = StridiagMatrix.from_diagonals({0: 2.0, 1: -1.0, -1: -1.0}, shape=m) * float((m + 1) ** 2)
preconditioner = linalg.inv_operator(laplacian, assume_a="pos")
evaluations = {}


def bratu(name):
    def residual(u):
        evaluations[name] = evaluations.get(name, 0) + 1
        return (
            preconditioner @ (laplacian @ u - strength * np.exp(u))
            if name == "from the left"
            else (laplacian @ u - strength * np.exp(u))
        )

    return residual


inner = LinearOperator((m, m), matvec=preconditioner.matvec, dtype=float)
with_inner = root(
    bratu("inner_M"), np.zeros(m), method="krylov", options={"fatol": 1e-6, "jac_options": {"inner_M": inner}}
)
from_left = root(bratu("from the left"), np.zeros(m), method="krylov", options={"fatol": 1e-12})
theta = brentq(lambda z: z - np.sqrt(2 * strength) * np.cosh(z / 4), 0.1, 4.0)
closed = -2 * np.log(np.cosh((s - 0.5) * theta / 2) / np.cosh(theta / 4))
for name, answer in (("inner_M", with_inner), ("from the left", from_left)):
    error = abs(answer.x - closed).max()
    print(f"Bratu, {name}: {evaluations[name]} evaluations, difference from the closed form {error:.1e}")
    assert answer.success
    assert error < 1e-6

# %%
# Least squares
# -------------
#
# ``least_squares`` takes a Jacobian as a sparse array or a linear operator, with ``tr_solver="lsmr"``. Here a road
# is surveyed: unknown positions, measured distances between neighbors and a few across, and a known scale of
# nonlinearity, :math:`r_k = \sinh(p_j - p_i) - d_k`. The Jacobian has one row for each measurement.
k = 150
rng = np.random.default_rng(0)
truth = np.cumsum(rng.uniform(0.05, 0.2, k)) - 1.0
first = np.r_[np.arange(k - 1), [10, 30, 80, 110]]
second = np.r_[np.arange(1, k), [14, 35, 83, 116]]
measured = np.sinh(truth[second] - truth[first]) + rng.normal(scale=1e-3, size=first.size)
rows = np.arange(first.size)


def residuals(p):
    return np.r_[np.sinh(p[second] - p[first]) - measured, p[0] - truth[0]]


def jacobian(p):
    """Return the rectangular matrix: two diagonals, links for what was measured across, and the fixed first
    position."""
    slope = np.cosh(p[second] - p[first])
    return StridiagMatrix.from_diagonals(
        {0: 0.0, 1: 0.0},
        links=(np.r_[rows, rows, rows.size], np.r_[first, second, 0], np.r_[-slope, slope, 1.0]),
        shape=(rows.size + 1, k),
    )


guess = 0.12 * np.arange(k) - 1.0
fitted = least_squares(
    residuals,
    guess,
    jac=lambda p: jacobian(p).to_scipy("csr"),
    tr_solver="lsmr",
    xtol=1e-12,
    ftol=1e-12,
    gtol=1e-10,
    max_nfev=50,
)

# %%
# LSMR iterates, and on a chain it takes about as many iterations as there are places: hence the small size here.
# Gauss and Newton, with the direct least squares of this library in place of LSMR.
p = guess
for _ in range(8):
    p = p - linalg.lstsq(jacobian(p), residuals(p)).x
print(f"gradients: least_squares {fitted.optimality:.1e}, Gauss-Newton {abs(jacobian(p).T @ residuals(p)).max():.1e}")
print(f"cost {fitted.cost:.12f} and {0.5 * residuals(p) @ residuals(p):.12f}")
assert abs(jacobian(p).T @ residuals(p)).max() < 1e-11
assert 0.5 * residuals(p) @ residuals(p) <= fitted.cost + 1e-10

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.plot(np.mod(x, 2 * np.pi), ".", color="C0", ms=2)
left.set(xlabel="atom", ylabel="place within a period", title="Atoms on a corrugated surface")
right.plot(s, with_inner.x, color="C0", label="root")
right.plot(s[::50], closed[::50], ".", color="C1", label="closed form")
right.set(xlabel="s", ylabel="u", title="Bratu's equation")
right.legend()
plt.show()
