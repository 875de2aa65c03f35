r"""
Cables that branch and circuits whose switches close
====================================================

A cable is a chain of compartments, each coupled to its two neighbors. Branches and cross-connections are links, and
so is a switch. Two classics: the passive dendrite of a neuron, and a ladder of power distribution.
"""

# %%
# A branched cable
# ----------------
#
# A cylinder with membrane conductance and capacitance and axial resistance obeys the cable equation
#
# .. math:: C \, \dot v = G_a \, v_{xx} - G_m \, v .
#
# Cut into compartments it is :math:`C \dot v = -K v + i` with a symmetric :math:`K` whose graph is that of the
# cable. Hines (1984) numbered the compartments from the tips to the root, so that Gaussian elimination fills
# nothing in. Here nobody has to number anything: :func:`stridiag.plan` sees that the graph is a tree.
#
# Rall (1959) gave a case to check against. Where a parent of diameter :math:`d_0` splits into two daughters with
# :math:`d_1^{3/2} + d_2^{3/2} = d_0^{3/2}`, the steady voltage is that of one unbranched cylinder in units of the
# length constant :math:`\lambda \propto \sqrt d`.
import matplotlib.pyplot as plt
import numpy as np

import stridiag
from stridiag import StridiagMatrix, linalg

per_branch, length = 400, 0.5  # compartments of a branch, and its length in units of its length constant
levels = 4
electrotonic = length / per_branch

parent = [-1]  # compartment -> compartment on the way to the soma
branch_of = [-1]
generation = [0]
tips = [0]
for level in range(levels):
    grown = []
    for tip in tips:
        for _ in range(1 if level == 0 else 2):
            end = tip
            for _ in range(per_branch):
                parent.append(end)
                generation.append(level)
                end = len(parent) - 1
            grown.append(end)
    tips = grown
parent, generation = np.array(parent), np.array(generation)
n = parent.size

# Per compartment: membrane conductance (dx) and axial conductance (1/dx), in units of the parent cable's input
# conductance. By Rall's law each daughter of a symmetric split has half of both.
share = 0.5**generation
membrane = electrotonic * share
membrane[0] = 0.0  # the soma: here a point, where current is injected
axial = share[1:] / electrotonic

child = np.arange(1, n)
diagonal = membrane.copy()
np.add.at(diagonal, child, axial)
np.add.at(diagonal, parent[1:], axial)
K = StridiagMatrix.from_diagonals(
    {0: diagonal},
    links=(np.r_[child, parent[1:]], np.r_[parent[1:], child], -np.r_[axial, axial]),
    shape=n,
)
plan = stridiag.plan(K.structure)
print(f"{n} compartments: {plan.method}, since {plan.reason};", f"{plan.operations.factor:,} operations to factor")

# %%
# A steady current into the soma, and the closed form of the equivalent cylinder with a sealed end,
# :math:`v(x) = \cosh(\ell - x) / \sinh \ell`. Finite volumes converge with the square of the compartment's length.
current = np.zeros(n)
current[0] = 1.0
v = linalg.solve(K, current)

distance = np.zeros(n)
for k in range(1, n):
    distance[k] = distance[parent[k]] + electrotonic
total = levels * length
exact = np.cosh(total - distance) / np.sinh(total)
print(f"residual {abs(K @ v - current).max():.1e}, difference from the equivalent cylinder {abs(v - exact).max():.1e}")
assert abs(K @ v - current).max() < 1e-10
assert abs(v - exact).max() < 2e-3

# %%
# In time, with backward Euler, a synapse opens at one tip. The matrix is factored once for all steps.
step, steps = 0.02, 150  # in membrane time constants
system = K + StridiagMatrix.from_diagonals({0: membrane / step}, shape=n)
factor = system.factor()
v = np.zeros(n)
soma, synapse, source = [], [], np.zeros(n)
for k in range(steps):
    source[-1] = 0.02 * np.exp(-k * step / 0.2)
    v = factor.solve(membrane / step * v + source)
    soma.append(v[0])
    synapse.append(v[-1])
print(factor.method)

# What went in has leaked out or is still there: charge is kept, step by step.
v_before = v
v = factor.solve(membrane / step * v_before + source)
balance = source.sum() - membrane @ v - membrane @ (v - v_before) / step
print(f"charge balance of a step: {balance:.1e}")
assert abs(balance) < 1e-12

# %%
# A ladder with switches
# ----------------------
#
# A street of power distribution: two feeders of 3,000 nodes, loads to the ground and from one feeder to the other,
# and a switch, open as a rule, that ties the far end of one feeder to the near part of the other. Nodal analysis
# gives :math:`G v = i` with the conductance matrix :math:`G`: node :math:`2k` on the one feeder and :math:`2k + 1`
# on the other put all of it on the offsets 0, 1, -1, 2, -2. A closed switch between nodes :math:`a` and :math:`b`
# adds :math:`g` to two diagonal entries and :math:`-g` to two others.
rng = np.random.default_rng(1)
m = 6000
series, load = rng.uniform(2000, 4000, m - 2), rng.uniform(0.0, 5e-5, m)
rung = np.where(np.arange(m - 1) % 2 == 0, rng.uniform(0.0, 1e-3, m - 1), 0.0)
main = load + np.r_[series, 0, 0] + np.r_[0, 0, series] + np.r_[rung, 0] + np.r_[0, rung]
main[:2] += 1e3  # the transformer
G = StridiagMatrix.from_diagonals({0: main, 1: -rung, -1: -rung, 2: -series, -2: -series})
supply = np.zeros(m)
supply[:2] = 1e3 * 230.0
open_factor = G.factor()
open_voltage = open_factor.solve(supply)

# %%
# ``updated`` gives the factor of a matrix with a few other entries, in new places too. It compares the predicted
# costs of a correction of low rank and of a new factorization, and takes the cheaper one. Every solution with a
# correction is checked by its residual. Either way can be asked for by name.
a, b, g = 200, m - 101, 1000.0
positions = [a, b, a, b], [a, b, b, a]
entries = [main[a] + g, main[b] + g, -g, -g]
chosen = open_factor.updated(*positions, entries)
anew = open_factor.updated(*positions, entries, method="refactor")
print("chosen:   ", chosen.method)
print("asked for:", anew.method)
voltage = chosen.solve(supply)
difference = abs(voltage - anew.solve(supply)).max()
print(f"both agree to {difference:.1e} V; lowest voltage {open_voltage.min():.2f} V open, {voltage.min():.2f} V closed")
assert difference < 1e-5
assert voltage.min() > open_voltage.min()

# %%
# SuperLU, on the matrix with the switch closed, as an independent check.
from scipy.sparse.linalg import splu

trusted = splu(chosen.matrix.to_scipy("csc")).solve(supply)
print(f"largest difference from SuperLU: {abs(voltage - trusted).max():.1e} V; condition number {chosen.cond():.0e}")
assert abs(voltage - trusted).max() < 1e-5

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
time = step * np.arange(1, steps + 1)
left.plot(time, synapse, color="C1", label="at the synapse")
left.plot(time, soma, color="C0", label="at the soma")
left.set(xlabel="time (membrane time constants)", ylabel="voltage", yscale="log", title="Branched cable")
left.legend()
right.plot(open_voltage[::2], color="C1", label="switch open")
right.plot(voltage[::2], color="C0", label="switch closed")
right.set(xlabel="node of the first feeder", ylabel="volts", title="Ladder with a tie switch")
right.legend()
plt.show()
