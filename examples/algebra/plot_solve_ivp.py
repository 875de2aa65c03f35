r"""
Stiff equations: what ``solve_ivp`` takes, and a loop of one's own
==================================================================

The implicit methods of :func:`scipy.integrate.solve_ivp` solve linear systems with a Jacobian. What they accept
decides what this library can do for them:

* ``"Radau"`` and ``"BDF"`` take a Jacobian as a dense or a SciPy sparse array, or a function that returns one, and
  factor it by SuperLU. A matrix of this library is handed over by ``to_scipy()``; its own solver has no way in.
* ``"LSODA"`` takes a band (``lband``, ``uband``). One link across the domain makes that band as wide as the matrix.
* A Rosenbrock method is twenty lines. Its systems are then solved here, factored anew in each step by one plan.
"""

# %%
# The problem
# -----------
#
# Fisher's equation, :math:`u_t = D\,u_{xx} + u (1 - u)`, for a population that spreads along the shore of a lake, a
# ring of 2,000 places, with three ferry lines across it: links.
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from stridiag import StridiagMatrix

n, spread, ferry = 2000, 2e-3, 0.3
width = 10.0 / n
a, b = np.array([0, 200, 500, 1300]), np.array([n - 1, 1200, 1600, 1900])
rate = np.r_[spread / width**2, np.full(3, ferry)]
exchange = StridiagMatrix.from_diagonals(
    {0: 0.0, 1: spread / width**2, -1: spread / width**2}, links=(np.r_[a, b], np.r_[b, a], np.r_[rate, rate]), shape=n
)
transport = exchange - StridiagMatrix.from_diagonals({0: exchange @ np.ones(n)})
diagonal = transport.structure.diagonal_slots(0)


def rhs(t, u):
    return transport @ u + u * (1 - u)


def jacobian(t, u):
    """Return the Jacobian: only its diagonal depends on the state."""
    values = transport.values.copy()
    values[diagonal] += 1 - 2 * u
    return transport.with_values(values, copy=False)


start, end = np.zeros(n), 12.0
start[180:200] = 0.5

# %%
# With SciPy's integrators
# ------------------------
#
# ``jac`` may be a function that returns a sparse array. CSC is the format that SuperLU wants.
reference = solve_ivp(
    rhs, (0, end), start, method="BDF", jac=lambda t, u: jacobian(t, u).to_scipy("csc"), rtol=1e-9, atol=1e-11
)
radau = solve_ivp(
    rhs, (0, end), start, method="Radau", jac=lambda t, u: jacobian(t, u).to_scipy("csc"), rtol=1e-5, atol=1e-7
)
print(f"Radau: {radau.t.size - 1} steps, {radau.nlu} factorizations by SuperLU, real and complex ones")

# %%
# If only the pattern of the Jacobian is known, ``jac_sparsity`` lets SciPy find the values by differences, with as
# many evaluations as it needs groups of columns: few, for a matrix like this.
pattern = transport.to_scipy("csc")
differences = solve_ivp(rhs, (0, end), start, method="Radau", jac_sparsity=pattern, rtol=1e-5, atol=1e-7)
assert abs(differences.y[:, -1] - radau.y[:, -1]).max() < 1e-4

# %%
# A Rosenbrock method
# -------------------
#
# ROS2 (Verwer, Spee, Blom and Hundsdorfer, 1999) is of second order and L-stable with :math:`\gamma = 1 -
# 1/\sqrt2`, and has an estimate of its error inside. One step factors :math:`I - \gamma h J` once and solves with
# it twice:
#
# .. math:: (I - \gamma h J)\, k_1 = f(u), \qquad (I - \gamma h J)\, k_2 = f(u + h k_1) - 2 k_1, \qquad
#           u_+ = u + \tfrac32 h k_1 + \tfrac12 h k_2 .
gamma = 1 - np.sqrt(0.5)


def shifted(h, u):
    """Return the values of I - gamma h J."""
    values = -gamma * h * jacobian(0, u).values
    values[diagonal] += 1.0
    return values


def rosenbrock(u, end, rtol, atol):
    """Integrate with steps chosen by the embedded method of first order; return times, states and counts."""
    t, h, rejected = 0.0, 1e-3, 0
    factor = transport.with_values(shifted(h, u)).factor()
    times, states = [t], [u]
    while t < end:
        h = min(h, end - t)
        factor = factor.refactor(shifted(h, u), overwrite=True)
        k1 = factor.solve(rhs(t, u))
        k2 = factor.solve(rhs(t + h, u + h * k1) - 2 * k1)
        new = u + 1.5 * h * k1 + 0.5 * h * k2
        error = np.sqrt(np.mean((0.5 * h * (k1 + k2) / (atol + rtol * np.maximum(abs(u), abs(new)))) ** 2))
        if error <= 1.0:
            t, u = t + h, new
            times.append(t)
            states.append(u)
        else:
            rejected += 1
        h *= min(5.0, max(0.2, 0.9 / np.sqrt(max(error, 1e-10))))
    return np.array(times), np.array(states).T, rejected


times, states, rejected = rosenbrock(start, end, rtol=1e-3, atol=1e-5)
print(f"ROS2: {times.size - 1} steps, {rejected} rejected, a factorization each, by {transport.factor().method}")

# %%
# Both against the tight run of BDF. Of a lower order, ROS2 takes more steps for fewer digits; a step costs a real
# factorization of a chain and two solves. Which one wins depends on the digits that are wanted.
trusted = reference.y[:, -1]
for name, final in (("Radau", radau.y[:, -1]), ("ROS2", states[:, -1])):
    print(f"{name}: error {abs(final - trusted).max():.1e}")
assert abs(radau.y[:, -1] - trusted).max() < 1e-4
assert abs(states[:, -1] - trusted).max() < 5e-3

# %%
# The order can be seen: a tenth of the tolerance is about a third of the step size, and a tenth of the error.
_, finer, _ = rosenbrock(start, end, rtol=1e-4, atol=1e-6)
ratio = abs(states[:, -1] - trusted).max() / abs(finer[:, -1] - trusted).max()
print(f"with a tenth of the tolerance the error falls to 1/{ratio:.1f}")
assert ratio > 4

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
grid = np.linspace(0, end, 200)
picture = np.array([np.interp(grid, times, row) for row in states[::10]]).T
image = axes.imshow(picture, origin="lower", aspect="auto", extent=(0, n, 0, end), cmap="viridis")
for first, second in zip(a[1:], b[1:], strict=True):
    axes.plot([first, second], [0, 0], "v", color="C3", ms=8, clip_on=False)
axes.set(xlabel="place along the shore", ylabel="time", title="A population that takes the ferry (landings marked)")
figure.colorbar(image, label="u")
plt.show()
