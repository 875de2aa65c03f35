"""
Too small, right, too large: capacity by whole numbers
======================================================

Structured layers have knobs in whole numbers: units, diagonals, links. The paper behind this library claims that these
steer between under- and over-fitting. This page shows where that is so, on the 442 patients of scikit-learn's diabetes
data, and what a penalty does in the same place.
"""

# %%
# Entries that are solved for: 256 drawn units, and an output that reads a few of them, chosen by the data.
# :func:`stridiag.nn.choose_links` adds one entry after another, each the one that lowers the error most.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from stridiag import Structure
from stridiag.nn import Architecture, Statistics, capacity_surface, choose_links, fit_random
from stridiag.sklearn import StridiagRegressor

X, y = load_diabetes(return_X_y=True)
counts = [1, 2, 4, 8, 16, 32, 64, 128]


def scores(alpha, seed):
    """Return R² in training and on held-out rows, for each number of links."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
    net = fit_random(X_train, y_train[:, None], Architecture(units=256, layers=1), alpha=1.0, rng=seed)
    features, new = net.features(X_train), net.features(X_test)
    moments = Statistics.from_rows(features, y_train[:, None])
    found = []
    for count in counts:
        chosen = choose_links(moments, Structure((1, features.shape[1]), ()), count, alpha)
        guesses = [(chosen.weight @ rows.T)[0] + chosen.bias[0] for rows in (features, new)]
        found.append([1 - np.mean((t - g) ** 2) / np.var(t) for t, g in zip((y_train, y_test), guesses, strict=True)])
    return found


fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
curves = {}
for ax, alpha in zip(axes, (0.0, 0.1), strict=True):
    train, held_out = np.mean([scores(alpha, seed) for seed in range(4)], axis=0).T
    curves[alpha] = train, held_out
    ax.plot(counts, train, "s--", label="training rows")
    ax.plot(counts, held_out, "o-", label="held-out rows")
    ax.set(xscale="log", xlabel="links", title=f"penalty {alpha:g}", ylim=(-0.2, 0.9))
    ax.set_xticks(counts, counts)
    ax.minorticks_off()
axes[0].set_ylabel("R²")
axes[0].legend()
plt.show()

# %%
# Without a penalty training scores rise with every link, held-out scores rise and fall again: a few links are best.
# With one, more links do no harm. On the full surface (five splits, docs page on capacity) four links of 256 units are
# the best point of all, 0.512, and the best penalized one, 0.501, lies within the noise of it.
train, held_out = curves[0.0]
best = int(np.argmax(held_out))
print(f"without penalty: best with {counts[best]} links, R² {held_out[best]:.2f}; with 128 {held_out[-1]:.2f}")
assert np.all(np.diff(train) > -1e-9)
assert counts[best] <= 16
assert held_out[best] > held_out[-1] + 0.1
assert curves[0.1][1][-1] > held_out[-1] + 0.1

# %%
# Entries that are drawn: there only the readout is fitted, and the number of units is the capacity.
# :func:`stridiag.nn.capacity_surface` scores any estimator over two knobs.
one = StridiagRegressor(layers=1, alpha=1e-6)
surface = capacity_surface(one, X, y, {"units": [2, 8, 32, 128], "diagonals": [1, 2, 4]}, seeds=3)
surface.plot()
plt.show()
print("best", surface.best())
assert surface.best()["units"] < 128
