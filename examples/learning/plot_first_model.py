"""
A first model: pipeline, probabilities, intervals, images
=========================================================

Two estimators with scikit-learn's manners. There is nothing to tune and there are no epochs: hidden weights are drawn
or solved for, and every choice is made by leave-one-out errors of the training rows.
"""

# %%
# A classifier in a pipeline
# --------------------------
import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_digits, make_friedman1
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from stridiag.sklearn import StridiagClassifier, StridiagRegressor

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
holes = np.random.default_rng(0).random(X_train.shape) < 0.02
pipeline = make_pipeline(SimpleImputer(), StridiagClassifier(networks=2, random_state=0))
pipeline.fit(np.where(holes, np.nan, X_train), y_train)
print(f"with 2 % of the pixels missing in training: {pipeline.score(X_test, y_test):.1%}")
assert pipeline.score(X_test, y_test) > 0.96

# %%
# Told that the 64 columns are an image of 8 x 8, the classifier takes neighborhoods of pixels instead of mixtures of
# all of them. On MNIST, where this matters more, figures are on the theory page about images.
images = StridiagClassifier(image_shape=(8, 8), random_state=0).fit(X_train, y_train)
print(f"as images: {images.score(X_test, y_test):.1%}")
assert images.score(X_test, y_test) > 0.975

# %%
# Probabilities
# -------------
# Scores come from least squares, and one temperature makes probabilities of them: that at which the scores that rows
# get when they are left out are likeliest. Points on the diagonal are right as often as they say.
P = images.predict_proba(X_test)
print(f"log loss {log_loss(y_test, P):.3f}")
assert log_loss(y_test, P) < 0.15
hits = (P.max(axis=1, keepdims=True) == P) & np.eye(10, dtype=bool)[y_test]
sure, right = P.max(axis=1), hits.any(axis=1)
found, said = calibration_curve(right, sure, n_bins=6, strategy="quantile")

fig, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
ax.plot([0.5, 1], [0.5, 1], ":", color="gray")
ax.plot(said, found, "o-")
ax.set(xlabel="probability of the class that is named", ylabel="share of correct ones")
plt.show()

# %%
# A regressor with intervals
# --------------------------
# Friedman's function of five columns, five more that do nothing, and noise. Rows that the fit has not seen set the
# width of the intervals: over new rows from the same source, they hold the truth with at least the probability asked
# for.
U, v = make_friedman1(1500, noise=1.0, random_state=0)
U_train, U_rest, v_train, v_rest = train_test_split(U, v, test_size=800, random_state=0)
U_held, U_test, v_held, v_test = train_test_split(U_rest, v_rest, test_size=400, random_state=0)
regressor = StridiagRegressor(networks=2, random_state=0).fit(U_train, v_train).conformalize(U_held, v_held)
lower, upper = regressor.predict_interval(U_test, coverage=0.9)
share = float(np.mean((lower <= v_test) & (v_test <= upper)))
print(f"R² {regressor.score(U_test, v_test):.2f}; intervals of 90 % hold {share:.0%} of the truth")
assert regressor.score(U_test, v_test) > 0.9
assert 0.84 < share < 0.96

order = np.argsort(regressor.predict(U_test))[::5]
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
ax.fill_between(range(len(order)), lower[order], upper[order], alpha=0.3, label="interval, 90 %")
ax.plot(v_test[order], ".", label="truth")
ax.set(xlabel="test rows, by prediction", ylabel="target")
ax.legend()
plt.show()
