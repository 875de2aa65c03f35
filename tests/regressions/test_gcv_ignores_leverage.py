"""GCV replaces each row's leverage by the mean; rows far out (heavy tails, few levels) then decide nothing and fit all.

The default regressor chose the smallest penalty of its grid and predicted with an error of a hundred deviations,
while its own estimate of that error was half a deviation. Exact leave-one-out (PRESS) chooses 0.59 of 0.57 here.
"""

import numpy as np
import pytest

from stridiag.sklearn import StridiagRegressor


def heavy_tails():
    rng = np.random.default_rng(1)
    z = rng.standard_t(1.2, (3000, 4))
    x = np.column_stack((z, z @ rng.standard_normal((4, 6))))
    return x, np.log1p(np.abs(z[:, 0])) + 0.1 * rng.standard_normal(3000)


@pytest.mark.parametrize("options", [{}, {"units": 512}])
def test_it_is_no_worse_than_the_mean(options):
    x, y = heavy_tails()
    model = StridiagRegressor(random_state=0, **options).fit(x[:2000], y[:2000])
    assert model.score(x[2000:], y[2000:]) > -0.1


def test_score_estimates_the_error_on_new_rows():
    x, y = heavy_tails()
    model = StridiagRegressor(units=512, random_state=0).fit(x[:2000], y[:2000])
    error = np.mean((model.predict(x[2000:]) - y[2000:]) ** 2)
    assert error < 4 * model.network_.readout.score[0]
