r"""
Markov chains: stationary vectors and passage times
===================================================

In a birth-death chain the state changes by one at a time, and its generator has three diagonals. Real systems jump
too: a server is reset, a batch arrives. Each jump is a link.

The stationary distribution :math:`\pi` spans the left null space of the generator: :math:`\pi^T Q = 0`.
"""

# %%
# A queue with 30 servers
# -----------------------
#
# Customers arrive at rate 27, each server needs 1 unit of time on average, and at most 1999 customers fit. Without
# jumps the balance of each step, :math:`\pi_k \lambda_k = \pi_{k+1} \mu_{k+1}`, gives the distribution in closed
# form.
import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from stridiag import StridiagMatrix, linalg

n = 2000
birth = np.full(n - 1, 27.0)
death = np.minimum(np.arange(1.0, n), 30.0)


def generator(jumps=()):
    """Return the matrix of rates; jumps are (from, to, rate), rows sum to zero."""
    leaving = np.r_[birth, 0.0] + np.r_[0.0, death]
    rows, columns, rates = (np.array(part) for part in zip(*jumps, strict=True)) if jumps else ([], [], [])
    np.add.at(leaving, rows, rates)
    return StridiagMatrix.from_diagonals({0: -leaving, 1: birth, -1: death}, (rows, columns, rates) if jumps else None)


def stationary(Q):
    """Return the distribution that Q keeps."""
    vectors = linalg.null_space(Q.T)
    assert vectors.shape[1] == 1, "the chain falls apart into several"
    return vectors[:, 0] / vectors[:, 0].sum()


plain = stationary(generator())
logarithms = np.r_[0.0, np.cumsum(np.log(birth) - np.log(death))]
closed = np.exp(logarithms - logarithms.max())
closed /= closed.sum()
print(f"largest difference from the closed form: {abs(plain - closed).max():.1e}")
assert abs(plain - closed).max() < 1e-12

# %%
# The accuracy is that of a vector of norm 1: probabilities far below 1e-16 are not resolved one by one. For a plain
# chain the closed form above gives these too.

# %%
# With jumps
# ----------
#
# At 60 waiting the room is cleared, at a small rate; on some days 100 come at once; an alarm at 150 sends all but
# 10 away.
jumps = [(60, 0, 0.5), (61, 0, 0.5), (5, 105, 0.02), (20, 120, 0.02), (30, 130, 0.02), (150, 10, 3.0)]
Q = generator(jumps)
print(Q)
pi = stationary(Q)
balance = abs(Q.T @ pi).max()

# %%
# A well-known other way to :math:`\pi` replaces one equation by :math:`\sum \pi = 1`, a full row. It serves as the
# check.
system = Q.T.to_scipy("lil")
system[0] = 1.0
right = np.zeros(n)
right[0] = 1.0
trusted = spsolve(sparse.csc_array(system), right)
print(f"balance {balance:.1e}, largest difference from the other way {abs(pi - trusted).max():.1e}")
assert balance < 1e-12
assert abs(pi - trusted).max() < 1e-12

# %%
# Mean first passage times
# ------------------------
#
# The mean time from state :math:`k` until 150 customers are there solves :math:`Q_0 t = -1` on the states below
# 150, where :math:`Q_0` is the generator without that state. For the plain chain a sum gives it: the time to go one
# up is :math:`u_k = (1 + \mu_k u_{k-1}) / \lambda_k`.


def until(Q, level):
    """Return the mean times from the states below `level` until it is reached."""
    inside = Q.to_scipy("csr")[:level, :level]
    return linalg.solve(StridiagMatrix.from_scipy(inside, offsets=(-1, 0, 1)), -np.ones(level))


level = 60
up = np.zeros(level)
for k in range(level):
    up[k] = (1.0 + (death[k - 1] * up[k - 1] if k else 0.0)) / birth[k]
exact = np.cumsum(up[::-1])[::-1]
times = until(generator(), level)
error = abs(times / exact - 1).max()
print(f"from empty to {level} there: {times[0]:.3f}; relative difference from the sum {error:.1e}")
assert abs(times / exact - 1).max() < 1e-10

with_jumps = until(Q, level)

# %%
# With jumps there is a subtlety: a burst leaps from 5 to 105 without being at 60. The time until *at least* 60 are
# there needs no more than what was done, since all of those states are left out, and the rates into them stay in
# the diagonal. A simulation agrees.
with_jumps = until(Q, level)
rng = np.random.default_rng(7)
targets = {source: (to, rate) for source, to, rate in jumps}
samples = []
for _ in range(200):
    state, time = 0, 0.0
    while state < level:
        down = death[state - 1] if state else 0.0
        to, rate = targets.get(state, (0, 0.0))
        total = birth[state] + down + rate
        time += rng.exponential(1.0 / total)
        choice = rng.uniform(0.0, total)
        state = state + 1 if choice < birth[state] else state - 1 if choice < birth[state] + down else to
    samples.append(time)
mean, error = np.mean(samples), np.std(samples) / np.sqrt(len(samples))
print(f"from empty to {level} or more, with jumps: {with_jumps[0]:.3f}; simulated {mean:.3f} +- {error:.3f}")
assert abs(mean - with_jumps[0]) < 4 * error

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.semilogy(plain[:250].clip(1e-17), "--", color="C1", label="without jumps")
left.semilogy(pi[:250].clip(1e-17), color="C0", label="with jumps")
left.set(xlabel="customers", ylabel="probability", title="Stationary distributions", ylim=(1e-12, 1))
left.legend()
right.plot(times, "--", color="C1", label="without jumps")
right.plot(with_jumps, color="C0", label="with jumps")
right.set(xlabel="customers at the start", ylabel="mean time", title=f"Until {level} or more are there")
right.legend()
plt.show()
