r"""
Together with PyLops: structured plus something else
====================================================

`PyLops <https://pylops.readthedocs.io>`_ builds inverse problems out of linear operators. A matrix of this library,
a factor's inverse and a pseudoinverse are linear operators for SciPy, and ``scipy.sparse.linalg.aslinearoperator``
makes of them what PyLops composes: sums, products, stacks. This example needs PyLops: ``pip install pylops``.
"""

# %%
# Deconvolution of a seismic trace
# --------------------------------
#
# A trace is the reflectivity of the ground, smeared out by a wavelet: a convolution, which PyLops has. To undo it
# one asks for a smooth answer, by second differences :math:`D`, which along a closed line of stations are a chain
# with corners:
#
# .. math:: \min_x \| C x - d \|^2 + \varepsilon^2 \| D x \|^2 + \delta^2 \| x \|^2 .
import matplotlib.pyplot as plt
import numpy as np
import pylops
from scipy.sparse.linalg import aslinearoperator, cg

from stridiag import StridiagMatrix, linalg

n, epsilon, delta = 2000, 20.0, 0.05
time = np.arange(-20, 21)
wavelet = np.exp(-((time / 6.0) ** 2))
wavelet /= wavelet.sum()
C = pylops.signalprocessing.Convolve1D(n, h=wavelet, offset=20)

corners = ([n - 1, 0], [0, n - 1], [1.0, 1.0])
D = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, corners, shape=n)
smoothness = pylops.aslinearoperator(aslinearoperator(D))

# %%
# Forward and adjoint fit together, as PyLops checks.
assert pylops.utils.dottest(smoothness, n, n, rtol=1e-10)

rng = np.random.default_rng(0)
position = np.arange(n)
truth = sum(a * np.exp(-(((position - m) / w) ** 2)) for a, m, w in ((1, 300, 40), (-0.7, 800, 60), (0.9, 1500, 30)))
data = C @ truth + rng.normal(scale=0.02, size=n)

# %%
# Stacked, as PyLops likes it, and solved by LSQR.
stacked = pylops.VStack([C, epsilon * smoothness, delta * pylops.Identity(n)])
by_lsqr, *rest = pylops.optimization.basic.lsqr(stacked, np.r_[data, np.zeros(2 * n)], niter=3000, atol=0, btol=1e-13)

# %%
# A preconditioner
# ----------------
#
# The normal equations are structured plus something else: :math:`C^T C` has 81 diagonals, but acts on smooth
# signals nearly like the identity, and the rest is ours. So the factor of :math:`P = \epsilon^2 D^T D + (1 +
# \delta^2) I` is a good preconditioner: five diagonals and a few links.
identity = StridiagMatrix.from_diagonals({0: 1.0}, shape=n)
P = (epsilon**2) * (D.T @ D) + (1 + delta**2) * identity
print(P)
normal = C.H @ C + epsilon**2 * smoothness.H @ smoothness + delta**2 * pylops.Identity(n)
right = C.H @ data

counts = {}
for name, M in (("without", None), ("with", aslinearoperator(linalg.inv_operator(P, assume_a="pos")))):
    steps = []
    x, info = cg(normal, right, M=M, rtol=1e-11, maxiter=20_000, callback=steps.append)
    assert info == 0
    counts[name] = len(steps)
    print(f"conjugate gradients {name} preconditioner: {len(steps)} iterations")
assert counts["with"] < counts["without"] / 5

# %%
# Both ways agree, and so does a dense solution.
gram = normal.todense()
dense = np.linalg.solve(gram, right)
print(f"conjugate gradients and dense solution differ by {abs(x - dense).max():.1e}")
print(f"LSQR and dense solution differ by {abs(by_lsqr - dense).max():.1e}")
assert abs(x - dense).max() < 1e-8
assert abs(by_lsqr - dense).max() < 1e-5

figure, axes = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
axes.plot(data, ".", color="C7", ms=2, label="data")
axes.plot(truth, "--", color="C1", label="truth")
axes.plot(x, color="C0", label="deconvolved")
axes.set(xlabel="sample", title="Deconvolution with a smooth answer")
axes.legend()
plt.show()
