r"""
Singular systems: insulated ends and floating circuits
======================================================

A rod whose ends are insulated has a temperature up to a constant; a circuit without ground has voltages up to a
constant. Their matrices are singular, and the equation has a solution only if what flows in flows out again. The
pseudoinverse answers in any case: the solution of smallest norm of the nearest system that has one.
"""

# %%
# A rod with insulated ends
# -------------------------
#
# :math:`-u'' = f` with :math:`u' = 0` at both ends, in 2,000 cells.
import matplotlib.pyplot as plt
import numpy as np
from scipy.fft import dct, idct

from stridiag import SingularMatrixError, StridiagMatrix, linalg

n = 2000
x = (np.arange(n) + 0.5) / n
main = np.full(n, 2.0)
main[[0, -1]] = 1.0
A = StridiagMatrix.from_diagonals({0: main, 1: -1.0, -1: -1.0}, shape=n) * float(n**2)

try:
    linalg.solve(A, np.ones(n))
except SingularMatrixError as error:
    print("solve:", error)

# %%
# What ``linalg.rank_info`` says is a count of singular values, not a guess from pivots, and it tells how clear the
# case is.
print(linalg.rank_info(A))
constant = linalg.null_space(A)
print("null space:", constant.shape, f"; varies by {np.ptp(constant):.1e}")
assert constant.shape == (n, 1)
assert np.ptp(constant) < 1e-10

# %%
# A source on the left and a sink on the right, in balance: the equation has solutions. ``lstsq`` gives the one of
# smallest norm, whose mean is zero. The cosine transform diagonalizes the matrix, and so gives the same.
f = np.exp(-(((x - 0.25) / 0.05) ** 2)) - np.exp(-(((x - 0.7) / 0.05) ** 2))
u = linalg.lstsq(A, f - f.mean()).x

frequencies = n**2 * (2 - 2 * np.cos(np.pi * np.arange(n) / n))
spectrum = dct(f, norm="ortho")
spectrum[0] = 0.0
spectrum[1:] /= frequencies[1:]
trusted = idct(spectrum, norm="ortho")
print(f"mean {u.mean():.1e}, difference from the cosine transform {abs(u - trusted).max():.1e}")
assert abs(u - trusted).max() < 1e-10

# %%
# Out of balance there is no solution. The pseudoinverse takes what does not fit out of the right-hand side: its
# part in the left null space, here the mean. Kept as an operator it serves many right-hand sides.
P = linalg.pinv(A)
heated = f + 0.3
v = P @ heated
print(f"residual {abs(A @ v - heated).mean():.6f}: the mean, {heated.mean():.6f}, cannot be met")
print(f"difference from the balanced problem: {abs(v - P @ (heated - heated.mean())).max():.1e}")
assert np.allclose(heated - A @ v, heated.mean(), atol=1e-8)

# %%
# A circuit in pieces
# -------------------
#
# Resistors in three chains, tied by links in places, and no ground. When a link of the second chain to the third is
# cut, there are two floating circuits instead of one, and as many dimensions in the null space. Its vectors say
# which nodes belong together.


def circuit(*, tied):
    """Return the conductance matrix of 300 nodes in three chains."""
    first = np.array([k for k in range(299) if k not in (99, 199)])
    edges = np.array([*zip(first, first + 1, strict=True), (20, 120), (60, 170), *([(150, 250)] if tied else [])])
    rng = np.random.default_rng(0)
    conductance = rng.uniform(0.5, 2.0, len(edges))
    a, b = edges.T
    return StridiagMatrix.from_diagonals(
        {0: 0.0, 1: 0.0, -1: 0.0},
        links=(np.r_[a, b, a, b], np.r_[a, b, b, a], np.r_[conductance, conductance, -conductance, -conductance]),
        shape=300,
    )


for tied in (True, False):
    basis = linalg.null_space(circuit(tied=tied))
    print(f"{'tied' if tied else 'cut'}: {basis.shape[1]} floating circuit{'s' if basis.shape[1] > 1 else ''}")
    assert basis.shape[1] == (1 if tied else 2)

# %%
# The effective resistance between two nodes is :math:`(e_a - e_b)^T G^+ (e_a - e_b)`: single entries of the
# pseudoinverse, which is never formed.
G = circuit(tied=True)
P = linalg.pinv(G)


def resistance(a, b):
    """Return the effective resistance between nodes, as four entries of the pseudoinverse."""
    entries = P.entries([a, b, a, b], [a, b, b, a])
    return entries[0] + entries[1] - entries[2] - entries[3]


dense = np.linalg.pinv(G.toarray(), hermitian=True)
for a, b in ((0, 299), (20, 120)):
    trusted = dense[a, a] + dense[b, b] - 2 * dense[a, b]
    print(f"nodes {a} and {b}: {resistance(a, b):.10f} ohms, by NumPy's dense pseudoinverse {trusted:.10f}")
    assert abs(resistance(a, b) - trusted) < 1e-9

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.plot(x, u, color="C0", label="temperature, mean 0")
left.plot(x, f * abs(u).max(), "--", color="C1", label="source, scaled")
left.set(xlabel="x", title="A rod with insulated ends")
left.legend(fontsize="small")
right.plot(basis[:, 0], ".", color="C0", ms=3, label="first vector")
right.plot(basis[:, 1], ".", color="C1", ms=3, label="second vector")
right.set(xlabel="node", title="Null space of the cut circuit")
right.legend(fontsize="small")
plt.show()
