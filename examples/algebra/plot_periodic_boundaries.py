r"""
Periodic boundaries
===================

On a ring the last point is the neighbor of the first. The matrix of a finite difference scheme is then tridiagonal
but for its two corners; tridiagonal solvers refuse it, and general sparse solvers do not see how close it is. Here
the corners are two links.

The equation is advection and diffusion on a ring of length 1,

.. math:: u_t + c\, u_x = \kappa\, u_{xx},

and the second part carries it to a torus by alternating directions.
"""

# %%
# One time step on the ring
# -------------------------
#
# Central differences in space and the trapezoidal rule in time (Crank and Nicolson) give
# :math:`(I + \tfrac{\tau}{2} L)\, u^{k+1} = (I - \tfrac{\tau}{2} L)\, u^k`.
# A diagonal at offset 1 and one at -1, and the entries that lead around: ``links=(rows, columns, values)``.
import matplotlib.pyplot as plt
import numpy as np

from stridiag import StridiagMatrix

n, speed, diffusion, step = 2000, 1.0, 2e-4, 1e-3
width = 1.0 / n
ahead, behind = speed / (2 * width) - diffusion / width**2, -speed / (2 * width) - diffusion / width**2

identity = StridiagMatrix.from_diagonals({0: 1.0}, shape=n)
L = StridiagMatrix.from_diagonals(
    {0: 2 * diffusion / width**2, 1: ahead, -1: behind},
    links=([n - 1, 0], [0, n - 1], [ahead, behind]),
    shape=n,
)
implicit, explicit = identity + 0.5 * step * L, identity - 0.5 * step * L
print(implicit)

# %%
# The matrix does not change, so it is factored once. The pulse goes around once in 1000 steps.
x = np.arange(n) * width
u = start = np.exp(-(((x - 0.5) / 0.05) ** 2))
factor = implicit.factor()
for _ in range(1000):
    u = factor.solve(explicit @ u)

# %%
# A matrix of constant diagonals on a ring is diagonalized by the discrete Fourier transform, which gives the result
# of the same 1000 steps in another way. The rows of the matrix are known by their first column.
wave = np.exp(2j * np.pi * np.fft.fftfreq(n))
symbol = 2 * diffusion / width**2 + ahead * wave + behind / wave
growth = (1 - 0.5 * step * symbol) / (1 + 0.5 * step * symbol)
reference = np.fft.ifft(growth**1000 * np.fft.fft(start)).real

error = abs(u - reference).max()
print(f"largest difference from the Fourier transform: {error:.1e}")
print(f"change of the integral, which the scheme keeps: {abs(u.sum() - start.sum()) * width:.1e}")
assert error < 1e-11
assert abs(u.sum() - start.sum()) * width < 1e-12

# %%
# The differential equation has a solution in closed form too: the pulse comes back to where it was, wider by
# diffusion. What is left is the scheme's error, of second order in both steps.
exact = 0.05 / np.sqrt(0.05**2 + 4 * diffusion) * np.exp(-((x - 0.5) ** 2) / (0.05**2 + 4 * diffusion))
print(f"largest difference from the differential equation: {abs(u - exact).max():.1e}")
assert abs(u - exact).max() < 5e-3

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(x, start, "--", color="C7", label="start")
axes.plot(x, u, color="C0", label="once around")
axes.plot(x[::50], exact[::50], ".", color="C1", label="exact")
axes.set(xlabel="x", ylabel="u", title="Advection and diffusion on a ring")
axes.legend()
plt.show()

# %%
# A torus, by alternating directions
# ----------------------------------
#
# In two dimensions, heat spreads by :math:`u_t = \kappa (u_{xx} + u_{yy})`. Peaceman and Rachford step half a step
# implicitly along one axis, then half a step along the other: each half step is one ring for every row of the grid,
# and all of them have the same matrix. ``factor.solve`` takes the whole grid at once, its columns as right-hand
# sides.
m, step = 300, 2e-4
width = 1.0 / m
around = ([m - 1, 0], [0, m - 1], [-1.0, -1.0])
second = StridiagMatrix.from_diagonals({0: 2.0, 1: -1.0, -1: -1.0}, around, shape=m) * (0.05 / width**2)
identity = StridiagMatrix.from_diagonals({0: 1.0}, shape=m)
factor, explicit = (identity + 0.5 * step * second).factor(), identity - 0.5 * step * second

rng = np.random.default_rng(0)
grid = np.zeros((m, m))
grid[*rng.integers(0, m, (2, 40))] = 1.0 / width**2 / 40
initial = grid
steps = 50
for _ in range(steps):
    half = factor.solve((explicit @ grid.T).T)
    grid = factor.solve((explicit @ half).T).T

# %%
# The same scheme in Fourier space, as a check. The integral is kept again.
symbol = 0.05 / width**2 * (2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(m)))
ratio = (1 - 0.5 * step * symbol) / (1 + 0.5 * step * symbol)
reference = np.fft.ifft2((ratio[:, None] * ratio) ** steps * np.fft.fft2(initial)).real
error = abs(grid - reference).max() / abs(reference).max()
print(f"relative difference from the Fourier transform: {error:.1e}")
print(f"integral: {grid.mean():.12f}")
assert error < 1e-12
assert abs(grid.mean() - 1.0) < 1e-12

figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
image = axes.imshow(grid, origin="lower", extent=(0, 1, 0, 1), cmap="viridis")
axes.set(xlabel="x", ylabel="y", title="Heat on a torus")
figure.colorbar(image)
plt.show()

# %%
# Fourier transforms need constant coefficients, and these problems were chosen to have them so that there is
# something to compare with. The solves do not: let the conductivity vary, and the code stays as it is.
