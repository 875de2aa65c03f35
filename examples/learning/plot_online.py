"""
Rows that come, go and drift
============================

Three ways to learn from what arrives bit by bit: adding rows to a network and taking them back, following a sensor that
drifts, and answering one row at a time in microseconds.
"""

# %%
# Adding rows, and taking them back
# ---------------------------------
# ``partial_fit`` makes the hidden part of the network from the first rows. After that only sums over rows grow, and the
# readout is that of one fit on all rows so far: the order, and the size of the parts, make no difference.
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from stridiag.nn import RecursiveLeastSquares
from stridiag.sklearn import StridiagClassifier

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)

stream = StridiagClassifier(networks=1, random_state=0).partial_fit(X[:300], y[:300], classes=np.arange(10))
rows, scores = [300], [stream.score(X_test, y_test)]
for first in range(300, len(X), 150):
    part = slice(first, first + 150)
    stream.partial_fit(X[part], y[part])
    rows.append(min(first + 150, len(X)))
    scores.append(stream.score(X_test, y_test))

# %%
# A labeler mixes up sevens and ones in 40 rows. The mistake is found, and the rows are taken back.
honest = stream.decision_function(X_test)
wrong = np.flatnonzero(np.isin(y, (1, 7)))[-40:]
swapped = np.where(y[wrong] == 1, 7, 1)
stream.partial_fit(X[wrong], swapped)
harmed = stream.decision_function(X_test)
stream.forget(X[wrong], swapped)
restored = stream.decision_function(X_test)
print(f"scores moved by {np.abs(harmed - honest).max():.2f}, and came back to {np.abs(restored - honest).max():.0e}")
assert np.abs(harmed - honest).max() > 0.01
assert np.abs(restored - honest).max() < 1e-8

fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(rows, 100 * np.array(scores), "o-")
ax.set(xlabel="rows so far", ylabel="accuracy on test rows, %")
plt.show()
assert scores[-1] > scores[0]

# %%
# A sensor that drifts
# --------------------
# Eight channels of a gas sensor; the concentration is a linear function of them, whose coefficients wander, and jump
# when the sensor is cleaned at sample 2,500. A model that was calibrated once goes wrong. One that learns from all
# samples equally grows sluggish. One that forgets, half of what it knows in 35 samples, follows.
random = np.random.default_rng(0)
samples, channels = 4000, 8
readings = random.standard_normal((samples, channels))
response = np.cumsum(0.01 * random.standard_normal((samples, channels)), axis=0) + random.standard_normal(channels)
response[2500:] += random.standard_normal(channels)
concentration = (readings * response).sum(axis=1) + 0.1 * random.standard_normal(samples)

models = {
    "calibrated once": RecursiveLeastSquares(channels),
    "remembers all": RecursiveLeastSquares(channels),
    "forgets": RecursiveLeastSquares(channels, forgetting=0.98),
}
errors = {name: np.empty(samples) for name in models}
spent = dict.fromkeys(models, 0.0)
for t in range(samples):
    for name, model in models.items():
        errors[name][t] = model.predict(readings[t]).item() - concentration[t]
        if name != "calibrated once" or t < 200:
            model.update(readings[t], concentration[t : t + 1])

fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
window = np.ones(50) / 50
for name, error in errors.items():
    ax.plot(np.sqrt(np.convolve(error**2, window, "valid")), label=name)
ax.axhline(0.1, linestyle=":", color="gray", label="noise")
ax.axvline(2500, linestyle="--", color="gray", label="cleaning")
ax.set(xlabel="sample", ylabel="error of prediction, 50 samples", yscale="log")
ax.legend()
plt.show()
late = {name: float(np.sqrt(np.mean(error[3000:] ** 2))) for name, error in errors.items()}
print({name: round(error, 3) for name, error in late.items()})
assert late["forgets"] < 0.2 < 2 * late["forgets"] < min(late["remembers all"], late["calibrated once"])

# %%
# Forgetting alone is dangerous: while nothing comes in, textbook recursive least squares forgets everything, until its
# matrix overflows. Here it does not, and with ``hold=True`` the weights stay where they are.
careful = RecursiveLeastSquares(channels, forgetting=0.9, hold=True)
careful.update(readings[:500], concentration[:500, None])
before = careful.weights.copy()
careful.update(np.zeros((20_000, channels)), np.zeros((20_000, 1)))
print(f"after 20,000 silent samples weights differ by {np.abs(careful.weights - before).max():.0e}")
assert np.abs(careful.weights - before).max() < 1e-6

# %%
# One row at a time
# -----------------
# For single rows most of the time of ``predict`` goes into checks. ``compile`` returns a function without them, which
# runs through a described network in one compiled call.
network = StridiagClassifier(training="random", units=512, layers=1, random_state=0).fit(X, y)
hurry = network.compile()
single = [np.ascontiguousarray(row) for row in X_test[:200]]
assert [hurry(row) for row in single] == network.predict(X_test[:200]).tolist()


def microseconds(call, arguments):
    """Return the median time of a call."""
    times = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        times.append(time.perf_counter() - start)
    return 1e6 * float(np.median(times))


checked = microseconds(network.predict, [row[None] for row in single])
unchecked = microseconds(hurry, single)
print(f"predict {checked:.0f}, compiled {unchecked:.0f} microseconds for one row")
assert unchecked < checked
