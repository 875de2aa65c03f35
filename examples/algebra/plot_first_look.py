"""
See the structure of a matrix
=============================

A matrix that comes from elsewhere, as a sparse array or a dense one, is looked at by :func:`stridiag.detect`: it names
the diagonals that hold most of the nonzeros and keeps all other entries as links.
"""

# %%
# A ladder of 40 nodes: neighbors at distance 2, rungs at distance 1 between every other pair, and two wires across.
import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse

import stridiag

n = 40
rungs = np.arange(n - 1) % 2 == 0
ladder = sparse.diags_array(
    [3.0, -1.0, -1.0, -1.0 * rungs, -1.0 * rungs], offsets=[0, -2, 2, -1, 1], shape=(n, n)
).tolil()
ladder[3, 30] = ladder[30, 3] = ladder[8, 22] = ladder[22, 8] = -0.5

found = stridiag.detect(ladder.tocsr())
print(found)

# %%
# The plan says what a factorization will do, and what it will cost, before any number is looked at.
print(stridiag.plan(found.matrix.structure))

# %%
# Diagonals are drawn as lines, links as dots.
found.matrix.plot_structure()
plt.show()
