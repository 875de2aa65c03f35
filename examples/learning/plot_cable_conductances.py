r"""
Fit the conductances of a cable through a solve
===============================================

A nerve fiber, a pipeline or a power line is, in steady state, a cable: currents flow along it through axial
conductances and out of it through leaks. With all conductances known, voltages follow from one solve with a matrix
that is tridiagonal but for its branches. Here it goes the other way round: a few voltages are measured, and 300
conductances are sought. The gradient of the misfit goes backwards through the solve, by one more solve.
"""

# %%
# Segments 0 to 249 lie in a row; a branch of 50 segments, 250 to 299, leaves segment 100. The branch follows the main
# line in the numbering, so that its first segment is joined by a link in the place of a diagonal's entry.
import matplotlib.pyplot as plt
import numpy as np

import torch
from stridiag import Structure, plan
from stridiag.torch import functional as F

torch.set_num_threads(1)
n, fork, first = 300, 100, 250
structure = Structure(n, offsets=(-1, 0, 1), links=([fork, first], [first, fork]))
print(plan(structure).method)

left = np.array([*range(first - 1), *range(first, n - 1), fork])  # each conductance joins a segment ...
right = np.array([*range(1, first), *range(first + 1, n), first])  # ... and another one
edges = len(left)

# %%
# The matrix is the graph's Laplacian, weighted by the axial conductances g, plus the leaks. Its values stand in the
# order of the structure's slots, which `Structure.coordinates` tells; one sum for each slot leads there from g.
rows, columns = structure.coordinates()
slot = {(int(i), int(j)): k for k, (i, j) in enumerate(zip(rows, columns, strict=True))}
entries = [
    (slot[place], e, sign)
    for e, (i, j) in enumerate(zip(left.tolist(), right.tolist(), strict=True))
    for place, sign in (((i, i), 1.0), ((j, j), 1.0), ((i, j), -1.0), ((j, i), -1.0))
]
slots, sources, signs = (torch.tensor(part) for part in zip(*entries, strict=True))
leaks = torch.zeros(structure.nnz, dtype=torch.float64)
leaks[structure.diagonal_slots(0)] = 0.01


def values(conductances):
    """Return the matrix of a cable, as a vector of its slots."""
    return leaks.index_add(0, slots, signs.to(conductances) * conductances[sources])


# %%
# The truth, unknown to the fit: conductances that vary smoothly along the fiber, with a constriction behind the fork.
# Currents are injected at 12 segments, one after another; voltages are read at every sixth segment, with noise of half
# a percent.
place = np.arange(first - 1) / first
line = 1.0 + 0.5 * np.sin(5 * place) - 0.6 * np.exp(-(((place - 0.6) / 0.05) ** 2))
branch = 0.5 + 0.3 * np.linspace(0, 1, n - first - 1)
truth = torch.tensor(np.concatenate([line, branch, [0.5]]))

injected = torch.tensor(np.linspace(5, n - 5, 12).astype(int))
currents = torch.eye(n, dtype=torch.float64)[injected]
read = torch.arange(0, n, 6)
generator = torch.Generator().manual_seed(0)
clean = F.solve(structure, values(truth), currents)[:, read]
measured = clean * (1.0 + 0.005 * torch.randn(clean.shape, generator=generator, dtype=torch.float64))

# %%
# What is minimized: the misfit in units of the noise, and the squared steps from each conductance to the next, without
# which 300 numbers would not be determined. Conductances are exponentials of the parameters, so they stay positive.
# There is nothing special about the solve: it is a function of torch.
along = torch.tensor(np.flatnonzero((left[1:-1] == left[:-2] + 1) & (right[1:-1] == right[:-2] + 1)))


def misfit(logarithms):
    voltages = F.solve(structure, values(logarithms.exp()), currents)[:, read]
    return ((voltages - measured) / (0.005 * measured)).square().mean()


def objective(logarithms):
    steps = logarithms[along + 1] - logarithms[along]
    return misfit(logarithms) + 2.0 * steps.square().sum()


logarithms = torch.zeros(edges, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.LBFGS([logarithms], max_iter=400, history_size=30, line_search_fn="strong_wolfe")
calls = 0


def closure():
    global calls
    calls += 1
    optimizer.zero_grad()
    loss = objective(logarithms)
    loss.backward()
    return loss


optimizer.step(closure)
found = logarithms.detach().exp()
print(f"misfit {float(misfit(logarithms.detach())):.2f} (1 is the noise), after {calls} gradients")

# %%
# The gradient is exact: along a random direction it agrees with a difference quotient.
direction = torch.randn(edges, generator=generator, dtype=torch.float64)
here = torch.zeros(edges, dtype=torch.float64, requires_grad=True)
(slope,) = torch.autograd.grad(objective(here), here)
h = 1e-5
with torch.no_grad():
    quotient = (objective(here + h * direction) - objective(here - h * direction)) / (2 * h)
print(f"gradient {float(slope @ direction):.6f}, quotient {float(quotient):.6f}")
assert abs(float(slope @ direction) / float(quotient) - 1.0) < 1e-5

# %%
# The constriction is found, in its place and depth; it was in no assumption.
fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 6), layout="constrained")
for part, x in ((slice(0, first - 1), left[: first - 1]), (slice(first - 1, edges - 1), left[first - 1 : -1])):
    top.plot(x, truth[part], color="gray", linewidth=3, label="truth" if part.start == 0 else None)
    top.plot(x, found[part], color="tab:orange", label="found" if part.start == 0 else None)
top.axvline(fork, linestyle=":", color="gray")
top.axvspan(first, n, alpha=0.1, color="gray")
top.set(xlabel="segment (the branch is shaded, the fork dotted)", ylabel="axial conductance")
top.legend()
for k in (2, 6, 11):
    (dots,) = bottom.plot(read, measured[k], ".", label=f"current into segment {int(injected[k])}")
    fitted = F.solve(structure, values(found), currents[k])
    for part in (slice(0, first), slice(first, n)):
        bottom.plot(np.arange(n)[part], fitted[part], color=dots.get_color(), linewidth=0.8)
bottom.set(xlabel="segment", ylabel="voltage", title="Measured (dots) and fitted (lines)", yscale="log")
bottom.legend()
plt.show()

error = float(((found - truth).abs() / truth).median())
narrowest = int(found[: first - 1].argmin())
print(f"median error {error:.1%}; narrowest at {narrowest}, in truth at {int(truth[: first - 1].argmin())}")
assert error < 0.05
assert abs(narrowest - int(truth[: first - 1].argmin())) <= 6

# %%
# The cost is that of two solves for each gradient, O(n): a cable of 10,000 segments takes some milliseconds, where a
# dense solve with gradients takes 650 at 2,048 already. Batches of matrices work the same way, and so do
# `slogdet`, for likelihoods of Gaussian fields, and `inverse_diagonal`, for their variances.
