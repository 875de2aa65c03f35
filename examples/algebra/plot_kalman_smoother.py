r"""
Kalman smoothing as one tridiagonal system
==========================================

A state that follows its past and is seen through noise has a posterior whose *precision* matrix, the inverse of the
covariance, is tridiagonal. What the Kalman filter and the Rauch-Tung-Striebel smoother compute in two passes is then:

* the posterior mean: one solve;
* its variances: the diagonal of the inverse;
* the log-likelihood: two log-determinants;
* draws from the posterior: one triangular solve with a Cholesky factor each.

And a measurement that ties two distant times together, for which a filter has no place, is a link.
"""

# %%
# The model
# ---------
#
# .. math:: x_{t+1} = \varphi\, x_t + w_t, \quad w_t \sim N(0, q), \qquad y_t = x_t + v_t, \quad v_t \sim N(0, r),
#
# with :math:`x_1` from the stationary distribution :math:`N(0, q / (1 - \varphi^2))`. One observation in three is
# missing.
import matplotlib.pyplot as plt
import numpy as np

from stridiag import StridiagMatrix

phi, q, r, n = 0.98, 0.05, 0.4, 3000
rng = np.random.default_rng(0)
x = np.empty(n)
x[0] = rng.normal(scale=np.sqrt(q / (1 - phi**2)))
for t in range(1, n):
    x[t] = phi * x[t - 1] + rng.normal(scale=np.sqrt(q))
y = x + rng.normal(scale=np.sqrt(r), size=n)
seen = rng.uniform(size=n) < 2 / 3
y[~seen] = 0.0

# %%
# The precision of the states, and that of the states given the observations. A missing observation adds nothing.
main = np.full(n, (1 + phi**2) / q)
main[0] = main[-1] = 1 / q
prior = StridiagMatrix.from_diagonals({0: main, 1: -phi / q, -1: -phi / q}, shape=n)
posterior = prior + StridiagMatrix.from_diagonals({0: seen / r})

# %%
# With Cholesky's method the promise of a positive definite matrix is checked, and draws can be made.
factor = posterior.factor(method="cholesky")
mean = factor.solve(y / r)
variance = factor.inverse_diagonal()
draws = factor.sample(1000, rng=1, precision=True) + mean

# %%
# The evidence follows from :math:`p(y) = p(x)\, p(y \mid x) / p(x \mid y)`, at the posterior mean.
log_prior = prior.factor(method="cholesky").slogdet().logabsdet
log_posterior = factor.slogdet().logabsdet
quadratic = mean @ (prior @ mean) + np.sum((y - mean)[seen] ** 2) / r
evidence = 0.5 * (log_prior - log_posterior - seen.sum() * np.log(2 * np.pi * r) - quadratic)

# %%
# The textbook's two passes, as a check
# -------------------------------------


def kalman(y, seen):
    """Return smoothed means and variances, and the log-likelihood, by loops over time."""
    predicted, predicted_var, filtered, filtered_var = np.empty((4, n))
    likelihood, m, p = 0.0, 0.0, q / (1 - phi**2)
    for t in range(n):
        predicted[t], predicted_var[t] = m, p
        if seen[t]:
            s = p + r
            likelihood -= 0.5 * (np.log(2 * np.pi * s) + (y[t] - m) ** 2 / s)
            m, p = m + p / s * (y[t] - m), p * r / s
        filtered[t], filtered_var[t] = m, p
        m, p = phi * m, phi**2 * p + q
    smoothed, smoothed_var = filtered.copy(), filtered_var.copy()
    for t in range(n - 2, -1, -1):
        gain = phi * filtered_var[t] / predicted_var[t + 1]
        smoothed[t] += gain * (smoothed[t + 1] - predicted[t + 1])
        smoothed_var[t] += gain**2 * (smoothed_var[t + 1] - predicted_var[t + 1])
    return smoothed, smoothed_var, likelihood


means, variances, likelihood = kalman(y, seen)
print(f"means differ by         {abs(mean - means).max():.1e}")
print(f"variances differ by     {abs(variance - variances).max():.1e}")
print(f"log-likelihood          {evidence:.6f}, by the filter {likelihood:.6f}")
print(f"variance of draws       {draws.var(axis=0).mean():.4f}, of the posterior {variance.mean():.4f}, on average")
assert abs(mean - means).max() < 1e-11
assert abs(variance - variances).max() < 1e-11
assert abs(evidence - likelihood) < 1e-8 * abs(likelihood)
assert abs(draws.var(axis=0).mean() / variance.mean() - 1) < 0.02

# %%
# Closing loops
# -------------
#
# Now an instrument compares distant times directly: it saw that :math:`x_s - x_t` is 0 up to a variance of 0.001,
# as when a survey comes back to a known place. Each such comparison adds four entries: two on the diagonal, and two
# links.
pairs = np.array([(300, 2300), (600, 1900), (1000, 1500)])
pairs = np.array([(s, t + np.argmin(abs(x[t : t + 60] - x[s]))) for s, t in pairs])
s, t = pairs.T
gap, weight = x[s] - x[t], 1 / 0.001
tie = StridiagMatrix.from_diagonals(
    {0: 0.0},
    links=(np.r_[s, t, s, t], np.r_[s, t, t, s], np.r_[weight, weight, -weight, -weight].repeat(len(pairs))),
    shape=n,
)
tied = (posterior + tie).factor(method="cholesky")
right = y / r
np.add.at(right, np.r_[s, t], weight * np.r_[gap, -gap])
tied_mean, tied_variance = tied.solve(right), tied.inverse_diagonal()

# %%
# A dense inverse of the matrix, as the check; and the variances can only fall.
dense = np.linalg.inv((posterior + tie).toarray())
print(f"{tied.method}: variances differ from the dense inverse's by {abs(tied_variance - np.diag(dense)).max():.1e}")
assert abs(tied_variance - np.diag(dense)).max() < 1e-11
assert abs(tied_mean - dense @ right).max() < 1e-10
assert np.all(tied_variance < variance + 1e-12)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
part = slice(200, 400)
time = np.arange(n)[part]
spread = 1.96 * np.sqrt(variance[part])
left.fill_between(time, mean[part] - spread, mean[part] + spread, color="C0", alpha=0.3, label="95 %")
left.plot(time, x[part], color="C1", lw=1, label="state")
left.plot(time, mean[part], color="C0", label="smoothed")
left.plot(time[seen[part]], y[part][seen[part]], ".", color="C7", ms=3, label="observed")
left.set(xlabel="time", title="Smoothing, with gaps")
left.legend(ncols=2, fontsize="small")
near = slice(s[0] - 30, s[0] + 30)
right.plot(np.arange(n)[near], np.sqrt(variance[near]), color="C1", label="one by one")
right.plot(np.arange(n)[near], np.sqrt(tied_variance[near]), color="C0", label="with a tie to a distant time")
right.set(xlabel="time", ylabel="standard deviation", title="A link tells more", ylim=(0, None))
right.legend(fontsize="small")
plt.show()
